//! Everything a request is held against before any share is given away.

use std::collections::HashMap;

use alloy::primitives::{B256, FixedBytes};

use super::{
    approval::{DEPOSIT_GWEI, credentials, records},
    chain::{Facts, RotationFacts, Snapshot},
    key::OracleKey,
    members::Members,
    merkle,
    outdated::{Validators, stays},
    refusal::Refusal,
    request::{Batch, Request, RotationRequest, SharedExit},
    shares::{PublicShareFault, check_public_shares},
};
use crate::{Deployment, bls, ssz};

/// The chain says that this request can be registered next.
pub(super) fn against_chain(request: &Request, facts: &Facts, since: u64, validity_period: u64) -> Result<(), Refusal> {
    if !facts.vault_registered {
        return Err(Refusal::UnknownVault(request.vault));
    }
    if request.deposit_root != facts.deposit_root {
        return Err(Refusal::DepositRoot);
    }
    if request.deadline < facts.now {
        return Err(Refusal::DeadlinePassed);
    }
    deadline(request.deadline, facts.now, since, validity_period)?;
    if let Some(position) = facts.deposited.iter().position(|deposited| *deposited) {
        return Err(Refusal::AlreadyDeposited(position));
    }
    let expected = facts.next_validator_index;
    if request.validator_index != expected {
        return Err(Refusal::ValidatorIndex {
            got: request.validator_index,
            expected,
        });
    }
    Ok(())
}

/// The Keeper would take new exit signatures of this vault.
pub(super) fn rotation(
    request: &RotationRequest,
    facts: &RotationFacts,
    snapshot: &Snapshot,
    since: u64,
    validity_period: u64,
) -> Result<(), Refusal> {
    if !facts.vault_registered {
        return Err(Refusal::UnknownVault(request.vault));
    }
    if !facts.collateralized {
        return Err(Refusal::NotCollateralized(request.vault));
    }
    if request.deadline <= snapshot.now {
        return Err(Refusal::DeadlinePassed);
    }
    deadline(request.deadline, snapshot.now, since, validity_period)
}

/// The keys are validators of the vault; gives each its index.
pub(super) fn find_validators(request: &mut RotationRequest, snapshot: &Snapshot) -> Result<(), Refusal> {
    let ours = snapshot.ledger.validators_of(credentials(request.vault));
    let ours: HashMap<FixedBytes<48>, u64> = ours.map(|(index, key)| (key, index)).collect();
    for (position, exit) in request.batch.exits.iter_mut().enumerate() {
        exit.index = *ours.get(&exit.public_key).ok_or(Refusal::NotOfVault(position))?;
    }
    Ok(())
}

/// Every exit signature is still needed, and is shared among other oracles.
pub(super) fn is_due(
    request: &RotationRequest,
    statuses: &HashMap<FixedBytes<48>, String>,
    outdated: &Validators,
) -> Result<(), Refusal> {
    for (position, exit) in request.batch.exits.iter().enumerate() {
        match statuses.get(&exit.public_key) {
            None => return Err(Refusal::NotOfVault(position)),
            Some(status) if !stays(status) => {
                let status = status.clone();
                return Err(Refusal::Leaving { position, status });
            }
            Some(_) if !outdated.contains_key(&exit.index) => return Err(Refusal::NotOutdated(position)),
            Some(_) => {}
        }
    }
    Ok(())
}

/// A deadline is the time of the block that a request was made at, and the validity period: one that was made before
/// the oracles changed has shares for those before.
fn deadline(deadline: u64, now: u64, since: u64, validity_period: u64) -> Result<(), Refusal> {
    if deadline > now.saturating_add(validity_period) {
        return Err(Refusal::DeadlineTooFar);
    }
    if since > 0 && deadline < since.saturating_add(validity_period) {
        return Err(Refusal::OlderThanOracles);
    }
    Ok(())
}

/// The validators can be deposited for this vault, and are the next ones of its deposit data.
pub(super) fn deposit_data(request: &Request, facts: &Facts, deployment: &Deployment) -> Result<(), Refusal> {
    let credentials = credentials(request.vault);
    let validators = request.batch.exits.iter().zip(&request.deposit_signatures);
    for (position, (exit, signature)) in validators.enumerate() {
        let (key, fork_version) = (&exit.public_key, deployment.genesis_fork_version);
        let root = ssz::deposit_signing_root(key, credentials, DEPOSIT_GWEI, fork_version);
        if !bls::verify(key, root, signature) {
            return Err(Refusal::DepositSignature(position));
        }
    }
    let leaves = leaves(request, facts.deposit_data_index)?;
    match merkle::process_multi_proof(&leaves, &request.proof, &request.proof_flags) {
        Some(root) if root == facts.deposit_data_root => Ok(()),
        _ => Err(Refusal::Proof),
    }
}

/// The leaves in the order of `proof_indexes`, which must be the next indexes of the deposit data, each once.
fn leaves(request: &Request, start: u64) -> Result<Vec<B256>, Refusal> {
    let next = start..start.saturating_add(request.batch.exits.len() as u64);
    let mut sorted = request.proof_indexes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(next) {
        return Err(Refusal::ProofIndexes(start));
    }
    let records = records(request);
    let record = |index: u64| records.get(usize::try_from(index - start).ok()?);
    let leaf = |index: &u64| record(*index).map(|record| merkle::leaf(record, *index));
    request
        .proof_indexes
        .iter()
        .map(leaf)
        .collect::<Option<_>>()
        .ok_or(Refusal::ProofIndexes(start))
}

/// The public shares belong to the validators and need exactly `threshold` to recover.
pub(super) fn public_shares(batch: &Batch, threshold: usize) -> Result<(), Refusal> {
    for (position, exit) in batch.exits.iter().enumerate() {
        check_public_shares(&exit.public_key, &exit.public_shares, threshold).map_err(|fault| match fault {
            PublicShareFault::Point => Refusal::PublicShardPoint(position),
            PublicShareFault::Polynomial => Refusal::PublicShardPolynomial(position),
            PublicShareFault::Key => Refusal::PublicShardKey(position),
        })?;
    }
    Ok(())
}

/// Opens the shares of the oracle that is at its place among `members`, and verifies each.
pub(super) fn own_shares(
    batch: &Batch,
    members: &Members,
    key: &OracleKey,
    deployment: &Deployment,
) -> Result<Vec<FixedBytes<96>>, Refusal> {
    let oracle = members.position;
    let open = |(position, exit): (usize, &SharedExit)| {
        let sealed = exit.sealed_shares.get(oracle).ok_or(Refusal::SealedShard(position))?;
        let share = key.open(sealed).ok_or(Refusal::SealedShard(position))?;
        match share_is_valid(exit, oracle, exit_root(exit.index, deployment), &share) {
            true => Ok(share),
            false => Err(Refusal::ExitShard(position)),
        }
    };
    batch.exits.iter().enumerate().map(open).collect()
}

/// Whether all shares of another oracle verify against what the request says of them.
pub(super) fn shares_are_valid(
    batch: &Batch,
    oracle: usize,
    shares: &[FixedBytes<96>],
    deployment: &Deployment,
) -> bool {
    let valid = |(exit, share): (&SharedExit, &FixedBytes<96>)| {
        share_is_valid(exit, oracle, exit_root(exit.index, deployment), share)
    };
    shares.len() == batch.exits.len() && batch.exits.iter().zip(shares).all(valid)
}

fn share_is_valid(exit: &SharedExit, oracle: usize, root: B256, share: &FixedBytes<96>) -> bool {
    exit.public_shares
        .get(oracle)
        .is_some_and(|public_share| bls::verify(public_share, root, share))
}

/// What a validator signs to exit.
pub(super) fn exit_root(index: u64, deployment: &Deployment) -> B256 {
    ssz::exit_signing_root(
        deployment.capella_epoch,
        index,
        deployment.capella_fork_version,
        deployment.genesis_validators_root,
    )
}
