//! The execution node: anvil, mining a block each slot.

use std::{path::Path, time::Duration};

use crate::process::{GuardedProcess, ProcessError};

/// How anvil is run.
#[derive(Debug, Clone)]
pub struct AnvilConfig {
    /// The chain id.
    pub chain_id: u64,
    /// Seconds between blocks.
    pub block_time: u64,
    /// Slots of an epoch: anvil takes blocks older than two epochs for final, as the Beacon API here does.
    pub slots_per_epoch: u64,
}

/// A running anvil. It ends when this is dropped, or with this process.
#[derive(Debug)]
pub struct Anvil {
    process: GuardedProcess,
    url: String,
}

impl Anvil {
    /// Starts the native binary at `program` on a port of its own choice.
    ///
    /// The npm wrapper is not used: it leaves its child behind when it is killed.
    ///
    /// # Errors
    ///
    /// It cannot be started, or does not listen in half a minute.
    pub async fn start(program: &Path, config: &AnvilConfig, log: &Path) -> Result<Self, ProcessError> {
        let arguments = [
            ("--host", "127.0.0.1".to_owned()),
            ("--port", "0".to_owned()),
            ("--chain-id", config.chain_id.to_string()),
            ("--block-time", config.block_time.to_string()),
            ("--slots-in-an-epoch", config.slots_per_epoch.to_string()),
            ("--order", "fifo".to_owned()),
            ("--gas-limit", BLOCK_GAS_LIMIT.to_string()),
            ("--balance", DEV_ACCOUNT_ETH.to_string()),
        ];
        let arguments = arguments.iter().flat_map(|(flag, value)| [*flag, value.as_str()]);
        let (process, address) = GuardedProcess::spawn(program, arguments, log, START_TIMEOUT, |line| {
            line.trim().strip_prefix("Listening on ").map(str::to_owned)
        })
        .await?;
        Ok(Self {
            process,
            url: format!("http://{address}"),
        })
    }

    /// Its JSON-RPC endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it and waits until it is gone.
    pub async fn stop(self) {
        self.process.stop().await;
    }
}

/// Room for all contracts in one block: a block counts what transactions may use, not what they use.
const BLOCK_GAS_LIMIT: u64 = 300_000_000;
const DEV_ACCOUNT_ETH: u64 = 10_000_000;
const START_TIMEOUT: Duration = Duration::from_secs(30);
