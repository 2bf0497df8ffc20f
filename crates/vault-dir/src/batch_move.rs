//! Moving a finished batch into place. Each step can be taken again, so a run may end between any two.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    BatchError, Overwrite, VaultDir,
    batch::{CONFIG, DEPOSIT_DATA, KEYSTORES},
    create_private_dir,
    private_file::sync_dir,
    write_private,
};

/// Moves what is left in `ready` to where it belongs, and returns where the deposit data before it has gone.
pub(crate) fn move_into_place(dir: &VaultDir, ready: &Path) -> Result<Option<PathBuf>, BatchError> {
    move_keystores(&ready.join(KEYSTORES), &dir.keystores())?;
    let previous = replace_deposit_data(&ready.join(DEPOSIT_DATA), &dir.deposit_data())?;
    rename_if_there(&ready.join(CONFIG), &dir.config())?;
    sync_dir(dir.root())?;
    fs::remove_dir_all(ready).map_err(BatchError::io(ready))?;
    sync_dir(dir.root())?;
    Ok(previous)
}

/// Passwords go before the keystores they open: no keystore is ever in its place without its password. The old names go
/// when the new ones are on the disk: a power cut may keep a removal and lose what was done before it.
fn move_keystores(from: &Path, to: &Path) -> Result<(), BatchError> {
    if !from.is_dir() {
        return Ok(());
    }
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
    if error.kind() == io::ErrorKind::AlreadyExists || fs::symlink_metadata(to).is_ok() {
        return same_bytes(from, to);
    }
    // `keystores` may be a volume of its own, or of a kind that knows no second names.
    let bytes = fs::read(from).map_err(BatchError::io(from))?;
    Ok(write_private(to, &bytes, Overwrite::Refuse)?)
}

fn same_bytes(from: &Path, to: &Path) -> Result<(), BatchError> {
    let bytes = fs::read(from).map_err(BatchError::io(from))?;
    let there = fs::read(to).map_err(BatchError::io(to))?;
    if bytes == there {
        Ok(())
    } else {
        Err(crate::WriteError::Exists { path: to.to_owned() }.into())
    }
}

fn replace_deposit_data(from: &Path, to: &Path) -> Result<Option<PathBuf>, BatchError> {
    if !from.is_file() {
        return Ok(None);
    }
    let previous = match fs::read(to) {
        Ok(bytes) => Some(keep(&bytes, to)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(BatchError::io(to)(error)),
    };
    rename_if_there(from, to)?;
    Ok(previous)
}

/// Copies a file's bytes to the next free `<name>.bak-<n>`, unless the newest of those holds them already.
fn keep(bytes: &[u8], path: &Path) -> Result<PathBuf, BatchError> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".bak-{number}"));
        PathBuf::from(name)
    };
    let mut number = 1;
    while numbered(number).exists() {
        number += 1;
    }
    if let Some(newest) = number.checked_sub(1).filter(|newest| *newest > 0).map(numbered)
        && fs::read(&newest).is_ok_and(|kept| kept == bytes)
    {
        return Ok(newest);
    }
    let free = numbered(number);
    write_private(&free, bytes, Overwrite::Refuse)?;
    Ok(free)
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), BatchError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved.map_err(BatchError::io(to)),
    }
}
