//! What every signer backend promises.

use std::error::Error;

use async_trait::async_trait;
use sw_keys::{PublicKey, Signature};
use sw_spec::{B256, DepositMessage, NetworkSpec, PublicKeyBytes, SignatureBytes};

/// Signs for validators, and does nothing else: no key ever leaves it.
///
/// Every signature it returns was verified against the public key it was asked for. [`crate::contract::check`] holds
/// backends to this.
#[async_trait]
pub trait ValidatorSigner: Send + Sync {
    /// Whether it can sign for this validator. Asks nobody.
    fn holds(&self, public_key: &PublicKeyBytes) -> bool;

    /// The number of validators it can sign for.
    fn key_count(&self) -> usize;

    /// Gets ready to sign for these validators, so that a signature need not wait, and returns those it cannot get ready for.
    ///
    /// It need not be called before signing. Dropping it half-way does no harm.
    async fn prepare(&self, _public_keys: &[PublicKeyBytes]) -> Vec<(PublicKeyBytes, SignerError)> {
        Vec::new()
    }

    /// Drops what it keeps ready for these validators. It can still sign for them.
    fn forget(&self, _public_keys: &[PublicKeyBytes]) {}

    /// Signs a deposit under the network's genesis fork version. The message must be the validator's own.
    async fn sign_deposit(
        &self,
        public_key: &PublicKeyBytes,
        message: &DepositMessage,
        network: &NetworkSpec,
    ) -> Result<SignatureBytes, SignerError>;

    /// Signs a voluntary exit as the oracles keep it: at the network's Capella epoch and fork version.
    async fn sign_exit(
        &self,
        public_key: &PublicKeyBytes,
        validator_index: u64,
        network: &NetworkSpec,
    ) -> Result<SignatureBytes, SignerError>;
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// The signer has no such key.
    #[error("the signer does not hold the key of validator {0}")]
    UnknownKey(PublicKeyBytes),
    /// The key is there but cannot be used.
    #[error("cannot open the key of validator {public_key}")]
    Open {
        /// The validator.
        public_key: PublicKeyBytes,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What was opened is another validator's key.
    #[error("the key kept for validator {expected} is the key of {actual}")]
    OtherKey {
        /// The validator asked for.
        expected: PublicKeyBytes,
        /// The validator whose key it is.
        actual: PublicKeyBytes,
    },
    /// The deposit names another validator than the one that should sign it.
    #[error("the deposit to be signed by validator {signer} is that of {depositor}")]
    OtherDeposit {
        /// The validator asked to sign.
        signer: PublicKeyBytes,
        /// The validator in the deposit.
        depositor: PublicKeyBytes,
    },
    /// The signature made does not verify.
    #[error("the signature made for validator {0} does not verify")]
    WrongSignature(PublicKeyBytes),
    /// The signing was broken off.
    #[error("signing for validator {public_key} was interrupted")]
    Interrupted {
        /// The validator.
        public_key: PublicKeyBytes,
        /// What broke it off.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SignerError {
    /// Whether asking again, with nothing changed, may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }
}

/// Passes a signature on only if it verifies: for every backend, whatever it was told by whoever holds the key.
///
/// # Errors
/// [`SignerError::WrongSignature`].
pub fn verified(
    signature: SignatureBytes,
    root: &B256,
    public_key: &PublicKeyBytes,
) -> Result<SignatureBytes, SignerError> {
    let valid = PublicKey::try_from(public_key)
        .and_then(|key| Signature::try_from(&signature).map(|signature| signature.verify(root, &key)))
        .unwrap_or(false);
    if valid {
        Ok(signature)
    } else {
        Err(SignerError::WrongSignature(*public_key))
    }
}
