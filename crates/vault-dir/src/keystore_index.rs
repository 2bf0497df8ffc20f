//! Which keystore holds which key, without opening them.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt, fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use sw_keys::{KdfParams, SecretKey};
use sw_spec::PublicKeyBytes;

use crate::{
    OpenKeystoreError, PasswordSource,
    derivations::Derivations,
    open_keystore::{Salt, decrypt, read_keystore},
};

/// A directory of keystores could not be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The directory is missing, or must not be read.
    #[error("the keystores in `{dir}` cannot be listed")]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Files that look like keystores and cannot be used. All of them are named, and none is passed over.
    #[error("{} of {total} keystores in `{dir}` cannot be used: {}", faults.len(), Listed(faults))]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// How many keystores there are.
        total: usize,
        /// The ones at fault.
        faults: Vec<KeystoreFault>,
    },
    /// Two files hold the same key: they are of two runs that did not know of each other, or one is a copy.
    #[error("`{first}` and `{second}` are both keystores of {public_key}: keep one of them")]
    Duplicate {
        /// The key.
        public_key: PublicKeyBytes,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// A keystore that cannot be used.
#[derive(Debug)]
pub struct KeystoreFault {
    /// The file.
    pub keystore: PathBuf,
    /// What is wrong with it.
    pub cause: OpenKeystoreError,
}

impl fmt::Display for KeystoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        let mut cause = self.cause.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The keystores of a directory by the public keys they state.
///
/// Nothing is decrypted to list them. A keystore is opened when its key is needed, and its own statement is checked then.
pub struct KeystoreIndex {
    dir: PathBuf,
    passwords: PasswordSource,
    keystores: BTreeMap<PublicKeyBytes, Listing>,
    derivations: Derivations,
}

struct Listing {
    path: PathBuf,
    salt: Salt,
}

impl KeystoreIndex {
    /// Lists the files `keystore*.json` of a directory.
    ///
    /// A keystore that states no public key is opened now, to learn it.
    ///
    /// # Errors
    ///
    /// All files that cannot be used are named, and none is passed over: the keys of a validator that is silently not
    /// there are missed when it is too late.
    pub fn scan(dir: &Path, passwords: PasswordSource) -> Result<Self, IndexError> {
        Self::scan_with(dir, passwords, Derivations::default())
    }

    /// Like [`KeystoreIndex::scan`], with another limit than two key derivations at a time. Each takes about 256 MiB.
    pub fn scan_with_limit(dir: &Path, passwords: PasswordSource, limit: NonZeroUsize) -> Result<Self, IndexError> {
        Self::scan_with(dir, passwords, Derivations::with_limit(limit))
    }

    fn scan_with(dir: &Path, passwords: PasswordSource, derivations: Derivations) -> Result<Self, IndexError> {
        let paths = keystore_files(dir).map_err(|source| IndexError::Directory {
            dir: dir.to_owned(),
            source,
        })?;
        let total = paths.len();
        let mut seen: HashMap<KdfParams, usize> = HashMap::new();
        let (mut found, mut faults) = (Vec::with_capacity(total), Vec::new());
        for path in paths {
            let learned = read_keystore(&path).and_then(|keystore| {
                *seen.entry(keystore.kdf().clone()).or_default() += 1;
                let public_key = match keystore.public_key() {
                    Some(stated) => stated,
                    None => decrypt(&path, &keystore, &passwords, &derivations, Salt::Shared)?
                        .public_key()
                        .to_bytes(),
                };
                Ok((public_key, keystore.kdf().clone()))
            });
            match learned {
                Ok((public_key, kdf)) => found.push((public_key, kdf, path)),
                Err(cause) => faults.push(KeystoreFault { keystore: path, cause }),
            }
        }
        if !faults.is_empty() {
            return Err(IndexError::Unusable {
                dir: dir.to_owned(),
                total,
                faults,
            });
        }
        let mut keystores: BTreeMap<PublicKeyBytes, Listing> = BTreeMap::new();
        for (public_key, kdf, path) in found {
            let salt = if seen.get(&kdf).is_some_and(|count| *count > 1) {
                Salt::Shared
            } else {
                Salt::Own
            };
            if let Some(first) = keystores.get(&public_key) {
                return Err(IndexError::Duplicate {
                    public_key,
                    first: first.path.clone(),
                    second: path,
                });
            }
            keystores.insert(public_key, Listing { path, salt });
        }
        Ok(Self {
            dir: dir.to_owned(),
            passwords,
            keystores,
            derivations,
        })
    }

    /// The number of keystores.
    pub fn len(&self) -> usize {
        self.keystores.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keystores.is_empty()
    }

    /// Whether a keystore states this public key.
    pub fn contains(&self, public_key: &PublicKeyBytes) -> bool {
        self.keystores.contains_key(public_key)
    }

    /// The public keys stated, in ascending order.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKeyBytes> {
        self.keystores.keys()
    }

    /// The file of a key.
    pub fn path(&self, public_key: &PublicKeyBytes) -> Option<&Path> {
        self.keystores.get(public_key).map(|listing| listing.path.as_path())
    }

    /// Opens the keystore of a key. This takes most of a second and 256 MiB for the first of a directory that shares a
    /// password and a salt, and next to nothing for the others.
    pub fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, OpenKeystoreError> {
        let Some(Listing { path, salt }) = self.keystores.get(public_key) else {
            return Err(OpenKeystoreError::Unknown {
                public_key: *public_key,
                dir: self.dir.clone(),
            });
        };
        let keystore = read_keystore(path)?;
        let secret = decrypt(path, &keystore, &self.passwords, &self.derivations, *salt)?;
        let found = secret.public_key().to_bytes();
        if found != *public_key {
            return Err(OpenKeystoreError::Exchanged {
                keystore: path.clone(),
                expected: *public_key,
                found,
            });
        }
        Ok(secret)
    }
}

impl fmt::Debug for KeystoreIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeystoreIndex({} keystores in `{}`)", self.len(), self.dir.display())
    }
}

/// The keystore files of a directory, by name. A link to a file counts: container volumes are made of them.
pub(crate) fn keystore_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if is_keystore_name(&entry.file_name().to_string_lossy()) && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

pub(crate) fn is_keystore_name(name: &str) -> bool {
    name.starts_with("keystore") && name.ends_with(".json")
}

struct Listed<'a>(&'a [KeystoreFault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().take(MAX_LISTED).enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        match self.0.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

const MAX_LISTED: usize = 10;
