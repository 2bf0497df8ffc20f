//! Which exit signatures the oracles call outdated, as far as it can be believed.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    mem::{Discriminant, discriminant},
    sync::Arc,
};

use sw_oracle_client::{NotAgreed, OracleSet, Outdated, OutdatedAnswer, Standing};
use sw_spec::{Address, U256};

use crate::why::Few;

/// What an answer depends on: while it is the same, asking again brings nothing new, other than after a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// The CID of the oracles' config.
    pub(super) config: String,
    /// The oracles.
    pub(super) set: Arc<OracleSet>,
    /// How many rotations there were.
    pub(super) nonce: U256,
    /// The block of the last one.
    pub(super) updated: Option<u64>,
}

/// What enough oracles agreed on.
#[derive(Debug, Clone)]
pub(super) struct Claims {
    circumstances: Circumstances,
    /// The time of the block at which they were asked.
    asked_at: u64,
    /// The validators, by index.
    pub(super) agreed: BTreeSet<u64>,
    said: Outdated,
}

impl Claims {
    /// What the answers come to.
    ///
    /// # Errors
    ///
    /// Too few oracles can tell.
    pub(super) fn new(circumstances: Circumstances, asked_at: u64, said: Outdated) -> Result<Self, NotAgreed> {
        let agreed = said.agreed(circumstances.updated, &circumstances.set)?;
        for answer in &said.answers {
            tracing::debug!(%answer, "asked for outdated exit signatures");
            if let Standing::Answered { indexes, .. } = &answer.standing {
                let alone: Vec<u64> = indexes.difference(&agreed).copied().collect();
                if !alone.is_empty() {
                    let (count, indexes) = (alone.len(), Few(&alone));
                    tracing::debug!(oracle = %answer.oracle, count, %indexes, "too few oracles call these outdated");
                }
            }
        }
        Ok(Self {
            circumstances,
            asked_at,
            agreed,
            said,
        })
    }

    /// Whether they still hold at a block of this time, `seconds` at most after the oracles were asked.
    pub(super) fn hold(&self, circumstances: &Circumstances, time: u64, seconds: u64) -> bool {
        // A block that one node puts into the future must not silence the duty until then.
        let while_new = self.asked_at..self.asked_at.saturating_add(seconds);
        self.circumstances == *circumstances && while_new.contains(&time)
    }

    /// The oracles that name one of these.
    pub(super) fn who_named(&self, indexes: &[u64]) -> Vec<Address> {
        let named = |standing: &Standing| match standing {
            Standing::Answered { indexes: named, .. } => indexes.iter().any(|index| named.contains(index)),
            _ => false,
        };
        let naming = self.said.answers.iter().filter(|answer| named(&answer.standing));
        naming.map(|answer| answer.oracle).collect()
    }
}

/// The oracles that could not tell, and when that was said of each, by the time of the block.
#[derive(Debug, Default)]
pub(super) struct Missing(HashMap<(Address, Discriminant<Standing>), u64>);

/// Seconds for which the same is not said of an oracle again: it may come and go.
const SILENCE: u64 = 3600;

impl Missing {
    /// Names each oracle with its reason, once an hour.
    pub(super) fn name(&mut self, missing: &[Arc<OutdatedAnswer>], time: u64) {
        self.0
            .retain(|_, said_at| (*said_at..said_at.saturating_add(SILENCE)).contains(&time));
        for answer in missing {
            let kind = (answer.oracle, discriminant(&answer.standing));
            if let Entry::Vacant(unsaid) = self.0.entry(kind) {
                unsaid.insert(time);
                tracing::warn!(%answer, "an oracle cannot tell which exit signatures are outdated");
            } else {
                tracing::debug!(%answer, "an oracle still cannot tell which exit signatures are outdated");
            }
        }
    }
}
