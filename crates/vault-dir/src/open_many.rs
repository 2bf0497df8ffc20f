//! Opening many keystores: one derivation for each password and salt, side by side and on all cores.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Mutex,
};

use sw_keys::{DerivedKey, KdfError, KdfParams, Keystore, SecretKey, SecretString};
use sw_spec::PublicKeyBytes;

use crate::{
    KeystoreFault, KeystoreIndex, LikelyCause, OpenKeystoreError, Opening, PasswordSource,
    derivations::{Derivations, Job, in_chunks, locked},
    keystore_index::{Listing, Salt},
    keystore_password::Password,
    open_keystore::{decrypt, read_keystore},
};

impl KeystoreIndex {
    /// Opens the keystore of a key. This takes most of a second and 256 MiB for the first of a directory that shares a
    /// password and a salt, and next to nothing for the others.
    ///
    /// # Errors
    ///
    /// What keeps it closed; the file is named.
    pub fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, OpenKeystoreError> {
        self.open_many(&[*public_key], Opening::default())
            .pop()
            .unwrap_or_else(|| Err(self.unknown(public_key)))
    }

    /// Opens the keystores of these keys, in order. Of those that share a password and a salt only the first costs a key
    /// derivation.
    pub fn open_many(&self, keys: &[PublicKeyBytes], opening: Opening) -> Vec<Result<SecretKey, OpenKeystoreError>> {
        let mut opened = open_each(self.closed(keys), &self.derivations, opening, |secret| secret);
        opened.sort_unstable_by_key(|(position, _)| *position);
        opened.into_iter().map(|(_, opened)| opened).collect()
    }

    /// Opens every keystore, calls `opened` after each, and returns all that do not open. No key is kept.
    pub fn verify_all(&self, opening: Opening, opened: &(dyn Fn() + Sync)) -> Vec<KeystoreFault> {
        let keys: Vec<PublicKeyBytes> = self.public_keys().copied().collect();
        let closed: Vec<_> = self.closed(&keys).collect();
        let made_with: Vec<Option<MadeWith>> = closed
            .iter()
            .map(|(_, closed)| Some(MadeWith::of(closed.as_ref().ok()?)))
            .collect();
        let results = open_each(closed.into_iter(), &self.derivations, opening, |_secret| opened());
        let (mut password_files, mut runs) = (HashMap::<&Path, usize>::new(), HashMap::<&MadeWith, usize>::new());
        for (position, result) in &results {
            let made_with = made_with.get(*position).and_then(Option::as_ref);
            if let Some(made_with) = made_with.filter(|_| result.is_ok()) {
                *password_files.entry(&made_with.password_file).or_default() += 1;
                *runs.entry(made_with).or_default() += 1;
            }
        }
        let faults = results.into_iter().filter_map(|(position, result)| {
            let mut cause = result.err()?;
            if let (OpenKeystoreError::WrongPassword { likely_causes, .. }, Some(Some(made_with))) =
                (&mut cause, made_with.get(position))
            {
                if runs.contains_key(made_with) {
                    likely_causes.clear();
                    likely_causes.push(LikelyCause::Damaged);
                } else if let Some(others) = password_files.get(made_with.password_file.as_path()) {
                    likely_causes.push(LikelyCause::OpensOthers(*others));
                }
            }
            let keystore = self.path(keys.get(position)?)?.to_owned();
            Some(KeystoreFault { keystore, cause })
        });
        let mut faults: Vec<KeystoreFault> = faults.collect();
        faults.sort_by(|one, other| one.keystore.cmp(&other.keystore));
        faults
    }

    fn closed(&self, keys: &[PublicKeyBytes]) -> impl Iterator<Item = (usize, Result<Closed, OpenKeystoreError>)> {
        keys.iter().enumerate().map(|(position, key)| {
            let Some(Listing { path, salt }) = self.listing(key) else {
                return (position, Err(self.unknown(key)));
            };
            let closed = read_keystore(path).and_then(|keystore| {
                Closed::new(&self.dir, path.clone(), keystore, &self.passwords, *salt, Some(*key))
            });
            (position, closed)
        })
    }

    fn unknown(&self, public_key: &PublicKeyBytes) -> OpenKeystoreError {
        OpenKeystoreError::Unknown {
            public_key: *public_key,
            dir: self.dir.clone(),
        }
    }
}

/// A keystore and its password.
pub(crate) struct Closed {
    path: PathBuf,
    keystore: Keystore,
    password: Password,
    salt: Salt,
    /// The key it was listed with.
    expected: Option<PublicKeyBytes>,
}

impl Closed {
    pub(crate) fn new(
        root: &Path,
        path: PathBuf,
        keystore: Keystore,
        passwords: &PasswordSource,
        salt: Salt,
        expected: Option<PublicKeyBytes>,
    ) -> Result<Self, OpenKeystoreError> {
        let password = passwords.read(root, &path, expected.or(keystore.public_key()).as_ref())?;
        Ok(Self {
            path,
            keystore,
            password,
            salt,
            expected,
        })
    }

    fn job(&self) -> Job<'_> {
        (self.keystore.kdf(), &self.password.secret)
    }

    fn open(&self, derived: Result<&DerivedKey, KdfError>) -> Result<SecretKey, OpenKeystoreError> {
        let secret = decrypt(&self.path, &self.keystore, &self.password, derived)?;
        let found = secret.public_key().to_bytes();
        match self.expected {
            Some(expected) if expected != found => Err(OpenKeystoreError::Exchanged {
                keystore: self.path.clone(),
                expected,
                found,
            }),
            _ => Ok(secret),
        }
    }
}

/// What a keystore's derived key was derived from.
#[derive(PartialEq, Eq, Hash)]
struct MadeWith {
    kdf: KdfParams,
    password_file: PathBuf,
}

impl MadeWith {
    fn of(closed: &Closed) -> Self {
        Self {
            kdf: closed.keystore.kdf().clone(),
            password_file: closed.password.file.clone(),
        }
    }
}

/// Opens each, and returns what `take` makes of its key, with its position. The order is that in which they open.
pub(crate) fn open_each<T: Send>(
    closed: impl Iterator<Item = (usize, Result<Closed, OpenKeystoreError>)>,
    derivations: &Derivations,
    opening: Opening,
    take: impl Fn(SecretKey) -> T + Sync,
) -> Vec<(usize, Result<T, OpenKeystoreError>)> {
    let (mut shared, mut own) = (Vec::new(), Vec::new());
    let mut results = Vec::new();
    for (position, closed) in closed {
        match closed {
            Err(error) => results.push((position, Err(error))),
            Ok(closed) if closed.salt == Salt::Shared => shared.push((position, closed)),
            Ok(closed) => own.push((position, closed)),
        }
    }
    let results = Mutex::new(results);
    let open = |(position, closed): &(usize, Closed), derived: Result<&DerivedKey, KdfError>| {
        let opened = closed.open(derived).map(&take);
        locked(&results).push((*position, opened));
    };
    if shared.iter().any(|(_, closed)| !derivations.has(closed.job())) {
        derivations.keep(shared.iter().map(|(_, closed)| closed.job()), opening);
    }
    in_chunks(
        opening.threads,
        &shared,
        FEW,
        || (),
        |(), _, chunk| {
            for item in chunk {
                if let Some(derived) = derivations.kept(item.1.job()) {
                    open(item, derived.as_deref().map_err(|error| *error));
                }
            }
        },
    );
    let jobs: Vec<(&KdfParams, &SecretString)> = own.iter().map(|(_, closed)| closed.job()).collect();
    if !jobs.is_empty() {
        derivations.each(&jobs, opening, |position, derived| {
            if let Some(item) = own.get(position) {
                open(item, derived.as_ref().map_err(|error| *error));
            }
        });
    }
    results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Decrypted by one thread before it asks for more.
const FEW: NonZeroUsize = NonZeroUsize::MIN.saturating_add(31);
