//! Which nonces are taken, and by whom.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use super::{Inner, SendError};
use crate::{EntryState, ExecutionError, JournalEntry, JournalError, Receipt, Snapshot, TransactionStatus};

/// How the wallet stands with the chain.
pub(super) struct Standing {
    pub(super) snapshot: Snapshot,
    /// The lowest nonce that no transaction holds.
    pub(super) next_nonce: u64,
    /// The nonces that are not used up to the snapshot's block, the lowest first.
    pub(super) open: Vec<Open>,
}

/// A nonce that transactions of the journal want.
pub(super) struct Open {
    pub(super) place: Place,
    /// The one that holds the nonce, or the latest if no node knows any.
    pub(super) entry: JournalEntry,
    /// When the first for the same purpose was signed.
    pub(super) since: Option<u64>,
    /// The most that any of those that a node may still have offers: the fee and the tip.
    pub(super) highest: (u128, u128),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A node knows it, and it is in no block.
    Waiting,
    /// It is in a block that the node of the snapshot does not have.
    Ahead,
    /// No node knows it.
    Lost,
}

impl Standing {
    /// Transactions that a node knows and that are in no block up to the snapshot's.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &JournalEntry> {
        self.open
            .iter()
            .filter(|open| open.place != Place::Lost)
            .map(|open| &open.entry)
    }

    /// What a further transaction of this kind could meet in the chain.
    pub(super) fn in_flight(&self, kind: &str) -> Option<&JournalEntry> {
        let holds = |open: &&Open| {
            let gives_way = open.place == Place::Lost && open.entry.nonce == self.next_nonce;
            open.entry.kind == kind && open.may_turn_up() && !gives_way
        };
        self.open.iter().find(holds).map(|open| &open.entry)
    }
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
                Err(Unexplained { seen: Some(error), .. }) if looks >= MOST_LOOKS => return Err(error.into()),
                Err(Unexplained { nonce, .. }) if looks >= MOST_LOOKS => {
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
        let head = snapshot.block().number;
        let Families { mut settled, unsettled } = self.families(start, mined, head).await;
        let ours = |nonce: &u64| settled.contains(nonce) || unsettled.contains_key(nonce);
        if let Some(nonce) = (start..mined).find(|nonce| !ours(nonce)) {
            return Err(match snapshot.contradicted_count(address, mined).await {
                Some(error) => error.into(),
                None => SendError::AnotherOperator { address, nonce },
            });
        }
        let ours_end = first_free(mined, |nonce| ours(&nonce));
        if pending > ours_end {
            return Ok(Err(Unexplained {
                nonce: ours_end,
                seen: None,
            }));
        }
        let mut open = Vec::new();
        for (nonce, entries) in unsettled {
            match self.holder(&entries, nonce < mined, head).await? {
                None => {
                    settled.insert(nonce);
                }
                Some(_) if nonce < mined => {
                    let hashes = entries.iter().map(|entry| entry.hash).collect();
                    let seen = snapshot.unconfirmed_receipt(hashes).await?;
                    return Ok(Err(Unexplained { nonce, seen }));
                }
                Some((place, entry)) => open.push(Open::new(place, entry, &entries)),
            }
        }
        let next_nonce = first_free(mined, |nonce| {
            let taken = |open: &Open| open.entry.nonce == nonce && open.place != Place::Lost;
            settled.contains(&nonce) || open.iter().any(taken)
        });
        Ok(Ok(Standing {
            snapshot,
            next_nonce,
            open,
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

    /// Nothing is settled at a nonce that the chain does not count as used, whatever a node once said of a receipt.
    async fn families(&self, start: u64, mined: u64, head: u64) -> Families {
        let (address, chain_id) = (self.signer.address(), self.chain_id);
        self.with_journal(move |journal| {
            let ours =
                |entry: &&JournalEntry| entry.from == address && entry.chain_id == chain_id && entry.nonce >= start;
            let entries = || journal.entries().iter().filter(ours);
            let is_settled = |entry: &&JournalEntry| entry.nonce < mined && entry.is_settled(head);
            let settled: BTreeSet<u64> = entries().filter(is_settled).map(|entry| entry.nonce).collect();
            let mut unsettled: BTreeMap<u64, Vec<JournalEntry>> = BTreeMap::new();
            for entry in entries().filter(|entry| !settled.contains(&entry.nonce)) {
                unsettled.entry(entry.nonce).or_default().push(entry.clone());
            }
            Families { settled, unsettled }
        })
        .await
    }

    /// Which of the transactions with one nonce holds it, unless one has used it. At most one of them can ever be in the
    /// chain.
    async fn holder<'a>(
        &self,
        entries: &'a [JournalEntry],
        used: bool,
        head: u64,
    ) -> Result<Option<(Place, &'a JournalEntry)>, SendError> {
        let reach = head.saturating_add(MOST_AHEAD);
        let ahead = |entry: &&JournalEntry| matches!(entry.state, EntryState::Mined { block, .. } if block > head && block <= reach);
        if let Some(entry) = entries.iter().find(ahead).filter(|_| !used) {
            return Ok(Some((Place::Ahead, entry)));
        }
        let mut waiting = None;
        for entry in likely_first(entries, used) {
            match self.client.transaction(entry.hash).await? {
                // The block of the snapshot comes after it and does not count it: a fork, or not true.
                TransactionStatus::Mined(receipt) if !used && receipt.block <= head => {
                    waiting = waiting.or(Some((Place::Waiting, entry)));
                }
                TransactionStatus::Mined(receipt) => {
                    self.learn_mined(entry, entries, receipt).await?;
                    // The node of the snapshot does not count it yet: what it says of contracts is from before.
                    return Ok((!used).then_some((Place::Ahead, entry)));
                }
                TransactionStatus::Pending => waiting = waiting.or(Some((Place::Waiting, entry))),
                TransactionStatus::Unknown => {
                    if let EntryState::Mined { block, .. } = entry.state {
                        warn!(tx = %entry.hash, block, "a reorganisation took a transaction out of the chain");
                        self.forget_mined(entries).await;
                    }
                }
            }
        }
        Ok(waiting.or_else(|| entries.last().map(|latest| (Place::Lost, latest))))
    }

    /// Records that a transaction is in a block, and that the others with its nonce never will be.
    async fn learn_mined(
        &self,
        winner: &JournalEntry,
        entries: &[JournalEntry],
        receipt: Receipt,
    ) -> Result<(), JournalError> {
        let (hash, block, success) = (winner.hash, receipt.block, receipt.success);
        let others: Vec<_> = entries
            .iter()
            .map(|entry| entry.hash)
            .filter(|other| *other != hash)
            .collect();
        let state = EntryState::Mined { block, success };
        let news = self
            .with_journal(move |journal| {
                for other in others {
                    journal.learn(other, EntryState::Replaced)?;
                }
                journal.learn(hash, state)
            })
            .await?;
        if news && winner.cancels {
            info!(tx = %hash, block, kind = winner.kind, "cancelled: the transaction can not be mined any more");
        } else if news {
            info!(tx = %hash, block, success, "transaction mined");
            self.add_news(JournalEntry {
                state,
                ..winner.clone()
            });
        }
        Ok(())
    }

    /// After a reorganisation, each of the transactions with a nonce can be in the chain again.
    async fn forget_mined(&self, entries: &[JournalEntry]) {
        for entry in entries {
            if matches!(entry.state, EntryState::Mined { .. } | EntryState::Replaced) {
                self.note(entry.hash, EntryState::Sent).await;
            }
        }
    }
}

impl Open {
    /// Whether it can get into a block without being handed out again.
    pub(super) fn may_turn_up(&self) -> bool {
        self.place != Place::Lost || self.entry.state != EntryState::Rejected
    }

    fn new(place: Place, entry: &JournalEntry, family: &[JournalEntry]) -> Self {
        let kin = family.iter().filter(|kin| kin.kind == entry.kind);
        let maybe_out = |kin: &&JournalEntry| kin.state != EntryState::Rejected || kin.hash == entry.hash;
        let (fees, tips): (Vec<_>, Vec<_>) = family
            .iter()
            .filter(maybe_out)
            .map(|kin| (kin.max_fee_per_gas, kin.max_priority_fee_per_gas))
            .unzip();
        Self {
            place,
            since: kin.filter_map(|kin| kin.signed_at).min(),
            highest: (
                fees.into_iter().max().unwrap_or_default(),
                tips.into_iter().max().unwrap_or_default(),
            ),
            entry: entry.clone(),
        }
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

/// The journal's transactions by their nonce.
struct Families {
    /// Nonces whose transaction is so deep that it is not looked at again.
    settled: BTreeSet<u64>,
    unsettled: BTreeMap<u64, Vec<JournalEntry>>,
}

/// A nonce that a transaction took which the journal cannot show.
struct Unexplained {
    nonce: u64,
    /// A node has a receipt that explains it, but too few do.
    seen: Option<ExecutionError>,
}

fn first_free(from: u64, taken: impl Fn(u64) -> bool) -> u64 {
    (from..).find(|nonce| !taken(*nonce)).unwrap_or(u64::MAX)
}

/// At a look a second this is a slot: receipts may come from a node that is a block behind the one that counts nonces.
const MOST_LOOKS: u32 = 12;
const MOST_OPEN: usize = 4;
/// Blocks that a node may be behind one that gave a receipt. A receipt of a later block is looked at again.
const MOST_AHEAD: u64 = 64;
