//! Looking after what is out: putting back, replacing, cancelling.
//!
//! Only the lowest nonce that is not used is looked after: it holds up all others, and only its call can be tried against
//! the newest block. All transactions with one nonce exclude each other, so nothing here can do anything twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy_primitives::{B256, Bytes};
use tokio::{sync::OwnedMutexGuard, time::Instant};
use tracing::{debug, info, warn};

use super::{
    Fees, HotWallet, Inner, SendError, SentTx,
    nonces::{Open, Place, Standing},
};
use crate::{Call, EntryState, FeeError, JournalEntry, SimulateError};

/// What there is to say of the transactions of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tended {
    /// What got into a block since this was last asked, and was not told by [`HotWallet::wait_mined`].
    pub mined: Vec<JournalEntry>,
    /// What is on its way: another one of the kind would be refused.
    pub waiting: Option<Waiting>,
    /// What of other kinds is on its way.
    pub beside: Vec<Waiting>,
    /// What the nodes said when all of them refused the latest one, while it is too early to try again.
    pub refused: Option<String>,
}

/// A transaction on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// What it is for.
    pub kind: String,
    /// Its hash.
    pub hash: B256,
    /// The wallet's nonce.
    pub nonce: u64,
    /// For how many blocks; not known of those that an early release sent.
    pub blocks: Option<u64>,
    /// The most it pays for a unit of gas, in wei.
    pub offers: u128,
    /// What gas costs now, base fee and tip, in wei, if that was looked at.
    pub asks: Option<u128>,
    /// What is being done about it.
    pub step: Step,
}

impl Waiting {
    /// A transaction that was sent just now.
    pub fn new(kind: &str, hash: B256, nonce: u64, offers: u128) -> Self {
        Self {
            kind: kind.to_owned(),
            hash,
            nonce,
            blocks: None,
            offers,
            asks: None,
            step: Step::Waits,
        }
    }
}

impl From<&SentTx> for Waiting {
    fn from(sent: &SentTx) -> Self {
        Self::new(&sent.kind, sent.hash, sent.nonce, sent.fees.max_fee_per_gas)
    }
}

/// What is done about a transaction that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Nothing: it should be in one of the next blocks.
    Waits,
    /// A transaction with a lower nonce goes first.
    Behind {
        /// That nonce.
        nonce: u64,
    },
    /// No node knew it any more; it was handed out again.
    Resent,
    /// It took the place of one that offered too little.
    Replaced,
    /// It offers too little, and more than the limit would be needed to replace it.
    AtLimit,
    /// It would do nothing useful any more: this one only takes its nonce.
    Cancelled,
}

impl HotWallet {
    /// Looks after what the wallet has sent: hands out again what no node knows, replaces what offers too little,
    /// cancels what has become useless, and fills a nonce that nothing takes while others wait behind it. Never offers
    /// more than the limit. To be called at every block, before anything else of the kind is sent.
    ///
    /// `useful` tells whether one of this `kind` is still wanted. One that would revert is not, whatever it tells. What no node
    /// knows is handed out again for its own kind, and for others when they wait behind it.
    ///
    /// Dropping the returned future is as safe as with [`HotWallet::send`].
    ///
    /// # Errors
    /// As [`HotWallet::reconcile`], and whatever kept a transaction from being recorded.
    pub async fn tend(&self, kind: &str, useful: bool) -> Result<Tended, SendError> {
        let inner = &self.inner;
        let turn = Arc::clone(&inner.turn).lock_owned().await;
        let standing = inner.standing().await?;
        let lowest = inner.tend_lowest(turn, &standing, kind, useful).await?;
        let head = standing.snapshot.block().number;
        let of_the_kind = |(_, open): &(usize, &Open)| open.entry.kind == kind;
        let mut ours = standing.open.iter().enumerate().filter(of_the_kind);
        let waiting = ours.find_map(|(position, open)| match (position, &lowest) {
            (0, Looked::After(looked)) => Some(looked.clone()),
            (0, Looked::GivenUp) => None,
            (0, Looked::Nothing) => Some(open.waiting(head, Step::Waits, None)),
            _ if !open.may_turn_up() => None,
            _ => standing.open.first().map(|lowest| {
                let nonce = lowest.entry.nonce;
                open.waiting(head, Step::Behind { nonce }, None)
            }),
        });
        let others = standing
            .open
            .iter()
            .filter(|open| open.entry.kind != kind && open.may_turn_up());
        Ok(Tended {
            mined: inner.take_news(kind),
            waiting,
            beside: others.map(|open| open.waiting(head, Step::Waits, None)).collect(),
            refused: inner.refusals.resting(kind),
        })
    }
}

/// What came of looking after the lowest open nonce.
enum Looked {
    Nothing,
    /// It can be taken by whatever is sent next.
    GivenUp,
    After(Waiting),
}

/// What to do about a transaction.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    Wait(Step),
    GiveUp,
    Resend,
    /// The same, though a node says that it has it.
    Remind,
    Replace(Fees),
    Cancel(Fees),
}

/// What that depends on.
struct Case<'a> {
    open: &'a Open,
    useful: bool,
    /// Whether a transaction with a higher nonce waits.
    gap: bool,
    /// Whether a node has refused it in favour of another one that it does not show.
    outbid: bool,
    head: u64,
    base_fee: u128,
    tip: u128,
    limits: super::FeeLimits,
}

impl Case<'_> {
    fn act(&self) -> Act {
        let entry = &self.open.entry;
        let wanted = self.useful && !entry.cancels;
        let fits = entry.max_fee_per_gas <= self.limits.max_fee_per_gas && !entry.raw.is_empty();
        match self.open.place {
            Place::Ahead => Act::Wait(Step::Waits),
            Place::Waiting if !wanted && !entry.cancels => self.raised(Act::Cancel),
            Place::Waiting if self.is_stuck() => self.raised(Act::Replace),
            Place::Waiting if self.is_overdue() && fits => Act::Remind,
            Place::Waiting => Act::Wait(Step::Waits),
            Place::Lost if wanted && fits && self.is_refused_for_good() => match self.raised(Act::Replace) {
                Act::Wait(_) => Act::Resend,
                replace => replace,
            },
            Place::Lost if wanted && fits => Act::Resend,
            Place::Lost if !self.gap => Act::GiveUp,
            Place::Lost if entry.cancels && fits && !self.offers_too_little() => Act::Resend,
            Place::Lost => self.raised(Act::Cancel),
        }
    }

    fn raised(&self, act: impl FnOnce(Fees) -> Act) -> Act {
        let raised = self.limits.raise(self.open.highest, self.base_fee, self.tip);
        match raised.or_else(|error| match self.open.place {
            // Nothing that is known must be outbid.
            Place::Lost => self.limits.offer(self.base_fee, self.tip),
            Place::Waiting | Place::Ahead => Err(error),
        }) {
            Ok(fees) => act(fees),
            Err(_) => Act::Wait(Step::AtLimit),
        }
    }

    /// Nobody includes it now, or others are included before it.
    fn offers_too_little(&self) -> bool {
        let entry = &self.open.entry;
        let offered = self.base_fee.saturating_add(entry.max_priority_fee_per_gas);
        offered.min(entry.max_fee_per_gas) < self.asks()
    }

    /// No block may include it now.
    fn is_excluded(&self) -> bool {
        self.base_fee > self.open.entry.max_fee_per_gas
    }

    /// Nodes that take a transaction and keep it to themselves are asked again and again, others may not have heard of it.
    fn is_overdue(&self) -> bool {
        self.waited() > PATIENCE
    }

    fn waited(&self) -> u64 {
        let signed_at = self.open.entry.signed_at;
        signed_at.map_or(u64::MAX, |block| self.head.saturating_sub(block))
    }

    fn is_stuck(&self) -> bool {
        let waited = self.waited();
        self.offers_too_little() && (waited >= PATIENCE || self.is_excluded() && waited > 0)
    }

    /// Handing it out again as it is would be in vain.
    fn is_refused_for_good(&self) -> bool {
        self.is_excluded() || self.open.entry.state == EntryState::Rejected && (self.outbid || self.offers_too_little())
    }

    fn asks(&self) -> u128 {
        self.base_fee.saturating_add(self.tip.max(self.limits.min_priority_fee))
    }
}

impl Open {
    fn waiting(&self, head: u64, step: Step, asks: Option<u128>) -> Waiting {
        Waiting {
            kind: self.entry.kind.clone(),
            hash: self.entry.hash,
            nonce: self.entry.nonce,
            blocks: self.since.map(|block| head.saturating_sub(block)),
            offers: self.entry.max_fee_per_gas,
            asks,
            step: match step {
                Step::Waits if self.entry.cancels => Step::Cancelled,
                step => step,
            },
        }
    }
}

impl Inner {
    async fn tend_lowest(
        self: &Arc<Self>,
        turn: OwnedMutexGuard<()>,
        standing: &Standing,
        kind: &str,
        useful: bool,
    ) -> Result<Looked, SendError> {
        let Some((open, above)) = standing.open.split_first() else {
            return Ok(Looked::Nothing);
        };
        let (entry, block) = (&open.entry, standing.snapshot.block());
        let gap = above.iter().any(Open::may_turn_up);
        // Whether what no node has is still wanted, only those know who sent it: a contract may take it and do nothing.
        let of_others = open.place == Place::Lost && entry.kind != kind && !gap;
        if open.place == Place::Ahead || of_others {
            return Ok(Looked::Nothing);
        }
        // A block from before it was tried says nothing of it: the node of that block has not come so far.
        let too_early = entry.signed_at.is_some_and(|signed_at| block.number < signed_at);
        let useful =
            !entry.cancels && (too_early || (entry.kind != kind || useful) && self.would_work(standing, entry).await?);
        let tip = match standing.snapshot.market_tip().await {
            Ok(tip) => tip,
            Err(error) => return Err(SendError::Fees(FeeError::Execution(error))),
        };
        let case = Case {
            open,
            useful,
            gap,
            outbid: self.refusals.was_outbid(&entry.kind),
            head: block.number,
            base_fee: block.base_fee_per_gas,
            tip,
            limits: self.limits,
        };
        let waits = |step| Looked::After(open.waiting(block.number, step, Some(case.asks())));
        let (next, step) = match case.act() {
            Act::GiveUp => return Ok(Looked::GivenUp),
            Act::Wait(step) => {
                self.say_at_limit(entry, step, case.asks());
                return Ok(waits(step));
            }
            // What was refused lately would be refused again.
            _ if self.refusals.resting(&entry.kind).is_some() => return Ok(waits(Step::Waits)),
            Act::Resend => (entry.clone(), Step::Resent),
            Act::Remind if standing.snapshot.endpoints() < 2 => return Ok(waits(Step::Waits)),
            Act::Remind => (entry.clone(), Step::Waits),
            Act::Replace(fees) => (self.again(entry, fees, block.number)?, Step::Replaced),
            Act::Cancel(fees) => (self.cancellation(entry, fees, block.number)?, Step::Cancelled),
        };
        say(step, entry, &next, case.asks());
        Ok(match self.hand_out(turn, next, block.base_fee_per_gas).await? {
            Some(entry) => {
                let handed = Open {
                    place: Place::Waiting,
                    entry,
                    since: open.since,
                    highest: open.highest,
                };
                Looked::After(handed.waiting(block.number, step, Some(case.asks())))
            }
            None => waits(Step::Waits),
        })
    }

    /// Whether a transaction does what it is for at the newest block.
    async fn would_work(&self, standing: &Standing, entry: &JournalEntry) -> Result<bool, SendError> {
        let Some((call, _)) = entry.call().filter(|_| !entry.cancels) else {
            return Ok(false);
        };
        match standing.snapshot.simulate(self.signer.address(), &call).await {
            Ok(()) => Ok(true),
            Err(SimulateError::Reverted { revert }) => {
                debug!(tx = %entry.hash, %revert, "a transaction on its way has become useless");
                Ok(false)
            }
            Err(SimulateError::Execution(error)) => Err(SendError::Execution(error)),
        }
    }

    /// The same call at the same nonce for more.
    fn again(&self, old: &JournalEntry, fees: Fees, head: u64) -> Result<JournalEntry, SendError> {
        let (call, gas_limit) = old.call().ok_or(SendError::NotSigned)?;
        self.signed_entry(old, old.cancels, gas_limit, fees, &call, head)
    }

    /// Nothing, to ourselves, at the same nonce.
    fn cancellation(&self, old: &JournalEntry, fees: Fees, head: u64) -> Result<JournalEntry, SendError> {
        let nothing = Call::new(self.signer.address(), Bytes::new());
        self.signed_entry(old, true, GAS_OF_NOTHING, fees, &nothing, head)
    }

    fn signed_entry(
        &self,
        old: &JournalEntry,
        cancels: bool,
        gas_limit: u64,
        fees: Fees,
        call: &Call,
        head: u64,
    ) -> Result<JournalEntry, SendError> {
        let signed = self.sign(old.nonce, gas_limit, fees, call)?;
        Ok(JournalEntry {
            cancels,
            hash: signed.hash,
            raw: signed.raw,
            max_fee_per_gas: fees.max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
            signed_at: Some(head),
            state: EntryState::Intended,
            ..old.clone()
        })
    }

    /// Returns it if a node has it, or may have it.
    async fn hand_out(
        self: &Arc<Self>,
        turn: OwnedMutexGuard<()>,
        entry: JournalEntry,
        base_fee: u128,
    ) -> Result<Option<JournalEntry>, SendError> {
        let sent = SentTx {
            hash: entry.hash,
            nonce: entry.nonce,
            kind: entry.kind.clone(),
            gas_limit: entry.call().map_or(GAS_OF_NOTHING, |(_, gas_limit)| gas_limit),
            fees: Fees {
                base_fee,
                max_fee_per_gas: entry.max_fee_per_gas,
                max_priority_fee_per_gas: entry.max_priority_fee_per_gas,
            },
        };
        match self.delivered(turn, sent, entry.clone()).await {
            Ok(_) | Err(SendError::Unconfirmed { .. }) => Ok(Some(entry)),
            Err(SendError::Rejected { hash, message }) => {
                warn!(tx = %hash, reason = message, "the nodes do not take the transaction; trying again later");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says once of a transaction that it cannot be replaced.
    fn say_at_limit(&self, entry: &JournalEntry, step: Step, asks: u128) {
        let mut said = self.said_at_limit.lock().unwrap_or_else(PoisonError::into_inner);
        let at_limit = (step == Step::AtLimit).then_some(entry.hash);
        if at_limit.is_some() && *said != at_limit {
            let (asks, limit) = (super::gwei(asks), super::gwei(self.limits.max_fee_per_gas));
            warn!(tx = %entry.hash, asks, limit, "a transaction waits until gas is cheaper: replacing it would exceed the limit");
        }
        *said = at_limit;
    }
}

fn say(step: Step, old: &JournalEntry, new: &JournalEntry, asks: u128) {
    let (tx, nonce, kind) = (new.hash, new.nonce, &new.kind);
    let (offered, offers, asks) = (
        super::gwei(old.max_fee_per_gas),
        super::gwei(new.max_fee_per_gas),
        super::gwei(asks),
    );
    match step {
        Step::Waits => debug!(%tx, nonce, kind, "a transaction waits for long; handing it out again"),
        Step::Resent => info!(%tx, nonce, kind, "no node knows the transaction any more; sending it again"),
        Step::Cancelled => {
            info!(old = %old.hash, %tx, nonce, kind, offers, "a transaction has become useless; cancelling it")
        }
        _ => {
            info!(old = %old.hash, %tx, nonce, kind, offered, offers, asks, "a transaction offers too little; replacing it")
        }
    }
}

/// How long nothing of a kind is sent after all nodes have refused it, longer each time.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<String, Refused>>);

#[derive(Debug)]
struct Refused {
    times: usize,
    until: Instant,
    message: String,
}

impl Refusals {
    pub(super) fn add(&self, kind: &str, message: &str, slot: Duration) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = kinds.get(kind).map_or(0, |refused| refused.times);
        let twelfths = PAUSES.get(times).or(PAUSES.last()).copied().unwrap_or(12);
        let refused = Refused {
            times: times.saturating_add(1),
            until: Instant::now() + slot.saturating_mul(twelfths) / 12,
            message: message.to_owned(),
        };
        kinds.insert(kind.to_owned(), refused);
    }

    pub(super) fn clear(&self, kind: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(kind);
    }

    /// Whether the latest refusal names a transaction with the same nonce that offers more. Geth, Erigon, Reth and Besu say
    /// "replacement transaction underpriced", Nethermind "ReplacementNotAllowed".
    fn was_outbid(&self, kind: &str) -> bool {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let says = |refused: &Refused| refused.message.to_ascii_lowercase().contains("replacement");
        kinds.get(kind).is_some_and(says)
    }

    /// What was said, while it is too early to try again.
    fn resting(&self, kind: &str) -> Option<String> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = kinds.get(kind).filter(|refused| Instant::now() < refused.until);
        refused.map(|refused| refused.message.clone())
    }
}

/// Blocks that a transaction gets before others are asked what they pay.
const PATIENCE: u64 = 3;
/// How long nothing is sent after the first refusal, the second and so on, in twelfths of a slot: whoever looks once in
/// each slot tries again in the next one, later in every other one.
const PAUSES: [u32; 3] = [6, 13, 22];
/// The gas of a transaction that does nothing (the yellow paper's G_transaction).
const GAS_OF_NOTHING: u64 = 21_000;

#[cfg(test)]
mod tests;
