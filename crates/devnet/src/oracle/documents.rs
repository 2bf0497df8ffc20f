//! What oracles fetch from IPFS: configs, and the exit signatures they stored. Each is fetched once for all of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::primitives::FixedBytes;
use serde::{Deserialize, de::DeserializeOwned};

use super::members::{ProtocolConfig, Quorum};
use crate::ipfs::raw_cid;

/// Something that could not be fetched from IPFS.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("the gateway did not give {cid}")]
    Fetch {
        cid: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("what the gateway gave for {cid} is not it")]
    Content { cid: String },
}

/// Whose exits a document holds, and for whom they are shared.
#[derive(Debug, Deserialize)]
pub(super) struct StoredExits {
    pub(super) public_keys: Vec<FixedBytes<48>>,
    #[serde(flatten)]
    pub(super) quorum: Quorum,
}

#[derive(Debug)]
pub(super) struct Documents {
    client: reqwest::Client,
    gateway: String,
    configs: Mutex<HashMap<String, Arc<ProtocolConfig>>>,
    exits: Mutex<HashMap<String, Arc<StoredExits>>>,
}

impl Documents {
    pub(super) fn new(client: reqwest::Client, gateway: String) -> Self {
        Self {
            client,
            gateway,
            configs: Mutex::default(),
            exits: Mutex::default(),
        }
    }

    /// Takes in a config that was put on IPFS just now.
    pub(super) fn know_config(&self, cid: &str, config: ProtocolConfig) {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        configs.insert(cid.to_owned(), Arc::new(config));
    }

    pub(super) async fn config(&self, cid: &str) -> Result<Arc<ProtocolConfig>, DocumentError> {
        self.document(&self.configs, cid).await
    }

    pub(super) async fn exits(&self, cid: &str) -> Result<Arc<StoredExits>, DocumentError> {
        self.document(&self.exits, cid).await
    }

    async fn document<T: DeserializeOwned>(
        &self,
        known: &Mutex<HashMap<String, Arc<T>>>,
        cid: &str,
    ) -> Result<Arc<T>, DocumentError> {
        if let Some(document) = known.lock().unwrap_or_else(PoisonError::into_inner).get(cid) {
            return Ok(Arc::clone(document));
        }
        let document = Arc::new(self.fetch(cid).await?);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(cid.to_owned(), Arc::clone(&document));
        Ok(document)
    }

    /// Fetches and reads a document, some times over: the gateway may have been told to fail now and then.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, cid: &str) -> Result<T, DocumentError> {
        let mut tries = 1;
        loop {
            let outcome = self.fetch_once(cid).await;
            if outcome.is_ok() || tries >= TRIES {
                return outcome;
            }
            tries += 1;
        }
    }

    async fn fetch_once<T: DeserializeOwned>(&self, cid: &str) -> Result<T, DocumentError> {
        let failed = |source| DocumentError::Fetch {
            cid: cid.to_owned(),
            source,
        };
        let request = self.client.get(format!("{}/ipfs/{cid}", self.gateway)).timeout(TIMEOUT);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let bytes = answer.map_err(failed)?.bytes().await.map_err(failed)?;
        let other = || DocumentError::Content { cid: cid.to_owned() };
        // What oracles store is one raw block; the config is announced in another layout, and has to be readable.
        if cid.starts_with("bafkrei") && raw_cid(&bytes) != cid {
            return Err(other());
        }
        serde_json::from_slice(&bytes).map_err(|_| other())
    }
}

const TRIES: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(2);
