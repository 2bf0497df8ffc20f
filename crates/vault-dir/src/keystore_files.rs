//! Which files of a directory are keystores: by name in the tools' own layouts, and else by what is in them.

use std::{
    collections::{HashSet, VecDeque},
    fs::{self, DirEntry, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::IndexError;

/// The files of a directory and its sub-directories that may be keystores, in the order of their paths. A link to a file
/// counts: container volumes are made of them. What is hidden does not. However many links lead to a directory, and back to
/// one above them, it is read once.
///
/// # Errors
///
/// A directory that cannot be listed, and one below more than eight others.
pub(crate) fn json_files(dir: &Path) -> Result<Vec<PathBuf>, IndexError> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut waiting = VecDeque::from([(dir.to_owned(), 0)]);
    while let Some((dir, above)) = waiting.pop_front() {
        let failed = |path: &Path| {
            let dir = path.to_owned();
            |source| IndexError::Directory { dir, source }
        };
        if !seen.insert(identity(&fs::metadata(&dir).map_err(failed(&dir))?)) {
            continue;
        }
        if above > DEEPEST {
            return Err(IndexError::TooDeep { dir });
        }
        let entries = fs::read_dir(&dir).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
        let mut entries = entries.map_err(failed(&dir))?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || name == LOST_AND_FOUND {
                continue;
            }
            let path = entry.path();
            match kind(&entry).map_err(failed(&path))? {
                Kind::Directory => waiting.push_front((path, above + 1)),
                // Those that are there by their own name go before.
                Kind::LinkedDirectory => waiting.push_back((path, above + 1)),
                Kind::File if name.ends_with(".json") => found.push(path),
                Kind::Other if is_keystore_name(&name) => found.push(path),
                Kind::File | Kind::Other => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file of this name must be a keystore. Of others that end in `.json`, the content decides.
pub(crate) fn is_keystore_name(name: &str) -> bool {
    name.starts_with("keystore") && name.ends_with(".json")
}

enum Kind {
    Directory,
    LinkedDirectory,
    File,
    /// A device, or a link to nothing that can be reached.
    Other,
}

fn kind(entry: &DirEntry) -> io::Result<Kind> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        return Ok(match fs::metadata(entry.path()) {
            Ok(target) if target.is_dir() => Kind::LinkedDirectory,
            Ok(target) if target.is_file() => Kind::File,
            _ => Kind::Other,
        });
    }
    Ok(match () {
        () if kind.is_dir() => Kind::Directory,
        () if kind.is_file() => Kind::File,
        () => Kind::Other,
    })
}

fn identity(directory: &Metadata) -> (u64, u64) {
    (directory.dev(), directory.ino())
}

/// Every known layout needs one level.
const DEEPEST: usize = 8;
/// What the file system's own repairs put at the top of a volume; only root may list it.
const LOST_AND_FOUND: &str = "lost+found";
