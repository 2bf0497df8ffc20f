//! Exit shares for the oracles, checked before they leave.

use std::sync::Arc;

use rand_core::CryptoRng;
use sw_keys::{PublicKey, Signature};
use sw_oracle_client::OracleSet;
use sw_shamir_exit::{EncryptedShare, check_shares, split_signature};
use sw_signers::ValidatorSigner;
use sw_spec::{NetworkSpec, PublicKeyBytes, SignatureBytes};

use crate::DutyError;

/// The shares of one validator's exit signature: one for each oracle, in the order of their config.
#[derive(Debug, Clone)]
pub struct ValidatorShares {
    /// Public keys of the shares.
    pub public_keys: Vec<PublicKeyBytes>,
    /// Signatures of the shares, each sealed to its oracle.
    pub sealed: Vec<EncryptedShare>,
}

/// Whose exit is signed, and under which validator index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The validator.
    pub validator: PublicKeyBytes,
    /// Its index.
    pub index: u64,
}

/// The shares of a batch, and what they were made for.
#[derive(Debug, Clone)]
pub struct PreparedShares {
    exits: Vec<Exit>,
    config: String,
    /// The shares, validator by validator.
    pub validators: Vec<ValidatorShares>,
}

impl PreparedShares {
    /// Whether these shares can be sent again: they depend on the keys, their indices and the oracle set alone.
    pub fn serve(&self, exits: &[Exit], config: &str) -> bool {
        self.exits == exits && self.config == config
    }

    /// For each validator what an oracle's request holds: the public shares, and the sealed ones.
    pub fn into_shards(self) -> (Vec<Vec<PublicKeyBytes>>, Vec<Vec<EncryptedShare>>) {
        let validators = self.validators.into_iter();
        validators
            .map(|validator| (validator.public_keys, validator.sealed))
            .unzip()
    }
}

/// Signs exits, splits each signature, checks the shares and seals them. `config` names the oracle set they are for.
///
/// # Errors
///
/// The signer, or a check: shares that do not lie on one polynomial of the threshold's degree through the validator's own
/// signature never leave.
pub async fn prepare(
    signer: &dyn ValidatorSigner,
    oracles: &Arc<OracleSet>,
    config: &str,
    network: &NetworkSpec,
    exits: &[Exit],
    random: fn() -> Box<dyn CryptoRng + Send>,
) -> Result<PreparedShares, DutyError> {
    let keys: Vec<PublicKeyBytes> = exits.iter().map(|exit| exit.validator).collect();
    if let Some((validator, source)) = signer.prepare(&keys).await.into_iter().next() {
        return Err(DutyError::Signer {
            validator,
            source: Box::new(source),
        });
    }
    let mut validators = Vec::with_capacity(exits.len());
    for Exit { validator, index } in exits.iter().copied() {
        let signature = signer
            .sign_exit(&validator, index, network)
            .await
            .map_err(|source| DutyError::Signer {
                validator,
                source: Box::new(source),
            })?;
        let root = network.exit_signing_root(index);
        let oracles = Arc::clone(oracles);
        let shares = tokio::task::spawn_blocking(move || seal_all(&validator, &signature, root, &oracles, random));
        let shares = shares.await.map_err(|_| DutyError::Interrupted)?;
        validators.push(shares.map_err(|source| DutyError::Shares { validator, source })?);
    }
    Ok(PreparedShares {
        exits: exits.to_vec(),
        config: config.to_owned(),
        validators,
    })
}

fn seal_all(
    validator: &PublicKeyBytes,
    signature: &SignatureBytes,
    root: sw_spec::B256,
    oracles: &OracleSet,
    random: fn() -> Box<dyn CryptoRng + Send>,
) -> Result<ValidatorShares, Box<dyn std::error::Error + Send + Sync>> {
    let mut rng = random();
    let threshold = oracles.exit_threshold();
    let public_key = PublicKey::try_from(validator)?;
    let shares = split_signature(
        &Signature::try_from(signature)?,
        &public_key,
        &root,
        threshold,
        &mut *rng,
    )?;
    check_shares(&shares, threshold, validator, &root, &mut *rng)?;
    let sealed = oracles.seal(&shares)?;
    Ok(ValidatorShares {
        public_keys: shares.iter().map(|share| share.public_key).collect(),
        sealed,
    })
}
