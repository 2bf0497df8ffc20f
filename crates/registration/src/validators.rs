//! The network's validators: who has a valid deposit, and so which index comes next.
//!
//! A validator's index is the number of distinct keys with a valid deposit before it. Finalized deposits are kept in the
//! store, with the tree that proves them; the tail between them and the pinned block is read anew for every decision, and
//! nothing is decided unless store and tail together have the contract's count and root at that block.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use rand_core::CryptoRng;
use sw_chain_client::{DepositEvent, DepositTotals, ExecutionError, Snapshot};
use sw_keys::{SignedRoot, verify_batch};
use sw_spec::{NetworkSpec, PublicKeyBytes};
use sw_store::{StoreError, ValidatorIndex};

use crate::{DutyError, NetworkView, Quarantine, WhyNot};

/// The store and what it takes to fill it.
#[derive(Clone)]
pub struct NetworkValidators {
    index: Arc<Mutex<ValidatorIndex>>,
    pub(crate) network: NetworkSpec,
    pub(crate) quarantine: Quarantine,
    random: fn() -> Box<dyn CryptoRng + Send>,
}

/// What the store and the tail say of the keys that were asked about.
struct Known {
    next_index: u64,
    deposited: Vec<PublicKeyBytes>,
    /// Those whose first deposit is in the store, and not in the tail, with its block.
    stored: Vec<(PublicKeyBytes, u64)>,
}

impl NetworkValidators {
    /// Over a store of this network.
    pub fn new(
        index: ValidatorIndex,
        network: NetworkSpec,
        quarantine: Quarantine,
        random: fn() -> Box<dyn CryptoRng + Send>,
    ) -> Self {
        Self {
            index: Arc::new(Mutex::new(index)),
            network,
            quarantine,
            random,
        }
    }

    /// Answers for `keys` at the snapshot's block, at which the deposit contract gives `totals`.
    ///
    /// # Errors
    ///
    /// The tail cannot be read, or is not what the contract took; the endpoint is set aside then. The inner error: the scan
    /// has not come far enough, or has come further than this node.
    pub async fn view(
        &self,
        snapshot: &Snapshot,
        keys: &[PublicKeyBytes],
        totals: DepositTotals,
    ) -> Result<Result<NetworkView, WhyNot>, DutyError> {
        let proven = self
            .with_index(|index| Ok(index.proven().map(|(block, tree)| (block, tree.clone()))))
            .await?;
        let pinned = snapshot.block().number;
        // A first scan takes hours; reading the rest of the chain beside it would take as long, and all of the memory.
        let Some((checkpoint, tree)) = proven.filter(|(block, _)| pinned.saturating_sub(*block) <= LONGEST_TAIL) else {
            return Ok(Err(WhyNot::ValidatorsNotScanned));
        };
        if checkpoint > pinned {
            return Ok(Err(WhyNot::ValidatorsNotScanned));
        }
        let contract = self.network.contracts.deposit_contract;
        let tail = snapshot
            .deposit_events(contract, checkpoint.saturating_add(1), pinned)
            .await
            .map_err(unreadable)?;
        let tree = snapshot.deposits_after(&tree, &tail).map_err(unreadable)?;
        snapshot.check_deposits(&tree, totals).map_err(unreadable)?;
        let tail = self.valid(tail).await?;
        self.quarantine.look_through(&tail);
        let tail: Vec<PublicKeyBytes> = tail.iter().map(|deposit| deposit.public_key).collect();
        let keys = keys.to_vec();
        let asked = keys.clone();
        let known = self.with_index(move |index| {
            // The scan goes on meanwhile. What it added up to the pinned block is in the tail as well and counts once;
            // what it added beyond, or took away, must not count at all.
            match index.proven() {
                Some((block, _)) if (checkpoint..=pinned).contains(&block) => known(index, &asked, &tail).map(Some),
                _ => Ok(None),
            }
        });
        let Some(known) = known.await? else {
            return Ok(Err(WhyNot::ValidatorsNotScanned));
        };
        for (key, block) in known.stored {
            self.look_up(snapshot, &key, block).await?;
        }
        Ok(Ok(NetworkView {
            next_index: known.next_index,
            deposited: known.deposited,
            quarantined: keys.iter().filter_map(|key| self.quarantine.of(key)).collect(),
        }))
    }

    /// Learns from the block of a stored deposit where it pays out to, once. The key is not registered either way, so a
    /// node that keeps no old logs is no obstacle.
    async fn look_up(&self, snapshot: &Snapshot, key: &PublicKeyBytes, block: u64) -> Result<(), DutyError> {
        if !self.quarantine.looks_up(key) {
            return Ok(());
        }
        let contract = self.network.contracts.deposit_contract;
        match snapshot.deposit_events(contract, block, block).await {
            Ok(mut deposits) => {
                deposits.retain(|deposit| deposit.public_key == *key);
                self.quarantine.look_through(&self.valid(deposits).await?);
            }
            Err(error) => tracing::warn!(
                validator = %key,
                block,
                error = crate::supervisor::error_chain(&error),
                "a validator of the deposit data has a deposit, and it cannot be learned to whom it pays out"
            ),
        }
        Ok(())
    }

    /// The deposits whose signature is valid. Others make no validator.
    pub(crate) async fn valid(&self, mut deposits: Vec<DepositEvent>) -> Result<Vec<DepositEvent>, DutyError> {
        let (fork, random) = (self.network.genesis_fork_version, self.random);
        let verified = tokio::task::spawn_blocking(move || {
            let signed: Vec<SignedRoot> = deposits.iter().map(|deposit| signed_deposit(deposit, fork)).collect();
            let mut valid = verify_batch(&signed, &mut *random()).into_iter();
            deposits.retain(|_| valid.next().unwrap_or(false));
            deposits
        });
        verified.await.map_err(|_| DutyError::Interrupted)
    }

    pub(crate) async fn with_index<T: Send + 'static>(
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

fn known(index: &ValidatorIndex, keys: &[PublicKeyBytes], tail: &[PublicKeyBytes]) -> Result<Known, StoreError> {
    let in_tail: HashSet<&PublicKeyBytes> = tail.iter().collect();
    let (mut deposited, mut stored) = (Vec::new(), Vec::new());
    for key in keys {
        let block = index.block_of(key)?;
        if let Some(block) = block {
            stored.push((*key, block));
        }
        if block.is_some() || in_tail.contains(key) {
            deposited.push(*key);
        }
    }
    Ok(Known {
        next_index: index.count_with(tail)?,
        deposited,
        stored,
    })
}

fn unreadable(source: ExecutionError) -> DutyError {
    DutyError::Execution {
        what: "recent deposits",
        source: Box::new(source),
    }
}

pub(crate) fn signed_deposit(deposit: &DepositEvent, genesis_fork_version: sw_spec::ForkVersion) -> SignedRoot {
    let data = deposit.data();
    SignedRoot {
        public_key: deposit.public_key,
        root: data.message.signing_root(genesis_fork_version),
        signature: deposit.signature,
    }
}

/// Blocks that are read anew for a decision: two weeks of mainnet without finality.
pub(crate) const LONGEST_TAIL: u64 = 100_000;
