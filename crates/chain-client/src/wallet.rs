//! The hot wallet: the one place that gives out nonces and sends transactions.

use std::{
    fmt, future, panic,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, U256};
use sw_spec::PublicKeyBytes;
use tokio::{sync, time::Instant};
use tracing::info;
use zeroize::Zeroizing;

pub use error::{InvalidWalletKey, SendError, WaitError};
use fees::gwei;
pub use fees::{FeeError, FeeLimits, Fees};
use tending::Refusals;
pub use tending::{Step, Tended, Waiting};

use crate::{Call, EntryState, ExecutionClient, Journal, JournalEntry, Snapshot, TransactionStatus};

mod delivery;
mod error;
mod fees;
mod nonces;
mod tending;
mod transaction;

/// A transaction that is out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentTx {
    /// Its hash.
    pub hash: B256,
    /// The wallet's nonce.
    pub nonce: u64,
    /// What it is for.
    pub kind: String,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// Its fees.
    pub fees: Fees,
}

impl SentTx {
    /// The most it can cost for gas, in wei.
    pub fn at_most(&self) -> U256 {
        let (gas_limit, fees) = (self.gas_limit, self.fees);
        Offer { gas_limit, fees }.at_most()
    }
}

/// A transaction that is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MinedTx {
    /// Its hash.
    pub hash: B256,
    /// The number of its block.
    pub block: u64,
    /// Whether it did what it was sent for. A reverted one has cost its gas.
    pub success: bool,
    /// The gas it used.
    pub gas_used: u64,
    /// What it cost for gas, in wei, if the node says so.
    pub cost: Option<U256>,
}

/// What a transaction offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// The most gas it may use.
    pub gas_limit: u64,
    /// Its fees.
    pub fees: Fees,
}

impl Offer {
    /// An offer of these numbers.
    pub fn new(gas_limit: u64, fees: Fees) -> Self {
        Self { gas_limit, fees }
    }

    /// The most it can cost for gas, in wei.
    pub fn at_most(&self) -> U256 {
        U256::from(self.gas_limit).saturating_mul(U256::from(self.fees.max_fee_per_gas))
    }
}

/// What would make a transaction one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unless<'a> {
    /// The kinds that may do the same on their way.
    pub kinds: &'a [&'a str],
    /// The block that the transaction was decided on at.
    pub decided_at: u64,
}

/// The hot wallet of one chain. Its clones share the nonce, the journal and the key.
///
/// Nobody else may send from the wallet while this has it: a nonce that was taken by a transaction that is not in the
/// journal is an error.
#[derive(Clone)]
pub struct HotWallet {
    inner: Arc<Inner>,
}

struct Inner {
    client: ExecutionClient,
    signer: PrivateKeySigner,
    chain_id: u64,
    limits: FeeLimits,
    slot: Duration,
    journal: Arc<Mutex<Journal>>,
    /// Who holds this may use the next nonce.
    turn: Arc<sync::Mutex<()>>,
    refusals: Refusals,
    /// What got into a block and was not told to anybody yet.
    news: Mutex<Vec<JournalEntry>>,
    /// The transaction that cannot be replaced, once that was said.
    said_at_limit: Mutex<Option<B256>>,
}

impl fmt::Debug for HotWallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotWallet")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl HotWallet {
    /// The wallet of a secret key on a chain with this time between two blocks. From now on `client` uses no endpoint that
    /// is on another chain.
    ///
    /// # Errors
    /// When the bytes are not a secret key.
    pub fn new(
        client: ExecutionClient,
        key: Zeroizing<[u8; 32]>,
        chain_id: u64,
        journal: Journal,
        limits: FeeLimits,
        slot: Duration,
    ) -> Result<Self, InvalidWalletKey> {
        let signer = PrivateKeySigner::from_slice(key.as_slice()).map_err(|_| InvalidWalletKey)?;
        client.expect_chain(chain_id);
        let inner = Inner {
            client,
            signer,
            chain_id,
            limits,
            slot,
            journal: Arc::new(Mutex::new(journal)),
            turn: Arc::default(),
            refusals: Refusals::default(),
            news: Mutex::default(),
            said_at_limit: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.inner.signer.address()
    }

    /// Compares the journal with the chain, records what became of its transactions, and returns those that still wait
    /// to get into a block of the node that is asked.
    ///
    /// # Errors
    /// [`SendError::AnotherOperator`] when a nonce is not accounted for; when the chain or the journal fail.
    pub async fn reconcile(&self) -> Result<Vec<JournalEntry>, SendError> {
        let _turn = self.inner.turn.lock().await;
        Ok(self.inner.standing().await?.waiting().cloned().collect())
    }

    /// Accepts what was sent from the wallet by others, once the user has said that it is all right: the journal
    /// accounts for the nonces from here on. Returns the next nonce.
    ///
    /// # Errors
    /// When the chain or the journal fail.
    pub async fn adopt(&self) -> Result<u64, SendError> {
        let _turn = self.inner.turn.lock().await;
        let (mined, _) = self.inner.client.head().await?.nonces(self.address()).await?;
        let (address, chain_id) = (self.address(), self.inner.chain_id);
        self.inner
            .with_journal(move |journal| journal.adopt(address, chain_id, mined))
            .await?;
        Ok(mined)
    }

    /// What a transaction would offer now.
    ///
    /// # Errors
    /// [`FeeError::AboveLimit`] when the base fee and the tip reach the limit; when the node fails.
    pub async fn fees(&self, snapshot: &Snapshot) -> Result<Fees, FeeError> {
        let tip = snapshot.market_tip().await.map_err(FeeError::Execution)?;
        self.inner.limits.offer(snapshot.block().base_fee_per_gas, tip)
    }

    /// What a transaction would offer now, which is tried at the snapshot for it.
    ///
    /// # Errors
    /// [`SendError::Reverted`] when it would fail, [`SendError::Fees`] when the base fee and the tip reach the limit; when the
    /// node fails.
    pub async fn offer(&self, snapshot: &Snapshot, call: &Call) -> Result<Offer, SendError> {
        let fees = self.fees(snapshot).await.map_err(SendError::Fees)?;
        let gas_limit = with_margin(snapshot.estimate_gas(self.address(), call).await?);
        Ok(Offer { gas_limit, fees })
    }

    /// Sends a transaction: one at a time, none that would revert or that offers more than the limit, and none that is
    /// not in the journal first.
    ///
    /// Dropping the returned future is safe: what it cuts off is either not recorded and not sent, or goes on to the
    /// end of the delivery on its own. [`HotWallet::settle`] waits for that.
    ///
    /// # Errors
    /// [`SendError::InFlight`] while one of the same kind waits, [`SendError::Unconfirmed`] when the reply was lost, and
    /// whatever kept the transaction from being sent.
    pub async fn send(&self, kind: &str, keys: &[PublicKeyBytes], call: &Call) -> Result<SentTx, SendError> {
        let unless = Unless {
            kinds: &[],
            decided_at: u64::MAX,
        };
        self.send_unless(unless, kind, keys, call).await
    }

    /// As [`HotWallet::send`], unless a transaction of the wallet does the same, or may have done it since this one was
    /// decided on. A contract that has nothing left to do takes the second call, too, and its gas.
    ///
    /// # Errors
    /// As [`HotWallet::send`]. [`SendError::InFlight`] also while one of the other kinds waits, [`SendError::Overtaken`] when
    /// one of them, or of the same kind, got into a block after the one that this was decided at.
    pub async fn send_unless(
        &self,
        unless: Unless<'_>,
        kind: &str,
        keys: &[PublicKeyBytes],
        call: &Call,
    ) -> Result<SentTx, SendError> {
        let inner = &self.inner;
        let turn = Arc::clone(&inner.turn).lock_owned().await;
        let standing = inner.standing().await?;
        let kinds: Vec<&str> = std::iter::once(kind).chain(unless.kinds.iter().copied()).collect();
        if let Some(waiting) = kinds.iter().find_map(|kind| standing.in_flight(kind)) {
            return Err(SendError::InFlight {
                kind: waiting.kind.clone(),
                hash: waiting.hash,
                nonce: waiting.nonce,
            });
        }
        if let Some((hash, block)) = inner.mined_after(unless.decided_at, &kinds).await {
            return Err(SendError::Overtaken { hash, block });
        }
        let snapshot = &standing.snapshot;
        let offer = self.offer(snapshot, call).await?;
        let Offer { gas_limit, fees } = offer;
        let balance = snapshot.balance(self.address()).await?;
        let needed = offer.at_most().saturating_add(call.value);
        if balance < needed {
            return Err(SendError::InsufficientFunds { balance, needed });
        }
        let signed = inner.sign(standing.next_nonce, gas_limit, fees, call)?;
        let sent = SentTx {
            hash: signed.hash,
            nonce: standing.next_nonce,
            kind: kind.to_owned(),
            gas_limit,
            fees,
        };
        let entry = inner.entry(&sent, keys, signed.raw, snapshot.block().number);
        inner.delivered(turn, sent, entry).await
    }

    /// Waits until a transaction is in a block, and records that.
    ///
    /// # Errors
    /// [`WaitError::NotMined`] when it is not by then; the journal keeps it open.
    pub async fn wait_mined(&self, sent: &SentTx, timeout: Duration) -> Result<MinedTx, WaitError> {
        let inner = &self.inner;
        let deadline = Instant::now() + timeout;
        loop {
            let source = match tokio::time::timeout_at(deadline, inner.client.transaction(sent.hash)).await {
                Ok(Ok(TransactionStatus::Mined(receipt))) => {
                    let state = EntryState::Mined {
                        block: receipt.block,
                        success: receipt.success,
                    };
                    let hash = sent.hash;
                    let news = inner
                        .with_journal(move |journal| journal.learn(hash, state))
                        .await
                        .map_err(WaitError::Journal)?;
                    inner.drop_news(hash);
                    if news {
                        info!(tx = %hash, block = receipt.block, success = receipt.success, "transaction mined");
                    }
                    let (block, success, gas_used) = (receipt.block, receipt.success, receipt.gas_used);
                    let cost = receipt
                        .gas_price
                        .map(|price| U256::from(price).saturating_mul(U256::from(gas_used)));
                    return Ok(MinedTx {
                        hash,
                        block,
                        success,
                        gas_used,
                        cost,
                    });
                }
                Ok(Ok(TransactionStatus::Pending | TransactionStatus::Unknown)) | Err(_) => None,
                Ok(Err(error)) => Some(error),
            };
            let next = Instant::now() + inner.client.options().poll_interval;
            if next >= deadline {
                return Err(WaitError::NotMined {
                    hash: sent.hash,
                    waited: timeout,
                    source,
                });
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Waits until no delivery is under way, so that leaving does not cut between a journal entry and its send.
    pub async fn settle(&self) {
        let _turn = self.inner.turn.lock().await;
        // A write that a dropped future had begun goes on without it; this one comes after.
        self.inner.with_journal(|_| ()).await;
    }
}

impl Inner {
    /// Uses the journal where blocking is allowed.
    async fn with_journal<T: Send + 'static>(&self, work: impl FnOnce(&mut Journal) -> T + Send + 'static) -> T {
        let journal = Arc::clone(&self.journal);
        let work = move || work(&mut journal.lock().unwrap_or_else(PoisonError::into_inner));
        joined(tokio::task::spawn_blocking(work)).await
    }

    /// A transaction of one of these kinds that is in a block after this one.
    async fn mined_after(&self, block: u64, kinds: &[&str]) -> Option<(B256, u64)> {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let later = move |entry: &JournalEntry| match entry.state {
            EntryState::Mined { block: mined, .. }
                if mined > block && !entry.cancels && kinds.contains(&entry.kind) =>
            {
                Some((entry.hash, mined))
            }
            _ => None,
        };
        self.with_journal(move |journal| journal.entries().iter().find_map(later))
            .await
    }

    fn add_news(&self, entry: JournalEntry) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.retain(|old| old.hash != entry.hash);
        news.push(entry);
    }

    fn drop_news(&self, hash: B256) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.retain(|old| old.hash != hash);
    }

    /// What of a kind got into a block since this was last asked.
    fn take_news(&self, kind: &str) -> Vec<JournalEntry> {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, left) = news.drain(..).partition(|entry| entry.kind == kind);
        *news = left;
        taken
    }
}

/// The result of a task. Its panic is ours; a task that the end of the runtime cut off has no result.
async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panicked)) => panic::resume_unwind(panicked),
        Err(Err(_)) => future::pending().await,
    }
}

/// A fifth more than the estimate, since the state changes until the transaction is in a block; but not more than any
/// transaction may use (EIP-7825).
fn with_margin(estimate: u64) -> u64 {
    estimate.saturating_add(estimate / 5).min(MOST_GAS).max(estimate)
}

const MOST_GAS: u64 = 1 << 24;
