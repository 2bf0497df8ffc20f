//! The command lines that the original's document gives for making keys, as its users have them in scripts.

use std::process::Command;

const VAULT: &str = "--vault=0x3320ad928c20187602a2b2c04eeaa813fa899468";
/// As the document writes them, with every flag that it lists; the network it names has gone.
const COMMAND_LINES: [&[&str]; 17] = [
    &["init"],
    &["init", "--network=hoodi"],
    &[
        "init",
        "--network",
        "mainnet",
        "--language",
        "english",
        VAULT,
        "--no-verify",
        "--data-dir",
        ".",
    ],
    &["init", "--language=Chinese_Simplified"],
    &["create-keys"],
    &[
        "create-keys",
        "--mnemonic",
        "a b",
        "--count",
        "10",
        VAULT,
        "--per-keystore-password",
        "--data-dir=.",
    ],
    &["create-keys", "--pool-size=2", "--count=1"],
    &["create-wallet"],
    &["create-wallet", VAULT, "--mnemonic=a b", "--data-dir", "."],
    &["get-validators-root"],
    &[
        "get-validators-root",
        "--data-dir=.",
        "--deposit-data-file",
        "deposit_data.json",
        VAULT,
    ],
    &[
        "start",
        VAULT,
        "--consensus-endpoints=http://localhost:5052",
        "--execution-endpoints=http://localhost:8545",
    ],
    &[
        "start",
        VAULT,
        "--hot-wallet-file",
        "wallet.txt",
        "--hot-wallet-password-file",
        "password.txt",
    ],
    &["recover"],
    &[
        "recover",
        "--data-dir=.",
        "--per-keystore-password",
        "--mnemonic",
        "a b",
        VAULT,
        "--execution-endpoints=https://example.com",
        "--consensus-endpoints",
        "https://example.com",
        "--network",
        "mainnet",
        "--no-confirm",
    ],
    &["merge-deposit-data"],
    &[
        "merge-deposit-data",
        "-d",
        "Cargo.toml",
        "-d",
        "README.md",
        "-m",
        "merged.json",
    ],
];

/// `--help` at the end is answered when all before it has been understood.
fn is_understood(command_line: &[&str]) -> bool {
    let mut operator = Command::new(env!("CARGO_BIN_EXE_operator"));
    operator
        .args(command_line)
        .arg("--help")
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn the_command_lines_of_the_original_are_understood() {
    for command_line in COMMAND_LINES {
        assert!(is_understood(command_line), "{command_line:?}");
    }
    for wrong in [
        &["init", "--networks=hoodi"][..],
        &["create-keys", "--count=0"],
        &["init", "--vault=0x33"],
    ] {
        assert!(!is_understood(wrong), "{wrong:?}");
    }
}
