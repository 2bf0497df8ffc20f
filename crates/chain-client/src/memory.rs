//! What was learned of endpoints, in a file: the next start does not learn it again. The file can be deleted at any time.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::learned::Limit;

/// What is remembered of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Blocks of logs at once, for each contract.
    pub(crate) log_blocks: BTreeMap<Address, Limit>,
    /// Calls a minute.
    pub(crate) calls_a_minute: Option<Limit>,
}

/// The file. Endpoints are named by scheme, host and port, as in the log: no secrets.
#[derive(Debug)]
pub(crate) struct Memory {
    path: PathBuf,
    endpoints: Mutex<BTreeMap<String, Remembered>>,
}

impl Memory {
    /// What the file says; nothing, if it cannot be read.
    pub(crate) fn open(path: PathBuf) -> Self {
        let endpoints = read(&path).unwrap_or_else(|error| {
            debug!(path = %path.display(), %error, "nothing is remembered of endpoints");
            BTreeMap::new()
        });
        Self {
            path,
            endpoints: Mutex::new(endpoints),
        }
    }

    pub(crate) fn of(&self, endpoint: &str) -> Remembered {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.get(endpoint).cloned().unwrap_or_default()
    }

    /// Writes down what is known of an endpoint, if that is news.
    pub(crate) async fn keep(self: Arc<Self>, endpoint: String, known: Remembered) {
        {
            let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
            if endpoints.get(&endpoint).is_some_and(|before| *before == known) {
                return;
            }
            endpoints.insert(endpoint, known);
        }
        let _ = tokio::task::spawn_blocking(move || {
            // Held while writing, so that the last state is the one that stays.
            let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = write(&self.path, &endpoints) {
                debug!(path = %self.path.display(), %error, "what was learned of an endpoint cannot be written down");
            }
        })
        .await;
    }
}

fn read(path: &Path) -> std::io::Result<BTreeMap<String, Remembered>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
    let mut endpoints: BTreeMap<String, Remembered> = serde_json::from_slice(&bytes)?;
    for known in endpoints.values_mut() {
        known.log_blocks.retain(|_, limit| limit.served > 0);
        known.calls_a_minute = known.calls_a_minute.filter(|limit| limit.served > 0);
    }
    Ok(endpoints)
}

fn write(path: &Path, endpoints: &BTreeMap<String, Remembered>) -> std::io::Result<()> {
    let partial = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(&serde_json::to_vec_pretty(endpoints)?)?;
    fs::rename(partial, path)
}

const LONGEST_FILE: u64 = 1 << 20;
