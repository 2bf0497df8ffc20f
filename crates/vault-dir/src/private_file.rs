//! Files that only their owner may read, and that are whole or not there.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What to do with a file that is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Leave it, and fail.
    Refuse,
    /// Put the new one in its place.
    Replace,
}

/// A file or directory was not written. What was there before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file is there, and was not to be replaced.
    #[error("`{path}` exists already and is not overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The name is a symbolic link: what is written through it could end up anywhere.
    #[error("`{path}` is a symbolic link, which is not written through")]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// The name belongs to a directory or a device.
    #[error("`{path}` is not a regular file")]
    NotAFile {
        /// What is in the way.
        path: PathBuf,
    },
    /// The name of a directory belongs to something else.
    #[error("`{path}` is not a directory")]
    NotADirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// The bytes that were read back are not those that were written.
    #[error("`{path}` did not keep what was written: the disk is not to be trusted")]
    ReadBack {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full, or permissions are missing, or the directory is.
    #[error("`{path}` cannot be written")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl WriteError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Writes a file that its owner alone may read, all of it or nothing.
///
/// The bytes go to a temporary file in the same directory, which has mode 0600 from its first moment. Once they are on
/// the disk and have been read back, the file gets its name, and the directory is flushed too.
pub fn write_private(path: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<(), WriteError> {
    check_target(path, overwrite)?;
    let io = || WriteError::io(path);
    let dir = directory_of(path);
    let mode = Permissions::from_mode(PRIVATE_FILE);
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY.0)
        .suffix(TEMPORARY.1)
        .permissions(mode)
        .tempfile_in(dir);
    let mut temporary = temporary.map_err(io())?;
    fill(temporary.as_file_mut(), bytes, path)?;
    match overwrite {
        Overwrite::Replace => temporary.persist(path).map_err(|error| io()(error.error))?,
        Overwrite::Refuse => temporary
            .persist_noclobber(path)
            .map_err(|error| match error.error.kind() {
                io::ErrorKind::AlreadyExists => WriteError::Exists { path: path.to_owned() },
                _ => io()(error.error),
            })?,
    };
    sync_dir(dir)
}

/// Creates a directory and those above it that are missing, for their owner only. One that is there stays as it is.
pub fn create_private_dir(path: &Path) -> Result<(), WriteError> {
    // The directory of a bare file name is written as an empty path: the current one.
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = directory_of(path);
    if parent != path {
        create_private_dir(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE_DIR).create(path) {
        Ok(()) => sync_dir(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(source) => Err(WriteError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes a file in a directory that nobody else uses, so that it needs no temporary name.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let created = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path);
    let mut file = created.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => WriteError::Exists { path: path.to_owned() },
        _ => WriteError::Io {
            path: path.to_owned(),
            source,
        },
    })?;
    fill(&mut file, bytes, path)
}

/// Makes the names in a directory last.
pub(crate) fn sync_dir(path: &Path) -> Result<(), WriteError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(WriteError::io(path))
}

/// Refuses what must not be written to, before anything is.
pub(crate) fn check_target(path: &Path, overwrite: Overwrite) -> Result<(), WriteError> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => Err(WriteError::Symlink { path: path.to_owned() }),
        Ok(there) if !there.is_file() => Err(WriteError::NotAFile { path: path.to_owned() }),
        Ok(_) if overwrite == Overwrite::Refuse => Err(WriteError::Exists { path: path.to_owned() }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(WriteError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Refuses a directory that is a symbolic link, or none at all. One that is missing is fine.
pub(crate) fn check_dir(path: &Path) -> Result<(), WriteError> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_symlink() => Err(WriteError::Symlink { path: path.to_owned() }),
        Ok(there) if !there.is_dir() => Err(WriteError::NotADirectory { path: path.to_owned() }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WriteError::io(path)(error)),
        _ => Ok(()),
    }
}

fn fill(file: &mut File, bytes: &[u8], path: &Path) -> Result<(), WriteError> {
    let mut read_back = zeroize::Zeroizing::new(Vec::with_capacity(bytes.len()));
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| file.rewind())
        .and_then(|()| file.take(bytes.len() as u64 + 1).read_to_end(&mut read_back))
        .map_err(WriteError::io(path))?;
    if read_back.as_slice() == bytes {
        Ok(())
    } else {
        Err(WriteError::ReadBack { path: path.to_owned() })
    }
}

/// The directory a path is in; of a bare name, the current one.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Whether a file is one that [`write_private`] was writing.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(TEMPORARY.0.as_bytes()) && name.ends_with(TEMPORARY.1.as_bytes())
}

const TEMPORARY: (&str, &str) = (".operator-", ".tmp");
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIR: u32 = 0o700;
