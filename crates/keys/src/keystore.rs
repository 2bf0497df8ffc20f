//! Encrypted validator keys in files: EIP-2335, version 4.

use rand_core::CryptoRng;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use sw_spec::{ParseBytesError, PublicKeyBytes};
use uuid::Uuid;

use crate::{
    DerivedKey, InvalidSecretKey, KdfError, KdfJsonError, KdfParams, KeyPath, SecretKey, cipher::StretchedKey,
};

/// An encrypted BLS secret key.
///
/// Source: EIP-2335. The cipher is AES-128-CTR and the checksum SHA-256, the only ones the EIP defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keystore {
    pub(crate) kdf: KdfParams,
    pub(crate) checksum: [u8; 32],
    pub(crate) iv: [u8; 16],
    pub(crate) ciphertext: [u8; 32],
    pub(crate) description: String,
    pub(crate) public_key: Option<PublicKeyBytes>,
    pub(crate) path: String,
    pub(crate) uuid: String,
}

/// Why a keystore cannot be read or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// The file is far larger than any keystore.
    #[error("a keystore of {0} bytes is refused; at most 65536 are read")]
    TooLarge(usize),
    /// The bytes are not JSON with a keystore's members.
    #[error("the file is not an EIP-2335 keystore")]
    Malformed(#[source] serde_json::Error),
    /// A version other than 4.
    #[error("the keystore has version {0}; only version 4 is known")]
    Version(u64),
    /// A cipher or checksum that the EIP does not define.
    #[error("the {role} `{function}` is not known")]
    UnknownFunction {
        /// `cipher` or `checksum`.
        role: &'static str,
        /// What the file names.
        function: String,
    },
    /// A member that is not hexadecimal text of the right length.
    #[error("`{member}` is not the hexadecimal text of {expected} bytes")]
    Hex {
        /// Which one.
        member: &'static str,
        /// How many bytes it must have.
        expected: usize,
    },
    /// `pubkey` is not a public key.
    #[error("`pubkey` is not a public key")]
    PublicKey(#[source] ParseBytesError),
    /// The members of the key derivation.
    #[error("the key derivation is not known")]
    KdfMembers(#[source] KdfJsonError),
    /// Parameters of the key derivation that would cost too much, or cannot work.
    #[error("the key derivation is refused")]
    Kdf(#[source] KdfError),
    /// The checksum does not match: another password, or a damaged ciphertext.
    #[error("wrong password")]
    WrongPassword,
    /// The derived key handed in was derived with other parameters than this keystore's.
    #[error("the derived key belongs to keystores with other parameters")]
    OtherKdf,
    /// The password is right, and what it decrypts is no BLS key.
    #[error("the keystore does not hold a BLS secret key")]
    NotASecretKey(#[source] InvalidSecretKey),
    /// The keystore says it holds the key of another validator than it does.
    #[error("the keystore states public key {stated} and holds the secret of {held}")]
    OtherPublicKey {
        /// The `pubkey` member.
        stated: PublicKeyBytes,
        /// The public key of the secret.
        held: PublicKeyBytes,
    },
}

impl Keystore {
    /// Encrypts a key with a key derived once for a batch. Initialisation vector and identifier are fresh.
    pub fn encrypt_with(
        derived: &DerivedKey,
        secret: &SecretKey,
        path: &KeyPath,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Self {
        // With one derived key for many files, a repeated vector would give away the difference of two secrets.
        let mut iv = [0; 16];
        rng.fill_bytes(&mut iv);
        let ciphertext = *derived.stretched().apply(&iv, &secret.expose_bytes());
        Self {
            kdf: derived.params().clone(),
            checksum: checksum(derived.stretched(), &ciphertext),
            iv,
            ciphertext,
            description: String::new(),
            public_key: Some(secret.public_key().to_bytes()),
            path: path.to_string(),
            uuid: random_uuid(rng).to_string(),
        }
    }

    /// Encrypts a single key with scrypt at the usual cost: most of a second and 256 MiB.
    ///
    /// # Errors
    /// None for the parameters it draws itself; the type is that of [`KdfParams::derive`].
    pub fn encrypt(
        secret: &SecretKey,
        password: &SecretString,
        path: &KeyPath,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, KdfError> {
        let derived = KdfParams::scrypt(rng).derive(password)?;
        Ok(Self::encrypt_with(&derived, secret, path, rng))
    }

    /// Decrypts the key, paying for a key derivation.
    ///
    /// # Errors
    /// When the password is wrong, the derivation is refused, or the secret is not that of the stated public key.
    pub fn decrypt(&self, password: &SecretString) -> Result<SecretKey, KeystoreError> {
        self.decrypt_with(&self.kdf.derive(password).map_err(KeystoreError::Kdf)?)
    }

    /// Decrypts the key with a derivation made before for [`Keystore::kdf`].
    ///
    /// # Errors
    /// As [`Keystore::decrypt`], and when the derived key belongs to other parameters.
    pub fn decrypt_with(&self, derived: &DerivedKey) -> Result<SecretKey, KeystoreError> {
        if *derived.params() != self.kdf {
            return Err(KeystoreError::OtherKdf);
        }
        let expected = checksum(derived.stretched(), &self.ciphertext);
        if !bool::from(expected.ct_eq(&self.checksum)) {
            return Err(KeystoreError::WrongPassword);
        }
        let bytes = derived.stretched().apply(&self.iv, &self.ciphertext);
        let secret = SecretKey::from_bytes(&bytes).map_err(KeystoreError::NotASecretKey)?;
        let held = secret.public_key().to_bytes();
        match self.public_key {
            Some(stated) if stated != held => Err(KeystoreError::OtherPublicKey { stated, held }),
            _ => Ok(secret),
        }
    }

    /// The public key the file states, not checked against the secret until the keystore is opened.
    pub fn public_key(&self) -> Option<PublicKeyBytes> {
        self.public_key
    }

    /// The path the file states, as text: other tools put other things there.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file's identifier.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// How the password is stretched.
    pub fn kdf(&self) -> &KdfParams {
        &self.kdf
    }

    /// The initialisation vector. Two keystores of one password and [`Keystore::kdf`] must not share it.
    pub fn iv(&self) -> &[u8; 16] {
        &self.iv
    }
}

fn checksum(key: &StretchedKey, ciphertext: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(key.check_key())
        .chain_update(ciphertext)
        .finalize()
        .into()
}

/// A random identifier (RFC 9562, version 4).
pub(crate) fn random_uuid(rng: &mut (impl CryptoRng + ?Sized)) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
