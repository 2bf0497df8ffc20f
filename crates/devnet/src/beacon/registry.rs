//! The validators that deposits have made.

use std::collections::HashMap;

use alloy::sol_types::SolEvent;
use alloy_primitives::{B256, FixedBytes};

use super::{BeaconConfig, Shared, clock::Head};
use crate::{
    bls,
    contracts::interface::DepositContract::DepositEvent,
    rpc::{Log, RpcError},
    ssz,
};

/// All validators up to a block.
#[derive(Debug, Default)]
pub(super) struct Registry {
    read_to: Option<(u64, B256)>,
    validators: Vec<Validator>,
    indexes: HashMap<FixedBytes<48>, usize>,
}

/// A key with a valid deposit.
#[derive(Debug, Clone)]
pub(super) struct Validator {
    pub(super) public_key: FixedBytes<48>,
    pub(super) credentials: B256,
    /// The slot of the first valid deposit.
    pub(super) since: u64,
    /// Block, and Gwei: the first valid deposit and all after it.
    deposits: Vec<(u64, u64)>,
}

impl Validator {
    /// Whether the state after `block` has it.
    pub(super) fn is_known_at(&self, block: u64) -> bool {
        self.deposits.first().is_some_and(|(at, _)| *at <= block)
    }

    /// The Gwei deposited up to a block.
    pub(super) fn balance_at(&self, block: u64) -> u64 {
        self.deposits
            .iter()
            .filter(|(at, _)| *at <= block)
            .map(|(_, amount)| amount)
            .sum()
    }
}

/// A deposit whose signature has been looked at.
#[derive(Debug)]
struct Deposit {
    block: u64,
    public_key: FixedBytes<48>,
    credentials: B256,
    amount: u64,
    valid: bool,
}

impl Registry {
    /// The validators of the state after `block`, with their indexes.
    pub(super) fn at(&self, block: u64) -> impl Iterator<Item = (u64, &Validator)> {
        (0..)
            .zip(self.validators.iter())
            .take_while(move |(_, validator)| validator.is_known_at(block))
    }

    /// The index that a key has.
    pub(super) fn index(&self, public_key: &FixedBytes<48>) -> Option<u64> {
        self.indexes.get(public_key).map(|index| *index as u64)
    }

    pub(super) fn validator(&self, index: u64) -> Option<&Validator> {
        self.validators.get(usize::try_from(index).ok()?)
    }

    fn apply(&mut self, deposit: Deposit, slot: u64) {
        let amount = (deposit.block, deposit.amount);
        let known = self
            .indexes
            .get(&deposit.public_key)
            .and_then(|index| self.validators.get_mut(*index));
        match known {
            // The consensus specs do not look at the signature of a top-up.
            Some(validator) => validator.deposits.push(amount),
            None if deposit.valid => {
                self.indexes.insert(deposit.public_key, self.validators.len());
                self.validators.push(Validator {
                    public_key: deposit.public_key,
                    credentials: deposit.credentials,
                    since: slot,
                    deposits: vec![amount],
                });
            }
            None => {}
        }
    }
}

impl Shared {
    /// Reads the deposits since the last time, or all of them when that block is no longer part of the chain, and lets the
    /// new blocks take the exits that wait.
    pub(super) async fn advance(&self, registry: &mut Registry, head: &Head) -> Result<(), RpcError> {
        let number = head.block.number.to::<u64>();
        if let Some((read_to, hash)) = registry.read_to {
            let still_there = self
                .rpc
                .block(Some(read_to))
                .await?
                .is_some_and(|block| block.hash == hash);
            if read_to > number || !still_there {
                *registry = Registry::default();
            }
        }
        let from = registry
            .read_to
            .map_or(self.config.deploy_block, |(read_to, _)| read_to + 1);
        if from <= number {
            let topics = [DepositEvent::SIGNATURE_HASH];
            let logs = self
                .rpc
                .logs(self.config.deposit_contract, &topics, from, number)
                .await?;
            let config = self.config.clone();
            let check = move || logs.iter().filter_map(|log| check(log, &config)).collect::<Vec<_>>();
            // Cut off only when the runtime shuts down.
            let Ok(deposits) = tokio::task::spawn_blocking(check).await else {
                return Ok(());
            };
            let mut slot_of = HashMap::new();
            for deposit in deposits {
                let slot = match slot_of.get(&deposit.block) {
                    Some(slot) => *slot,
                    None => {
                        let block = self.rpc.block(Some(deposit.block)).await?;
                        let time = block.map_or(self.config.genesis_time, |block| block.timestamp.to());
                        let slot = self.config.slot_at(time);
                        slot_of.insert(deposit.block, slot);
                        slot
                    }
                };
                registry.apply(deposit, slot);
            }
        }
        registry.read_to = Some((number, head.block.hash));
        self.include_exits(head).await
    }
}

fn check(log: &Log, config: &BeaconConfig) -> Option<Deposit> {
    let (public_key, credentials, amount, signature, _) = DepositEvent::abi_decode_data(&log.data).ok()?;
    let public_key = FixedBytes::try_from(public_key.as_ref()).ok()?;
    let credentials = B256::try_from(credentials.as_ref()).ok()?;
    let amount = u64::from_le_bytes(amount.as_ref().try_into().ok()?);
    let signature = FixedBytes::try_from(signature.as_ref()).ok()?;
    let root = ssz::deposit_signing_root(&public_key, credentials, amount, config.genesis_fork_version);
    let valid = bls::verify(&public_key, root, &signature);
    Some(Deposit {
        block: log.block_number.to(),
        public_key,
        credentials,
        amount,
        valid,
    })
}
