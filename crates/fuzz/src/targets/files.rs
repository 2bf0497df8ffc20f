//! Files of a person, and the program's own.

use std::fs::File;

use serde_json::Value;
use sw_chain_client::fuzzing;
use sw_deposit_data::DepositDataFile;
use sw_keys::{KeyPath, Keystore, WalletFile};
use sw_spec::{Network, NetworkSpec};
use sw_testkit::{fixture, list, text};

use crate::{Memory, Target, Verdict, typed::env_file};

pub(super) fn keystore() -> Target {
    let vectors = fixture("eip2335.json");
    let mut corpus = members(&vectors["keystores"]);
    corpus.push(one_line(&fixture("original-v1.json")["keystore"]));
    let tokens = &[
        "scrypt",
        "pbkdf2",
        "hmac-sha256",
        "aes-128-ctr",
        "\"dklen\":",
        "\"path\":\"m/12381/3600/0/0/0\",",
    ];
    Target::new("keystore", corpus, tokens, |input| {
        let seen = sw_vault_dir::fuzzing::keystore(input);
        let Ok(keystore) = Keystore::parse(input) else {
            return match seen {
                Ok(Some(_)) => Err("a file that is no keystore was taken for one".to_owned()),
                _ => Ok(Verdict::Refused),
            };
        };
        if Keystore::parse(keystore.to_json().as_bytes()).ok().as_ref() != Some(&keystore) {
            return Err("the keystore is another one after it was written and read".to_owned());
        }
        let _ = keystore.path().parse::<KeyPath>();
        Ok(Verdict::Accepted)
    })
}

pub(super) fn wallet() -> Target {
    let mut corpus = members(&fixture("web3_secret_storage.json")["wallets"]);
    corpus.retain(|wallet| WalletFile::parse(wallet).is_ok());
    let tokens = &["scrypt", "pbkdf2", "hmac-sha256", "\"Crypto\":", "\"version\":3,"];
    Target::new("wallet", corpus, tokens, |input| {
        let Ok(wallet) = WalletFile::parse(input) else {
            return Ok(Verdict::Refused);
        };
        if WalletFile::parse(wallet.to_json().as_bytes()).ok().as_ref() != Some(&wallet) {
            return Err("the wallet is another one after it was written and read".to_owned());
        }
        Ok(Verdict::Accepted)
    })
}

pub(super) fn config() -> Target {
    let key = text(&list(&fixture("original-v1.json")["keys"])[0]["pk"])
        .trim_start_matches("0x")
        .to_owned();
    let corpus = vec![
        format!(r#"{{"network": "mainnet", "mnemonic_next_index": 3, "first_public_key": "0x{key}"}}"#).into_bytes(),
        format!(r#"{{"network":"x","mnemonic_next_index":4294967295,"first_public_key":"0x{key}","a":[1,{{}}]}}"#)
            .into_bytes(),
    ];
    Target::new(
        "config",
        corpus,
        &["\"network\":", "\"mnemonic_next_index\":", "0x"],
        |input| {
            let Ok(config) = sw_vault_dir::fuzzing::config(input) else {
                return Ok(Verdict::Refused);
            };
            if sw_vault_dir::fuzzing::config(config.to_json().as_bytes()).ok().as_ref() != Some(&config) {
                return Err("the configuration is another one after it was written and read".to_owned());
            }
            Ok(Verdict::Accepted)
        },
    )
    // A JSON value of one byte takes 32, in a list that doubles as it grows.
    .within(Memory {
        base: 64 * 1024,
        per_byte: 160,
    })
}

pub(super) fn deposit_data() -> Target {
    let all = fixture("original-v1.json");
    let whole = &all["deposit_data"]["mainnet"];
    let entry = &list(whole)[0];
    let bare = serde_json::json!([{ "pubkey": entry["pubkey"], "signature": entry["signature"] }, null]);
    let corpus = vec![
        one_line(&Value::from(vec![entry.clone()])),
        one_line(&bare),
        one_line(whole),
    ];
    let tokens = &["null,", "\"amount\":32000000000,", "\"network_name\":\"x\","];
    Target::new("deposit-data", corpus, tokens, |input| {
        let Ok(file) = DepositDataFile::parse(input) else {
            return Ok(Verdict::Refused);
        };
        if DepositDataFile::parse(file.to_json().as_bytes()).ok().as_ref() != Some(&file) {
            return Err("the deposit data is other data after it was written and read".to_owned());
        }
        Ok(Verdict::Accepted)
    })
}

pub(super) fn network() -> Target {
    let mut own = Network::Hoodi.spec().to_toml();
    own = own
        .replace("hoodi", "devnet")
        .replace("560048", "560049")
        .replace("0x10000910", "0x20000910");
    let mut corpus: Vec<Vec<u8>> = Network::ALL
        .iter()
        .map(|network| network.spec().to_toml().into_bytes())
        .collect();
    corpus.push(own.into_bytes());
    Target::new(
        "network",
        corpus,
        &["\n", "[[", "]]", "a.b.c = 1\n", "\"\"\"", "{", "1979-05-27"],
        |input| {
            let Ok(spec) = str::from_utf8(input)
                .map_err(drop)
                .and_then(|text| NetworkSpec::from_toml(text).map_err(drop))
            else {
                return Ok(Verdict::Refused);
            };
            if NetworkSpec::from_toml(&spec.to_toml()).ok().as_ref() != Some(&spec) {
                return Err("the network is another one after it was written and read".to_owned());
            }
            let built_in = Network::ALL
                .iter()
                .map(|network| network.spec())
                .find(|built_in| built_in.chain_id == spec.chain_id);
            if built_in.is_some_and(|built_in| built_in != spec) {
                return Err("a network that could be mistaken for a built-in one".to_owned());
            }
            Ok(Verdict::Accepted)
        },
    )
    // Each key is a node of a tree that knows where it stood in the text.
    .within(Memory {
        base: 64 * 1024,
        per_byte: 512,
    })
}

pub(super) fn env_file() -> Target {
    let corpus = vec![
        b"VAULT=0x3320ad928c20187602a2B2C04EeAa813fA899468\nexport LOG_LEVEL='debug'\n# note\n".to_vec(),
        b"A=1\nB=\"${A}${A}\"\nC=$B$B$B\nD='$C'\nE=a\\ b\n".to_vec(),
    ];
    Target::new(
        "env-file",
        corpus,
        &["${A}", "A=${A}${A}\n", "$B", "export ", "\"", "'", "\\", "\n"],
        |input| Ok(env_file::check(input).is_ok().into()),
    )
    .within(Memory {
        base: 8 << 20,
        per_byte: 64,
    })
}

pub(super) fn journal() -> Target {
    let corpus = vec![fuzzing::sealed_journal(RECORDS).into_bytes()];
    let file = File::open("/dev/null");
    Target::new(
        "journal",
        corpus,
        &["{\"record\":", ",\"sum\":\"", "\n"],
        move |input| {
            let file = file
                .as_ref()
                .ok()
                .and_then(|file| file.try_clone().ok())
                .ok_or("no /dev/null")?;
            let Ok(journal) = fuzzing::journal(input, file) else {
                return Ok(Verdict::Refused);
            };
            let records = RECORDS.lines().count();
            if journal.entries().len() > records {
                return Err("a journal with more entries than were ever sealed".to_owned());
            }
            Ok(Verdict::Accepted)
        },
    )
}

pub(super) fn journal_records() -> Target {
    let file = File::open("/dev/null");
    let corpus = vec![RECORDS.as_bytes().to_vec()];
    let tokens = &["{\"start\":", "{\"intent\":", "{\"outcome\":", "\"mined\"", "\n"];
    Target::new("journal-records", corpus, tokens, move |input| {
        let Ok(records) = str::from_utf8(input.get(..8_192).unwrap_or(input)) else {
            return Ok(Verdict::Refused);
        };
        let file = file
            .as_ref()
            .ok()
            .and_then(|file| file.try_clone().ok())
            .ok_or("no /dev/null")?;
        Ok(fuzzing::journal(fuzzing::sealed_journal(records).as_bytes(), file)
            .is_ok()
            .into())
    })
    // Here the text of the journal is made as well: a seal is longer than a line may be.
    .within(Memory {
        base: 64 * 1024,
        per_byte: 256,
    })
}

pub(super) fn dump() -> Target {
    let mut record = vec![0, 0, 0, 7];
    record.extend([0xab; 48]);
    let corpus = vec![record.clone(), record.repeat(40)];
    Target::new("dump", corpus, &[], |input| {
        let Ok(validators) = sw_store::fuzzing::dump(input, 1_000_000) else {
            return Ok(Verdict::Refused);
        };
        let written: Vec<u8> = validators
            .iter()
            .flat_map(|(key, block)| [&block.to_be_bytes()[4..], key.0.as_slice()].concat())
            .collect();
        if written != input {
            return Err("the records are others than those of the list".to_owned());
        }
        Ok(Verdict::Accepted)
    })
}

fn members(value: &Value) -> Vec<Vec<u8>> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, member)| one_line(member))
        .collect()
}

fn one_line(value: &Value) -> Vec<u8> {
    match value {
        // Some fixtures hold a file as its text.
        Value::String(text) => text.clone().into_bytes(),
        value => value.to_string().into_bytes(),
    }
}

const RECORDS: &str = concat!(
    r#"{"start":{"version":1,"address":"0x3320ad928c20187602a2b2c04eeaa813fa899468","chain_id":1,"nonce":7}}"#,
    "\n",
    r#"{"intent":{"kind":"register","keys":["0xabababababababababababababababababababababababababababababababababababababababababababababababab"],"from":"0x3320ad928c20187602a2b2c04eeaa813fa899468","chain_id":1,"nonce":7,"hash":"0x1111111111111111111111111111111111111111111111111111111111111111","max_fee_per_gas":"0x3b9aca00","raw":"0x02f8"}}"#,
    "\n",
    r#"{"outcome":{"hash":"0x1111111111111111111111111111111111111111111111111111111111111111","state":{"mined":{"block":9,"success":true}}}}"#,
    "\n",
);
