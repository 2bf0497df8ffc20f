//! Follows the deposit contract, and believes no deposit that it does not prove.

use std::sync::Arc;

use async_trait::async_trait;
use sw_chain_client::{
    ConsensusClient, DepositEvent, DepositTotals, ExecutionClient, ExecutionError, FinalizedBlock, Snapshot,
};
use sw_ipfs::{Gateways, Limits, parse_cid};
use sw_spec::DepositTree;
use sw_store::{Deposits, SetAside};

use crate::{Duty, DutyError, Metrics, NetworkValidators, Outcome, validators::LONGEST_TAIL};

/// Follows the deposit contract to the finalized block.
///
/// Deposits are folded into the contract's own tree, piece by piece. At the finalized block count and root are compared with
/// the contract's: then all that was read is proven, and decisions may use it. When they differ, what was read since the last
/// proof is dropped, and whoever served it is set aside.
///
/// A published list of validators, and the database of the original, come without a tree. The tree at the first finalized block
/// is read from the contract's storage then: what came before is believed, the deposits from the list on are known to be without
/// gaps and to end with the contract's last, and everything after is proven.
pub struct ScanDeposits {
    validators: NetworkValidators,
    execution: ExecutionClient,
    consensus: ConsensusClient,
    gateways: Arc<Gateways>,
    metrics: Arc<Metrics>,
    asked_for_dump: bool,
    /// Who served what is stored and not proven yet, as far as this run knows.
    served: Vec<Snapshot>,
    /// Valid deposits of the vault's keys among them. Anybody can replay a signature in a made-up deposit.
    ours: Vec<DepositEvent>,
    /// Where the last scan met deposits that do not follow on those before.
    broken_at: Option<u64>,
    /// How often in a row what an endpoint gave did not fit on what is stored.
    mismatches: usize,
}

/// Blocks after which progress is told; no piece is longer.
const BLOCKS_AT_ONCE: u64 = 100_000;
/// The blocks behind the head whose state a full node surely has: geth keeps 128.
const STATES_KEPT: u64 = 120;
/// After so many mismatches at every endpoint it is what is stored that is wrong.
const PATIENCE: usize = 3;
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
            served: Vec::new(),
            ours: Vec::new(),
            broken_at: None,
            mismatches: 0,
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

    /// Millions of rows take seconds, which a start does not wait for. Until then there is nothing to decide on.
    async fn verify_store(&self) -> Result<(), DutyError> {
        let damaged = self.validators.with_index(sw_store::ValidatorIndex::verify_or_rebuild);
        if let Some(SetAside { kept, finding }) = damaged.await? {
            tracing::warn!(
                kept = %kept.display(),
                finding,
                "the validator database was damaged; it is put aside and rebuilt from the chain"
            );
        }
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<u64>, DutyError> {
        self.validators.with_index(|index| Ok(index.checkpoint())).await
    }

    /// Reads up to the finalized block, in pieces as long as the node serves, and keeps each: a scan that is cut short goes
    /// on from there.
    async fn follow(&mut self, snapshot: &Snapshot, finalized: &FinalizedBlock) -> Result<(), DutyError> {
        let contracts = &self.validators.network.contracts;
        let (contract, first) = (contracts.deposit_contract, contracts.deposit_contract_block);
        let last = finalized.block_number.min(snapshot.block().number);
        loop {
            let stored = self.validators.with_index(|index| Ok(index.scanned().cloned())).await?;
            let from = stored.as_ref().map_or(first, |mark| mark.block.saturating_add(1));
            if from > last {
                return Ok(());
            }
            let to = last.min(from.saturating_add(BLOCKS_AT_ONCE - 1));
            let (events, scanned) = snapshot
                .next_deposit_events(contract, from, to)
                .await
                .map_err(unreadable)?;
            let before = stored.map_or(Deposits::Tree(DepositTree::new()), |mark| mark.deposits);
            let deposits = after(snapshot, before, &events).map_err(unreadable)?;
            if scanned == finalized.block_number {
                self.finish(snapshot, finalized, events, deposits).await?;
            } else {
                self.keep(snapshot, events, scanned, deposits).await?;
            }
            if scanned < last && scanned / BLOCKS_AT_ONCE > from.saturating_sub(1) / BLOCKS_AT_ONCE {
                tracing::info!(
                    block = scanned,
                    last,
                    "the network's validators are being read from the chain"
                );
            }
        }
    }

    /// Stores a piece on the way to the finalized block.
    async fn keep(
        &mut self,
        snapshot: &Snapshot,
        events: Vec<DepositEvent>,
        scanned: u64,
        deposits: Deposits,
    ) -> Result<(), DutyError> {
        let found = self.first_deposits(events).await?;
        self.validators
            .with_index(move |index| index.insert(&found, scanned, deposits))
            .await?;
        if !self
            .served
            .iter()
            .any(|served| served.endpoint() == snapshot.endpoint())
        {
            self.served.push(snapshot.clone());
        }
        Ok(())
    }

    /// Stores the last piece together with the proof of all.
    async fn finish(
        &mut self,
        snapshot: &Snapshot,
        finalized: &FinalizedBlock,
        events: Vec<DepositEvent>,
        deposits: Deposits,
    ) -> Result<(), DutyError> {
        let tree = self.prove(snapshot, finalized, deposits).await.map_err(unreadable)?;
        let found = self.first_deposits(events).await?;
        let (block, hash) = (finalized.block_number, finalized.block_hash);
        self.validators
            .with_index(move |index| index.insert_proven(&found, block, hash, tree))
            .await?;
        self.validators.quarantine.look_through(&self.ours.split_off(0));
        self.served.clear();
        (self.broken_at, self.mismatches) = (None, 0);
        Ok(())
    }

    async fn first_deposits(
        &mut self,
        events: Vec<DepositEvent>,
    ) -> Result<Vec<(sw_spec::PublicKeyBytes, u64)>, DutyError> {
        let valid = self.validators.valid(events).await?;
        let quarantine = &self.validators.quarantine;
        self.ours.extend(
            valid
                .iter()
                .filter(|deposit| quarantine.is_ours(&deposit.public_key))
                .cloned(),
        );
        Ok(valid
            .iter()
            .map(|deposit| (deposit.public_key, deposit.block))
            .collect())
    }

    /// The tree of all deposits up to the finalized block, which is the contract's.
    async fn prove(
        &self,
        snapshot: &Snapshot,
        finalized: &FinalizedBlock,
        deposits: Deposits,
    ) -> Result<DepositTree, ExecutionError> {
        let contract = self.validators.network.contracts.deposit_contract;
        let (block, head) = (finalized.block_number, snapshot.block());
        match deposits {
            // While nothing becomes final, full nodes drop the state of the finalized block. That of the head they have.
            Deposits::Tree(tree) if (STATES_KEPT..LONGEST_TAIL).contains(&head.number.saturating_sub(block)) => {
                let tail = snapshot
                    .deposit_events(contract, block.saturating_add(1), head.number)
                    .await?;
                let at_head = snapshot.deposits_after(&tree, &tail)?;
                snapshot.check_deposits(&at_head, snapshot.deposit_totals(contract, head.hash).await?)?;
                Ok(tree)
            }
            Deposits::Tree(tree) => {
                let totals = snapshot.deposit_totals(contract, finalized.block_hash).await?;
                snapshot.check_deposits(&tree, totals)?;
                Ok(tree)
            }
            Deposits::Unknown | Deposits::Count(_) => {
                let totals = snapshot.deposit_totals(contract, finalized.block_hash).await?;
                snapshot.check_deposit_count(deposits.count().unwrap_or(totals.count), totals)?;
                let tree = snapshot
                    .stored_deposit_tree(contract, finalized.block_hash, totals)
                    .await?;
                tracing::info!(
                    block,
                    count = totals.count,
                    "deposits are proven from this block on; what came before is believed"
                );
                Ok(tree)
            }
        }
    }

    /// What was read since the last proof is not what the contract took. It goes, and with it the word of those who served it.
    async fn drop_unproven(&mut self, snapshot: &Snapshot) -> Result<(), DutyError> {
        let dropped = self.validators.with_index(|index| {
            let count = index.drop_unproven()?;
            Ok((count, index.checkpoint()))
        });
        let (count, checkpoint) = dropped.await?;
        self.ours.clear();
        for served in self.served.drain(..) {
            if served.endpoint() != snapshot.endpoint() {
                served.set_aside("it served deposits that do not add up to the contract's root".to_owned());
            }
        }
        if count > 0 {
            tracing::warn!(
                count,
                block = checkpoint.unwrap_or_default(),
                "validators read since this block are dropped, and are read again: the deposit contract does not confirm them"
            );
        }
        self.broken_at = None;
        Ok(())
    }

    /// Decides, after a lie, whether it was one: what does not fit may be what is stored.
    async fn after_a_lie(&mut self, snapshot: &Snapshot) -> Result<(), DutyError> {
        let (checkpoint, anchor) = self
            .validators
            .with_index(|index| Ok((index.checkpoint(), index.anchor().cloned())))
            .await?;
        // These, or those before, are wrong. Hours of reading do not go for one lie: another endpoint is heard first.
        if checkpoint != anchor.as_ref().map(|anchor| anchor.block) {
            if self.broken_at == checkpoint {
                return self.drop_unproven(snapshot).await;
            }
            self.broken_at = checkpoint;
            return Ok(());
        }
        let Some(anchor) = anchor else { return Ok(()) };
        if let (Some(hash), Deposits::Tree(tree)) = (anchor.hash, &anchor.deposits) {
            let contract = self.validators.network.contracts.deposit_contract;
            let confirmed = snapshot.deposit_totals(contract, hash).await;
            if confirmed.is_ok_and(|totals| totals == DepositTotals::from(tree)) {
                self.mismatches = 0;
                return Ok(());
            }
        }
        self.mismatches += 1;
        if self.mismatches < PATIENCE.saturating_mul(snapshot.endpoints()) {
            return Ok(());
        }
        self.mismatches = 0;
        // A list that cannot be built upon is not taken a second time.
        self.asked_for_dump = anchor.deposits == Deposits::Unknown;
        let count = self.validators.with_index(sw_store::ValidatorIndex::clear).await?;
        tracing::error!(
            count,
            block = anchor.block,
            "no endpoint's deposits follow on the stored ones: all that is stored is dropped, and read again from the beginning"
        );
        Ok(())
    }
}

/// What is known of the deposits once these came after them.
fn after(snapshot: &Snapshot, before: Deposits, events: &[DepositEvent]) -> Result<Deposits, ExecutionError> {
    Ok(match before {
        Deposits::Tree(tree) => Deposits::Tree(snapshot.deposits_after(&tree, events)?),
        Deposits::Count(count) => {
            snapshot.check_deposits_begin(events, count)?;
            Deposits::Count(events.last().map_or(count, |last| last.index.saturating_add(1)))
        }
        Deposits::Unknown => events
            .last()
            .map_or(Deposits::Unknown, |last| Deposits::Count(last.index.saturating_add(1))),
    })
}

fn unreadable(source: ExecutionError) -> DutyError {
    DutyError::Execution {
        what: "deposits",
        source: Box::new(source),
    }
}

fn is_forged(error: &DutyError) -> bool {
    matches!(error, DutyError::Execution { source, .. } if matches!(**source, ExecutionError::ForgedLogs { .. }))
}

#[async_trait]
impl Duty for ScanDeposits {
    fn name(&self) -> &'static str {
        "scan deposits"
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        self.verify_store().await?;
        let consensus = |source| DutyError::Consensus {
            what: "the finalized block",
            source: Box::new(source),
        };
        let finalized = self.consensus.finalized().await.map_err(consensus)?;
        self.metrics
            .slot_number
            .set(f64::from(u32::try_from(finalized.slot.0).unwrap_or(u32::MAX)));
        self.execution.expect_final(finalized.block_number);
        self.load_dump().await?;
        if self.checkpoint().await? >= Some(finalized.block_number) {
            return Ok(Outcome::Watched);
        }
        let snapshot = self.execution.head().await.map_err(unreadable)?;
        let followed = self.follow(&snapshot, &finalized).await;
        if followed.as_ref().is_err_and(is_forged) {
            self.after_a_lie(&snapshot).await?;
        }
        followed.map(|()| Outcome::Watched)
    }
}
