//! A client that shows the answers as they are, and exits signed without the devnet's code for them.

use std::time::Duration;

use alloy::primitives::{B256, FixedBytes};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sw_devnet::{Deployment, Devnet, DevnetConfig, bls::ForeignKey, http::loopback_client, ssz};

pub const POOL: &str = "/eth/v1/beacon/pool/voluntary_exits";
pub const VALIDATORS: &str = "/eth/v1/beacon/states/head/validators";
pub const FAR_FUTURE: u64 = u64::MAX;

pub async fn start(config: DevnetConfig) -> Devnet {
    Devnet::start(DevnetConfig {
        node_oracle: false,
        ..config
    })
    .await
    .unwrap()
}

/// An answer; `body` is `None` when it is empty, and text when it is no JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub status: u16,
    pub body: Option<Value>,
}

impl Said {
    pub fn data(&self) -> &Value {
        assert_eq!(self.status, 200, "{self:?}");
        &self.body.as_ref().unwrap()["data"]
    }

    /// The indexes of a list of validators, as it has them.
    pub fn indexes(&self) -> Vec<u64> {
        let data = self.data().as_array().unwrap();
        data.iter().map(|each| number(&each["index"])).collect()
    }
}

pub struct Beacon {
    pub client: reqwest::Client,
    pub url: String,
    deployment: Deployment,
}

impl Beacon {
    pub fn of(devnet: &Devnet) -> Self {
        let client = loopback_client(Duration::from_secs(10)).unwrap();
        Self {
            client,
            url: devnet.consensus_url().to_owned(),
            deployment: devnet.deployment().clone(),
        }
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Said {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        Said { status, body }
    }

    pub async fn get(&self, path: &str) -> Said {
        self.ask(Method::GET, path, None).await
    }

    /// The body of an answer.
    pub async fn read(&self, path: &str) -> Value {
        self.get(path).await.body.unwrap_or_default()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Said {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn wait_for(&self, path: &str, pointer: &str, done: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.read(path).await;
            if answer.pointer(pointer).is_some_and(&done) {
                return answer;
            }
            assert!(tokio::time::Instant::now() < deadline, "{path} stayed {answer}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn epoch(&self) -> u64 {
        self.slot().await / self.deployment.slots_per_epoch
    }

    pub async fn slot(&self) -> u64 {
        number(&self.get("/eth/v1/node/syncing").await.data()["head_slot"])
    }

    /// A validator in a state, with its epochs held against its status.
    pub async fn validator(&self, state: &str, index: u64) -> Value {
        let path = format!("/eth/v1/beacon/states/{state}/validators/{index}");
        self.get(&path).await.data().clone()
    }

    /// Where a validator stands at the head: its status, which must be the one that its epochs and balance make.
    pub async fn status(&self, index: u64) -> String {
        let epoch = self.epoch().await;
        let validator = self.validator("head", index).await;
        assert_eq!(
            validator["status"],
            status_of(&validator, epoch),
            "{validator} at {epoch}"
        );
        validator["status"].as_str().unwrap().to_owned()
    }
}

pub fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

/// The status that the Beacon API gives a validator of these epochs (<https://hackmd.io/ofFJ5gOmQpu1jjHilHbdQQ>).
pub fn status_of(validator: &Value, epoch: u64) -> &'static str {
    let of = |name: &str| number(&validator["validator"][name]);
    let slashed = validator["validator"]["slashed"].as_bool().unwrap();
    if epoch < of("activation_epoch") {
        return if of("activation_eligibility_epoch") == FAR_FUTURE {
            "pending_initialized"
        } else {
            "pending_queued"
        };
    }
    if epoch < of("exit_epoch") {
        return match (of("exit_epoch") == FAR_FUTURE, slashed) {
            (true, _) => "active_ongoing",
            (false, false) => "active_exiting",
            (false, true) => "active_slashed",
        };
    }
    if epoch < of("withdrawable_epoch") {
        return if slashed { "exited_slashed" } else { "exited_unslashed" };
    }
    match number(&validator["validator"]["effective_balance"]) {
        0 => "withdrawal_done",
        _ => "withdrawal_possible",
    }
}

/// Somebody with a key and a deposit.
pub struct Staker(pub ForeignKey);

impl Staker {
    /// Deposits for a new key.
    pub async fn new(devnet: &Devnet, eth: u64, credentials: B256) -> Self {
        let key = ForeignKey::random().unwrap();
        let (public_key, gwei) = (key.public_key(), eth * 1_000_000_000);
        let root = ssz::deposit_signing_root(&public_key, credentials, gwei, devnet.deployment().genesis_fork_version);
        let deposited = devnet
            .chain()
            .deposit(&public_key, credentials, &key.sign(root), gwei)
            .await;
        deposited.unwrap();
        Self(key)
    }

    pub fn public_key(&self) -> FixedBytes<48> {
        self.0.public_key()
    }

    /// An exit as it is meant to be: signed for Capella.
    pub fn exit(&self, devnet: &Devnet, index: u64, epoch: u64) -> Value {
        let deployment = devnet.deployment();
        self.exit_for(
            index,
            epoch,
            deployment.capella_fork_version,
            deployment.genesis_validators_root,
        )
    }

    /// An exit signed for any chain and fork.
    pub fn exit_for(&self, index: u64, epoch: u64, fork: FixedBytes<4>, genesis_validators_root: B256) -> Value {
        let root = exit_root(epoch, index, fork, genesis_validators_root);
        json!({
            "message": {"epoch": epoch.to_string(), "validator_index": index.to_string()},
            "signature": self.0.sign(root),
        })
    }
}

/// Credentials that the stake can be paid out to.
pub fn payable() -> B256 {
    let mut credentials = B256::repeat_byte(0);
    credentials.0[0] = 1;
    credentials.0[31] = 0xaa;
    credentials
}

/// The signing root of a voluntary exit, by hand: SHA-256 over the two containers' two leaves each.
fn exit_root(epoch: u64, index: u64, fork: FixedBytes<4>, genesis_validators_root: B256) -> B256 {
    let pair = |left: [u8; 32], right: [u8; 32]| -> [u8; 32] { Sha256::digest([left, right].concat()).into() };
    let leaf = |bytes: &[u8]| {
        let mut leaf = [0; 32];
        leaf[..bytes.len()].copy_from_slice(bytes);
        leaf
    };
    let fork_data = pair(leaf(fork.as_slice()), genesis_validators_root.0);
    let domain = leaf(&[&[4, 0, 0, 0], &fork_data[..28]].concat());
    let message = pair(leaf(&epoch.to_le_bytes()), leaf(&index.to_le_bytes()));
    B256::from(pair(message, domain))
}
