//! Which of a vault's exit signatures are outdated: asking the oracles, and believing only what enough of them say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use alloy_primitives::Address;
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::Client;
use tokio::time::{Instant, timeout_at};

use crate::{
    ApprovalTimeouts, FailedAttempt, OracleInfo, OracleSet, answer,
    exchange::{Asked, LONGEST, Question},
};

/// What the oracles of a set say of a vault's outdated exit signatures.
#[derive(Debug, Clone, Default)]
pub struct Outdated {
    /// One answer for each oracle, in the order of the configuration.
    pub answers: Vec<Arc<OutdatedAnswer>>,
}

/// What one oracle says.
#[derive(Debug)]
pub struct OutdatedAnswer {
    /// The oracle.
    pub oracle: Address,
    /// What it says, or why there is nothing.
    pub standing: Standing,
    /// The endpoints that gave nothing that counts, in the order they were tried.
    pub failures: Vec<FailedAttempt>,
}

/// Whether an oracle said anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It answered.
    Answered {
        /// The block of the newest change of the vault's exit signatures that it has seen, if it has seen one.
        synced_to: Option<u64>,
        /// The indexes of the validators whose exit signatures it calls outdated.
        indexes: BTreeSet<u64>,
    },
    /// None of its endpoints gave an answer.
    NoAnswer,
    /// The others were enough, or could not become enough, and it was slower than they.
    NotAwaited,
    /// The configuration gives it no endpoint that could be asked.
    NoEndpoint,
}

/// Too few oracles can tell which exit signatures are outdated. Asking again later may help.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{synced} of the {needed} oracles needed told which exit signatures are outdated{}", as_of(.updated))]
#[non_exhaustive]
pub struct NotAgreed {
    /// How many are needed.
    pub needed: usize,
    /// How many there are.
    pub synced: usize,
    /// The block they had to be synced to.
    pub updated: Option<u64>,
    /// The others: those that are not synced, and those that did not answer. Each is shown as one line.
    pub missing: Vec<Arc<OutdatedAnswer>>,
}

impl Outdated {
    /// The validators whose exit signatures are outdated.
    ///
    /// An oracle is heard when it is synced to `updated`, the block in which the vault's exit signatures last changed, or
    /// to anything when they never did. As many as approve a registration must be. An index counts when so many of them name
    /// it that they could recover an exit: fewer cannot add one, and the others cannot hide one that these name.
    ///
    /// Whether an index is a validator of the vault is for the caller to check.
    ///
    /// # Errors
    /// Too few oracles that are synced.
    pub fn agreed(&self, updated: Option<u64>, set: &OracleSet) -> Result<BTreeSet<u64>, NotAgreed> {
        let mut count = Count::default();
        let mut missing = Vec::new();
        for oracle in set.oracles().iter().map(OracleInfo::address) {
            // Found by its address, so that each oracle of the set has one voice.
            let Some(answer) = self.answers.iter().find(|answer| answer.oracle == oracle) else {
                continue;
            };
            match answer.standing.synced(updated) {
                Some(indexes) => count.add(indexes),
                None => missing.push(Arc::clone(answer)),
            }
        }
        let needed = set.approvals_needed();
        if count.synced < needed {
            return Err(NotAgreed {
                needed,
                synced: count.synced,
                updated,
                missing,
            });
        }
        Ok(count.named_by(set.exit_threshold().threshold()))
    }
}

/// Asks all oracles at once which of a vault's exit signatures are outdated.
///
/// An oracle's endpoints are tried one after another until one is synced to `updated`, the block in which the vault's exit
/// signatures last changed; when none is, the one that has come furthest counts. `client` and `timeouts` are as for
/// [`crate::request_approvals`], and there is no second round here either.
///
/// Nobody is waited for once the answers that are still out cannot change what is agreed. Once enough oracles have answered
/// that something is agreed, or so many failed that nothing can be, the rest have three more seconds: a few that hang
/// must not delay every tick by all the time they are given.
pub async fn ask_outdated(
    client: &Client,
    set: &OracleSet,
    vault: Address,
    updated: Option<u64>,
    timeouts: ApprovalTimeouts,
) -> Outdated {
    let path = format!("/signatures/{}", vault.to_checksum(None));
    let question = Question {
        client,
        path: Some(&path),
        body: None,
        attempt: timeouts.attempt.min(LONGEST),
        end: Instant::now() + timeouts.total.min(LONGEST),
    };
    let mut pending = FuturesUnordered::new();
    for (position, oracle) in set.oracles().iter().enumerate() {
        let question = &question;
        pending.push(async move { (position, ask(question, oracle, updated).await) });
    }
    let mut answers = set.oracles().iter().map(|_| None).collect::<Vec<_>>();
    let mut count = Count::default();
    let mut end = None;
    while !count.is_final(pending.len(), set) {
        let next = match end {
            Some(end) => timeout_at(end, pending.next()).await.unwrap_or(None),
            None => pending.next().await,
        };
        let Some((position, answer)) = next else { break };
        if let Some(indexes) = answer.standing.synced(updated) {
            count.add(indexes);
        }
        if end.is_none() && count.is_decided(pending.len(), set) {
            end = Some(Instant::now() + GRACE);
        }
        if let Some(place) = answers.get_mut(position) {
            *place = Some(answer);
        }
    }
    let not_awaited = |oracle: &OracleInfo| OutdatedAnswer {
        oracle: oracle.address(),
        standing: Standing::NotAwaited,
        failures: Vec::new(),
    };
    let answers = set.oracles().iter().zip(answers);
    let answers = answers.map(|(oracle, answer)| Arc::new(answer.unwrap_or_else(|| not_awaited(oracle))));
    Outdated {
        answers: answers.collect(),
    }
}

/// How long the others are waited for once enough have answered.
const GRACE: Duration = Duration::from_secs(3);

async fn ask(question: &Question<'_>, oracle: &OracleInfo, updated: Option<u64>) -> OutdatedAnswer {
    let mut furthest: Option<answer::List> = None;
    let read = |body: &[u8]| {
        let list = answer::list(body)?;
        if is_synced(list.synced_to, updated) {
            return Ok(Some(list));
        }
        if furthest.as_ref().is_none_or(|other| other.synced_to < list.synced_to) {
            furthest = Some(list);
        }
        Ok(None)
    };
    let Asked { answer, failures } = question.ask(oracle.address(), oracle.endpoints.iter(), read).await;
    let standing = match answer.or(furthest) {
        Some(answer::List { synced_to, indexes }) => Standing::Answered { synced_to, indexes },
        None if oracle.endpoints.is_empty() => Standing::NoEndpoint,
        None => Standing::NoAnswer,
    };
    OutdatedAnswer {
        oracle: oracle.address(),
        standing,
        failures,
    }
}

impl Standing {
    /// What it names, if it is synced.
    fn synced(&self, updated: Option<u64>) -> Option<&BTreeSet<u64>> {
        match self {
            Self::Answered { synced_to, indexes } if is_synced(*synced_to, updated) => Some(indexes),
            _ => None,
        }
    }
}

fn is_synced(synced_to: Option<u64>, updated: Option<u64>) -> bool {
    // `None` is less than any block, and nothing is what it takes when nothing ever changed.
    synced_to >= updated
}

/// How many synced oracles there are, and how many of them name an index.
#[derive(Default)]
struct Count {
    synced: usize,
    named: BTreeMap<u64, usize>,
}

impl Count {
    fn add(&mut self, indexes: &BTreeSet<u64>) {
        self.synced += 1;
        for index in indexes {
            *self.named.entry(*index).or_default() += 1;
        }
    }

    fn named_by(&self, threshold: usize) -> BTreeSet<u64> {
        let named = self.named.iter().filter(|(_, voices)| **voices >= threshold);
        named.map(|(index, _)| *index).collect()
    }

    /// Whether something is agreed, and whatever `pending` more oracles say changes none of it.
    fn is_final(&self, pending: usize, set: &OracleSet) -> bool {
        let threshold = set.exit_threshold().threshold();
        let certain = |voices: &usize| *voices >= threshold || voices + pending < threshold;
        // An index that nobody has named yet has no voice.
        self.synced >= set.approvals_needed() && certain(&0) && self.named.values().all(certain)
    }

    /// Whether enough oracles are synced, or so few that `pending` more are not enough.
    fn is_decided(&self, pending: usize, set: &OracleSet) -> bool {
        self.synced >= set.approvals_needed() || self.synced + pending < set.approvals_needed()
    }
}

fn as_of(updated: &Option<u64>) -> String {
    updated.map_or_else(String::new, |block| format!(", as of block {block} or later"))
}

/// One line: who, how far it has come, and what its endpoints did.
impl fmt::Display for OutdatedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.standing)?;
        for attempt in &self.failures {
            write!(f, "; {attempt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered {
                synced_to: Some(block), ..
            } => write!(f, "synced to block {block}"),
            Self::Answered { synced_to: None, .. } => f.write_str("synced to no block"),
            Self::NoAnswer => f.write_str("no answer"),
            Self::NotAwaited => f.write_str("not waited for any longer"),
            Self::NoEndpoint => f.write_str("no endpoint to ask"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use sw_shamir_exit::OraclePublicKey;

    use super::*;
    use crate::{OnChainOracles, ProtocolConfig};

    /// Five oracles: the generator of the curve, times 1 to 5, as compressed points.
    const KEYS: [&str; 5] = [
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
        "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
        "02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13",
        "022f8bde4d1a07209355b4a7250a5c5128e88b84bddc619ab7cba8d569b240efe4",
    ];

    fn set(needed: usize, exit_signature_recover_threshold: usize) -> OracleSet {
        let oracle = |key: &&str| OracleInfo {
            public_key: key.parse::<OraclePublicKey>().expect("a key"),
            endpoints: Vec::new(),
        };
        let config = ProtocolConfig {
            oracles: KEYS.iter().map(oracle).collect(),
            exit_signature_recover_threshold,
            signature_validity_period: 1,
            validators_approval_batch_limit: 1,
            validators_exit_rotation_batch_limit: 1,
        };
        let on_chain = OnChainOracles {
            is_oracle: config
                .oracle_addresses()
                .into_iter()
                .map(|oracle| (oracle, true))
                .collect(),
            validators_min_oracles: needed as u64,
            rewards_min_oracles: 1,
        };
        OracleSet::new(config, &on_chain).expect("a set")
    }

    /// What is agreed of what the first oracles say, each an index set, or silence.
    fn agreed(said: &[Option<BTreeSet<u64>>], set: &OracleSet) -> Option<BTreeSet<u64>> {
        let answers = set.oracles().iter().zip(said).map(|(oracle, said)| {
            let standing = match said.clone() {
                Some(indexes) => Standing::Answered {
                    synced_to: None,
                    indexes,
                },
                None => Standing::NoAnswer,
            };
            Arc::new(OutdatedAnswer {
                oracle: oracle.address(),
                standing,
                failures: Vec::new(),
            })
        });
        let outdated = Outdated {
            answers: answers.collect(),
        };
        outdated.agreed(None, set).ok()
    }

    proptest! {
        #[test]
        fn what_is_final_no_further_answer_changes(
            (needed, recover) in (1_usize..=5).prop_flat_map(|needed| (Just(needed), 1..=needed)),
            said in collection::vec(proptest::option::weighted(0.8, collection::btree_set(0_u64..4, 0..4)), 5),
        ) {
            let set = set(needed, recover);
            let mut count = Count::default();
            for (heard, said_now) in said.iter().enumerate() {
                if let Some(indexes) = said_now {
                    count.add(indexes);
                }
                let (heard, pending) = (heard + 1, KEYS.len() - heard - 1);
                let (so_far, in_the_end) = (agreed(&said[..heard], &set), agreed(&said, &set));
                if count.is_final(pending, &set) {
                    prop_assert!(so_far.is_some());
                    prop_assert_eq!(so_far, in_the_end);
                } else if count.is_decided(pending, &set) {
                    prop_assert_eq!(so_far.is_some(), in_the_end.is_some());
                } else {
                    prop_assert!(so_far.is_none() && pending > 0);
                }
            }
        }
    }

    #[test]
    fn one_silent_or_lying_oracle_leaves_nothing_open() {
        let counted = |lists: &[&[u64]]| {
            let mut count = Count::default();
            lists.iter().for_each(|list| count.add(&list.iter().copied().collect()));
            count
        };
        let set = set(4, 3);
        assert!(!counted(&[&[7], &[7], &[7]]).is_final(2, &set), "one is missing");
        assert!(counted(&[&[7], &[7], &[7], &[7]]).is_final(1, &set));
        assert!(
            counted(&[&[7], &[7, 8], &[7], &[7]]).is_final(1, &set),
            "index 8 cannot get a third voice"
        );
        assert!(
            !counted(&[&[7, 8], &[7, 8], &[7], &[7]]).is_final(1, &set),
            "index 8 can"
        );
        assert!(counted(&[&[], &[], &[], &[]]).is_final(1, &set));
    }
}
