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

/// The shares of a batch, and what they were made for.
#[derive(Debug, Clone)]
pub struct PreparedShares {
    first_index: u64,
    keys: Vec<PublicKeyBytes>,
    config: String,
    /// The shares, validator by validator.
    pub validators: Vec<ValidatorShares>,
}

impl PreparedShares {
    /// Whether these shares can be sent again: they depend on the keys, their indices and the oracle set alone.
    pub fn serve(&self, first_index: u64, keys: &[PublicKeyBytes], config: &str) -> bool {
        self.first_index == first_index && self.keys == keys && self.config == config
    }
}

/// Signs the exits of `keys` under consecutive validator indices from `first_index`, splits each signature, checks the
/// shares and seals them. `config` names the oracle set they are for.
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
    first_index: u64,
    keys: &[PublicKeyBytes],
    random: fn() -> Box<dyn CryptoRng + Send>,
) -> Result<PreparedShares, DutyError> {
    if let Some((validator, source)) = signer.prepare(keys).await.into_iter().next() {
        return Err(DutyError::Signer {
            validator,
            source: Box::new(source),
        });
    }
    let mut validators = Vec::with_capacity(keys.len());
    for (validator, index) in keys.iter().copied().zip(first_index..) {
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
        first_index,
        keys: keys.to_vec(),
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
