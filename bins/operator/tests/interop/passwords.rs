//! Passwords of keystores in all of Unicode: normalised alike by every tool (EIP-2335, "Password requirements").

use std::{collections::BTreeSet, fs};

use serde_json::json;
use sw_keys::{KdfParams, KeyPath, Keystore, Mnemonic, SecretString, ValidatorKeys};

use crate::{
    tools::{both, node, python},
    vault::{PHRASE, Vault},
};

/// What people, password managers and files make of passwords. Sixteen of them are as EIP-2335 wants them already.
const PASSWORDS: [&str; 40] = [
    "correct horse battery staple",
    " spaces at both ends ",
    "two  spaces   and three",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "\u{e9}t\u{e9} compos\u{e9}",
    "e\u{301}te\u{301} de\u{301}compose\u{301}",
    "\u{212b}ngstr\u{f6}m and \u{2126}",
    "\u{1e9b}\u{323} two marks",
    "q\u{323}\u{307}q\u{307}\u{323} marks in any order",
    "\u{fb01}sh \u{fb03} ligatures",
    "\u{ff46}\u{ff55}\u{ff4c}\u{ff4c} \u{ff57}\u{ff49}\u{ff44}\u{ff54}\u{ff48}",
    "\u{ff8a}\u{ff9f}\u{ff7d}\u{ff9c}\u{ff70}\u{ff84}\u{ff9e} half width",
    "x\u{b2} \u{2460} \u{bd} \u{2163}",
    "\u{1d531}\u{1d522}\u{1d530}\u{1d531}\u{1d52d}\u{1d51e}\u{1d530}\u{1d530}\u{1d534}\u{1d52c}\u{1d52f}\u{1d521}\u{1f511}",
    "\u{1f600}\u{1f680}\u{1f4a9}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466} family",
    "\u{1f44d}\u{1f3fd} \u{2764}\u{fe0f} \u{1f1e9}\u{1f1ea}",
    "\u{5bc6}\u{7801}\u{5b89}\u{5168}",
    "\u{5bc6}\u{78bc}\u{5b89}\u{5168}",
    "\u{30d1}\u{30b9}\u{30ef}\u{30fc}\u{30c9}",
    "\u{be44}\u{bc00}\u{bc88}\u{d638}",
    "\u{1107}\u{1175}\u{1106}\u{1175}\u{11af} \u{f900}\u{2f800}",
    "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c} \u{439}",
    "\u{3ba}\u{3c9}\u{3b4}\u{3b9}\u{3ba}\u{3cc}\u{3c2} \u{390}\u{1fb3}",
    "\u{5e1}\u{5b4}\u{5d9}\u{5e1}\u{5b0}\u{5de}\u{5b8}\u{5d4}",
    "\u{643}\u{644}\u{645}\u{629} \u{627}\u{644}\u{633}\u{631} \u{fdfa}",
    "\u{202e}desrever\u{202c} \u{200f}mark",
    "\u{92a}\u{93e}\u{938}\u{935}\u{930}\u{94d}\u{921} \u{958}",
    "\u{e23}\u{e2b}\u{e31}\u{e2a}\u{e1c}\u{e48}\u{e32}\u{e19}\u{e33}",
    "m\u{1ead}t kh\u{1ea9}u",
    "non\u{a0}breaking\u{2003}em\u{3000}wide",
    "zero\u{200b}width\u{200d}joiner\u{ad}soft\u{2060}word",
    "tab\tline\nreturn\rnul\u{0}bell\u{7}escape\u{1b}",
    "delete\u{7f}and c1\u{80}\u{85}\u{9f}",
    "e\u{7f}\u{301} a mark behind what is dropped",
    "\u{feff}byte order mark",
    "astral \u{20000}\u{2a6df}\u{10348}",
    "private \u{e000}\u{f8ff}\u{10fffd} \u{fffd}",
    "musical \u{1d15e}\u{1d1bb}",
    "Z\u{351}\u{36b}\u{343}a\u{321}\u{313}l\u{349}\u{355}g\u{33c}o\u{31e}\u{323}",
];
/// Those that a file does not give back: spaces at the ends of a password file are not read, as in the original.
const WITH_SPACES_AT_AN_END: usize = 1;

#[test]
fn forty_passwords_of_ours_open_in_the_tools_of_others() {
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let keys = ValidatorKeys::new(&Mnemonic::parse(PHRASE).unwrap().to_seed());
    let mut opened = 0;
    for (index, password) in (0..).zip(PASSWORDS) {
        let derived = KdfParams::pbkdf2(&mut rng)
            .derive(&SecretString::from(password))
            .unwrap();
        let secret = keys.key(index);
        let keystore = Keystore::encrypt_with(&derived, &secret, &KeyPath::validator(index), &mut rng);
        let expected = secret.public_key().to_bytes().to_string();
        for tools in both() {
            let arguments = json!({"keystore": keystore.to_json(), "password": password});
            let held = tools.text("open_keystore", arguments);
            assert_eq!(format!("0x{held}"), expected, "{} {password:?}", tools.name);
            opened += 1;
        }
    }
    assert_eq!(opened, 80);
}

#[test]
fn forty_passwords_of_others_open_in_ours_and_most_of_them_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let (mut opened, mut expected) = (0, BTreeSet::new());
    for (tools, offset) in [(python(), 1), (node(), 1001)] {
        for (index, password) in (offset..).zip(PASSWORDS) {
            let secret = format!("{index:064x}");
            let arguments =
                json!({"secret": secret, "password": password, "path": "m/12381/3600/0/0/0", "kdf": "pbkdf2"});
            let keystore = tools.text("encrypt_keystore", arguments);
            let ours = Keystore::parse(keystore.as_bytes()).unwrap();
            let held = ours
                .decrypt(&SecretString::from(password))
                .unwrap_or_else(|error| panic!("{} {password:?}: {error}", tools.name));
            assert_eq!(
                held.expose_bytes()[..],
                index_bytes(index),
                "{} {password:?}",
                tools.name
            );
            opened += 1;
            if password.trim() == password {
                let file = directory.path().join(format!("keystore-{index}.json"));
                fs::write(file.with_extension("txt"), password).unwrap();
                fs::write(file, keystore).unwrap();
                expected.insert(held.public_key().to_bytes());
            }
        }
    }
    assert_eq!(opened, 80);
    assert_eq!(expected.len(), 2 * (PASSWORDS.len() - WITH_SPACES_AT_AN_END));

    Vault::nowhere().verify_keystores(directory.path(), expected.len());
}

/// eth-keyfile normalises a password when it makes a keystore, as the EIP says, and takes it as it is when it opens one: of its
/// own it opens only those whose password is in that form already. The others keep to the EIP both times, and so do we.
#[test]
fn a_tool_that_disagrees_with_itself_makes_keystores_that_open_in_ours() {
    let (mut ours_opens, mut its_own_opens) = (0, 0);
    for (index, password) in (1..).zip(PASSWORDS) {
        let secret = format!("{index:064x}");
        let keystore = python().text(
            "encrypt_with_eth_keyfile",
            json!({"secret": secret, "password": password}),
        );
        let ours = Keystore::parse(keystore.as_bytes()).unwrap();
        let held = ours.decrypt(&SecretString::from(password)).unwrap();
        assert_eq!(held.expose_bytes()[..], index_bytes(index), "{password:?}");
        ours_opens += 1;
        let arguments = json!({"keystore": keystore, "password": password});
        its_own_opens += u32::from(python().try_ask("open_with_eth_keyfile", arguments).is_ok());
    }
    assert_eq!((ours_opens, its_own_opens), (40, 16));
}

/// EIP-2335 names no version of Unicode. A tool whose tables are older than a character leaves it as it is, ours and newer
/// ones decompose it: the same password is then another.
#[test]
fn a_character_younger_than_a_tool_is_where_tools_disagree() {
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let secret = ValidatorKeys::new(&Mnemonic::parse(PHRASE).unwrap().to_seed()).key(0);
    for (password, decomposed, since) in [("\u{1e030}", "\u{430}", 15), ("\u{1ccd6}", "A", 16)] {
        let derived = KdfParams::pbkdf2(&mut rng)
            .derive(&SecretString::from(password))
            .unwrap();
        let keystore = Keystore::encrypt_with(&derived, &secret, &KeyPath::validator(0), &mut rng);
        assert!(
            keystore.decrypt(&SecretString::from(decomposed)).is_ok(),
            "ours knows Unicode {since}"
        );
        for tools in both() {
            let about = tools.ask("about", json!({}));
            let version = sw_testkit::text(&about["unicode"]).split('.').next().unwrap();
            let knows = version.parse::<u32>().unwrap() >= since;
            let arguments = json!({"keystore": keystore.to_json(), "password": password});
            assert_eq!(
                tools.try_ask("open_keystore", arguments).is_ok(),
                knows,
                "{} {version}",
                tools.name
            );
        }
    }
}

fn index_bytes(index: u32) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&index.to_be_bytes());
    bytes
}
