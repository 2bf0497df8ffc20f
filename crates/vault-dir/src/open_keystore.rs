//! Opening one keystore, and why it does not open.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;
use sw_keys::{DerivedKey, KdfError, Keystore, KeystoreError, SecretKey};
use sw_spec::PublicKeyBytes;

use crate::{LikelyCause, ReadSecretError, keystore_files::is_keystore_name, keystore_password::Password};

/// A keystore could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenKeystoreError {
    /// No keystore states this public key.
    #[error("there is no keystore of {public_key} in `{dir}`")]
    Unknown {
        /// The key asked for.
        public_key: PublicKeyBytes,
        /// The directory of keystores.
        dir: PathBuf,
    },
    /// The file cannot be read.
    #[error("keystore `{keystore}` cannot be read")]
    Unreadable {
        /// The keystore.
        keystore: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not a keystore, or not one that can be opened with any password.
    #[error("keystore `{keystore}` cannot be used")]
    Unusable {
        /// The keystore.
        keystore: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<KeystoreError>,
    },
    /// The file holds the keys of a whole wallet, as Prysm's `all-accounts.keystore.json` does.
    #[error("`{keystore}` holds several keys in one file: export each into a keystore of its own")]
    SeveralKeys {
        /// The file.
        keystore: PathBuf,
    },
    /// Another file holds the same key: they are of two runs that did not know of each other, or one is a copy.
    #[error("`{first}` and `{keystore}` are both keystores of {public_key}: keep one of them")]
    Duplicate {
        /// The key.
        public_key: PublicKeyBytes,
        /// The file that comes first.
        first: PathBuf,
        /// The other.
        keystore: PathBuf,
    },
    /// Neither a password of its own nor a shared one.
    #[error("there is no password for keystore `{keystore}`: looked for {}", Files(looked_at))]
    NoPassword {
        /// The keystore.
        keystore: PathBuf,
        /// The files that do not exist, in the order in which they were looked for.
        looked_at: Vec<PathBuf>,
    },
    /// The password file cannot be used.
    #[error("the password of keystore `{keystore}` cannot be read")]
    Password {
        /// The keystore.
        keystore: PathBuf,
        /// What is wrong with the password file.
        #[source]
        source: ReadSecretError,
    },
    /// The password does not open the keystore.
    #[error(
        "wrong password: the one in `{password_file}` does not open keystore `{keystore}`{}",
        Causes(likely_causes)
    )]
    WrongPassword {
        /// The keystore.
        keystore: PathBuf,
        /// Where the password was read.
        password_file: PathBuf,
        /// What is odd about the password's file, the likeliest cause first.
        likely_causes: Vec<LikelyCause>,
    },
    /// The file has been exchanged since the index was made.
    #[error("keystore `{keystore}` holds the key {found}, not {expected} as when it was listed")]
    Exchanged {
        /// The keystore.
        keystore: PathBuf,
        /// The key asked for.
        expected: PublicKeyBytes,
        /// The key in the file.
        found: PublicKeyBytes,
    },
}

impl OpenKeystoreError {
    /// The kind of fault in a word or two for programs, stable over versions.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknown-key",
            Self::Unreadable { .. } => "unreadable",
            Self::Unusable { source, .. } => match **source {
                KeystoreError::OtherPublicKey { .. } => "other-public-key",
                KeystoreError::NotASecretKey(_) => "not-a-secret-key",
                KeystoreError::Kdf(_) => "refused-key-derivation",
                _ => "not-a-keystore",
            },
            Self::SeveralKeys { .. } => "several-keys",
            Self::Duplicate { .. } => "duplicate",
            Self::NoPassword { .. } => "no-password",
            Self::Password { .. } => "unusable-password-file",
            Self::WrongPassword { .. } if self.is_damage() => "damaged",
            Self::WrongPassword { .. } => "wrong-password",
            Self::Exchanged { .. } => "exchanged",
        }
    }

    /// Whether another password could cure it.
    pub fn is_about_the_password(&self) -> bool {
        match self {
            Self::NoPassword { .. } | Self::Password { .. } => true,
            Self::WrongPassword { .. } => !self.is_damage(),
            _ => false,
        }
    }

    fn is_damage(&self) -> bool {
        matches!(self, Self::WrongPassword { likely_causes, .. } if likely_causes.contains(&LikelyCause::Damaged))
    }
}

struct Causes<'a>(&'a [LikelyCause]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|cause| write!(f, "; {cause}"))
    }
}

struct Files<'a>(&'a [PathBuf]);

impl fmt::Display for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, file) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}`{}`", file.display())?;
        }
        Ok(())
    }
}

/// Reads a keystore file, which is never larger than 64 KiB.
pub(crate) fn read_keystore(path: &Path) -> Result<Keystore, OpenKeystoreError> {
    parse(path, &read(path)?)
}

/// Reads a file if it is a keystore: one that is named like it must be.
pub(crate) fn read_if_keystore(path: &Path) -> Result<Option<Keystore>, OpenKeystoreError> {
    keystore_of(path, &read(path)?)
}

pub(crate) fn keystore_of(path: &Path, bytes: &[u8]) -> Result<Option<Keystore>, OpenKeystoreError> {
    let named = path
        .file_name()
        .is_some_and(|name| is_keystore_name(&name.to_string_lossy()));
    match parse(path, bytes) {
        Err(OpenKeystoreError::Unusable { .. }) if !named && !looks_like_one(bytes) => Ok(None),
        parsed => parsed.map(Some),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, OpenKeystoreError> {
    let mut bytes = Vec::with_capacity(2_048);
    let limit = Keystore::MAX_FILE_BYTES as u64 + 1;
    // A pipe would be waited for.
    let read = fs::metadata(path).and_then(|file| {
        if !file.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        File::open(path)?.take(limit).read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => Ok(bytes),
        Err(source) => Err(OpenKeystoreError::Unreadable {
            keystore: path.to_owned(),
            source,
        }),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Keystore, OpenKeystoreError> {
    let keystore = || path.to_owned();
    Keystore::parse(bytes).map_err(|source| {
        if matches!(source, KeystoreError::Hex { member, .. } if member.starts_with("cipher.message"))
            && message_bytes(bytes).is_some_and(|length| length > 32)
        {
            return OpenKeystoreError::SeveralKeys { keystore: keystore() };
        }
        OpenKeystoreError::Unusable {
            keystore: keystore(),
            source: Box::new(source),
        }
    })
}

/// Whether JSON has the three modules of EIP-2335, usable or not. A Web3 Secret Storage wallet has no checksum.
fn looks_like_one(json: &[u8]) -> bool {
    let json: Option<Value> = serde_json::from_slice(json).ok();
    let crypto = json.as_ref().and_then(|json| json.get("crypto"));
    crypto.is_some_and(|crypto| {
        ["kdf", "checksum", "cipher"]
            .iter()
            .all(|module| crypto.get(module).is_some())
    })
}

fn message_bytes(json: &[u8]) -> Option<usize> {
    let json: Value = serde_json::from_slice(json).ok()?;
    Some(json.pointer("/crypto/cipher/message")?.as_str()?.len() / 2)
}

/// Decrypts a keystore with what was derived from its password.
pub(crate) fn decrypt(
    path: &Path,
    keystore: &Keystore,
    password: &Password,
    derived: Result<&DerivedKey, KdfError>,
) -> Result<SecretKey, OpenKeystoreError> {
    let secret = derived
        .map_err(KeystoreError::Kdf)
        .and_then(|derived| keystore.decrypt_with(derived));
    secret.map_err(|source| match source {
        KeystoreError::WrongPassword => OpenKeystoreError::WrongPassword {
            keystore: path.to_owned(),
            password_file: password.file.clone(),
            likely_causes: password.odd.clone(),
        },
        source => OpenKeystoreError::Unusable {
            keystore: path.to_owned(),
            source: Box::new(source),
        },
    })
}
