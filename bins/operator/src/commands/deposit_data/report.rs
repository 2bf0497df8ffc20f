//! What `deposit-data verify` found, for a person and for a program.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::{Value, json};
use sw_registration::DepositsFound;
use sw_spec::{B256, NetworkSpec};
use sw_vault_dir::{IndexError, KeystoreIndex, PasswordSource};

use crate::{
    deposit_data::{DepositData, Reason, by_entry, deposit_text, listed},
    error::{CliError, Kind},
    ui::Ui,
};

/// What was found.
pub(super) struct Report {
    pub(super) data: DepositData,
    pub(super) network: NetworkSpec,
    pub(super) root: B256,
    pub(super) reasons: Vec<Reason>,
    pub(super) keystores: Result<Option<Keystores>, IndexError>,
    pub(super) found: Option<DepositsFound>,
}

/// The keystores of the vault beside the entries.
pub(super) struct Keystores {
    count: usize,
    /// The entries that have none.
    missing: Vec<usize>,
    /// Those that have no entry.
    spare: Vec<PathBuf>,
}

impl Keystores {
    /// By the public keys that keystores state: none is opened that states one. `None` when there is no such directory.
    pub(super) fn compare(data: &DepositData) -> Result<Option<Self>, IndexError> {
        let dir = data.directory.keystores();
        if !dir.is_dir() {
            return Ok(None);
        }
        let passwords = PasswordSource {
            shared: Some(data.directory.keystores_password()),
            dir: dir.clone(),
        };
        let index = KeystoreIndex::scan(&dir, passwords)?;
        let entries = data.file.entries();
        let keys: BTreeSet<_> = entries.iter().map(|entry| entry.public_key).collect();
        let missing = entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !index.contains(&entry.public_key));
        let spare = index.public_keys().filter(|key| !keys.contains(key));
        let mut spare: Vec<_> = spare.filter_map(|key| index.path(key)).map(PathBuf::from).collect();
        spare.sort();
        Ok(Some(Self {
            count: index.len(),
            missing: missing.map(|(position, _)| position).collect(),
            spare,
        }))
    }
}

impl Report {
    /// Prints it for a person.
    pub(super) fn print(&self, ui: &Ui) -> Result<(), CliError> {
        let entries = self.data.file.entries().len();
        let mut lines = vec![
            format!("Deposit data: {}", self.data.path.display()),
            format!("Vault: {} on {}", self.data.vault, self.network.name),
            format!("Entries: {entries}"),
            format!("Merkle tree root: {}", self.root),
        ];
        let faulty = by_entry(&self.reasons);
        if faulty.is_empty() {
            lines.push("Faults: none".to_owned());
        } else {
            let kinds: Vec<String> = self
                .kinds()
                .iter()
                .map(|(kind, count)| format!("{kind} {count}"))
                .collect();
            lines.push(format!(
                "Faults: in {} of {entries} entries ({})",
                faulty.len(),
                kinds.join(", ")
            ));
            lines.extend(faulty.into_iter().map(|line| format!("  {line}")));
        }
        lines.extend(self.keystore_lines());
        lines.extend(self.deposit_lines());
        ui.result(lines.join("\n"))
    }

    fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for reason in &self.reasons {
            *kinds.entry(reason.kind).or_default() += 1;
        }
        kinds
    }

    fn keystore_lines(&self) -> Vec<String> {
        let keystores = match &self.keystores {
            Ok(Some(keystores)) => keystores,
            Ok(None) => return vec!["Keystores: the vault has no directory of keystores".to_owned()],
            Err(error) => return vec![format!("Keystores: not compared: {error}")],
        };
        let entries = self.data.file.entries().len();
        let here = entries.saturating_sub(keystores.missing.len());
        let mut lines = vec![format!(
            "Keystores: {}, for {here} of {entries} entries",
            keystores.count
        )];
        if !keystores.missing.is_empty() {
            lines.push(format!(
                "  entries without a keystore: {}",
                listed(&ranges(&keystores.missing), MOST_LISTED)
            ));
        }
        if !keystores.spare.is_empty() {
            let dir = self.data.directory.keystores();
            let names = keystores
                .spare
                .iter()
                .map(|path| path.strip_prefix(&dir).unwrap_or(path).display());
            lines.push(format!(
                "  keystores without an entry: {}",
                listed(&names.collect::<Vec<_>>(), MOST_LISTED)
            ));
        }
        lines
    }

    fn deposit_lines(&self) -> Vec<String> {
        let Some(found) = &self.found else {
            return vec![
                "Deposits: not looked for; `--execution-endpoints` and `--consensus-endpoints` name nodes to ask"
                    .to_owned(),
            ];
        };
        let mut lines = vec![format!(
            "Deposits: {} entries have one ({})",
            found.deposited.len(),
            asked(found)
        )];
        let registered = found.deposited.iter().filter(|entry| entry.registered);
        lines.extend(registered.map(|entry| {
            let text = deposit_text(entry, self.data.vault);
            format!("  entry {}, {}: {text}", entry.index, entry.public_key)
        }));
        if let Some(uploaded) = found.uploaded {
            lines.push(if uploaded.is_this {
                format!("Uploaded root: this one; entry {} is next", uploaded.next_index)
            } else {
                let what = match uploaded.root.is_zero() {
                    true => "none yet".to_owned(),
                    false => format!("another, {}", uploaded.root),
                };
                let to_upload = uploaded.to_upload(self.root, self.data.vault, &self.network);
                format!("Uploaded root: {what}; {to_upload}")
            });
        }
        lines
    }

    /// The document of `--json`.
    pub(super) fn to_json(&self) -> Value {
        let faults: Vec<Value> = self
            .reasons
            .iter()
            .map(
                |Reason {
                     index,
                     public_key,
                     kind,
                     text,
                 }| {
                    json!({"entry": index, "public_key": public_key.to_string(), "kind": kind, "text": text})
                },
            )
            .collect();
        json!({
            "schema": "operator.deposit-data.verify.v1",
            "vault": self.data.vault.to_string(),
            "network": self.network.name.as_str(),
            "deposit_data_file": self.data.path.display().to_string(),
            "entries": self.data.file.entries().len(),
            "root": self.root.to_string(),
            "sound": self.reasons.is_empty(),
            "faulty_entries": by_entry(&self.reasons).len(),
            "faults_by_kind": self.kinds(),
            "faults": faults,
            "keystores_fault": self.keystores.as_ref().err().map(ToString::to_string),
            "keystores": self.keystores.as_ref().ok().and_then(Option::as_ref).map(|keystores| json!({
                "count": keystores.count,
                "entries_without": keystores.missing,
                "without_entry": keystores.spare.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            })),
            "deposits": self.found.as_ref().map(|found| self.deposits_json(found)),
        })
    }

    fn deposits_json(&self, found: &DepositsFound) -> Value {
        let deposited: Vec<Value> = found
            .deposited
            .iter()
            .map(|entry| {
                json!({
                    "entry": entry.index,
                    "public_key": entry.public_key.to_string(),
                    "registered_from_this_root": entry.registered,
                    "text": deposit_text(entry, self.data.vault),
                })
            })
            .collect();
        json!({
            "entries": deposited,
            "validators_asked": found.validators_asked,
            "blocks_searched": found.searched.as_ref().map(|blocks| [blocks.start(), blocks.end()]),
            "uploaded_root": found.uploaded.map(|uploaded| json!({
                "root": uploaded.root.to_string(),
                "is_this": uploaded.is_this,
                "next_entry": uploaded.next_index,
                "set_by": uploaded.manager.to_string(),
            })),
        })
    }

    /// Whether the file may be used, and could be compared with the keystores.
    pub(super) fn verdict(&self) -> Result<(), CliError> {
        if self.reasons.is_empty() {
            return match &self.keystores {
                Ok(_) => Ok(()),
                Err(error) => Err(CliError::from_error(Kind::Failed, error)),
            };
        }
        let error = self.data.must_not_be_used(&self.network);
        let by_themselves = self.reasons.iter().all(|reason| reason.kind == "deposited");
        let unsure = self.found.as_ref().is_some_and(|found| found.uploaded.is_none());
        Err(if by_themselves && unsure {
            error.hint("with `--execution-endpoints` too, what the vault registered from this very root is no fault")
        } else {
            error.hint("name the right file with `--deposit-data-file`, or make new keys with `operator create-keys`")
        })
    }
}

/// Who was asked, and how far that goes.
fn asked(found: &DepositsFound) -> String {
    let mut asked = Vec::new();
    if found.validators_asked {
        asked.push("validators of the beacon chain".to_owned());
    }
    match &found.searched {
        Some(blocks) => asked.push(format!("deposits in blocks {} to {}", blocks.start(), blocks.end())),
        None => asked.push("not those that wait to become validators: that takes `--execution-endpoints`".to_owned()),
    }
    asked.join(", ")
}

/// Numbers in ascending order, runs of them as `3-7`.
fn ranges(numbers: &[usize]) -> Vec<String> {
    let runs = numbers.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let texts = runs.filter_map(|run| match (run.first()?, run.last()?) {
        (first, last) if first == last => Some(first.to_string()),
        (first, last) => Some(format!("{first}-{last}")),
    });
    texts.collect()
}

const MOST_LISTED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_numbers_are_short() {
        assert_eq!(ranges(&[]), Vec::<String>::new());
        assert_eq!(
            ranges(&[0, 1, 2, 4, 6, 7, usize::MAX]),
            ["0-2", "4", "6-7", &usize::MAX.to_string()]
        );
    }
}
