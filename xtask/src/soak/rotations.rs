//! Replaced oracles, and the rotations that they make due.

use sw_devnet::{Devnet, audit::Audit};

use super::report::Report;
use crate::Failure;

#[derive(Debug, Default)]
pub(super) struct Rotations;

impl Rotations {
    pub(super) fn is_due(&self) -> bool {
        false
    }
    pub(super) async fn replace(&mut self, _: &Devnet, _: usize, _: u64) -> Result<(), Failure> {
        Ok(())
    }
    pub(super) async fn look(&mut self, _: &Devnet, _: u64, _: &Audit, _: &mut Report) -> Result<(), Failure> {
        Ok(())
    }
}
