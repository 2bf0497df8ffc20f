//! Which nonces are taken, and by whom.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use tracing::{info, warn};

use super::{Inner, SendError};
use crate::{EntryState, JournalEntry, JournalError, Receipt, Snapshot, TransactionStatus};

/// How the wallet stands with the chain.
pub(super) struct Standing {
    pub(super) snapshot: Snapshot,
    /// The lowest nonce that no transaction holds.
    pub(super) next_nonce: u64,
    /// Transactions that a node knows and that are in no block.
    pub(super) waiting: Vec<JournalEntry>,
}

impl Inner {
    /// Compares the journal with the chain.
    ///
    /// A node may count a transaction before it serves its receipt, so a nonce that cannot be explained is looked at
    /// more than once before it is blamed on somebody else.
    pub(super) async fn standing(&self) -> Result<Standing, SendError> {
        let mut looks = 1;
        loop {
            let snapshot = self.client.head().await?;
            match self.compare(snapshot).await? {
                Ok(standing) => return Ok(standing),
                Err(Unexplained { nonce }) if looks >= MOST_LOOKS => {
                    return Err(SendError::AnotherOperator {
                        address: self.signer.address(),
                        nonce,
                    });
                }
                Err(Unexplained { .. }) => looks += 1,
            }
            tokio::time::sleep(self.client.options().poll_interval).await;
        }
    }

    async fn compare(&self, snapshot: Snapshot) -> Result<Result<Standing, Unexplained>, SendError> {
        let address = self.signer.address();
        let (mined, pending) = snapshot.nonces(address).await?;
        let start = self.start(mined, pending).await?;
        // A node that lags may not have come to where the journal begins.
        let (mined, pending) = (mined.max(start), pending.max(start));
        let by_nonce = self.entries_from(start).await;
        if let Some(nonce) = (start..mined).find(|nonce| !by_nonce.contains_key(nonce)) {
            return Err(SendError::AnotherOperator { address, nonce });
        }
        let ours_end = first_free(mined, |nonce| by_nonce.contains_key(&nonce));
        if pending > ours_end {
            return Ok(Err(Unexplained { nonce: ours_end }));
        }
        let mut taken = BTreeSet::new();
        let mut waiting = Vec::new();
        for (nonce, entries) in by_nonce {
            match self.holder(&entries, nonce < mined, snapshot.block().number).await? {
                Holder::Mined => {
                    taken.insert(nonce);
                }
                _ if nonce < mined => return Ok(Err(Unexplained { nonce })),
                Holder::Waiting(entry) => {
                    taken.insert(nonce);
                    waiting.push(entry);
                }
                Holder::Nobody => {}
            }
        }
        let next_nonce = first_free(mined, |nonce| taken.contains(&nonce));
        Ok(Ok(Standing {
            snapshot,
            next_nonce,
            waiting,
        }))
    }

    /// From which nonce on the journal accounts for the wallet. A new journal begins at the chain's nonce.
    async fn start(&self, mined: u64, pending: u64) -> Result<u64, SendError> {
        let (address, chain_id) = (self.signer.address(), self.chain_id);
        if let Some(start) = self.with_journal(move |journal| journal.start(address, chain_id)).await {
            return Ok(start);
        }
        if pending > mined {
            return Err(SendError::NotSettled { address });
        }
        self.with_journal(move |journal| journal.adopt(address, chain_id, mined))
            .await?;
        info!(%address, nonce = mined, "the journal begins");
        Ok(mined)
    }

    async fn entries_from(&self, start: u64) -> BTreeMap<u64, Vec<JournalEntry>> {
        let (address, chain_id) = (self.signer.address(), self.chain_id);
        self.with_journal(move |journal| {
            let mut by_nonce: BTreeMap<u64, Vec<JournalEntry>> = BTreeMap::new();
            for entry in journal.entries() {
                if entry.from == address && entry.chain_id == chain_id && entry.nonce >= start {
                    by_nonce.entry(entry.nonce).or_default().push(entry.clone());
                }
            }
            by_nonce
        })
        .await
    }

    /// Which of the transactions with one nonce holds it. At most one of them can ever be in the chain.
    async fn holder(&self, entries: &[JournalEntry], used: bool, head: u64) -> Result<Holder, SendError> {
        let settled = |entry: &JournalEntry| matches!(entry.state, EntryState::Mined { block, .. } if block.saturating_add(DEEPEST_REORGANISATION) <= head);
        if entries.iter().any(settled) {
            return Ok(Holder::Mined);
        }
        let ahead = |entry: &&JournalEntry| matches!(entry.state, EntryState::Mined { block, .. } if block > head);
        if let Some(entry) = entries.iter().find(ahead).filter(|_| !used) {
            return Ok(Holder::Waiting(entry.clone()));
        }
        let mut waiting = None;
        for entry in likely_first(entries, used) {
            match self.client.transaction(entry.hash).await? {
                TransactionStatus::Mined(receipt) => {
                    self.learn_mined(entry.hash, entries, receipt).await?;
                    // The node of the snapshot does not count it yet: what it says of contracts is from before.
                    return Ok(if used {
                        Holder::Mined
                    } else {
                        Holder::Waiting(entry.clone())
                    });
                }
                TransactionStatus::Pending => waiting = Some(entry.clone()),
                TransactionStatus::Unknown => {
                    if let EntryState::Mined { block, .. } = entry.state {
                        warn!(tx = %entry.hash, block, "a reorganisation took a transaction out of the chain");
                        self.note(entry.hash, EntryState::Sent).await;
                    }
                }
            }
        }
        Ok(waiting.map_or(Holder::Nobody, Holder::Waiting))
    }

    /// Records that a transaction is in a block, and that the others with its nonce never will be.
    async fn learn_mined(&self, winner: B256, entries: &[JournalEntry], receipt: Receipt) -> Result<(), JournalError> {
        let (block, success) = (receipt.block, receipt.success);
        let others: Vec<_> = entries
            .iter()
            .map(|entry| entry.hash)
            .filter(|hash| *hash != winner)
            .collect();
        let news = self
            .with_journal(move |journal| {
                for hash in others {
                    journal.learn(hash, EntryState::Replaced)?;
                }
                journal.learn(winner, EntryState::Mined { block, success })
            })
            .await?;
        if news {
            info!(tx = %winner, block, success, "transaction mined");
        }
        Ok(())
    }
}

/// The transactions with one nonce that may hold it, the likely ones first.
///
/// While the nonce is unused, those that every node refused are not asked about, nor more than the latest few: when
/// sending fails for hours there are many.
fn likely_first(entries: &[JournalEntry], used: bool) -> Vec<&JournalEntry> {
    let mined = |entry: &&JournalEntry| matches!(entry.state, EntryState::Mined { .. });
    let open = |entry: &&JournalEntry| matches!(entry.state, EntryState::Intended | EntryState::Sent);
    let most_open = if used { usize::MAX } else { MOST_OPEN };
    let mut likely: Vec<_> = entries.iter().filter(mined).collect();
    likely.extend(entries.iter().rev().filter(open).take(most_open));
    if used {
        likely.extend(entries.iter().rev().filter(|entry| !mined(entry) && !open(entry)));
    }
    likely
}

enum Holder {
    Mined,
    /// It is in no block up to the snapshot's.
    Waiting(JournalEntry),
    /// No node knows any of them: the nonce can be used again.
    Nobody,
}

/// A nonce that a transaction took which the journal cannot show.
struct Unexplained {
    nonce: u64,
}

fn first_free(from: u64, taken: impl Fn(u64) -> bool) -> u64 {
    (from..).find(|nonce| !taken(*nonce)).unwrap_or(u64::MAX)
}

/// At a look a second this is a slot: receipts may come from a node that is a block behind the one that counts nonces.
const MOST_LOOKS: u32 = 12;
const MOST_OPEN: usize = 4;
/// Blocks after which a transaction is not looked at again: two epochs.
const DEEPEST_REORGANISATION: u64 = 64;
