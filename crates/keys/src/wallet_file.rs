//! The hot wallet in a file: Web3 Secret Storage, version 3.

use alloy_primitives::{Address, Keccak256};
use rand_core::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::{
    InvalidWalletKey, KdfError, KdfJsonError, KdfParams, WalletKey,
    cipher::StretchedKey,
    kdf_json::{KdfParamsJson, function_name, params_json, shown, without_content},
    keystore::random_uuid,
};

/// An encrypted wallet key.
///
/// Source: ethereum.org, "Web3 Secret Storage Definition". The password is taken as it is, without normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletFile {
    address: Option<Address>,
    kdf: KdfParams,
    iv: [u8; 16],
    ciphertext: [u8; 32],
    mac: [u8; 32],
    id: String,
}

/// Why a wallet file cannot be read or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletFileError {
    /// The file is far larger than any wallet.
    #[error("a wallet file of {0} bytes is refused; at most 65536 are read")]
    TooLarge(usize),
    /// The bytes are not JSON with a wallet's members.
    #[error("the file is not a Web3 Secret Storage wallet")]
    Malformed(#[source] serde_json::Error),
    /// A version other than 3.
    #[error("the wallet file has version {0}; only version 3 is known")]
    Version(u64),
    /// A cipher other than AES-128-CTR.
    #[error("the cipher `{0}` is not known")]
    UnknownCipher(String),
    /// A member that is not hexadecimal text of the right length.
    #[error("`{member}` is not the hexadecimal text of {expected} bytes")]
    Hex {
        /// Which one.
        member: &'static str,
        /// How many bytes it must have.
        expected: usize,
    },
    /// The members of the key derivation.
    #[error("the key derivation is not known")]
    KdfMembers(#[source] KdfJsonError),
    /// Parameters of the key derivation that would cost too much, or cannot work.
    #[error("the key derivation is refused")]
    Kdf(#[source] KdfError),
    /// The authentication code does not match: another password, or a damaged ciphertext.
    #[error("wrong password")]
    WrongPassword,
    /// The password is right, and what it decrypts is no wallet key.
    #[error("the file does not hold a wallet key")]
    NotAWalletKey(#[source] InvalidWalletKey),
    /// The file says it holds the key of another address than it does.
    #[error("the wallet file states address {stated} and holds the key of {held}")]
    OtherAddress {
        /// The `address` member.
        stated: Address,
        /// The address of the key.
        held: Address,
    },
}

#[derive(Deserialize)]
struct WalletJson {
    #[serde(default)]
    address: Option<String>,
    // Early files of geth and of the pre-sale write it with a capital.
    #[serde(alias = "Crypto")]
    crypto: CryptoJson,
    #[serde(default)]
    id: Option<String>,
    version: u64,
}

#[derive(Deserialize)]
struct CryptoJson {
    cipher: String,
    cipherparams: CipherParamsJson,
    ciphertext: String,
    kdf: String,
    kdfparams: KdfParamsJson,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParamsJson {
    iv: String,
}

impl WalletFile {
    /// The most bytes [`WalletFile::parse`] looks at; a wallet has about five hundred.
    pub const MAX_FILE_BYTES: usize = 1 << 16;

    /// Encrypts a key with scrypt (n = 2^18, r = 8, p = 1), which every wallet opens.
    ///
    /// # Errors
    /// None for the parameters it draws itself; the type is that of the derivation.
    pub fn encrypt(
        key: &WalletKey,
        password: &SecretString,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, KdfError> {
        let kdf = KdfParams::scrypt(rng);
        let stretched = kdf.stretch(password.expose_secret().as_bytes())?;
        let mut iv = [0; 16];
        rng.fill_bytes(&mut iv);
        let ciphertext = *stretched.apply(&iv, &key.expose_bytes());
        Ok(Self {
            address: Some(key.address()),
            kdf,
            iv,
            ciphertext,
            mac: mac(&stretched, &ciphertext),
            id: random_uuid(rng).to_string(),
        })
    }

    /// Reads a wallet file of any tool that follows the definition, the original's with r = 1 and p = 8 included.
    ///
    /// # Errors
    /// When the file is no wallet, or asks for a key derivation that is refused.
    pub fn parse(json: &[u8]) -> Result<Self, WalletFileError> {
        if json.len() > Self::MAX_FILE_BYTES {
            return Err(WalletFileError::TooLarge(json.len()));
        }
        let WalletJson {
            address,
            crypto,
            id,
            version,
        } = serde_json::from_slice(json).map_err(|error| WalletFileError::Malformed(without_content(error)))?;
        if version != VERSION {
            return Err(WalletFileError::Version(version));
        }
        if crypto.cipher != CIPHER {
            return Err(WalletFileError::UnknownCipher(shown(&crypto.cipher)));
        }
        let kdf = crypto
            .kdfparams
            .into_params(&crypto.kdf)
            .map_err(WalletFileError::KdfMembers)?;
        kdf.check().map_err(WalletFileError::Kdf)?;
        let address = match address.as_deref() {
            None | Some("") => None,
            Some(text) => Some(Address::from(bytes::<20>("address", text)?)),
        };
        Ok(Self {
            address,
            kdf,
            iv: bytes("crypto.cipherparams.iv", &crypto.cipherparams.iv)?,
            ciphertext: bytes("crypto.ciphertext", &crypto.ciphertext)?,
            mac: bytes("crypto.mac", &crypto.mac)?,
            id: id.unwrap_or_default(),
        })
    }

    /// Writes the file as the original does: one line, a space after each colon and comma.
    pub fn to_json(&self) -> String {
        let address = self
            .address
            .map(|address| format!(r#""address": "{}", "#, hex::encode(address)))
            .unwrap_or_default();
        format!(
            concat!(
                r#"{{{}"crypto": {{"cipher": "{}", "cipherparams": {{"iv": "{}"}}, "ciphertext": "{}", "#,
                r#""kdf": "{}", "kdfparams": {}, "mac": "{}"}}, "id": {}, "version": {}}}"#,
            ),
            address,
            CIPHER,
            hex::encode(self.iv),
            hex::encode(self.ciphertext),
            function_name(&self.kdf),
            params_json(&self.kdf),
            hex::encode(self.mac),
            serde_json::Value::from(self.id.as_str()),
            VERSION,
        )
    }

    /// The address the file states, not checked against the key until the file is opened.
    pub fn address(&self) -> Option<Address> {
        self.address
    }

    /// Decrypts the key, paying for a key derivation.
    ///
    /// # Errors
    /// When the password is wrong, the derivation is refused, or the key is not that of the stated address.
    pub fn decrypt(&self, password: &SecretString) -> Result<WalletKey, WalletFileError> {
        let stretched = self
            .kdf
            .stretch(password.expose_secret().as_bytes())
            .map_err(WalletFileError::Kdf)?;
        if !bool::from(mac(&stretched, &self.ciphertext).ct_eq(&self.mac)) {
            return Err(WalletFileError::WrongPassword);
        }
        let bytes = stretched.apply(&self.iv, &self.ciphertext);
        let key = WalletKey::from_bytes(&bytes).map_err(WalletFileError::NotAWalletKey)?;
        match (self.address, key.address()) {
            (Some(stated), held) if stated != held => Err(WalletFileError::OtherAddress { stated, held }),
            _ => Ok(key),
        }
    }
}

fn mac(key: &StretchedKey, ciphertext: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update(key.check_key());
    hasher.update(ciphertext);
    hasher.finalize().0
}

fn bytes<const N: usize>(member: &'static str, text: &str) -> Result<[u8; N], WalletFileError> {
    hex::decode_to_array(text).map_err(|_| WalletFileError::Hex { member, expected: N })
}

const VERSION: u64 = 3;
const CIPHER: &str = "aes-128-ctr";
