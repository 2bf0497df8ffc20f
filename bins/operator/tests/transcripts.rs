//! What a person types and what they see: each file of `tests/cmd` is one command with its answers.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

#[test]
fn every_command_says_what_its_transcript_says() {
    readable(Path::new("tests/cmd/vaults"));
    let cases = trycmd::TestCases::new();
    cases.case("tests/cmd/*.toml");
    // A change of the wording is written down with `TRYCMD=overwrite cargo test -p operator --test transcripts`.
    cases.run();
}

/// Files that others may read are warned of, whatever the umask of whoever checked them out.
fn readable(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            readable(&entry.unwrap().path());
        }
    } else {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }
}
