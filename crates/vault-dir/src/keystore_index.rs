//! Which keystore holds which key, without opening them.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use sw_keys::{KdfParams, Keystore, SecretKey};
use sw_spec::PublicKeyBytes;

use crate::{
    OpenKeystoreError, Opening, PasswordSource,
    derivations::{Derivations, same},
    keystore_files::json_files,
    open_keystore::read_if_keystore,
    open_many::{Closed, open_each},
    shared_iv::overlapping,
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
    /// No tool nests keystores so deep: it is the wrong directory.
    #[error("`{dir}` is too deep: keystores are looked for in sub-directories down to the eighth")]
    TooDeep {
        /// The first directory that is too deep.
        dir: PathBuf,
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

/// What a keystore states of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKeystore {
    /// The file.
    pub file: PathBuf,
    /// Its public key, if it states one.
    pub public_key: Option<PublicKeyBytes>,
    /// Its path, as text: other tools put other things there, or nothing.
    pub path: String,
}

/// The keystores of a directory by the public keys they state.
///
/// Nothing is decrypted to list them. A keystore is opened when its key is needed, and its own statement is checked then.
pub struct KeystoreIndex {
    pub(crate) dir: PathBuf,
    pub(crate) passwords: PasswordSource,
    keystores: BTreeMap<PublicKeyBytes, Listing>,
    pub(crate) derivations: Derivations,
    /// Those that may share a key stream.
    overlapping: Vec<Vec<PublicKeyBytes>>,
    passed_over: Vec<PathBuf>,
}

pub(crate) struct Listing {
    pub(crate) path: PathBuf,
    pub(crate) salt: Salt,
}

/// How often the parameters of a keystore's derivation occur among its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Salt {
    Own,
    Shared,
}

/// The files of a directory that are keystores, and the others.
#[derive(Default)]
struct Found {
    keystores: Vec<(PathBuf, Keystore)>,
    faults: Vec<KeystoreFault>,
    passed_over: Vec<PathBuf>,
}

impl Found {
    fn in_dir(dir: &Path) -> Result<Self, IndexError> {
        let mut found = Self::default();
        for path in json_files(dir)? {
            match read_if_keystore(&path) {
                Ok(Some(keystore)) => found.keystores.push((path, keystore)),
                Ok(None) => found.passed_over.push(path),
                Err(cause) => found.faults.push(KeystoreFault { keystore: path, cause }),
            }
        }
        Ok(found)
    }
}

impl KeystoreIndex {
    /// Lists the keystores of a directory and its sub-directories: each file `keystore*.json`, and each other `.json` file
    /// that is an EIP-2335 keystore.
    ///
    /// A keystore that states no public key is opened now, to learn it.
    ///
    /// # Errors
    ///
    /// All files that cannot be used are named, and none is passed over: the keys of a validator that is silently not
    /// there are missed when it is too late.
    pub fn scan(dir: &Path, passwords: PasswordSource) -> Result<Self, IndexError> {
        Self::scan_with(dir, passwords, Opening::default())
    }

    /// Like [`KeystoreIndex::scan`]; what must be opened takes as much of the machine as it is given.
    pub fn scan_with(dir: &Path, passwords: PasswordSource, opening: Opening) -> Result<Self, IndexError> {
        let (index, faults) = Self::survey(dir, passwords, opening)?;
        if faults.is_empty() {
            return Ok(index);
        }
        if let [
            KeystoreFault {
                cause:
                    OpenKeystoreError::Duplicate {
                        public_key,
                        first,
                        keystore,
                    },
                ..
            },
        ] = faults.as_slice()
        {
            return Err(IndexError::Duplicate {
                public_key: *public_key,
                first: first.clone(),
                second: keystore.clone(),
            });
        }
        Err(IndexError::Unusable {
            dir: dir.to_owned(),
            total: index.len() + faults.len(),
            faults,
        })
    }

    /// Like [`KeystoreIndex::scan_with`], for a report: the index holds those that can be listed, and the faults are the others.
    ///
    /// # Errors
    ///
    /// A directory that cannot be listed.
    pub fn survey(
        dir: &Path,
        passwords: PasswordSource,
        opening: Opening,
    ) -> Result<(Self, Vec<KeystoreFault>), IndexError> {
        let Found {
            keystores: found,
            mut faults,
            passed_over,
        } = Found::in_dir(dir)?;
        let mut kdfs: HashMap<&KdfParams, (usize, usize)> = HashMap::new();
        for (_, keystore) in &found {
            let number = kdfs.len();
            kdfs.entry(keystore.kdf()).or_insert((number, 0)).1 += 1;
        }
        let kdf_of = |keystore: &Keystore| kdfs.get(keystore.kdf()).copied().unwrap_or_default();
        let salt_of = |keystore: &Keystore| match kdf_of(keystore) {
            (_, 0 | 1) => Salt::Own,
            _ => Salt::Shared,
        };
        let derivations = Derivations::default();
        let silent: Vec<usize> = (0..found.len())
            .filter(|at| {
                found
                    .get(*at)
                    .is_some_and(|(_, keystore)| keystore.public_key().is_none())
            })
            .collect();
        let closed = silent.iter().filter_map(|at| {
            let (path, keystore) = found.get(*at)?;
            let closed = Closed::new(dir, path.clone(), keystore.clone(), &passwords, salt_of(keystore), None);
            Some((*at, closed))
        });
        let mut learned = HashMap::new();
        let mut unopened = HashMap::new();
        for (at, opened) in open_each(closed, &derivations, opening, |secret: SecretKey| {
            secret.public_key().to_bytes()
        }) {
            match opened {
                Ok(public_key) => drop(learned.insert(at, public_key)),
                Err(cause) => drop(unopened.insert(at, cause)),
            }
        }
        let overlapping: Vec<Vec<PublicKeyBytes>> =
            overlapping(found.iter().map(|(_, keystore)| (kdf_of(keystore).0, keystore)))
                .into_iter()
                .map(|group| {
                    let key = |at: usize| found.get(at)?.1.public_key().or_else(|| learned.get(&at).copied());
                    group.into_iter().filter_map(key).collect()
                })
                .collect();
        let salts: Vec<Salt> = found.iter().map(|(_, keystore)| salt_of(keystore)).collect();
        drop(kdfs);
        let mut keystores: BTreeMap<PublicKeyBytes, Listing> = BTreeMap::new();
        for (at, ((path, keystore), salt)) in found.into_iter().zip(salts).enumerate() {
            if let Some(cause) = unopened.remove(&at) {
                faults.push(KeystoreFault { keystore: path, cause });
                continue;
            }
            let Some(public_key) = keystore.public_key().or_else(|| learned.get(&at).copied()) else {
                continue;
            };
            match keystores.entry(public_key) {
                Entry::Vacant(free) => drop(free.insert(Listing { path, salt })),
                Entry::Occupied(first) => faults.push(KeystoreFault {
                    keystore: path.clone(),
                    cause: OpenKeystoreError::Duplicate {
                        public_key,
                        first: first.get().path.clone(),
                        keystore: path,
                    },
                }),
            }
        }
        faults.sort_by(|one, other| one.keystore.cmp(&other.keystore));
        let index = Self {
            dir: dir.to_owned(),
            passwords,
            keystores,
            derivations,
            overlapping,
            passed_over,
        };
        Ok((index, faults))
    }

    /// What the keystores of a directory state of themselves, in the order of their files, and those that cannot be used. No
    /// password is needed.
    ///
    /// # Errors
    ///
    /// A directory that cannot be listed.
    pub fn list(dir: &Path) -> Result<(Vec<ListedKeystore>, Vec<KeystoreFault>), IndexError> {
        let Found { keystores, faults, .. } = Found::in_dir(dir)?;
        let listed = keystores.into_iter().map(|(file, keystore)| ListedKeystore {
            file,
            public_key: keystore.public_key(),
            path: keystore.path().to_owned(),
        });
        Ok((listed.collect(), faults))
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
        self.listing(public_key).map(|listing| listing.path.as_path())
    }

    /// The `.json` files that are no keystores.
    pub fn passed_over(&self) -> &[PathBuf] {
        &self.passed_over
    }

    /// The files whose secret keys anybody can compute from each other, in groups: they share a password, a salt and an
    /// initialisation vector, as files of the original's version 1 do. They should be made again.
    ///
    /// Passwords are compared, and nothing is decrypted; a file whose password cannot be read is not left out.
    pub fn shared_ivs(&self) -> Vec<Vec<PathBuf>> {
        self.overlapping
            .iter()
            .flat_map(|group| self.of_one_password(group))
            .collect()
    }

    fn of_one_password(&self, keys: &[PublicKeyBytes]) -> Vec<Vec<PathBuf>> {
        let mut groups: Vec<(Option<sw_keys::SecretString>, Vec<PathBuf>)> = Vec::new();
        for key in keys {
            let Some(Listing { path, .. }) = self.keystores.get(key) else {
                continue;
            };
            let password = self.passwords.read(&self.dir, path, Some(key)).ok();
            let password = password.map(|password| password.secret);
            let joins = |group: &&mut (Option<sw_keys::SecretString>, Vec<PathBuf>)| match (&group.0, &password) {
                (Some(of_group), Some(password)) => same(of_group, password),
                _ => true,
            };
            match groups.iter_mut().find(joins) {
                Some((_, paths)) => paths.push(path.clone()),
                None => groups.push((password, vec![path.clone()])),
            }
        }
        let groups = groups.into_iter().map(|(_, paths)| paths);
        groups.filter(|paths| paths.len() > 1).collect()
    }

    pub(crate) fn listing(&self, public_key: &PublicKeyBytes) -> Option<&Listing> {
        self.keystores.get(public_key)
    }
}

impl fmt::Debug for KeystoreIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeystoreIndex({} keystores in `{}`)", self.len(), self.dir.display())
    }
}

pub(crate) use crate::keystore_files::is_keystore_name;

/// The files that [`KeystoreIndex::scan`] looks at.
pub(crate) fn keystore_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    json_files(dir).map_err(|error| match error {
        IndexError::Directory { source, .. } => source,
        error => io::Error::other(error),
    })
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
