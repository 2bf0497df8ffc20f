//! Signed exits against the figures of the original.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::error::Error;

use sw_key_ops::{KnownValidator, sign_exit};
use sw_keys::SecretKey;
use sw_signers::{LocalSigner, OpenKey};
use sw_spec::{B256, Epoch, Network, NetworkSpec, PublicKeyBytes, ValidatorStatus};
use sw_testkit::{array, fixture, list};

struct OneKey([u8; 32]);

impl OneKey {
    fn key(&self) -> SecretKey {
        SecretKey::from_bytes(&self.0).unwrap()
    }
}

impl OpenKey for OneKey {
    fn contains(&self, public_key: &PublicKeyBytes) -> bool {
        self.key().public_key().to_bytes() == *public_key
    }

    fn len(&self) -> usize {
        1
    }

    fn open(&self, _: &PublicKeyBytes) -> Result<SecretKey, Box<dyn Error + Send + Sync>> {
        Ok(self.key())
    }
}

/// The networks of the original's time.
fn network(name: &str, vector: &serde_json::Value) -> NetworkSpec {
    let root = match name {
        "mainnet" => "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
        "goerli" => "0x043db0d9a83813551ee2f33450d23797757d430911a9320530ad8a0eabc43efb",
        _ => "0x9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1",
    };
    NetworkSpec {
        genesis_validators_root: root.parse().unwrap(),
        capella_fork_version: vector["fork"].as_str().unwrap().parse().unwrap(),
        capella_epoch: Epoch(vector["epoch"].as_u64().unwrap()),
        ..Network::Mainnet.spec()
    }
}

#[tokio::test]
async fn exits_are_those_that_the_original_signs() {
    let vectors = fixture("original-v1.json");
    let exits = vectors["exit_domain"].as_object().unwrap();
    for (name, vector) in exits {
        let key = OneKey(array(&list(&vectors["keys"])[0]["sk"]));
        let validator = KnownValidator {
            index: 123,
            public_key: key.key().public_key().to_bytes(),
            status: ValidatorStatus::ActiveOngoing,
            activation_epoch: Epoch(0),
            withdrawal_credentials: B256::ZERO,
        };
        let exit = sign_exit(&LocalSigner::new(key), &validator, &network(name, vector))
            .await
            .unwrap();
        let written = serde_json::to_value(exit).unwrap();
        let expected = serde_json::json!({
            "message": {"epoch": vector["epoch"].to_string(), "validator_index": "123"},
            "signature": vector["signature_key0"],
        });
        assert_eq!(written, expected, "{name}");
        assert_eq!(
            serde_json::from_value::<sw_spec::SignedVoluntaryExit>(written).unwrap(),
            exit
        );
    }
    assert_eq!(exits.len(), 4);
}
