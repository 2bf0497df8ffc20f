//! Where the password of a keystore is, and what may make it the wrong one.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use sw_keys::{ExposeSecret, SecretString};
use sw_spec::PublicKeyBytes;

use crate::{OpenKeystoreError, ReadSecretError, secret_file::read_password};

/// Where the passwords of keystores are.
///
/// The password of `<keystores>/sub/name.json` is the first that exists of
///
/// 1. `name.txt` beside the keystore,
/// 2. `sub/name.txt` in [`PasswordSource::dir`], then `name.txt` in it,
/// 3. a file of [`PasswordSource::dir`] that is named like the public key that the keystore states, with or without `0x` and
///    `.txt`: Lighthouse, Lodestar and Nimbus have such a directory,
/// 4. `password.txt` beside the keystore, if that is in a sub-directory,
/// 5. [`PasswordSource::shared`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordSource {
    /// The password of every keystore without one of its own.
    pub shared: Option<PathBuf>,
    /// The directory of passwords that are named like their keystores.
    pub dir: PathBuf,
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
    /// The password has letters that EIP-2335 has rewritten (NFKD); not every tool does so.
    BeyondAscii,
    /// The keystore has no password file of its own, so the shared one was used.
    NoFileOfItsOwn(PathBuf),
    /// The same password opens others, so this keystore was made with another.
    OpensOthers(usize),
    /// Others that were made in the same run open, so this file is damaged.
    Damaged,
}

impl fmt::Display for LikelyCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => f.write_str("the file starts with a byte order mark, which counts as a character"),
            Self::SeveralLines => f.write_str("the file has several lines, which are taken together"),
            Self::SpacesRemoved => f.write_str("spaces at the ends of the password are not read"),
            Self::BeyondAscii => f.write_str(
                "the password has letters beyond ASCII, which not every tool writes as EIP-2335 says (NFKD)",
            ),
            Self::NoFileOfItsOwn(path) => write!(
                f,
                "`{}` does not exist, so the shared password was used",
                path.display()
            ),
            Self::OpensOthers(1) => f.write_str("the same password opens another keystore"),
            Self::OpensOthers(count) => write!(f, "the same password opens {count} other keystores"),
            Self::Damaged => {
                f.write_str("others of the same run open, so this file is damaged: restore it from a copy")
            }
        }
    }
}

/// A password that was read.
pub(crate) struct Password {
    pub(crate) secret: SecretString,
    pub(crate) file: PathBuf,
    /// What is odd about its file, the likeliest cause of a fault first.
    pub(crate) odd: Vec<LikelyCause>,
}

/// A directory in the place of a password that all share is a mistake.
fn is_no_file(error: &io::Error, shared: bool) -> bool {
    match error.kind() {
        io::ErrorKind::NotADirectory => true,
        io::ErrorKind::IsADirectory => !shared,
        _ => false,
    }
}

impl PasswordSource {
    /// Reads the password of a keystore of the directory `root`.
    pub(crate) fn read(
        &self,
        root: &Path,
        keystore: &Path,
        public_key: Option<&PublicKeyBytes>,
    ) -> Result<Password, OpenKeystoreError> {
        let places = self.places(root, keystore, public_key);
        for (position, (file, shared)) in places.iter().enumerate() {
            let (secret, mut odd) = match read_password(file) {
                Ok(read) => read,
                Err(ReadSecretError::Missing { .. }) => continue,
                // `<public key>` is a password to some tools, and to others the directory of its keystore.
                Err(ReadSecretError::Unreadable { source, .. }) if is_no_file(&source, *shared) => continue,
                Err(source) => {
                    return Err(OpenKeystoreError::Password {
                        keystore: keystore.to_owned(),
                        source,
                    });
                }
            };
            if !secret.expose_secret().trim_start_matches('\u{feff}').is_ascii() {
                odd.push(LikelyCause::BeyondAscii);
            }
            if let Some((own, _)) = places.first().filter(|_| *shared && position > 0) {
                odd.push(LikelyCause::NoFileOfItsOwn(own.clone()));
            }
            let file = file.clone();
            return Ok(Password { secret, file, odd });
        }
        Err(OpenKeystoreError::NoPassword {
            keystore: keystore.to_owned(),
            looked_at: places.into_iter().map(|(file, _)| file).collect(),
        })
    }

    /// The files that may hold a keystore's password, and whether others have theirs in the same.
    fn places(&self, root: &Path, keystore: &Path, public_key: Option<&PublicKeyBytes>) -> Vec<(PathBuf, bool)> {
        let beside = keystore.with_extension("txt");
        let name = Path::new(beside.file_name().unwrap_or_default());
        let below_root = keystore.strip_prefix(root).unwrap_or(name).with_extension("txt");
        let mut places = vec![
            (beside.clone(), false),
            (self.dir.join(below_root), false),
            (self.dir.join(name), false),
        ];
        if let Some(public_key) = public_key {
            let bare = public_key.to_bare_hex();
            for name in [
                format!("0x{bare}"),
                format!("0x{bare}.txt"),
                bare.clone(),
                bare + ".txt",
            ] {
                places.push((self.dir.join(name), false));
            }
        }
        if let Some(directory) = keystore.parent().filter(|directory| *directory != root) {
            places.push((directory.join("password.txt"), true));
        }
        places.extend(self.shared.clone().map(|shared| (shared, true)));
        let mut seen = Vec::with_capacity(places.len());
        places.retain(|(place, _)| {
            let new = !seen.contains(place);
            seen.push(place.clone());
            new
        });
        places
    }
}
