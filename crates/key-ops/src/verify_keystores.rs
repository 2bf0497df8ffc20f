//! Whether every keystore of a directory opens.

use std::path::PathBuf;

use sw_vault_dir::{KeystoreFault, KeystoreIndex, Opening};

use crate::{Progress, Stage};

/// What opening every keystore came to.
#[derive(Debug)]
pub struct Verification {
    /// How many there are.
    pub total: usize,
    /// Those that cannot be used, in the order of their files.
    pub faults: Vec<KeystoreFault>,
    /// Groups of files whose secret keys can be computed from each other; see [`KeystoreIndex::shared_ivs`].
    pub shared_ivs: Vec<Vec<PathBuf>>,
}

impl Verification {
    /// Whether other passwords could cure all that is wrong.
    pub fn is_about_passwords(&self) -> bool {
        !self.faults.is_empty() && self.faults.iter().all(|fault| fault.cause.is_about_the_password())
    }
}

/// Opens every keystore of an index, and adds what does not open to the `faults` that were found when it was made
/// ([`KeystoreIndex::survey`]).
pub fn verify_keystores(
    index: &KeystoreIndex,
    mut faults: Vec<KeystoreFault>,
    opening: Opening,
    progress: &impl Progress,
) -> Verification {
    let total = index.len().saturating_add(faults.len());
    progress.begin(Stage::Opening, index.len());
    faults.extend(index.verify_all(opening, &|| progress.advance(Stage::Opening)));
    progress.finish(Stage::Opening);
    faults.sort_by(|one, other| one.keystore.cmp(&other.keystore));
    Verification {
        total,
        faults,
        shared_ivs: index.shared_ivs(),
    }
}
