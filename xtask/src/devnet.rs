//! `cargo xtask devnet`: a network that stays up, and how to play with it.

use std::path::Path;

use sw_devnet::{Devnet, DevnetConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::{Failure, shell::build_operator};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many oracles there are; the last one is the Node program.
    #[arg(long, default_value_t = DevnetConfig::default().oracles)]
    oracles: usize,
    /// Seconds of a slot.
    #[arg(long, default_value_t = DevnetConfig::default().seconds_per_slot)]
    seconds_per_slot: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let operator = build_operator()?;
    let config = DevnetConfig {
        oracles: arguments.oracles,
        seconds_per_slot: arguments.seconds_per_slot,
        ..DevnetConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let devnet = Devnet::start(config).await?;
        let home = tempfile::Builder::new().prefix("operator-devnet-").tempdir()?;
        explain(&devnet, &operator, home.path());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        devnet.stop().await;
        Ok(())
    })
}

/// Prints what to paste, line by line, into another terminal.
fn explain(devnet: &Devnet, operator: &Path, home: &Path) {
    let (operator, vault, admin) = (quoted(operator), devnet.vault(), devnet.admin());
    let send = |to: &str, data: &str, wei: &str| {
        let transaction = format!(r#"{{"from":"{admin}","to":"{to}","data":"{data}","value":"{wei}"}}"#);
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_sendTransaction","params":[{transaction}]}}"#);
        println!("curl -s $EXECUTION_ENDPOINTS -H 'content-type: application/json' -d '{request}'; echo");
    };
    println!("A network is up. In another terminal:\n");
    println!("export EXECUTION_ENDPOINTS={}", devnet.execution_url());
    println!("export CONSENSUS_ENDPOINTS={}", devnet.consensus_url());
    println!("export IPFS_FETCH_ENDPOINTS={}", devnet.ipfs_url());
    println!("export NETWORK_CONFIG={}", quoted(devnet.network_file()));
    println!("export DATA_DIR={}", quoted(home));
    println!("export VAULT={vault}");
    println!("\n# One after another; `init` shows the mnemonic that the next two ask for.");
    println!("{operator} init --vault $VAULT --language english");
    println!("{operator} create-keys --vault $VAULT --count 4");
    println!("{operator} create-wallet --vault $VAULT");
    println!("{operator} get-validators-root --vault $VAULT");
    println!("\n# As the admin {admin} (the node signs for it): upload the root, pay the wallet 1 ETH, stake 32.");
    println!("ROOT=$({operator} get-validators-root --vault $VAULT | grep -o '[0-9a-f]*$')");
    let wallet = home.join(format!("{vault:#x}")).join("wallet/wallet.json");
    println!(
        r#"WALLET=0x$(grep -o '"address": *"[0-9a-f]*' {} | grep -o '[0-9a-f]*$')"#,
        quoted(&wallet)
    );
    let registry = devnet.deployment().deposit_data_registry;
    send(
        &registry.to_string(),
        &format!("{SET_DEPOSIT_DATA_ROOT}{}'$ROOT'", word(&format!("{vault:x}"))),
        "0x0",
    );
    send("'$WALLET'", "0x", "0xde0b6b3a7640000");
    let stake = format!("{DEPOSIT}{}{}", word(&format!("{admin:x}")), word(""));
    send(&vault.to_string(), &stake, "0x1bc16d674ec800000");
    println!("\n{operator} start --vault $VAULT");
    println!("\n# While it runs, stake as often as you like. Ctrl-C ends the network; DATA_DIR goes with it.");
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+".contains(character);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Hexadecimal digits as a word of call data.
fn word(digits: &str) -> String {
    format!("{digits:0>64}")
}

/// `setDepositDataRoot(address,bytes32)` of the DepositDataRegistry.
const SET_DEPOSIT_DATA_ROOT: &str = "0x56b7a439";
/// `deposit(address,address)` of the vault: for whom, and nobody as referrer.
const DEPOSIT: &str = "0xf9609f08";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_or_a_quote_is_one_word_of_a_shell() {
        for path in ["/tmp/plain-1.2_3", "/tmp/a b", "/tmp/it's $HOME"] {
            let script = format!("printf %s {}", quoted(Path::new(path)));
            let output = std::process::Command::new("sh").args(["-c", &script]).output();
            assert_eq!(output.expect("a shell").stdout, path.as_bytes());
        }
    }
}
