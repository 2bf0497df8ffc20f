//! Deposit data: signed and hashed as another tool does it, and a root that OpenZeppelin's library agrees with.

use std::fs;

use serde_json::{Value, json};

use crate::{
    tools::{node, python},
    vault::{PHRASE, VAULT, Vault},
};

/// What both know; the third value is how many keys are made.
const NETWORKS: [(&str, u32); 3] = [("mainnet", 7), ("hoodi", 2), ("gnosis", 1)];
/// Verifying takes Python most of a second an entry.
const VERIFIED: u32 = 2;

#[test]
fn deposit_data_of_ours_is_that_of_another_tool_which_verifies_it() {
    for (network, count) in NETWORKS {
        let first = python().text("derive", json!({"phrase": PHRASE, "index": 0}));
        let vault = Vault::of(&first, network);
        vault.create_keys(count, &[], PHRASE);
        let deposits = vault.deposits();
        assert_eq!(deposits.len(), count as usize);

        for (index, ours) in (0..count.min(VERIFIED)).zip(&deposits) {
            let mut arguments = json!({"phrase": PHRASE, "index": index, "network": network, "address": VAULT});
            let mut theirs = python().ask("deposit", arguments.clone());
            // The file says by which program's rules it was made.
            theirs["deposit_cli_version"] = ours["deposit_cli_version"].clone();
            assert_eq!(ours, &theirs, "{network} {index}");
            arguments["deposit"] = ours.clone();
            assert_eq!(
                python().ask("verify_deposit", arguments),
                json!(true),
                "{network} {index}"
            );
        }
        let root = vault.operator(&["get-validators-root"], "");
        assert_eq!(
            root.trim_end().rsplit(' ').next(),
            Some(openzeppelin(&deposits).as_str()),
            "{network}"
        );
    }
}

/// Verified as `get-validators-root` does unasked.
#[test]
fn deposit_data_of_another_tool_passes_our_checks_and_gives_the_same_root() {
    for (network, count) in [("mainnet", 3), ("gnosis", 1)] {
        let make = |index| {
            python().ask(
                "deposit",
                json!({"phrase": PHRASE, "index": index, "network": network, "address": VAULT}),
            )
        };
        let deposits: Vec<Value> = (0..count).map(make).collect();
        let vault = Vault::of(sw_testkit::text(&deposits[0]["pubkey"]), network);
        fs::write(vault.root().join("deposit_data.json"), json!(deposits).to_string()).unwrap();
        let root = vault.operator(&["get-validators-root"], "");
        assert_eq!(
            root.trim_end().rsplit(' ').next(),
            Some(openzeppelin(&deposits).as_str()),
            "{network}"
        );
    }
}

#[test]
fn the_other_tool_refuses_a_deposit_that_is_not_what_was_signed() {
    let arguments = json!({"phrase": PHRASE, "index": 0, "network": "hoodi", "address": VAULT});
    let sound = python().ask("deposit", arguments.clone());
    for (member, value) in [
        ("amount", json!(31_000_000_000_u64)),
        ("fork_version", json!("00000000")),
    ] {
        let mut wrong = arguments.clone();
        wrong["deposit"] = sound.clone();
        wrong["deposit"][member] = value;
        assert_eq!(python().ask("verify_deposit", wrong), json!(false), "{member}");
    }
}

fn openzeppelin(deposits: &[Value]) -> String {
    node().text("merkle_root", json!({"deposits": deposits}))
}
