//! What is a configuration, and which configurations make a set of oracles.
#![expect(clippy::indexing_slicing, reason = "a test that meets a surprise should fail")]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use support::{config, config_json, on_chain, public_key};
use sw_oracle_client::{ConfigError, OracleSet, OracleSetError, ProtocolConfig, SealSharesError};
use sw_shamir_exit::{ExitShare, ShareIndex, ThresholdError};
use sw_spec::{PublicKeyBytes, SignatureBytes};

fn endpoints(oracles: usize) -> Vec<Vec<String>> {
    (0..oracles)
        .map(|position| vec![format!("https://oracle-{position}.example/api?key=secret")])
        .collect()
}

fn parse(document: &Value) -> Result<ProtocolConfig, ConfigError> {
    ProtocolConfig::parse(document.to_string().as_bytes())
}

fn changed(member: &str, value: Value) -> Result<ProtocolConfig, ConfigError> {
    let mut document = config_json(&endpoints(3), 2);
    document[member] = value;
    parse(&document)
}

#[test]
fn the_members_of_a_live_configuration_are_read_and_others_ignored() {
    let mut document = config_json(&endpoints(3), 2);
    for (member, value) in [
        ("supported_relays", json!(["https://relay.example"])),
        ("vault_max_fee", json!(1000)),
        ("validator_min_active_epochs", json!(1080)),
        ("inactive_validator_balance", json!("100000000000000000")),
        ("os_token_vaults", json!([])),
        ("something_new", json!({"deeply": [{"nested": null}]})),
    ] {
        document[member] = value;
    }
    let config = parse(&document).unwrap();
    assert_eq!(config.oracles.len(), 3);
    assert_eq!(config.oracles[1].public_key, public_key(1));
    assert_eq!(
        config.oracles[1].endpoints[0].expose_url().as_str(),
        "https://oracle-1.example/api?key=secret"
    );
    assert!(!format!("{config:?}").contains("secret"));
    assert_eq!(
        (
            config.exit_signature_recover_threshold,
            config.signature_validity_period
        ),
        (2, 3600)
    );
    assert_eq!(
        (
            config.validators_approval_batch_limit,
            config.validators_exit_rotation_batch_limit
        ),
        (10, 20)
    );
    assert_eq!(config.oracle_addresses()[0], support::signer(0).address());
}

#[test]
fn an_endpoint_in_the_singular_wins_unless_it_is_empty() {
    let with = |endpoint: Value| {
        let mut document = config_json(&endpoints(1), 1);
        document["oracles"][0]["endpoint"] = endpoint;
        parse(&document).unwrap().oracles[0]
            .endpoints
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        with(json!("http://legacy.example:8080")),
        ["http://legacy.example:8080"]
    );
    for absent in [json!(""), json!("  "), Value::Null] {
        assert_eq!(with(absent), ["https://oracle-0.example"]);
    }
}

#[test]
fn an_endpoint_that_is_no_url_does_not_stop_the_others() {
    let mut document = config_json(&endpoints(2), 1);
    document["oracles"][0]["endpoints"] = json!(["ftp://x.example", "https://good.example", "nonsense", ""]);
    document["oracles"][1]["endpoints"] = Value::Null;
    let config = parse(&document).unwrap();
    assert_eq!(config.oracles[0].endpoints.len(), 1);
    assert!(config.oracles[1].endpoints.is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for member in [
        "exit_signature_recover_threshold",
        "signature_validity_period",
        "validators_approval_batch_limit",
        "validators_exit_rotation_batch_limit",
    ] {
        for absurd in [0, u64::MAX] {
            let refused = changed(member, json!(absurd)).unwrap_err();
            assert!(
                matches!(refused, ConfigError::Number { member: named, value, .. } if named == member && value == absurd)
            );
        }
        for mistyped in [json!(-1), json!("7"), Value::Null, json!([])] {
            assert!(
                matches!(changed(member, mistyped), Err(ConfigError::Malformed(_))),
                "{member}"
            );
        }
    }
    assert!(matches!(
        changed("oracles", json!([])),
        Err(ConfigError::OracleCount(0))
    ));
    let crowd = vec![json!({"public_key": public_key(0).to_string()}); 256];
    assert!(matches!(
        changed("oracles", json!(crowd)),
        Err(ConfigError::OracleCount(256))
    ));
    let no_key = json!([{"public_key": "0x1234", "endpoints": []}]);
    assert!(matches!(
        changed("oracles", no_key),
        Err(ConfigError::OracleKey { position: 0, .. })
    ));
    let replicas = json!([{"public_key": public_key(0).to_string(), "endpoints": vec!["https://x.example"; 17]}]);
    assert!(matches!(
        changed("oracles", replicas),
        Err(ConfigError::EndpointCount { position: 0, count: 17 })
    ));
    assert!(matches!(
        ProtocolConfig::parse(&vec![b' '; (1 << 20) + 1]),
        Err(ConfigError::TooLarge(_))
    ));
    assert!(matches!(
        ProtocolConfig::parse("[".repeat(100_000).as_bytes()),
        Err(ConfigError::Malformed(_))
    ));
}

#[test]
fn every_key_in_the_configuration_must_be_an_oracle_on_chain() {
    let config = config(&endpoints(3), 2);
    let addresses = config.oracle_addresses();
    let mut known = on_chain(&config, 2);
    assert!(OracleSet::new(config.clone(), &known).is_ok());

    known.is_oracle[1].1 = false;
    let refused = OracleSet::new(config.clone(), &known).unwrap_err();
    assert_eq!(refused, OracleSetError::NotOnChain(vec![addresses[1]]));
    assert!(refused.to_string().ends_with(&addresses[1].to_string()));

    known.is_oracle.remove(2);
    let strangers = vec![addresses[1], addresses[2]];
    assert_eq!(
        OracleSet::new(config, &known),
        Err(OracleSetError::NotOnChain(strangers))
    );
}

#[test]
fn one_key_in_two_spellings_is_one_oracle() {
    let mut document = config_json(&endpoints(3), 2);
    let key = public_key(0).to_string();
    for twin in [key.to_uppercase().replacen("0X", "0x", 1), format!("04{}", &key[2..])] {
        document["oracles"][2]["public_key"] = json!(twin);
        let config = parse(&document).unwrap();
        let known = on_chain(&config, 2);
        assert_eq!(
            OracleSet::new(config, &known),
            Err(OracleSetError::Duplicate(support::signer(0).address()))
        );
    }
}

#[test]
fn thresholds_must_be_reachable() {
    let set = |recover, validators, rewards| {
        let config = config(&endpoints(3), recover);
        let known = sw_oracle_client::OnChainOracles {
            rewards_min_oracles: rewards,
            ..on_chain(&config, validators)
        };
        OracleSet::new(config, &known)
    };
    let good = set(2, 3, 1).unwrap();
    assert_eq!(
        (good.approvals_needed(), good.exit_threshold().to_string()),
        (3, "2 of 3".to_owned())
    );
    assert_eq!(
        (
            good.batch_limit(),
            good.validity_period().as_secs(),
            good.oracles().len()
        ),
        (10, 3600, 3)
    );
    for needed in [0, 4, u64::MAX] {
        assert!(matches!(
            set(1, needed, 1),
            Err(OracleSetError::KeeperThreshold {
                purpose: "register validators",
                ..
            })
        ));
        assert!(matches!(
            set(1, 1, needed),
            Err(OracleSetError::KeeperThreshold {
                purpose: "update rewards",
                ..
            })
        ));
    }
    let impossible = ThresholdError::Threshold { threshold: 4, total: 3 };
    assert_eq!(set(4, 3, 1), Err(OracleSetError::ExitThreshold(impossible)));
    assert_eq!(
        set(3, 2, 1),
        Err(OracleSetError::ExitAboveValidators { exit: 3, validators: 2 })
    );
}

#[test]
fn each_share_is_sealed_to_the_oracle_that_holds_its_index() {
    let set = support::set(&endpoints(3), 2);
    let share = |position: usize| ExitShare {
        index: ShareIndex::of_position(position).unwrap(),
        public_key: PublicKeyBytes([0; 48]),
        signature: SignatureBytes([u8::try_from(position).unwrap(); 96]),
    };
    let shares = [share(0), share(1), share(2)];
    for (position, sealed) in set.seal(&shares).unwrap().iter().enumerate() {
        let secret = support::signer(position).to_bytes();
        assert_eq!(sealed.open(&secret.0), Ok(shares[position].signature));
    }
    let refused = SealSharesError::NotOneForEach { shares: 2, oracles: 3 };
    assert_eq!(set.seal(&shares[..2]), Err(refused));
    let refused = SealSharesError::NotOneForEach { shares: 3, oracles: 3 };
    assert_eq!(set.seal(&[share(1), share(0), share(2)]), Err(refused));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(document in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ProtocolConfig::parse(&document).is_err());
    }

    #[test]
    fn no_damage_to_a_document_makes_the_parser_panic(
        start in any::<prop::sample::Index>(),
        length in 0_usize..12,
        inserted in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut document = config_json(&endpoints(3), 2).to_string().into_bytes();
        let start = start.index(document.len());
        let end = (start + length).min(document.len());
        document.splice(start..end, inserted);
        let _ = ProtocolConfig::parse(&document).map(|config| {
            let known = on_chain(&config, 2);
            OracleSet::new(config, &known)
        });
    }
}
