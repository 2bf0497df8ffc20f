//! A node with a proxy, and a wallet that it knows nothing of.

use std::time::Duration;

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::Encodable2718,
    primitives::{Address, B256, Bytes, TxKind, U256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use serde_json::{Value, json};
use sw_devnet::{
    anvil::{Anvil, AnvilConfig},
    http::loopback_client,
    proxy::ExecutionProxy,
    toolchain::{Toolchain, default_cache},
};

pub const CHAIN_ID: u64 = 7_357_001;
pub const GWEI: u128 = 1_000_000_000;

/// JSON-RPC over plain HTTP.
pub struct Wire {
    pub client: reqwest::Client,
    pub url: String,
}

impl Wire {
    pub fn to(url: &str) -> Self {
        Self {
            client: loopback_client(Duration::from_secs(5)).unwrap(),
            url: url.to_owned(),
        }
    }

    pub async fn post(&self, method: &str, params: Value) -> Result<reqwest::Response, reqwest::Error> {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.client.post(&self.url).json(&request).send().await
    }

    /// The whole answer.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        self.post(method, params).await.unwrap().json().await.unwrap()
    }

    pub async fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The message of the error that must be there.
    pub async fn refusal(&self, method: &str, params: Value) -> String {
        let answer = self.ask(method, params).await;
        match answer["error"]["message"].as_str() {
            Some(message) => message.to_owned(),
            None => panic!("{method} was not refused: {answer}"),
        }
    }

    pub async fn head(&self) -> u64 {
        number(&self.result("eth_blockNumber", json!([])).await)
    }

    pub async fn send(&self, raw: &Bytes) -> Value {
        self.ask("eth_sendRawTransaction", json!([raw])).await
    }
}

pub fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// An anvil that mines when it is told to, and a proxy of it.
pub struct Node {
    pub anvil: Anvil,
    pub proxy: ExecutionProxy,
    pub wire: Wire,
    pub direct: Wire,
    _directory: tempfile::TempDir,
}

impl Node {
    pub async fn start() -> Self {
        let toolchain = Toolchain::prepare(&default_cache()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config = AnvilConfig {
            chain_id: CHAIN_ID,
            block_time: 3600,
            slots_per_epoch: 4,
        };
        let log = directory.path().join("anvil.log");
        let anvil = Anvil::start(&toolchain.anvil().unwrap(), &config, &log).await.unwrap();
        let direct = Wire::to(anvil.url());
        let proxy = ExecutionProxy::start(direct.client.clone(), anvil.url().to_owned())
            .await
            .unwrap();
        direct.result("anvil_mine", json!(["0x5"])).await;
        Self {
            wire: Wire::to(proxy.url()),
            proxy,
            direct,
            anvil,
            _directory: directory,
        }
    }

    /// A wallet with one Ether.
    pub async fn wallet(&self) -> Wallet {
        let wallet = Wallet::new(CHAIN_ID);
        let balance = json!([wallet.address(), U256::from(10).pow(U256::from(18))]);
        self.direct.result("anvil_setBalance", balance).await;
        wallet
    }
}

/// A key that signs what it is told to.
pub struct Wallet {
    signer: PrivateKeySigner,
    chain_id: u64,
}

impl Wallet {
    pub fn new(chain_id: u64) -> Self {
        Self {
            signer: PrivateKeySigner::from_bytes(&B256::repeat_byte(0x42)).unwrap(),
            chain_id,
        }
    }

    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// Nothing to nobody, with these fees in Gwei.
    pub fn sign(&self, nonce: u64, cap: u128, tip: u128) -> Bytes {
        self.sign_with(nonce, |transaction| {
            transaction.max_fee_per_gas = cap * GWEI;
            transaction.max_priority_fee_per_gas = tip * GWEI;
        })
    }

    pub fn sign_with(&self, nonce: u64, change: impl FnOnce(&mut TxEip1559)) -> Bytes {
        let mut transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10 * GWEI,
            max_priority_fee_per_gas: GWEI,
            to: TxKind::Call(Address::repeat_byte(0x11)),
            ..TxEip1559::default()
        };
        change(&mut transaction);
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash()).unwrap();
        TxEnvelope::from(transaction.into_signed(signature))
            .encoded_2718()
            .into()
    }
}

pub fn hash(raw: &Bytes) -> Value {
    json!(alloy::primitives::keccak256(raw))
}
