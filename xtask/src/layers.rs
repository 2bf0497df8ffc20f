//! The layers of ARCHITECTURE.md, held by a machine.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    Failure,
    shell::{cargo, metadata, output, root},
};

/// Which layer a crate stands on, and which crates beside it on the same layer it may use.
const LAYERS: &[(&str, u8, &[&str])] = &[
    // NAME
    ("sw-spec", 0, &[]),
    // COMPUTE
    ("sw-keys", 1, &[]),
    ("sw-deposit-data", 1, &["sw-keys"]),
    ("sw-shamir-exit", 1, &["sw-keys"]),
    // TALK: none knows another
    ("sw-signers", 2, &[]),
    ("sw-vault-dir", 2, &[]),
    ("sw-ipfs", 2, &[]),
    ("sw-chain-client", 2, &[]),
    ("sw-oracle-client", 2, &[]),
    ("sw-store", 2, &[]),
    // ACT
    ("sw-key-ops", 3, &[]),
    ("sw-registration", 3, &[]),
    // DECIDE
    ("operator", 4, &[]),
];

/// The other side of every wire and the tools around it: they stand outside, and use none of the layers.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("sw-testkit", &[]),
    ("sw-devnet", &[]),
    ("xtask", &["sw-devnet"]),
    // It reaches every parser.
    (
        "sw-fuzz",
        &[
            "sw-testkit",
            "sw-spec",
            "sw-keys",
            "sw-deposit-data",
            "sw-vault-dir",
            "sw-ipfs",
            "sw-chain-client",
            "sw-oracle-client",
            "sw-store",
            "sw-registration",
        ],
    ),
];

/// What tests may use from outside.
const FOR_TESTS: &[(&str, &[&str])] = &[("sw-testkit", &[]), ("sw-devnet", &["operator"])];

/// The modules that may allow `unsafe`, which the root manifest denies.
const UNSAFE: &[&str] = &["crates/keys/src/scrypt_lanes.rs", "crates/shamir-exit/src/curve.rs"];

/// What COMPUTE and NAME must not contain, however deep.
const IMPURE: &[&str] = &["tokio", "reqwest", "tracing", "hyper", "mio"];

pub(crate) fn run() -> Result<(), Failure> {
    let metadata = metadata()?;
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .ok_or("no packages")?;
    let ranks: BTreeMap<&str, u8> = LAYERS.iter().map(|(name, rank, _)| (*name, *rank)).collect();
    let mut faults = Vec::new();
    let mut edges = 0;
    for package in packages {
        let name = package
            .get("name")
            .and_then(Value::as_str)
            .ok_or("a package without a name")?;
        for dependency in package
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let Some(target) = dependency.get("name").and_then(Value::as_str) else {
                continue;
            };
            let ours = ranks.contains_key(target) || OUTSIDE.iter().any(|(outside, _)| *outside == target);
            if !ours {
                continue;
            }
            edges += 1;
            let for_tests = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            if !allowed(name, target, for_tests, &ranks) {
                faults.push(format!("{name} must not depend on {target}"));
            }
        }
        if !ranks.contains_key(name) && !OUTSIDE.iter().any(|(outside, _)| *outside == name) {
            faults.push(format!(
                "{name} has no layer; give it one in xtask/src/layers.rs and ARCHITECTURE.md"
            ));
        }
    }
    for (name, _, _) in LAYERS.iter().filter(|(_, rank, _)| *rank <= 1) {
        let tree = output(&mut cargo(&[
            "tree",
            "--package",
            name,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]))?;
        for crate_name in tree.lines().filter_map(|line| line.split_whitespace().next()) {
            if IMPURE.contains(&crate_name) {
                faults.push(format!("{name} computes only, but {crate_name} is below it"));
            }
        }
    }
    faults.extend(surroundings(&ranks)?);
    faults.dedup();
    if faults.is_empty() {
        println!("layers: {} packages, {edges} edges, all point down", packages.len());
        return Ok(());
    }
    Err(format!("layers:\n  {}", faults.join("\n  ")).into())
}

fn allowed(name: &str, target: &str, for_tests: bool, ranks: &BTreeMap<&str, u8>) -> bool {
    if for_tests && let Some((_, users)) = FOR_TESTS.iter().find(|(outside, _)| *outside == target) {
        return users.is_empty() || users.contains(&name);
    }
    if let Some((_, uses)) = OUTSIDE.iter().find(|(outside, _)| *outside == name) {
        return uses.contains(&target);
    }
    let (Some(from), Some(to)) = (ranks.get(name), ranks.get(target)) else {
        return false;
    };
    let beside = LAYERS
        .iter()
        .any(|(layer, _, beside)| *layer == name && beside.contains(&target));
    to < from || beside
}

/// Only the binary reads the environment; `unsafe` stands in the places that SECURITY.md names.
fn surroundings(ranks: &BTreeMap<&str, u8>) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for name in ranks.keys().filter_map(|name| name.strip_prefix("sw-")) {
        for entry in walk(&root().join("crates").join(name).join("src"))? {
            let text = std::fs::read_to_string(&entry)?;
            if text.contains("unsafe_code") && !UNSAFE.iter().any(|file| entry.ends_with(file)) {
                faults.push(format!(
                    "{} allows `unsafe`; SECURITY.md names {} only",
                    entry.display(),
                    UNSAFE.join(" and "),
                ));
            }
            for word in ["env::var", "home_dir(", "install_default("] {
                if text.contains(word) {
                    faults.push(format!(
                        "{} uses `{word}`; only the binary knows its surroundings",
                        entry.display()
                    ));
                }
            }
        }
    }
    Ok(faults)
}

fn walk(directory: &std::path::Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}
