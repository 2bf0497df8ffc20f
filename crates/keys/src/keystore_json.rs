//! How a keystore is written and read: the JSON of EIP-2335, in the original's order and spacing.

use serde::Deserialize;
use sw_spec::PublicKeyBytes;

use crate::{
    Keystore, KeystoreError,
    kdf_json::{KdfParamsJson, function_name, params_json, shown, without_content},
};

#[derive(Deserialize)]
struct KeystoreJson {
    crypto: CryptoJson,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    pubkey: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    uuid: Option<String>,
    version: u64,
}

#[derive(Deserialize)]
struct CryptoJson {
    kdf: ModuleJson<KdfParamsJson>,
    checksum: ModuleJson<serde::de::IgnoredAny>,
    cipher: ModuleJson<CipherParamsJson>,
}

#[derive(Deserialize)]
struct ModuleJson<P> {
    function: String,
    params: P,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct CipherParamsJson {
    iv: String,
}

impl Keystore {
    /// The most bytes [`Keystore::parse`] looks at; a keystore has about a thousand.
    pub const MAX_FILE_BYTES: usize = 1 << 16;

    /// Reads a keystore of any tool that follows EIP-2335. Members the EIP does not know are ignored, and of those it
    /// does, `pubkey`, `path`, `description` and `uuid` may be missing.
    ///
    /// # Errors
    /// When the file is no keystore, or asks for a key derivation that is refused.
    pub fn parse(json: &[u8]) -> Result<Self, KeystoreError> {
        if json.len() > Self::MAX_FILE_BYTES {
            return Err(KeystoreError::TooLarge(json.len()));
        }
        let KeystoreJson {
            crypto,
            description,
            pubkey,
            path,
            uuid,
            version,
        } = serde_json::from_slice(json).map_err(|error| KeystoreError::Malformed(without_content(error)))?;
        if version != VERSION {
            return Err(KeystoreError::Version(version));
        }
        known("checksum", &crypto.checksum.function, "sha256")?;
        known("cipher", &crypto.cipher.function, "aes-128-ctr")?;
        let kdf = crypto
            .kdf
            .params
            .into_params(&crypto.kdf.function)
            .map_err(KeystoreError::KdfMembers)?;
        kdf.check().map_err(KeystoreError::Kdf)?;
        let public_key = match pubkey.as_deref() {
            None | Some("") => None,
            Some(text) => Some(text.parse::<PublicKeyBytes>().map_err(KeystoreError::PublicKey)?),
        };
        Ok(Self {
            kdf,
            checksum: bytes("checksum.message", &crypto.checksum.message)?,
            iv: bytes("cipher.params.iv", &crypto.cipher.params.iv)?,
            ciphertext: bytes("cipher.message", &crypto.cipher.message)?,
            description: description.unwrap_or_default(),
            public_key,
            path: path.unwrap_or_default(),
            uuid: uuid.unwrap_or_default(),
        })
    }

    /// Writes the keystore as the original does: one line, a space after each colon and comma.
    pub fn to_json(&self) -> String {
        let public_key = self
            .public_key
            .map(|key| format!(r#""pubkey": "{}", "#, key.to_bare_hex()))
            .unwrap_or_default();
        format!(
            concat!(
                r#"{{"crypto": {{"kdf": {{"function": "{}", "params": {}, "message": ""}}, "#,
                r#""checksum": {{"function": "sha256", "params": {{}}, "message": "{}"}}, "#,
                r#""cipher": {{"function": "aes-128-ctr", "params": {{"iv": "{}"}}, "message": "{}"}}}}, "#,
                r#""description": {}, {}"path": {}, "uuid": {}, "version": {}}}"#,
            ),
            function_name(&self.kdf),
            params_json(&self.kdf),
            hex::encode(self.checksum),
            hex::encode(self.iv),
            hex::encode(self.ciphertext),
            quoted(&self.description),
            public_key,
            quoted(&self.path),
            quoted(&self.uuid),
            VERSION,
        )
    }
}

fn known(role: &'static str, function: &str, expected: &str) -> Result<(), KeystoreError> {
    if function == expected {
        return Ok(());
    }
    Err(KeystoreError::UnknownFunction {
        role,
        function: shown(function),
    })
}

fn bytes<const N: usize>(member: &'static str, text: &str) -> Result<[u8; N], KeystoreError> {
    hex::decode_to_array(text).map_err(|_| KeystoreError::Hex { member, expected: N })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

const VERSION: u64 = 4;
