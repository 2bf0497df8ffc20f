//! Which files of a directory are keystores: by name in the tools' own layouts, and else by what is in them.

use std::{
    fs::{self, DirEntry, FileType, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::IndexError;

/// The files of a directory and its sub-directories that may be keystores, in the order of their paths. A link to a file
/// counts: container volumes are made of them. What is hidden does not.
///
/// # Errors
///
/// A directory that cannot be listed, one that is reached through itself, and one below more than eight others.
pub(crate) fn json_files(dir: &Path) -> Result<Vec<PathBuf>, IndexError> {
    let mut found = Vec::new();
    walk(dir, &mut Vec::new(), &mut found)?;
    found.sort();
    Ok(found)
}

/// Whether a file of this name must be a keystore. Of others that end in `.json`, the content decides.
pub(crate) fn is_keystore_name(name: &str) -> bool {
    name.starts_with("keystore") && name.ends_with(".json")
}

fn walk(dir: &Path, above: &mut Vec<(u64, u64)>, found: &mut Vec<PathBuf>) -> Result<(), IndexError> {
    let failed = |path: &Path| {
        let dir = path.to_owned();
        |source| IndexError::Directory { dir, source }
    };
    let identity = identity(&fs::metadata(dir).map_err(failed(dir))?);
    if above.contains(&identity) {
        return Err(IndexError::Loop { dir: dir.to_owned() });
    }
    if above.len() > DEEPEST {
        return Err(IndexError::TooDeep { dir: dir.to_owned() });
    }
    above.push(identity);
    for entry in fs::read_dir(dir).map_err(failed(dir))? {
        let entry = entry.map_err(failed(dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        match kind(&entry).map_err(failed(&path))? {
            Kind::Directory => walk(&path, above, found)?,
            Kind::File if name.ends_with(".json") => found.push(path),
            Kind::Other if is_keystore_name(&name) => found.push(path),
            Kind::File | Kind::Other => {}
        }
    }
    above.pop();
    Ok(())
}

enum Kind {
    Directory,
    File,
    /// A device, or a link to nothing.
    Other,
}

fn kind(entry: &DirEntry) -> io::Result<Kind> {
    let of = |kind: FileType| match () {
        () if kind.is_dir() => Kind::Directory,
        () if kind.is_file() => Kind::File,
        () => Kind::Other,
    };
    let kind = entry.file_type()?;
    if !kind.is_symlink() {
        return Ok(of(kind));
    }
    match fs::metadata(entry.path()) {
        Ok(target) => Ok(of(target.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Other),
        Err(error) => Err(error),
    }
}

fn identity(directory: &Metadata) -> (u64, u64) {
    (directory.dev(), directory.ino())
}

/// Every known layout needs one level.
const DEEPEST: usize = 8;
