//! The network's validators: who has a valid deposit, and so which index comes next.
//!
//! A validator's index is the number of distinct keys with a valid deposit before it. Finalized deposits are kept in the
//! store; the tail between them and the pinned block is read anew for every decision.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rand_core::CryptoRng;
use sw_chain_client::{ConsensusClient, DepositEvent, ExecutionClient, Snapshot};
use sw_ipfs::{Gateways, Limits, parse_cid};
use sw_keys::{SignedRoot, verify_batch};
use sw_spec::{DepositMessage, NetworkSpec, PublicKeyBytes, WithdrawalCredentials};
use sw_store::{StoreError, ValidatorIndex};

use crate::{Duty, DutyError, Metrics, NetworkView, Outcome, WhyNot};

/// The store and what it takes to fill it.
#[derive(Clone)]
pub struct NetworkValidators {
    index: Arc<Mutex<ValidatorIndex>>,
    network: NetworkSpec,
    random: fn() -> Box<dyn CryptoRng + Send>,
}

impl NetworkValidators {
    /// Over a store of this network.
    pub fn new(index: ValidatorIndex, network: NetworkSpec, random: fn() -> Box<dyn CryptoRng + Send>) -> Self {
        Self {
            index: Arc::new(Mutex::new(index)),
            network,
            random,
        }
    }

    /// Answers for `keys` at the snapshot's block, at which the deposit contract counts `deposit_count`.
    ///
    /// # Errors
    ///
    /// The tail cannot be read. The inner error: the scan has not come far enough, or has come further than this node.
    pub async fn view(
        &self,
        snapshot: &Snapshot,
        keys: &[PublicKeyBytes],
        deposit_count: u64,
    ) -> Result<Result<NetworkView, WhyNot>, DutyError> {
        let Some(checkpoint) = self.with_index(|index| Ok(index.checkpoint())).await? else {
            return Ok(Err(WhyNot::ValidatorsNotScanned));
        };
        let pinned = snapshot.block().number;
        // A first scan takes hours; reading the rest of the chain beside it would take as long, and all of the memory.
        if pinned.saturating_sub(checkpoint) > LONGEST_TAIL {
            return Ok(Err(WhyNot::ValidatorsNotScanned));
        }
        let mut tail = Vec::new();
        if checkpoint < pinned {
            let unreadable = |source| DutyError::Execution {
                what: "recent deposits",
                source: Box::new(source),
            };
            let contract = self.network.contracts.deposit_contract;
            let events = snapshot
                .deposit_events(contract, checkpoint.saturating_add(1), pinned)
                .await
                .map_err(unreadable)?;
            snapshot
                .check_deposits_end(&events, deposit_count)
                .map_err(unreadable)?;
            tail = self.valid(events).await?.into_iter().map(|(key, _)| key).collect();
        }
        let keys = keys.to_vec();
        self.with_index(move |index| {
            // The scan goes on meanwhile. What it added up to the pinned block is in the tail as well and counts once;
            // what it added beyond must not count at all.
            if index.checkpoint().is_none_or(|checkpoint| checkpoint > pinned) {
                return Ok(Err(WhyNot::ValidatorsNotScanned));
            }
            let mut deposited = Vec::new();
            for key in keys {
                if tail.contains(&key) || index.contains(&key)? {
                    deposited.push(key);
                }
            }
            Ok(Ok(NetworkView {
                next_index: index.count_with(&tail)?,
                deposited,
            }))
        })
        .await
    }

    /// The keys of the deposits whose signature is valid, with their blocks. Others make no validator.
    async fn valid(&self, events: Vec<DepositEvent>) -> Result<Vec<(PublicKeyBytes, u64)>, DutyError> {
        let (fork, random) = (self.network.genesis_fork_version, self.random);
        let verified = tokio::task::spawn_blocking(move || {
            let signed: Vec<SignedRoot> = events.iter().map(|event| signed_deposit(event, fork)).collect();
            let valid = verify_batch(&signed, &mut *random());
            let pairs = events.iter().zip(valid).filter(|(_, valid)| *valid);
            pairs.map(|(event, _)| (event.public_key, event.block)).collect()
        });
        verified.await.map_err(|_| DutyError::Interrupted)
    }

    async fn with_index<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut ValidatorIndex) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, DutyError> {
        let index = Arc::clone(&self.index);
        tokio::task::spawn_blocking(move || work(&mut index.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .map_err(|_| DutyError::Interrupted)?
            .map_err(|source| DutyError::Store(Box::new(source)))
    }
}

pub(crate) fn signed_deposit(event: &DepositEvent, genesis_fork_version: sw_spec::ForkVersion) -> SignedRoot {
    let message = DepositMessage {
        public_key: event.public_key,
        withdrawal_credentials: WithdrawalCredentials(event.withdrawal_credentials),
        amount: event.amount,
    };
    let root = message.signing_root(genesis_fork_version);
    SignedRoot {
        public_key: event.public_key,
        root,
        signature: event.signature,
    }
}

/// Follows the deposit contract to the finalized block.
pub struct ScanDeposits {
    validators: NetworkValidators,
    execution: ExecutionClient,
    consensus: ConsensusClient,
    gateways: Arc<Gateways>,
    metrics: Arc<Metrics>,
    asked_for_dump: bool,
    /// How many deposits there are up to the checkpoint, once this is known.
    deposits: Option<u64>,
}

/// Blocks after which progress is told; no piece is longer.
const BLOCKS_AT_ONCE: u64 = 100_000;
/// Blocks that are read anew for a decision: two weeks of mainnet without finality.
const LONGEST_TAIL: u64 = 100_000;
/// A dump has 52 bytes a validator: room for four million of them.
const DUMP_LIMITS: Limits = Limits {
    bytes: 208 << 20,
    depth: 8,
    blocks: 4096,
};

impl ScanDeposits {
    /// The duty that fills `validators`.
    pub fn new(
        validators: NetworkValidators,
        execution: ExecutionClient,
        consensus: ConsensusClient,
        gateways: Arc<Gateways>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            validators,
            execution,
            consensus,
            gateways,
            metrics,
            asked_for_dump: false,
            deposits: None,
        }
    }

    /// Loads the network's published list into a store that has not come as far by itself. It is asked for once in a run;
    /// without it the chain is scanned from the start, unless the network cannot be known that way.
    async fn load_dump(&mut self) -> Result<(), DutyError> {
        let checkpoint = self.checkpoint().await?;
        let further = |last_block| checkpoint.is_none_or(|checkpoint| checkpoint < last_block);
        let dump = self.validators.network.validators_dump.clone();
        let Some(dump) = dump.filter(|dump| further(dump.last_block)) else {
            return Ok(());
        };
        if !dump.required && std::mem::replace(&mut self.asked_for_dump, true) {
            return Ok(());
        }
        let cid = parse_cid(&dump.cid).map_err(|_| DutyError::NotACid {
            what: "validators dump",
            cid: dump.cid,
        })?;
        match self.gateways.fetch(&cid, DUMP_LIMITS).await {
            Ok(bytes) => {
                let last_block = dump.last_block;
                self.validators
                    .with_index(move |index| index.import_dump(bytes.as_ref(), last_block))
                    .await?;
                self.deposits = None;
                tracing::info!(block = dump.last_block, "validators loaded from the published list");
            }
            Err(source) if dump.required => {
                return Err(DutyError::Ipfs {
                    what: "the published list of the network's validators, without which the next index is not known,",
                    source: Box::new(source),
                });
            }
            Err(error) => tracing::warn!(
                error = crate::supervisor::error_chain(&error),
                "the published list of validators cannot be had; scanning all deposits instead, which takes long on a large network"
            ),
        }
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<u64>, DutyError> {
        self.validators.with_index(|index| Ok(index.checkpoint())).await
    }

    /// Reads one piece that begins at `from`, as long as the node serves, and keeps it: a scan that is cut short goes on
    /// from there. Returns the last block of the piece.
    async fn scan(&mut self, snapshot: &Snapshot, from: u64, to: u64) -> Result<u64, DutyError> {
        let contracts = &self.validators.network.contracts;
        let unreadable = |source| DutyError::Execution {
            what: "deposits",
            source: Box::new(source),
        };
        let (events, scanned) = snapshot
            .next_deposit_events(contracts.deposit_contract, from, to)
            .await
            .map_err(unreadable)?;
        let before = match self.deposits {
            None if from <= contracts.deposit_contract_block => Some(0),
            known => known,
        };
        if let Some(before) = before {
            snapshot.check_deposits_begin(&events, before).map_err(unreadable)?;
        }
        let after = events.last().map(|last| last.index.saturating_add(1)).or(before);
        let found = self.validators.valid(events).await?;
        tracing::debug!(from, to = scanned, count = found.len(), "deposits scanned");
        self.validators
            .with_index(move |index| index.insert(&found, scanned))
            .await?;
        self.deposits = after;
        Ok(scanned)
    }
}

#[async_trait]
impl Duty for ScanDeposits {
    fn name(&self) -> &'static str {
        "scan deposits"
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        let consensus = |source| DutyError::Consensus {
            what: "the finalized block",
            source: Box::new(source),
        };
        let execution = |source| DutyError::Execution {
            what: "deposits",
            source: Box::new(source),
        };
        let finalized = self.consensus.finalized().await.map_err(consensus)?;
        self.metrics
            .slot_number
            .set(f64::from(u32::try_from(finalized.slot.0).unwrap_or(u32::MAX)));
        self.execution.expect_final(finalized.block_number);
        self.load_dump().await?;
        let first = self.validators.network.contracts.deposit_contract_block;
        let mut from = self.checkpoint().await?.map_or(first, |block| block.saturating_add(1));
        if from > finalized.block_number {
            return Ok(Outcome::Watched);
        }
        let snapshot = self.execution.head().await.map_err(execution)?;
        let last = finalized.block_number.min(snapshot.block().number);
        while from <= last {
            let to = last.min(from.saturating_add(BLOCKS_AT_ONCE - 1));
            let scanned = self.scan(&snapshot, from, to).await?;
            if scanned < last && scanned / BLOCKS_AT_ONCE > from.saturating_sub(1) / BLOCKS_AT_ONCE {
                tracing::info!(
                    block = scanned,
                    last,
                    "the network's validators are being read from the chain"
                );
            }
            from = scanned.saturating_add(1);
        }
        Ok(Outcome::Watched)
    }
}
