//! Replaced oracles, and the rotations that they make due.

use std::collections::BTreeSet;

use alloy_primitives::FixedBytes;
use sw_devnet::{Devnet, audit::Audit};

use super::{report::Report, scenario::head};
use crate::Failure;

/// The replacement of the moment, and what followed it.
#[derive(Debug, Default)]
pub(super) struct Rotations {
    /// The block of the last replacement.
    replaced_at: Option<u64>,
    /// The slot of the last replacement, until the exits of all validators can be recovered by the new set.
    due_since: Option<u64>,
    /// Who was rotated since then.
    rotated: BTreeSet<FixedBytes<48>>,
    /// How many rotations were looked at.
    seen: usize,
}

impl Rotations {
    /// Whether the new set cannot recover all exits yet. There is no further replacement until then, so that each has
    /// rotations of its own.
    pub(super) fn is_due(&self) -> bool {
        self.due_since.is_some()
    }

    /// Replaces an oracle.
    pub(super) async fn replace(&mut self, devnet: &Devnet, place: usize, slot: u64) -> Result<(), Failure> {
        devnet.replace_oracle(place).await?;
        self.replaced_at = Some(head(devnet).await?);
        self.due_since = Some(slot);
        self.rotated.clear();
        Ok(())
    }

    /// Looks at the chain and at the documents it names.
    pub(super) async fn look(
        &mut self,
        devnet: &Devnet,
        slot: u64,
        audit: &Audit,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let rotations = devnet.rotated(devnet.vault()).await?;
        for rotation in rotations.get(self.seen..).unwrap_or_default() {
            for key in &rotation.public_keys {
                report.rotations += 1;
                if !self.rotated.insert(*key) {
                    let what = format!("{key} was rotated again by {} for the same oracles", rotation.tx);
                    report.twice.push(what);
                } else if !self.is_outdated(key, audit) {
                    report
                        .twice
                        .push(format!("{key} was rotated by {} for nothing", rotation.tx));
                }
            }
        }
        self.seen = rotations.len();
        let Some(since) = self.due_since.filter(|_| slot.is_multiple_of(LOOK_EVERY)) else {
            return Ok(());
        };
        let recoverable: BTreeSet<String> = devnet
            .recoverable(devnet.vault())
            .await?
            .into_iter()
            .map(|exit| exit.public_key.to_string())
            .collect();
        let missing = audit
            .registered
            .iter()
            .filter(|each| !recoverable.contains(&each.public_key))
            .count();
        if missing == 0 {
            self.due_since = None;
        } else if slot.saturating_sub(since) > PATIENCE {
            self.due_since = None;
            let what = format!("the rotation of {missing} validators that was due since slot {since}");
            report.missed.push(what);
        }
        Ok(())
    }

    /// Whether it can have been outdated: an oracle was replaced, and it was not registered long after that.
    fn is_outdated(&self, key: &FixedBytes<48>, audit: &Audit) -> bool {
        let key = key.to_string();
        let registered = audit.registered.iter().find(|each| each.public_key == key);
        let registered_in = registered.map_or(u64::MAX, |each| each.block);
        self.replaced_at
            .is_some_and(|replaced| registered_in <= replaced + APPROVALS_LAST)
    }
}

/// Slots: shares are opened to find out.
const LOOK_EVERY: u64 = 5;
/// Slots in which a rotation must have happened: the one before must be final first.
const PATIENCE: u64 = 300;
/// Blocks in which an approval by the old set may still be used: the devnet's are valid for a minute.
const APPROVALS_LAST: u64 = 60;
