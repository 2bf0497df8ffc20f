//! Everything a request is held against before any share is given away.

use alloy::primitives::{B256, FixedBytes};

use super::{
    approval::{DEPOSIT_GWEI, credentials, records},
    chain::Facts,
    key::OracleKey,
    merkle,
    refusal::Refusal,
    request::{NewValidator, Request},
    shares::{PublicShareFault, check_public_shares},
};
use crate::{Deployment, bls, ssz};

/// The chain says that this request can be registered next.
pub(super) fn against_chain(request: &Request, facts: &Facts, validity_period: u64) -> Result<(), Refusal> {
    if !facts.vault_registered {
        return Err(Refusal::UnknownVault(request.vault));
    }
    if request.deposit_root != facts.deposit_root {
        return Err(Refusal::DepositRoot);
    }
    if request.deadline < facts.now {
        return Err(Refusal::DeadlinePassed);
    }
    if request.deadline > facts.now.saturating_add(validity_period) {
        return Err(Refusal::DeadlineTooFar);
    }
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

/// The validators can be deposited for this vault, and are the next ones of its deposit data.
pub(super) fn deposit_data(request: &Request, facts: &Facts, deployment: &Deployment) -> Result<(), Refusal> {
    let credentials = credentials(request.vault);
    for (position, validator) in request.validators.iter().enumerate() {
        let (key, fork_version) = (&validator.public_key, deployment.genesis_fork_version);
        let root = ssz::deposit_signing_root(key, credentials, DEPOSIT_GWEI, fork_version);
        if !bls::verify(key, root, &validator.deposit_signature) {
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
    let next = start..start.saturating_add(request.validators.len() as u64);
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
pub(super) fn public_shares(request: &Request, threshold: usize) -> Result<(), Refusal> {
    for (
        position,
        NewValidator {
            public_key,
            public_shares,
            ..
        },
    ) in request.validators.iter().enumerate()
    {
        check_public_shares(public_key, public_shares, threshold).map_err(|fault| match fault {
            PublicShareFault::Point => Refusal::PublicShardPoint(position),
            PublicShareFault::Polynomial => Refusal::PublicShardPolynomial(position),
            PublicShareFault::Key => Refusal::PublicShardKey(position),
        })?;
    }
    Ok(())
}

/// Opens the shares of the oracle at `oracle`, and verifies each.
pub(super) fn own_shares(
    request: &Request,
    oracle: usize,
    key: &OracleKey,
    deployment: &Deployment,
) -> Result<Vec<FixedBytes<96>>, Refusal> {
    let open = |(position, validator): (usize, &NewValidator)| {
        let sealed = validator
            .sealed_shares
            .get(oracle)
            .ok_or(Refusal::SealedShard(position))?;
        let share = key.open(sealed).ok_or(Refusal::SealedShard(position))?;
        let root = exit_root(request, position, deployment);
        match share_is_valid(validator, oracle, root, &share) {
            true => Ok(share),
            false => Err(Refusal::ExitShard(position)),
        }
    };
    request.validators.iter().enumerate().map(open).collect()
}

/// Whether all shares of another oracle verify against what the request says of them.
pub(super) fn shares_are_valid(
    request: &Request,
    oracle: usize,
    shares: &[FixedBytes<96>],
    deployment: &Deployment,
) -> bool {
    shares.len() == request.validators.len()
        && request
            .validators
            .iter()
            .zip(shares)
            .enumerate()
            .all(|(position, (validator, share))| {
                share_is_valid(validator, oracle, exit_root(request, position, deployment), share)
            })
}

fn share_is_valid(validator: &NewValidator, oracle: usize, root: B256, share: &FixedBytes<96>) -> bool {
    validator
        .public_shares
        .get(oracle)
        .is_some_and(|public_share| bls::verify(public_share, root, share))
}

/// What the validator at `position` of the batch signs to exit.
pub(super) fn exit_root(request: &Request, position: usize, deployment: &Deployment) -> B256 {
    ssz::exit_signing_root(
        deployment.capella_epoch,
        request.validator_index.saturating_add(position as u64),
        deployment.capella_fork_version,
        deployment.genesis_validators_root,
    )
}
