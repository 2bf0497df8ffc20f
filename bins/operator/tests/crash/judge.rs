//! Whether a vault's directory is one that a run that went well could have left.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use sw_testkit::{fixture, list, text};

use crate::{
    disk::{mode, tree},
    scenario::Vault,
};

/// How often something is wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Keys, deposits or files of before that are not there.
    pub(crate) lost: u32,
    /// Keys that are there twice.
    pub(crate) duplicate: u32,
    /// Files that are not whole.
    pub(crate) torn: u32,
    /// What no run leaves.
    pub(crate) leftovers: u32,
    /// Files and directories that others may open.
    pub(crate) open: u32,
}

impl Finding {
    pub(crate) fn is_sound(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn count(&self, fault: &str) -> u32 {
        match fault {
            "lost" => self.lost,
            "duplicate" => self.duplicate,
            "torn" => self.torn,
            "leftovers" => self.leftovers,
            "open" => self.open,
            other => panic!("{other}"),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.duplicate += other.duplicate;
        self.torn += other.torn;
        self.leftovers += other.leftovers;
        self.open += other.open;
    }
}

/// Judges the directory after the command of its scenario has come to an end.
pub(crate) fn judge(vault: &Vault) -> Finding {
    let (first, count) = (vault.scenario.first, vault.scenario.count);
    judge_at(vault, &[first + count, first + 2 * count])
}

/// Judges it when a run of `create-keys` was finished or undone: its keys are all there, or none is.
pub(crate) fn judge_between(vault: &Vault) -> Finding {
    let (first, count) = (vault.scenario.first, vault.scenario.count);
    judge_at(vault, &[first, first + count])
}

fn judge_at(vault: &Vault, next: &[u32]) -> Finding {
    let mut found = Finding::default();
    for (path, _) in tree(&vault.root) {
        let expected = if vault.root.join(&path).is_dir() { 0o700 } else { 0o600 };
        found.open += u32::from(mode(&vault.root.join(&path)) != expected);
        found.leftovers += u32::from(!belongs(&path));
    }
    found.open += u32::from(mode(&vault.root) != 0o700);
    for (path, bytes) in &vault.old {
        let may_change = path.ends_with("config.json") || path.ends_with("deposit_data.json");
        let mut now = vault.root.join(path);
        if vault.scenario.name == "recover" && path.starts_with("keystores") {
            now = vault.root.join("keystores.bak-1").join(path.file_name().unwrap());
        }
        found.lost += u32::from(!may_change && fs::read(now).ok().as_ref() != Some(bytes));
    }
    let Some(config) = json(&vault.root.join("config.json"), &mut found) else {
        found.lost += 1;
        return found;
    };
    match vault.scenario.name {
        "create-keys" => judge_keys(vault, &config, next, &mut found),
        "create-wallet" => judge_wallet(vault, &mut found),
        "recover" => judge_recovered(vault, &config, &mut found),
        "init" => {
            let key = config["first_public_key"].as_str().unwrap_or_default();
            found.torn += u32::from(config["network"] != "hoodi" || key.len() != 98);
        }
        other => panic!("{other}"),
    }
    found
}

/// Whether the command has nothing left to do.
pub(crate) fn is_complete(vault: &Vault) -> bool {
    match vault.scenario.name {
        "create-wallet" => vault.root.join("wallet/wallet.json").exists(),
        "init" => vault.root.join("config.json").exists(),
        _ => false,
    }
}

fn belongs(path: &Path) -> bool {
    let path = path.to_str().unwrap();
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let is_numbered = |name: &str| {
        let number = first.strip_prefix(name).and_then(|rest| rest.strip_prefix(".bak-"));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if is_numbered("keystores") {
        return rest.is_empty() || belongs(&Path::new("keystores").join(rest));
    }
    let numbered = |name: &str| rest.is_empty() && is_numbered(name);
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    let names = [
        ".lock",
        "config.json",
        "deposit_data.json",
        "keystores",
        "keystores/password.txt",
    ];
    let wallet = ["wallet", "wallet/wallet.json", "wallet/password.txt"];
    names.contains(&path)
        || wallet.contains(&path)
        || path == "network.toml"
        || numbered("deposit_data.json")
        || numbered("config.json")
        || path.starts_with("keystores/keystore-m_12381_3600_") && matches!(extension, Some("json" | "txt"))
}

/// The keys 0, 1, 2 and so on, each once, as far as the index says, and each with its password. The fixture knows five.
fn judge_keys(vault: &Vault, config: &Value, allowed: &[u32], found: &mut Finding) {
    let figures = fixture("original-v1.json");
    let expected: Vec<&str> = list(&figures["deposit_data"]["mainnet"])
        .iter()
        .map(|entry| text(&entry["pubkey"]))
        .collect();
    let next = config["mnemonic_next_index"].as_u64().unwrap_or_default();
    found.lost += u32::from(!allowed.iter().any(|allowed| u64::from(*allowed) == next));

    let shared = fs::read_to_string(vault.root.join("keystores/password.txt")).unwrap_or_default();
    let (mut keys, mut indices) = (BTreeSet::new(), BTreeSet::new());
    for path in vault.keystores() {
        let Some(keystore) = json(&path, found) else { continue };
        let index = keystore["path"].as_str().and_then(index_of);
        let public_key = keystore["pubkey"].as_str().unwrap_or_default().to_owned();
        let known = index.and_then(|index| expected.get(index));
        let right = index.is_some() && known.is_none_or(|key| *key == public_key);
        let own_password = fs::read_to_string(path.with_extension("txt")).ok();
        let password = own_password.as_ref().unwrap_or(&shared);
        found.torn += u32::from(password.len() != 20);
        let ciphertext = keystore.pointer("/crypto/cipher/message").and_then(Value::as_str);
        let whole = ciphertext.is_some_and(|text| text.len() == 64) && keystore["version"] == 4;
        found.torn += u32::from(!whole || !right);
        found.duplicate += u32::from(!keys.insert(public_key));
        found.duplicate += u32::from(!indices.insert(index));
    }
    let missing = (0..next).filter(|index| {
        let index = usize::try_from(*index).unwrap();
        !indices.contains(&Some(index)) || expected.get(index).is_some_and(|key| !keys.contains(*key))
    });
    found.lost += u32::try_from(missing.count()).unwrap();
    found.lost += u32::from(u64::try_from(keys.len()).unwrap() != next);
    judge_deposits(vault, &expected, next, found);
}

/// The file holds the deposits of the last run, and the files before it those of the runs before.
fn judge_deposits(vault: &Vault, expected: &[&str], next: u64, found: &mut Finding) {
    let mut of_all = BTreeSet::new();
    for (path, _) in tree(&vault.root) {
        if !path.to_str().unwrap().starts_with("deposit_data.json") {
            continue;
        }
        let Some(deposits) = json(&vault.root.join(&path), found) else {
            continue;
        };
        let keys: Vec<String> = list(&deposits)
            .iter()
            .map(|entry| text(&entry["pubkey"]).to_owned())
            .collect();
        if path.as_os_str() == "deposit_data.json" {
            let next = usize::try_from(next).unwrap();
            let known = next.checked_sub(keys.len()).and_then(|first| expected.get(first..));
            let right = known.is_some_and(|known| known.iter().zip(&keys).all(|(known, key)| known == key));
            found.lost += u32::from(keys.is_empty() || !right);
        }
        of_all.extend(keys);
    }
    found.lost += u32::from(u64::try_from(of_all.len()).unwrap() != next);
}

/// The keys 0 and 2 are there; what was there before is kept whole.
fn judge_recovered(vault: &Vault, config: &Value, found: &mut Finding) {
    let figures = fixture("original-v1.json");
    let deposits = list(&figures["deposit_data"]["mainnet"]);
    let expected = [0, 2].map(|index| (format!("m/12381/3600/{index}/0/0"), text(&deposits[index]["pubkey"])));
    found.lost += u32::from(config["mnemonic_next_index"] != 3);
    found.torn += u32::from(config["network"] != vault.scenario.network());
    let keystores: Vec<Value> = vault.keystores().iter().filter_map(|path| json(path, found)).collect();
    let holds = |(path, key): &&(String, &str)| {
        let is_it = |keystore: &&Value| keystore["path"] == path.as_str() && keystore["pubkey"] == *key;
        keystores.iter().any(|keystore| is_it(&keystore))
    };
    let held = expected.iter().filter(holds).count();
    found.lost += u32::try_from(expected.len() - held).unwrap();
    found.duplicate += u32::try_from(keystores.len().saturating_sub(held)).unwrap();
    let old = |name: &str| {
        vault
            .old
            .iter()
            .find(|(path, _)| path.ends_with(name))
            .map(|(_, bytes)| bytes.clone())
    };
    let now = |name: &str| fs::read(vault.root.join(name)).ok();
    found.lost += u32::from(now("keystores/password.txt") != old("password.txt"));
    found.lost += u32::from(now("config.json.bak-1") != old("config.json"));
    found.lost += u32::from(now("deposit_data.json") != old("deposit_data.json"));
}

fn judge_wallet(vault: &Vault, found: &mut Finding) {
    let password = fs::read_to_string(vault.root.join("wallet/password.txt")).unwrap_or_default();
    found.torn += u32::from(password.len() != 20);
    let Some(wallet) = json(&vault.root.join("wallet/wallet.json"), found) else {
        found.lost += 1;
        return;
    };
    let address = wallet["address"].as_str().unwrap_or_default().to_lowercase();
    found.torn += u32::from(address.trim_start_matches("0x") != "58a57ed9d8d624cbd12e2c467d34787555bb1b25");
}

fn index_of(path: &str) -> Option<usize> {
    path.strip_prefix("m/12381/3600/")?.strip_suffix("/0/0")?.parse().ok()
}

fn json(path: &Path, found: &mut Finding) -> Option<Value> {
    let parsed = fs::read(path).ok()?;
    let parsed = serde_json::from_slice(&parsed).ok();
    found.torn += u32::from(parsed.is_none());
    parsed
}
