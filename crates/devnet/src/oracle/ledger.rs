//! What the events of the deposit contract and of the Keeper say, up to one block.

use std::collections::{BTreeSet, HashMap};

use alloy::{
    primitives::{Address, B256, FixedBytes},
    sol,
    sol_types::SolEvent,
};

use super::chain::ChainError;
use crate::{bls, rpc::Log, ssz};

sol! {
    event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);
    event ConfigUpdated(string configIpfsHash);
    event OracleAdded(address indexed oracle);
    event OracleRemoved(address indexed oracle);
    event ValidatorsApproval(address indexed vault, string exitSignaturesIpfsHash);
    event ExitSignaturesUpdated(address indexed caller, address indexed vault, uint256 nonce, string exitSignaturesIpfsHash);
}

/// The events of the Keeper that are kept.
pub(super) const KEEPER_EVENTS: [B256; 5] = [
    ConfigUpdated::SIGNATURE_HASH,
    OracleAdded::SIGNATURE_HASH,
    OracleRemoved::SIGNATURE_HASH,
    ValidatorsApproval::SIGNATURE_HASH,
    ExitSignaturesUpdated::SIGNATURE_HASH,
];

/// Deposits and approvals, in the order of the chain.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// Distinct keys with a valid deposit, and the credentials of the first: a place here is a validator's index.
    validators: Vec<(FixedBytes<48>, B256)>,
    indexes: HashMap<FixedBytes<48>, u64>,
    /// Block and CID of every config that was announced.
    pub(super) configs: Vec<(u64, String)>,
    /// Whom the Keeper takes for an oracle.
    pub(super) oracles: BTreeSet<Address>,
    exits: HashMap<Address, Vec<ExitsStored>>,
}

/// A document of exit signatures that the Keeper has heard of.
#[derive(Debug, Clone)]
pub(super) struct ExitsStored {
    pub(super) cid: String,
    /// The block, when they replaced older ones.
    rotated_in: Option<u64>,
}

impl Ledger {
    /// The number of validators, which is the index of the next one.
    pub(super) fn next_index(&self) -> u64 {
        self.validators.len() as u64
    }

    pub(super) fn index(&self, key: &FixedBytes<48>) -> Option<u64> {
        self.indexes.get(key).copied()
    }

    /// The validators that withdraw to `credentials`, with their indexes.
    pub(super) fn validators_of(&self, credentials: B256) -> impl Iterator<Item = (u64, FixedBytes<48>)> {
        let of_them = move |(_, (_, own)): &(u64, &(_, B256))| *own == credentials;
        (0..)
            .zip(&self.validators)
            .filter(of_them)
            .map(|(index, (key, _))| (index, *key))
    }

    /// The documents of a vault, the newest last.
    pub(super) fn exits(&self, vault: Address) -> &[ExitsStored] {
        self.exits.get(&vault).map_or(&[], Vec::as_slice)
    }

    /// The block of a vault's last rotation.
    pub(super) fn last_rotation(&self, vault: Address) -> Option<u64> {
        self.exits(vault).iter().rev().find_map(|stored| stored.rotated_in)
    }

    pub(super) fn add_validators(&mut self, found: Vec<(FixedBytes<48>, B256)>) {
        for (key, credentials) in found {
            let next = self.next_index();
            if let std::collections::hash_map::Entry::Vacant(free) = self.indexes.entry(key) {
                free.insert(next);
                self.validators.push((key, credentials));
            }
        }
    }

    pub(super) fn add_keeper_event(&mut self, log: &Log) -> Result<(), ChainError> {
        let block = log.block_number.to();
        match log.topics.first() {
            Some(&ConfigUpdated::SIGNATURE_HASH) => {
                self.configs.push((block, decode::<ConfigUpdated>(log)?.configIpfsHash));
            }
            Some(&OracleAdded::SIGNATURE_HASH) => {
                self.oracles.insert(decode::<OracleAdded>(log)?.oracle);
            }
            Some(&OracleRemoved::SIGNATURE_HASH) => {
                self.oracles.remove(&decode::<OracleRemoved>(log)?.oracle);
            }
            Some(&ValidatorsApproval::SIGNATURE_HASH) => {
                let event = decode::<ValidatorsApproval>(log)?;
                self.add_exits(event.vault, event.exitSignaturesIpfsHash, None);
            }
            Some(&ExitSignaturesUpdated::SIGNATURE_HASH) => {
                let event = decode::<ExitSignaturesUpdated>(log)?;
                self.add_exits(event.vault, event.exitSignaturesIpfsHash, Some(block));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_exits(&mut self, vault: Address, cid: String, rotated_in: Option<u64>) {
        self.exits
            .entry(vault)
            .or_default()
            .push(ExitsStored { cid, rotated_in });
    }
}

pub(super) fn decode<E: SolEvent>(log: &Log) -> Result<E, ChainError> {
    E::decode_raw_log(log.topics.iter().copied(), &log.data).map_err(|source| ChainError::Decode {
        call: E::SIGNATURE,
        source,
    })
}

/// Keys and credentials of the deposits that make a validator: the signature covers key, credentials and amount.
pub(super) fn valid_deposits(deposits: &[DepositEvent], fork_version: FixedBytes<4>) -> Vec<(FixedBytes<48>, B256)> {
    deposits
        .iter()
        .filter_map(|deposit| valid_deposit(deposit, fork_version))
        .collect()
}

fn valid_deposit(deposit: &DepositEvent, fork_version: FixedBytes<4>) -> Option<(FixedBytes<48>, B256)> {
    let key = FixedBytes::try_from(deposit.pubkey.as_ref()).ok()?;
    let credentials = B256::try_from(deposit.withdrawal_credentials.as_ref()).ok()?;
    let amount = u64::from_le_bytes(deposit.amount.as_ref().try_into().ok()?);
    let signature = FixedBytes::try_from(deposit.signature.as_ref()).ok()?;
    let root = ssz::deposit_signing_root(&key, credentials, amount, fork_version);
    bls::verify(&key, root, &signature).then_some((key, credentials))
}
