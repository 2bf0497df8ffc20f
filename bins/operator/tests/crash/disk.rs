//! What is on the disk, read without the program.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Every directory (`None`) and file below a directory, by its path in it.
pub(crate) type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub(crate) fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut left = vec![PathBuf::new()];
    while let Some(dir) = left.pop() {
        let Ok(entries) = fs::read_dir(root.join(&dir)) else {
            continue;
        };
        for entry in entries {
            let name = dir.join(entry.unwrap().file_name());
            let path = root.join(&name);
            if path.symlink_metadata().unwrap().is_dir() {
                found.insert(name.clone(), None);
                left.push(name);
            } else {
                found.insert(name, Some(fs::read(path).unwrap()));
            }
        }
    }
    found
}

/// Every file below a directory.
pub(crate) fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let tree = tree(root);
    tree.into_iter()
        .filter_map(|(path, bytes)| Some((path, bytes?)))
        .collect()
}

pub(crate) fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// Copies a directory with its modes.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(mode(from))).unwrap();
    for (name, bytes) in tree(from) {
        let target = to.join(&name);
        match bytes {
            None => fs::create_dir(&target).unwrap(),
            Some(bytes) => fs::write(&target, bytes).unwrap(),
        }
        fs::set_permissions(&target, fs::Permissions::from_mode(mode(&from.join(name)))).unwrap();
    }
}

/// Writes a tree into an empty directory, all of it private.
pub(crate) fn write(tree: &Tree, dir: &Path) {
    for (path, bytes) in tree {
        let path = dir.join(path);
        let mode = if bytes.is_some() { 0o600 } else { 0o700 };
        match bytes {
            None => fs::create_dir(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}
