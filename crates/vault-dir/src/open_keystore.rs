//! Opening one keystore: which password, and why it is the wrong one.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sw_keys::{Keystore, KeystoreError, SecretKey, SecretString};
use sw_spec::PublicKeyBytes;

use crate::{ReadSecretError, derivations::Derivations, secret_file::read_password};

/// Where the passwords of keystores are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordSource {
    /// The password of every keystore without one of its own.
    pub shared: Option<PathBuf>,
    /// Where `<name of the keystore without .json>.txt` is looked for first.
    pub dir: PathBuf,
}

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
    /// Neither a password of its own nor a shared one.
    #[error(
        "there is no password for keystore `{keystore}`: `{own}` does not exist, and there is no shared password file"
    )]
    NoPassword {
        /// The keystore.
        keystore: PathBuf,
        /// The file its own password would be in.
        own: PathBuf,
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

/// What may have made a password wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LikelyCause {
    /// The file starts with the mark that some editors add, which counts as part of the password.
    ByteOrderMark,
    /// The file has more than one line; the line breaks are dropped, the rest is one password.
    SeveralLines,
    /// Spaces around the password were removed, as the original removes them.
    SpacesRemoved,
    /// The keystore has no password file of its own, so the shared one was used.
    NoFileOfItsOwn(PathBuf),
}

impl fmt::Display for LikelyCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => f.write_str("the file starts with a byte order mark, which counts as a character"),
            Self::SeveralLines => f.write_str("the file has several lines, which are taken together"),
            Self::SpacesRemoved => f.write_str("spaces at the ends of the password are not read"),
            Self::NoFileOfItsOwn(path) => write!(
                f,
                "`{}` does not exist, so the shared password was used",
                path.display()
            ),
        }
    }
}

struct Causes<'a>(&'a [LikelyCause]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|cause| write!(f, "; {cause}"))
    }
}

/// Reads a keystore file, which is never larger than 64 KiB.
pub(crate) fn read_keystore(path: &Path) -> Result<Keystore, OpenKeystoreError> {
    let mut bytes = Vec::with_capacity(2_048);
    let limit = Keystore::MAX_FILE_BYTES as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| OpenKeystoreError::Unreadable {
            keystore: path.to_owned(),
            source,
        })?;
    Keystore::parse(&bytes).map_err(|source| OpenKeystoreError::Unusable {
        keystore: path.to_owned(),
        source: Box::new(source),
    })
}

/// How often the parameters of a keystore's derivation occur among its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Salt {
    Own,
    Shared,
}

/// Finds the password of a keystore and decrypts it.
pub(crate) fn decrypt(
    path: &Path,
    keystore: &Keystore,
    passwords: &PasswordSource,
    derivations: &Derivations,
    salt: Salt,
) -> Result<SecretKey, OpenKeystoreError> {
    let (password, password_file, likely_causes) = password(path, passwords)?;
    let secret = match salt {
        Salt::Own => derivations
            .derive_once(keystore.kdf(), &password)
            .map_err(KeystoreError::Kdf)
            .and_then(|key| keystore.decrypt_with(&key)),
        Salt::Shared => derivations
            .derive_shared(keystore.kdf(), &password)
            .map_err(KeystoreError::Kdf)
            .and_then(|key| keystore.decrypt_with(&key)),
    };
    let keystore = || path.to_owned();
    secret.map_err(|source| match source {
        KeystoreError::WrongPassword => OpenKeystoreError::WrongPassword {
            keystore: keystore(),
            password_file,
            likely_causes,
        },
        source => OpenKeystoreError::Unusable {
            keystore: keystore(),
            source: Box::new(source),
        },
    })
}

fn password(
    keystore: &Path,
    passwords: &PasswordSource,
) -> Result<(SecretString, PathBuf, Vec<LikelyCause>), OpenKeystoreError> {
    let failed = |source| OpenKeystoreError::Password {
        keystore: keystore.to_owned(),
        source,
    };
    let name = keystore.with_extension("txt");
    let own = passwords.dir.join(name.file_name().unwrap_or_default());
    match read_password(&own) {
        Ok((password, odd)) => return Ok((password, own, odd)),
        Err(ReadSecretError::Missing { .. }) => {}
        Err(error) => return Err(failed(error)),
    }
    let Some(shared) = passwords.shared.clone() else {
        return Err(OpenKeystoreError::NoPassword {
            keystore: keystore.to_owned(),
            own,
        });
    };
    let (password, mut odd) = read_password(&shared).map_err(failed)?;
    odd.push(LikelyCause::NoFileOfItsOwn(own));
    Ok((password, shared, odd))
}
