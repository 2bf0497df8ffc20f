//! Passwords in files.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use rand_core::CryptoRng;
use sw_keys::{ExposeSecret, SecretString, generate_password};
use zeroize::Zeroizing;

use crate::{LikelyCause, Overwrite, WriteError, create_private_dir, private_file::check_target, write_private};

/// A file does not give a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadSecretError {
    /// There is no such file.
    #[error("`{path}` does not exist")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file holds nothing, or nothing but spaces. It is not taken for an empty password: that would protect nothing.
    #[error("`{path}` is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is no password, by its size.
    #[error("`{path}` is longer than {MAX_SECRET_BYTES} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("`{path}` is not UTF-8 text")]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// A password could be neither read nor made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordFileError {
    /// There is a file, and it gives no password.
    #[error(transparent)]
    Read(#[from] ReadSecretError),
    /// There was no file, and none could be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Reads a secret from a file, without the line ending and the spaces around it.
///
/// # Errors
///
/// An empty file is an error, as is one of more than 64 KiB.
pub fn read_secret_file(path: &Path) -> Result<SecretString, ReadSecretError> {
    let text = read_text(path)?;
    secret(path, &text)
}

/// Reads a password file, or makes one with a new password when it is missing.
///
/// # Errors
///
/// An existing file that is empty or unreadable is an error, as is a symbolic link; it is never overwritten.
pub fn load_or_create_password(
    path: &Path,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<SecretString, PasswordFileError> {
    if let Some(password) = load_password(path)? {
        return Ok(password);
    }
    if let Some(dir) = path.parent() {
        create_private_dir(dir)?;
    }
    let password = generate_password(rng);
    match write_private(path, password.expose_secret().as_bytes(), Overwrite::Refuse) {
        Ok(()) => Ok(password),
        // Another process made one in the meantime, so that one counts.
        Err(WriteError::Exists { .. }) => Ok(read_secret_file(path)?),
        Err(error) => Err(error.into()),
    }
}

/// The password of a file of this directory, when there is one.
pub(crate) fn load_password(path: &Path) -> Result<Option<SecretString>, PasswordFileError> {
    check_target(path, Overwrite::Replace)?;
    match read_secret_file(path) {
        Err(ReadSecretError::Missing { .. }) => Ok(None),
        read => Ok(Some(read?)),
    }
}

/// A password and what is odd about its file, for the case that it turns out to be wrong.
pub(crate) fn read_password(path: &Path) -> Result<(SecretString, Vec<LikelyCause>), ReadSecretError> {
    let text = read_text(path)?;
    let password = secret(path, &text)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut odd = Vec::new();
    if text.starts_with('\u{feff}') {
        odd.push(LikelyCause::ByteOrderMark);
    }
    if line.trim().contains(['\n', '\r']) {
        odd.push(LikelyCause::SeveralLines);
    }
    if line.trim_matches(['\n', '\r']).trim() != line.trim_matches(['\n', '\r']) {
        odd.push(LikelyCause::SpacesRemoved);
    }
    Ok((password, odd))
}

fn secret(path: &Path, text: &str) -> Result<SecretString, ReadSecretError> {
    match text.trim() {
        "" => Err(ReadSecretError::Empty { path: path.to_owned() }),
        secret => Ok(SecretString::from(secret)),
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, ReadSecretError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET_BYTES + 1));
    let read = File::open(path).and_then(|file| file.take(MAX_SECRET_BYTES as u64 + 1).read_to_end(&mut bytes));
    let path = || path.to_owned();
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadSecretError::Missing { path: path() }),
        Err(source) => Err(ReadSecretError::Unreadable { path: path(), source }),
        Ok(length) if length > MAX_SECRET_BYTES => Err(ReadSecretError::TooLong { path: path() }),
        Ok(_) => match str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(ReadSecretError::NotText { path: path() }),
        },
    }
}

/// Far more than any password, token or phrase.
const MAX_SECRET_BYTES: usize = 64 * 1024;
