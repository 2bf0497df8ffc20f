//! What no output may have in it, and the files that must stay as they are.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aes::cipher::{KeyIvInit, StreamCipher};
use serde_json::Value;
use sw_devnet::audit::Violation;

use crate::Failure;

/// Secrets of one vault's directory, by name.
pub(crate) struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// The mnemonic, the passwords, and the wallet's key.
    pub(crate) fn of(vault_dir: &Path, mnemonic: &str) -> Result<Self, Failure> {
        let words: Vec<&str> = mnemonic.split_whitespace().collect();
        // One word alone may be in any text.
        let pairs = words
            .windows(2)
            .map(|pair| ("two words of the mnemonic", pair.join(" ")));
        let mut secrets: Vec<(String, String)> = pairs.map(|(name, secret)| (name.to_owned(), secret)).collect();
        let password = |path: &str| fs::read_to_string(vault_dir.join(path));
        let of_wallet = password("wallet/password.txt")?;
        secrets.push((
            "the keystores' password".to_owned(),
            password("keystores/password.txt")?,
        ));
        let wallet = fs::read(vault_dir.join("wallet/wallet.json"))?;
        let key = wallet_key(&serde_json::from_slice(&wallet)?, &of_wallet).ok_or("the wallet has another form")?;
        secrets.push(("the wallet's password".to_owned(), of_wallet));
        secrets.push(("the wallet's key".to_owned(), key));
        Ok(Self(secrets))
    }

    /// Reports every secret that a text has in it (I10).
    pub(crate) fn look(&self, text: &str, violations: &mut Vec<Violation>) {
        for (name, _) in self.0.iter().filter(|(_, secret)| text.contains(secret.trim())) {
            violations.push(Violation::new("I10", format!("{name} is in the log")));
        }
    }
}

/// The key in a wallet file (Web3 Secret Storage, scrypt), in hexadecimal.
fn wallet_key(wallet: &Value, password: &str) -> Option<String> {
    let text = |path: &str| wallet.pointer(path)?.as_str().map(str::to_owned);
    let number = |name: &str| wallet.pointer(&format!("/crypto/kdfparams/{name}"))?.as_u64();
    let bytes = |path: &str| from_hex(&text(path)?);
    let log_n = u8::try_from(number("n")?.ilog2()).ok()?;
    let [r, p] = [u32::try_from(number("r")?).ok()?, u32::try_from(number("p")?).ok()?];
    let params = scrypt::Params::new(log_n, r, p).ok()?;
    let mut derived = [0; 32];
    scrypt::scrypt(
        password.as_bytes(),
        &bytes("/crypto/kdfparams/salt")?,
        &params,
        &mut derived,
    )
    .ok()?;
    let mut key = bytes("/crypto/ciphertext")?;
    let iv = bytes("/crypto/cipherparams/iv")?;
    ctr::Ctr128BE::<aes::Aes128>::new_from_slices(derived.get(..16)?, &iv)
        .ok()?
        .apply_keystream(&mut key);
    Some(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// The key files as they were when they were reported created (I9).
pub(crate) struct KeyFiles(BTreeMap<PathBuf, Vec<u8>>);

impl KeyFiles {
    pub(crate) fn of(vault_dir: &Path) -> std::io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(vault_dir.join("keystores"))? {
            let path = entry?.path();
            files.insert(path.clone(), fs::read(path)?);
        }
        Ok(Self(files))
    }

    pub(crate) fn look(&self, violations: &mut Vec<Violation>) {
        for (path, then) in &self.0 {
            if fs::read(path).ok().as_ref() != Some(then) {
                let what = format!("`{}` is not what it was", path.display());
                violations.push(Violation::new("I9", what));
            }
        }
    }
}
