//! The Node oracle: the same checks on unrelated libraries, in a process of its own.
//!
//! It prints its port as one line of JSON, then a line for each thing it did; it reads faults as lines of JSON, and
//! ends when its standard input does.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use alloy::primitives::FixedBytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    fault::{Approval, Fault},
    key::OracleKey,
    record::{Record, RecoveredExit},
};
use crate::{
    Deployment,
    process::tail,
    toolchain::{Toolchain, ToolchainError},
};

const PROGRAM: [(&str, &str); 7] = [
    (MAIN, include_str!("../../node-oracle/oracle.mjs")),
    ("started.mjs", include_str!("../../node-oracle/started.mjs")),
    ("crypto.mjs", include_str!("../../node-oracle/crypto.mjs")),
    ("chain.mjs", include_str!("../../node-oracle/chain.mjs")),
    ("members.mjs", include_str!("../../node-oracle/members.mjs")),
    ("requests.mjs", include_str!("../../node-oracle/requests.mjs")),
    ("checks.mjs", include_str!("../../node-oracle/checks.mjs")),
];
const MAIN: &str = "oracle.mjs";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The Node oracle did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeOracleError {
    /// Its program or packages are not there.
    #[error("cannot prepare the Node oracle")]
    Toolchain(#[from] ToolchainError),
    /// Its files cannot be written.
    #[error("cannot write the Node oracle's files")]
    Files(#[source] std::io::Error),
    /// It could not be started.
    #[error("cannot start `node`")]
    Start(#[source] std::io::Error),
    /// It ended, or said nothing, before it named its port.
    #[error("the Node oracle did not name its port within {} s: {log}", START_TIMEOUT.as_secs())]
    NotReady {
        /// The end of what it wrote.
        log: String,
    },
}

/// The running process; dropping it ends it.
#[derive(Debug)]
pub(super) struct NodeOracle {
    pub(super) endpoint: String,
    pub(super) faults: mpsc::UnboundedSender<Fault>,
    _child: Child,
    _tasks: JoinSet<()>,
}

/// What the process is told at its start.
pub(super) struct NodeConfig<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) key: &'a OracleKey,
    /// The public keys of all, itself included, in the order of the config.
    pub(super) oracles: &'a [String],
    /// The other oracles, each by its endpoints.
    pub(super) peers: &'a [Vec<String>],
}

impl NodeOracle {
    /// Starts the process with its files in `directory`.
    pub(super) async fn spawn(
        toolchain: &Toolchain,
        directory: &Path,
        config: NodeConfig<'_>,
        record: Arc<Record>,
    ) -> Result<Self, NodeOracleError> {
        let program = toolchain.scripts(&PROGRAM)?.join(MAIN);
        let config_file = directory.join("node-oracle.json");
        let log_file = directory.join("node-oracle.log");
        let config = json!({
            "deployment": config.deployment, "key": config.key.expose_bytes(), "public_key": config.key.public_key(),
            "oracles": config.oracles, "peers": config.peers,
        });
        std::fs::write(&config_file, config.to_string()).map_err(NodeOracleError::Files)?;
        // Once more when it dies at its start: see `Toolchain::run_script`.
        match Self::start(&program, &config_file, &log_file, &record).await {
            Err(NodeOracleError::NotReady { .. }) => Self::start(&program, &config_file, &log_file, &record).await,
            started => started,
        }
    }

    async fn start(
        program: &Path,
        config_file: &Path,
        log_file: &Path,
        record: &Arc<Record>,
    ) -> Result<Self, NodeOracleError> {
        let log = std::fs::File::create(log_file).map_err(NodeOracleError::Files)?;
        let mut child = Command::new("node")
            .arg(program)
            .arg(config_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(NodeOracleError::Start)?;
        let not_ready = || NodeOracleError::NotReady {
            log: tail(&std::fs::read_to_string(log_file).unwrap_or_default()),
        };
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(not_ready());
        };
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await;
        let Ok(Ok(Some(first))) = first else {
            return Err(not_ready());
        };
        let started: Started = serde_json::from_str(&first).map_err(|_| not_ready())?;
        let (faults, told) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(lines, Arc::clone(record)));
        tasks.spawn(tell(stdin, told));
        let endpoint = format!("http://127.0.0.1:{}", started.port);
        Ok(Self {
            endpoint,
            faults,
            _child: child,
            _tasks: tasks,
        })
    }
}

#[derive(Deserialize)]
struct Started {
    port: u16,
}

/// A line the process prints for something it did.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Request {
        body: String,
    },
    Rotation {
        body: String,
    },
    Approval {
        ipfs_hash: String,
        deadline: u64,
        signature: FixedBytes<65>,
    },
    Refusal {
        detail: String,
    },
    Exit {
        public_key: FixedBytes<48>,
        validator_index: u64,
        signature: FixedBytes<96>,
    },
}

async fn listen(mut lines: Lines<BufReader<ChildStdout>>, record: Arc<Record>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(event) = serde_json::from_str(&line) else {
            tracing::warn!("the Node oracle printed a line that is no event");
            continue;
        };
        record.write(|record| match event {
            Event::Request { body } => record.requests.push(body),
            Event::Rotation { body } => record.rotations.push(body),
            Event::Refusal { detail } => record.refusals.push(detail),
            Event::Approval {
                ipfs_hash,
                deadline,
                signature,
            } => {
                record.approvals.push(Approval {
                    ipfs_hash,
                    deadline,
                    signature,
                });
            }
            Event::Exit {
                public_key,
                validator_index,
                signature,
            } => {
                record.exits.push(RecoveredExit {
                    public_key,
                    validator_index,
                    signature,
                });
            }
        });
    }
}

/// Passes faults on; the process ends when `stdin` is dropped with this task.
async fn tell(mut stdin: ChildStdin, mut faults: mpsc::UnboundedReceiver<Fault>) {
    while let Some(fault) = faults.recv().await {
        let line: Value = match fault {
            Fault::None => json!({"fault": "none"}),
            Fault::Down => json!({"fault": "down"}),
            Fault::Refuse(detail) => json!({"fault": "refuse", "detail": detail}),
            Fault::Outdated(indexes) => json!({"fault": "outdated", "indexes": indexes}),
            Fault::SyncedTo(block) => json!({"fault": "synced_to", "block": block}),
            other => {
                tracing::warn!(fault = ?other, "the Node oracle does not know this fault");
                continue;
            }
        };
        if stdin.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}
