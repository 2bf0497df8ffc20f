//! What an operator did, judged by the chain, its journal and its files, and by none of its code.

mod chain;
mod exits;
mod journal;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

use alloy_primitives::{Address, B256};
use tokio::time::Instant;

pub(crate) use self::exits::indexes;
pub use self::journal::Intent;
use crate::{
    Devnet, Registered,
    chain::{Chain, ChainError},
    proxy::{ExecutionProxy, HandedIn},
};

/// Something that must never be. Its number is that of the invariant, I1 to I12.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// The invariant, such as `I1`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// A violation of an invariant.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self {
            invariant,
            what: what.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// How an operator stands at the newest block.
#[derive(Debug, Clone)]
pub struct Audit {
    /// The validators that its vault has registered.
    pub registered: Vec<Registered>,
    /// Validators beyond the first of each public key.
    pub duplicates: usize,
    /// Mined transactions of its wallet.
    pub mined: u64,
    /// Validators that the vault could still pay for.
    pub affordable: u64,
    /// What must not be.
    pub violations: Vec<Violation>,
}

/// An audit that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The chain cannot be read.
    #[error("the audit cannot read the chain")]
    Chain(#[from] ChainError),
    /// A file of the operator cannot be read.
    #[error("the audit cannot read `{}`", .path.display())]
    Files {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Audits one operator again and again, while it runs or while it is down.
#[derive(Debug)]
pub struct Auditor {
    vault: Address,
    wallet: Address,
    /// In wei.
    cap: u128,
    journal: PathBuf,
    /// Every transaction that was ever seen in the journal, and what was wrong with it.
    known: Vec<Intent>,
    wrong: Vec<Violation>,
    /// The mined transaction of each nonce that no reorganisation reaches any more.
    settled: BTreeMap<u64, B256>,
    gap_since: Option<Instant>,
}

impl Auditor {
    /// An auditor of the operator of `vault` that sends from `wallet`, was told to pay at most `cap` wei for a unit of gas,
    /// and keeps its journal at `journal`.
    pub fn new(vault: Address, wallet: Address, cap: u128, journal: PathBuf) -> Self {
        Self {
            vault,
            wallet,
            cap,
            journal,
            known: Vec::new(),
            wrong: Vec::new(),
            settled: BTreeMap::new(),
            gap_since: None,
        }
    }

    /// Reads the journal, and returns every transaction that was ever in it.
    ///
    /// An operator may make its journal smaller when it starts: what is to be known of the run before must be read before.
    ///
    /// # Errors
    ///
    /// The journal is there and cannot be read.
    pub fn remember(&mut self) -> Result<&[Intent], AuditError> {
        let known: HashSet<B256> = self.known.iter().map(|intent| intent.hash).collect();
        for intent in journal::read(&self.journal)? {
            if !known.contains(&intent.hash) {
                intent.judge(self.wallet, self.cap, &mut self.wrong);
                self.known.push(intent);
            }
        }
        Ok(&self.known)
    }

    /// Holds the chain against the journal: keys are registered once (I1), with the vault's credentials (I6), every mined
    /// transaction and every one that reached an endpoint, `more` being those beside the network's own, was written down before
    /// (I2), none could have paid more than the cap (I3), and no transaction waits behind a
    /// missing nonce (I4).
    ///
    /// What it finds it looks at again: a reorganisation between two readings is no fault of the operator.
    ///
    /// # Errors
    ///
    /// The chain or the journal cannot be read.
    pub async fn audit(&mut self, devnet: &Devnet, more: &[&ExecutionProxy]) -> Result<Audit, AuditError> {
        let mut looks = 1;
        loop {
            let endpoints = std::iter::once(devnet.proxy()).chain(more.iter().copied());
            let handed_in: Vec<HandedIn> = endpoints.flat_map(ExecutionProxy::handed_in).collect();
            let audit = self.look(devnet.chain(), &handed_in).await?;
            if audit.violations.is_empty() || looks >= LOOKS {
                return Ok(audit);
            }
            looks += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Every exit that the oracles recovered of a registered validator was signed for the index that it has (I7).
    ///
    /// # Errors
    ///
    /// The chain cannot be read.
    pub async fn exits(&self, devnet: &Devnet) -> Result<Vec<Violation>, AuditError> {
        let mut violations = Vec::new();
        let registered = devnet.chain().registered(self.vault).await?;
        exits::judge(devnet, &registered, &mut violations).await?;
        Ok(violations)
    }

    async fn look(&mut self, chain: &Chain, handed_in: &[HandedIn]) -> Result<Audit, AuditError> {
        let mut violations = Vec::new();
        let registered = chain.registered(self.vault).await?;
        let duplicates = chain::duplicates(&registered, &mut violations);
        chain::deposits(chain, self.vault, &registered, &mut violations).await?;
        // The chain first: what it has by now was in the journal before.
        let mined = chain::mined(chain, self.wallet).await?;
        let intents = self.remember()?.to_vec();
        violations.extend(self.wrong.iter().cloned());
        let written: HashSet<B256> = intents.iter().map(|intent| intent.hash).collect();
        for HandedIn { hash, raw, .. } in handed_in {
            journal::judge_fee(*hash, raw, self.cap, &mut violations);
            if !written.contains(hash) {
                let what = format!("transaction {hash} was sent and is not in the journal");
                violations.push(Violation::new("I2", what));
            }
        }
        self.explain(chain, mined, &intents, &mut violations).await?;
        self.look_for_a_gap(chain, &mut violations).await?;
        let affordable = chain::affordable(chain, self.vault).await?;
        Ok(Audit {
            registered,
            duplicates,
            mined,
            affordable,
            violations,
        })
    }

    /// Every nonce that is used belongs to one transaction of the journal that is in the chain.
    async fn explain(
        &mut self,
        chain: &Chain,
        mined: u64,
        intents: &[Intent],
        violations: &mut Vec<Violation>,
    ) -> Result<(), AuditError> {
        let head = chain::head(chain).await?;
        let first = intents.iter().map(|intent| intent.nonce).min().unwrap_or_default();
        for nonce in first.min(mined)..mined {
            if self.settled.contains_key(&nonce) {
                continue;
            }
            let mut found = None;
            for intent in intents.iter().filter(|intent| intent.nonce == nonce) {
                if let Some(block) = chain::block_of(chain, intent.hash).await? {
                    found = Some((intent.hash, block));
                }
            }
            match found {
                Some((hash, block)) if block.saturating_add(DEEPEST_REORGANISATION) <= head => {
                    self.settled.insert(nonce, hash);
                }
                Some(_) => {}
                // A reorganisation between the two readings took the block away: then the nonce is not used any more.
                None if chain::mined(chain, self.wallet).await? <= nonce => break,
                None => violations.push(Violation::new(
                    "I2",
                    format!("the transaction with nonce {nonce} is not in the journal"),
                )),
            }
        }
        Ok(())
    }

    async fn look_for_a_gap(&mut self, chain: &Chain, violations: &mut Vec<Violation>) -> Result<(), AuditError> {
        let queued = chain::queued(chain, self.wallet).await?;
        if queued.is_empty() {
            self.gap_since = None;
            return Ok(());
        }
        let since = *self.gap_since.get_or_insert_with(Instant::now);
        if since.elapsed() > GAP_AT_MOST {
            violations.push(Violation::new(
                "I4",
                format!("transactions {queued:?} wait behind a nonce that nobody uses"),
            ));
        }
        Ok(())
    }
}

/// No reorganisation here is deeper.
const DEEPEST_REORGANISATION: u64 = 64;
/// How long a nonce may be missing before that is a violation.
const GAP_AT_MOST: Duration = Duration::from_secs(60);
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);
