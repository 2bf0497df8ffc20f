//! The published and captured figures for phrases, keys and the files that hold them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code: a vector that is missing or malformed must fail"
)]

use serde_json::Value;
use sw_keys::{
    Keystore, KeystoreError, Language, Mnemonic, SecretKey, SecretString, Seed, Signature, SignedRoot, ValidatorKeys,
    WalletFile, WalletFileError, WalletKey, derive, verify, verify_batch,
};
use sw_spec::{Address, B256, PublicKeyBytes, SignatureBytes, U256};
use sw_testkit::{array, bytes, fixture, fixture_on_one_line, list, text};
use unicode_normalization::UnicodeNormalization;

/// The phrase of `src/test_fixtures/hashi_vault.py` of the original, whose keys are `hashi_keys`.
const HASHI_PHRASE: &str = "provide iron update bronze session immense garage want round enhance artefact position make \
                            wash analyst skirt float jealous trend spread ginger rapid express tool";

struct Bip39 {
    language: Language,
    entropy: Vec<u8>,
    phrase: String,
    seed: Vec<u8>,
}

fn bip39() -> Vec<Bip39> {
    let vectors: Vec<_> = list(&fixture("bip39_vectors.json"))
        .iter()
        .map(|vector| Bip39 {
            language: text(&vector[0]).parse().expect("a language"),
            entropy: bytes(&vector[1]),
            phrase: text(&vector[2]).to_owned(),
            seed: bytes(&vector[3]),
        })
        .collect();
    assert_eq!(vectors.len(), 480);
    vectors
}

#[test]
fn entropy_makes_the_published_phrases_and_phrases_the_published_seeds() {
    for vector in bip39() {
        let mnemonic = Mnemonic::from_entropy(vector.language, &vector.entropy).expect("a known length");
        assert_eq!(mnemonic.expose_phrase(), vector.phrase);
        let parsed = Mnemonic::parse(&vector.phrase).expect("a valid phrase");
        assert_eq!(parsed.expose_phrase(), vector.phrase);
        assert_eq!(parsed.language(), vector.language);
        assert_eq!(parsed.to_seed_with_passphrase("TREZOR").expose_bytes(), vector.seed);
    }
}

#[test]
fn every_phrase_is_read_back_from_the_forms_people_write() {
    let short = |word: &str| word.nfkc().take(4).collect::<String>();
    for vector in bip39() {
        let words: Vec<&str> = vector.phrase.split(' ').collect();
        let each = |form: &dyn Fn(&str) -> String, gap: &str| {
            words.iter().map(|word| form(word)).collect::<Vec<_>>().join(gap)
        };
        for form in [
            each(&short, " "),
            each(&|word| short(word).to_uppercase(), " "),
            each(&str::to_uppercase, " "),
            each(&|word| word.nfc().collect(), " "),
            each(&|word| word.nfd().collect(), " "),
            each(&|word| format!("\"{word}\""), " "),
            format!("\"{}\"\n", each(&str::to_owned, " \t \u{3000}\r\n")),
        ] {
            let parsed = Mnemonic::parse(&form).expect("a valid phrase");
            assert_eq!(parsed.expose_phrase(), vector.phrase, "from {form}");
        }
    }
}

#[test]
fn every_language_leads_to_the_keys_of_the_original() {
    let original = fixture("original-v1.json");
    let table = original["mnemonics_by_language"].as_object().expect("a table");
    let mut wallets = 0;
    for (language, expected) in table {
        let mnemonic = Mnemonic::parse(text(&expected["mnemonic"])).expect("a valid phrase");
        assert_eq!(mnemonic.language().name(), language);
        let seed = mnemonic.to_seed();
        assert_eq!(seed.expose_bytes(), bytes(&expected["seed"]));
        assert_eq!(
            ValidatorKeys::new(&seed).key(0).public_key().to_string(),
            text(&expected["first_public_key"])
        );
        // The original has no wallet for Portuguese: its wallet library fails.
        if let Ok(address) = text(&expected["wallet"]).parse::<Address>() {
            assert_eq!(WalletKey::derive(&seed).address(), address);
            wallets += 1;
        }
    }
    assert_eq!((table.len(), wallets), (8, 7));
}

#[test]
fn keys_and_wallet_are_those_of_the_original() {
    let original = fixture("original-v1.json");
    let seed = Mnemonic::parse(text(&original["mnemonic"]))
        .expect("a valid phrase")
        .to_seed();
    assert_eq!(seed.expose_bytes(), bytes(&original["seed"]));
    let master = derive(&seed, &"m".parse().expect("a path"));
    assert_eq!(master.expose_bytes().as_slice(), bytes(&original["master_sk"]));
    assert_eq!(check_keys(&seed, &original["keys"]), 5);
    let hashi = Mnemonic::parse(HASHI_PHRASE).expect("a valid phrase").to_seed();
    assert_eq!(check_keys(&hashi, &original["hashi_keys"]), 2);
    let wallet = WalletKey::derive(&seed);
    assert_eq!(wallet.expose_bytes().as_slice(), bytes(&original["wallet"]["key"]));
    assert_eq!(wallet.address().to_string(), text(&original["wallet"]["address"]));
}

fn check_keys(seed: &Seed, expected: &Value) -> usize {
    let keys = ValidatorKeys::new(seed);
    for expected in list(expected) {
        let index = u32::try_from(expected["index"].as_u64().expect("a number")).expect("an index");
        let path = ValidatorKeys::path(index);
        if let Some(stated) = expected["path"].as_str() {
            assert_eq!(path.to_string(), stated);
        }
        for key in [keys.key(index), derive(seed, &path)] {
            assert_eq!(key.expose_bytes().as_slice(), bytes(&expected["sk"]));
            assert_eq!(key.public_key().to_bytes().as_ref(), bytes(&expected["pk"]));
        }
    }
    list(expected).len()
}

#[test]
fn signatures_are_those_of_the_original() {
    let original = fixture("original-v1.json");
    let key = first_key(&original);
    let mut claims = Vec::new();
    for exit in original["exit_domain"].as_object().expect("a table").values() {
        let root = B256::new(array(&exit["signing_root_index_123"]));
        let expected = SignatureBytes(array(&exit["signature_key0"]));
        assert_eq!(key.sign(&root).to_bytes(), expected);
        let claim = SignedRoot {
            public_key: key.public_key().to_bytes(),
            root,
            signature: expected,
        };
        assert!(verify(&claim));
        assert!(
            Signature::try_from(&expected)
                .expect("a point")
                .verify(&root, &key.public_key())
        );
        claims.push(claim);
    }
    assert_eq!(
        verify_batch(&claims, &mut rand_core::UnwrapErr(getrandom::SysRng)),
        [true; 4]
    );
}

#[test]
fn derivation_is_that_of_eip_2333() {
    let cases = fixture("eip2333.json");
    for case in list(&cases) {
        let seed = Seed::from_bytes(&bytes(&case["seed"])).expect("an allowed length");
        let child = format!("m/{}", case["child_index"]);
        for (path, expected) in [("m", &case["master_sk"]), (child.as_str(), &case["child_sk"])] {
            let key = derive(&seed, &path.parse().expect("a path"));
            let expected = U256::from_str_radix(text(expected), 10).expect("a decimal number");
            assert_eq!(*key.expose_bytes(), expected.to_be_bytes::<32>());
        }
    }
    assert_eq!(list(&cases).len(), 4);
}

#[test]
fn keystores_of_eip_2335_open() {
    let vectors = fixture("eip2335.json");
    let password = SecretString::from(text(&vectors["password"]));
    let keystores = vectors["keystores"].as_object().expect("a table");
    for vector in keystores.values() {
        let keystore = Keystore::parse(vector.to_string().as_bytes()).expect("a keystore");
        let secret = keystore.decrypt(&password).expect("the password");
        assert_eq!(secret.expose_bytes().as_slice(), bytes(&vectors["secret"]));
        assert_eq!(keystore.path(), text(&vector["path"]));
        assert_eq!(keystore.public_key(), Some(PublicKeyBytes(array(&vector["pubkey"]))));
        let wrong = keystore
            .decrypt(&SecretString::from("testpassword"))
            .expect_err("without the key sign");
        assert!(matches!(wrong, KeystoreError::WrongPassword));
    }
    assert_eq!(keystores.len(), 2);
}

#[test]
fn the_keystore_of_the_original_opens_and_is_written_byte_for_byte() {
    let original = fixture("original-v1.json");
    let keystore = Keystore::parse(original["keystore"].to_string().as_bytes()).expect("a keystore");
    let stated = text(&original["keystore_password"]);
    for password in [stated.to_owned(), format!("{stated}\n"), format!("{stated}\r\n")] {
        let secret = keystore.decrypt(&SecretString::from(password)).expect("the password");
        assert_eq!(secret.expose_bytes().as_slice(), bytes(&original["keys"][0]["sk"]));
    }
    assert!(
        fixture_on_one_line("original-v1.json").contains(&keystore.to_json()),
        "{}",
        keystore.to_json()
    );
}

#[test]
fn the_wallet_of_the_original_opens_and_is_written_byte_for_byte() {
    let original = fixture("original-v1.json");
    let file = WalletFile::parse(original["wallet"]["keyfile"].to_string().as_bytes()).expect("a wallet");
    let password = text(&original["keystore_password"]);
    let key = file.decrypt(&SecretString::from(password)).expect("the password");
    assert_eq!(key.expose_bytes().as_slice(), bytes(&original["wallet"]["key"]));
    assert_eq!(file.address(), Some(key.address()));
    assert!(
        fixture_on_one_line("original-v1.json").contains(&file.to_json()),
        "{}",
        file.to_json()
    );
    let wrong = file
        .decrypt(&SecretString::from(format!("{password}\n")))
        .expect_err("not normalised");
    assert!(matches!(wrong, WalletFileError::WrongPassword));
}

#[test]
fn wallets_of_the_web3_secret_storage_definition_open() {
    let vectors = fixture("web3_secret_storage.json");
    let wallets = vectors["wallets"].as_object().expect("a table");
    for vector in wallets.values() {
        let file = WalletFile::parse(vector.to_string().as_bytes()).expect("a wallet");
        let key = file
            .decrypt(&SecretString::from(text(&vectors["password"])))
            .expect("the password");
        assert_eq!(key.expose_bytes().as_slice(), bytes(&vectors["secret"]));
        assert_eq!(key.address().to_string(), text(&vectors["address"]));
    }
    assert_eq!(wallets.len(), 2);
}

fn first_key(original: &Value) -> SecretKey {
    SecretKey::from_bytes(&array(&original["keys"][0]["sk"])).expect("a key")
}
