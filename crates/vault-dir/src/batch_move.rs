//! Moving finished keys into place. Each step can be taken again, so a run may end between any two.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    BatchError, Overwrite, VaultDir, create_private_dir,
    private_file::sync_dir,
    staging::{CONFIG, DEPOSIT_DATA, KEYSTORES, SWAP},
    write_private,
};

/// Where things are that were there before.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) previous_keystores: Option<PathBuf>,
    pub(crate) previous_deposit_data: Option<PathBuf>,
    pub(crate) previous_config: Option<PathBuf>,
}

/// Moves what is left in `ready` to where it belongs.
pub(crate) fn move_into_place(dir: &VaultDir, ready: &Path) -> Result<Moved, BatchError> {
    let mut moved = Moved::default();
    let keystores = ready.join(KEYSTORES);
    let is_swap = look(&ready.join(SWAP))?.is_some();
    if look(&keystores)?.is_some() {
        if is_swap {
            moved.previous_keystores = swap_keystores(dir, &keystores)?;
        } else {
            move_keystores(&keystores, &dir.keystores())?;
        }
    }
    moved.previous_deposit_data = replace(&ready.join(DEPOSIT_DATA), &dir.deposit_data())?;
    let config = ready.join(CONFIG);
    if is_swap {
        moved.previous_config = replace(&config, &dir.config())?;
    } else if look(&config)?.is_some() {
        rename(&config, &dir.config())?;
    }
    sync_dir(ready)?;
    sync_dir(dir.root())?;
    remove_emptied(ready)?;
    sync_dir(dir.root())?;
    Ok(moved)
}

/// What stands under a name. An error is not taken for nothing: what is not seen would be removed.
fn look(path: &Path) -> Result<Option<Metadata>, BatchError> {
    match fs::symlink_metadata(path) {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BatchError::io(path)(error)),
    }
}

/// The old directory gets a name of its own, and the new one its place.
fn swap_keystores(dir: &VaultDir, from: &Path) -> Result<Option<PathBuf>, BatchError> {
    let to = dir.keystores();
    let mut previous = None;
    if look(&to)?.is_some() {
        let free = free_name(&to)?;
        rename(&to, &free)?;
        sync_dir(dir.root())?;
        previous = Some(free);
    }
    rename(from, &to)?;
    sync_dir(dir.root())?;
    Ok(previous)
}

/// Passwords go before the keystores they open: no keystore is ever in its place without its password. The old names go
/// when the new ones are on the disk: a power cut may keep a removal and lose what was done before it.
fn move_keystores(from: &Path, to: &Path) -> Result<(), BatchError> {
    create_private_dir(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from).map_err(BatchError::io(from))? {
        let name = entry.map_err(BatchError::io(from))?.file_name();
        let is_keystore = Path::new(&name)
            .extension()
            .is_some_and(|extension| extension == "json");
        names.push((is_keystore, name));
    }
    names.sort();
    for (_, name) in &names {
        put_in_place(&from.join(name), &to.join(name))?;
    }
    sync_dir(to)?;
    for (_, name) in &names {
        let old = from.join(name);
        fs::remove_file(&old).map_err(BatchError::io(&old))?;
    }
    Ok(())
}

/// Gives a file a second name, which must be free, or must hold the same bytes since an earlier attempt.
fn put_in_place(from: &Path, to: &Path) -> Result<(), BatchError> {
    let Err(error) = fs::hard_link(from, to) else {
        return Ok(());
    };
    if error.kind() == io::ErrorKind::AlreadyExists || look(to)?.is_some() {
        return same_bytes(from, to);
    }
    // `keystores` may be a volume of its own, or of a kind that knows no second names.
    let bytes = Zeroizing::new(fs::read(from).map_err(BatchError::io(from))?);
    Ok(write_private(to, &bytes, Overwrite::Refuse)?)
}

fn same_bytes(from: &Path, to: &Path) -> Result<(), BatchError> {
    let bytes = Zeroizing::new(fs::read(from).map_err(BatchError::io(from))?);
    let there = Zeroizing::new(fs::read(to).map_err(BatchError::io(to))?);
    if bytes == there {
        Ok(())
    } else {
        Err(crate::WriteError::Exists { path: to.to_owned() }.into())
    }
}

/// Moves a file to its place, and returns where the one before it has gone, when that was another.
fn replace(from: &Path, to: &Path) -> Result<Option<PathBuf>, BatchError> {
    if look(from)?.is_none() {
        return Ok(None);
    }
    let previous = match fs::read(to) {
        Ok(there) if fs::read(from).map_err(BatchError::io(from))? == there => None,
        Ok(there) => Some(keep(&there, to)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(BatchError::io(to)(error)),
    };
    rename(from, to)?;
    Ok(previous)
}

/// Copies a file's bytes to the next free `<name>.bak-<n>`, unless the newest of those holds them already.
fn keep(bytes: &[u8], path: &Path) -> Result<PathBuf, BatchError> {
    let free = free_number(path)?;
    if let Some(newest) = free.checked_sub(1).filter(|newest| *newest > 0) {
        let newest = numbered(path, newest);
        if fs::read(&newest).is_ok_and(|kept| kept == bytes) {
            return Ok(newest);
        }
    }
    let free = numbered(path, free);
    write_private(&free, bytes, Overwrite::Refuse)?;
    Ok(free)
}

fn free_name(path: &Path) -> Result<PathBuf, BatchError> {
    Ok(numbered(path, free_number(path)?))
}

fn free_number(path: &Path) -> Result<u32, BatchError> {
    let mut number = 1;
    while look(&numbered(path, number))?.is_some() {
        number += 1;
    }
    Ok(number)
}

/// `<name>.bak-<n>`, the name under which a file or directory is kept.
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".bak-{number}"));
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<(), BatchError> {
    fs::rename(from, to).map_err(BatchError::io(to))
}

/// Each name for itself: what was not moved, whatever the reason, cannot be lost.
fn remove_emptied(ready: &Path) -> Result<(), BatchError> {
    let (marker, keystores) = (ready.join(SWAP), ready.join(KEYSTORES));
    if look(&keystores)?.is_some() {
        fs::remove_dir(&keystores).map_err(BatchError::io(&keystores))?;
    }
    if look(&marker)?.is_some() {
        fs::remove_file(&marker).map_err(BatchError::io(&marker))?;
    }
    fs::remove_dir(ready).map_err(BatchError::io(ready))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// `keystores` may be a volume of its own, where names cannot be moved to.
    #[test]
    fn keystores_on_another_file_system_are_copied() {
        let Ok(volume) = tempfile::Builder::new().tempdir_in("/dev/shm") else {
            return;
        };
        let here = tempfile::tempdir().expect("a directory");
        for name in ["keystore-1.json", "keystore-1.txt"] {
            fs::write(here.path().join(name), name).expect("written");
        }
        move_keystores(here.path(), volume.path()).expect("moved");
        for name in ["keystore-1.json", "keystore-1.txt"] {
            let path = volume.path().join(name);
            assert_eq!(fs::read_to_string(&path).expect("there"), name);
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(here.path()).expect("there").count(), 0);
    }
}
