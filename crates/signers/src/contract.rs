//! The suite that every signer backend must pass.

use sw_keys::{SignedRoot, verify};
use sw_spec::{
    Address, B256, DepositMessage, NetworkSpec, PublicKeyBytes, SignatureBytes, VALIDATOR_DEPOSIT,
    WithdrawalCredentials,
};

use crate::{SignerError, ValidatorSigner};

/// A promise of [`ValidatorSigner`] that a backend does not keep.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// The number of keys is not the number it was set up with.
    #[error("it counts {actual} keys instead of {expected}")]
    KeyCount {
        /// What it was set up with.
        expected: usize,
        /// What it says.
        actual: usize,
    },
    /// It denies a key it has.
    #[error("it denies holding {0}")]
    Denies(PublicKeyBytes),
    /// It claims a key it has not.
    #[error("it claims to hold {0}")]
    Claims(PublicKeyBytes),
    /// It does not sign.
    #[error("it does not sign {what} for {public_key}")]
    Refuses {
        /// What was to be signed.
        what: &'static str,
        /// The validator.
        public_key: PublicKeyBytes,
        /// Its reason.
        #[source]
        source: Box<SignerError>,
    },
    /// It returns a signature that does not verify.
    #[error("its signature of {what} for {public_key} does not verify")]
    WrongSignature {
        /// What was signed.
        what: &'static str,
        /// The validator.
        public_key: PublicKeyBytes,
    },
    /// It signs the same thing in two ways: BLS signatures are unique.
    #[error("it signs the same exit in two ways for {0}")]
    NotUnique(PublicKeyBytes),
    /// It signs for a validator whose key it has not.
    #[error("it signs for {0}, whose key it does not hold")]
    SignsForStranger(PublicKeyBytes),
    /// It lets a validator sign the deposit of another.
    #[error("it lets {0} sign the deposit of another validator")]
    SignsOtherDeposit(PublicKeyBytes),
}

/// Holds a backend to what [`ValidatorSigner`] promises.
///
/// The backend was set up with exactly the keys `held`, and `stranger` is none of them.
///
/// # Errors
/// The first promise it breaks.
pub async fn check(
    signer: &dyn ValidatorSigner,
    held: &[PublicKeyBytes],
    stranger: &PublicKeyBytes,
    network: &NetworkSpec,
) -> Result<(), Breach> {
    if signer.key_count() != held.len() {
        return Err(Breach::KeyCount {
            expected: held.len(),
            actual: signer.key_count(),
        });
    }
    if let Some((public_key, source)) = signer.prepare(held).await.pop() {
        return Err(Breach::Refuses {
            what: "anything",
            public_key,
            source: Box::new(source),
        });
    }
    for public_key in held {
        check_held(signer, public_key, stranger, network).await?;
        signer.forget(&[*public_key]);
        check_held(signer, public_key, stranger, network).await?;
    }
    check_stranger(signer, stranger, network).await
}

async fn check_held(
    signer: &dyn ValidatorSigner,
    public_key: &PublicKeyBytes,
    stranger: &PublicKeyBytes,
    network: &NetworkSpec,
) -> Result<(), Breach> {
    let public_key = *public_key;
    if !signer.holds(&public_key) {
        return Err(Breach::Denies(public_key));
    }
    let deposit = deposit_of(&public_key);
    let signature = signer
        .sign_deposit(&public_key, &deposit, network)
        .await
        .map_err(|source| Breach::Refuses {
            what: "a deposit",
            public_key,
            source: Box::new(source),
        })?;
    expect_valid(
        "a deposit",
        &public_key,
        deposit.signing_root(network.genesis_fork_version),
        signature,
    )?;

    let mut exits = Vec::new();
    for validator_index in [0, 123, 123, u64::MAX] {
        let signature = signer
            .sign_exit(&public_key, validator_index, network)
            .await
            .map_err(|source| Breach::Refuses {
                what: "an exit",
                public_key,
                source: Box::new(source),
            })?;
        expect_valid(
            "an exit",
            &public_key,
            network.exit_signing_root(validator_index),
            signature,
        )?;
        exits.push((validator_index, signature));
    }
    let twice = exits
        .iter()
        .filter(|(index, _)| *index == 123)
        .map(|(_, signature)| signature)
        .collect::<Vec<_>>();
    if twice.windows(2).any(|pair| pair.first() != pair.last()) {
        return Err(Breach::NotUnique(public_key));
    }
    match signer.sign_deposit(&public_key, &deposit_of(stranger), network).await {
        Ok(_) => Err(Breach::SignsOtherDeposit(public_key)),
        Err(_) => Ok(()),
    }
}

async fn check_stranger(
    signer: &dyn ValidatorSigner,
    stranger: &PublicKeyBytes,
    network: &NetworkSpec,
) -> Result<(), Breach> {
    if signer.holds(stranger) {
        return Err(Breach::Claims(*stranger));
    }
    let exit = signer.sign_exit(stranger, 1, network).await;
    let deposit = signer.sign_deposit(stranger, &deposit_of(stranger), network).await;
    let unknown = |answer: &Result<SignatureBytes, SignerError>| matches!(answer, Err(SignerError::UnknownKey(key)) if key == stranger);
    if unknown(&exit) && unknown(&deposit) {
        Ok(())
    } else {
        Err(Breach::SignsForStranger(*stranger))
    }
}

fn deposit_of(public_key: &PublicKeyBytes) -> DepositMessage {
    let withdrawal_credentials = WithdrawalCredentials::execution(Address::repeat_byte(0x33));
    DepositMessage {
        public_key: *public_key,
        withdrawal_credentials,
        amount: VALIDATOR_DEPOSIT,
    }
}

fn expect_valid(
    what: &'static str,
    public_key: &PublicKeyBytes,
    root: B256,
    signature: SignatureBytes,
) -> Result<(), Breach> {
    let signed = SignedRoot {
        public_key: *public_key,
        root,
        signature,
    };
    if verify(&signed) {
        Ok(())
    } else {
        Err(Breach::WrongSignature {
            what,
            public_key: *public_key,
        })
    }
}
