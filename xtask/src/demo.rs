//! `cargo xtask demo`: the shipped binary does its job on a whole network, and the chain is asked what came of it.

mod exit;
mod recover;
mod register;
mod rotate;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sw_devnet::Registered;

use crate::{Failure, shell::build_operator};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which scenario to show.
    #[arg(default_value = "register", value_parser = SCENARIOS)]
    scenario: String,
    /// Run this operator instead of building one.
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// Prints one JSON document of what came of it, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
}

/// The scenarios by name; each is a file below `demo/`.
const SCENARIOS: [&str; 4] = ["register", "recover", "rotate", "exit"];

/// What a scenario brought about.
pub(crate) struct Outcome {
    /// The same for a machine.
    pub(crate) document: Value,
    /// For a person, with where to look further.
    pub(crate) lines: Vec<String>,
}

/// What was registered, as read back from the chain's events.
pub(crate) struct Registrations {
    /// The vaults, with their version and the road their registrations took.
    pub(crate) vaults: Vec<VaultOutcome>,
    /// Where a person can look further.
    pub(crate) look_at: Vec<String>,
}

pub(crate) struct VaultOutcome {
    pub(crate) address: String,
    pub(crate) version: u8,
    pub(crate) road: &'static str,
    pub(crate) registered: Vec<Registered>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let operator = match &arguments.operator {
        Some(path) => path.canonicalize()?,
        None => build_operator()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(show(&arguments.scenario, &operator))?;
    if arguments.json {
        println!("{}", outcome.document);
        return Ok(());
    }
    for line in outcome.lines {
        println!("{line}");
    }
    Ok(())
}

async fn show(scenario: &str, operator: &Path) -> Result<Outcome, Failure> {
    match scenario {
        "register" => register::run(operator).await.map(Outcome::from),
        "recover" => recover::run(operator).await,
        "rotate" => rotate::run(operator).await,
        "exit" => exit::run(operator).await,
        other => Err(format!("no scenario is called `{other}`").into()),
    }
}

impl From<Registrations> for Outcome {
    fn from(registrations: Registrations) -> Self {
        let mut lines = Vec::new();
        for vault in &registrations.vaults {
            lines.push(format!(
                "vault {} (version {}, through the {})",
                vault.address, vault.version, vault.road
            ));
            for Registered {
                public_key, tx, block, ..
            } in &vault.registered
            {
                lines.push(format!(
                    "  registered {public_key}\n    in block {block}, transaction {tx}"
                ));
            }
        }
        lines.extend(registrations.look_at.iter().cloned());
        Self {
            document: document(&registrations),
            lines,
        }
    }
}

fn document(outcome: &Registrations) -> Value {
    let registered = |vault: &VaultOutcome| -> Vec<_> {
        let each = vault.registered.iter();
        each.map(|each| json!({"public_key": each.public_key, "tx": each.tx, "block": each.block}))
            .collect()
    };
    let vaults: Vec<_> = outcome
        .vaults
        .iter()
        .map(|vault| {
            json!({
                "address": vault.address,
                "version": vault.version,
                "road": vault.road,
                "registered": registered(vault),
            })
        })
        .collect();
    json!({ "vaults": vaults })
}
