//! The hot wallet: ours in eth-account and ethers, theirs in ours.

use serde_json::json;
use sw_keys::{SecretString, WalletFile};

use crate::{
    tools::{both, node, python},
    vault::{PHRASE, Vault, read},
};

/// m/44'/60'/0'/0/0 of [`PHRASE`].
const ADDRESS: &str = "0x58A57ed9d8d624cBD12e2C467D34787555bB1b25";

#[test]
fn a_wallet_of_ours_opens_in_the_tools_of_others() {
    let first = node().text("derive", json!({"phrase": PHRASE, "index": 0}));
    let vault = Vault::of(&first, "hoodi");
    vault.operator(&["create-wallet", "--mnemonic-file", "-"], PHRASE);
    let directory = vault.root().join("wallet");
    let (wallet, password) = (
        read(&directory.join("wallet.json")),
        read(&directory.join("password.txt")),
    );
    for tools in both() {
        let opened = tools.text("open_wallet", json!({"wallet": wallet, "password": password}));
        assert_eq!(opened, ADDRESS, "{}", tools.name);
        let derived = tools.text("wallet_address", json!({"language": "english", "phrase": PHRASE}));
        assert_eq!(derived, ADDRESS, "{}", tools.name);
    }
}

#[test]
fn wallets_of_other_tools_open_in_ours() {
    let secret = format!("{:064x}", 0x5eed);
    let password = "pässwörd of theirs";
    for (tools, kdf) in [
        (python(), "scrypt"),
        (python(), "pbkdf2"),
        (node(), "scrypt"),
        (node(), "scrypt n=4096"),
    ] {
        let wallet = tools.text(
            "encrypt_wallet",
            json!({"secret": secret, "password": password, "kdf": kdf}),
        );
        let opened = WalletFile::parse(wallet.as_bytes()).unwrap();
        let key = opened.decrypt(&SecretString::from(password)).unwrap();
        assert_eq!(key.expose_bytes()[30..], [0x5e, 0xed], "{} {kdf}", tools.name);
        assert_eq!(opened.address(), Some(key.address()), "{} {kdf}", tools.name);
    }
}

/// The format says nothing of Unicode. eth-account and geth take the password as it is, and so do we; ethers brings it into
/// NFKC first, so that a wallet whose password is not in that form opens in one family or in the other.
#[test]
fn where_the_tools_of_others_disagree_on_a_password_ours_takes_it_as_it_is() {
    let secret = format!("{:064x}", 1);
    for (password, as_it_is) in [("pa\u{308}ssword \u{fb01}", true), ("p\u{e4}ssword fi", false)] {
        let typed = "pa\u{308}ssword \u{fb01}";
        let wallet = |tools: &crate::tools::Tools| {
            tools.text(
                "encrypt_wallet",
                json!({"secret": secret, "password": typed, "kdf": "scrypt n=4096"}),
            )
        };
        let opens = |wallet: &str| {
            let file = WalletFile::parse(wallet.as_bytes()).unwrap();
            file.decrypt(&SecretString::from(password)).is_ok()
        };
        assert_eq!(opens(&wallet(python())), as_it_is, "{password}");
        assert_eq!(opens(&wallet(node())), !as_it_is, "{password}");
    }
}
