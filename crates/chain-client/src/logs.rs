//! Logs in ranges that the endpoint can serve, none of them believed unseen.

use std::time::Duration;

use alloy::sol_types::SolEvent;
use alloy_primitives::{Address, B256, Bytes, Log as EventLog, U64};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    EndpointFault, ExecutionError, Snapshot,
    rpc::{CallError, ErrorAnswer},
};

/// Which logs are wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) contract: Address,
    /// Any of these events.
    pub(crate) events: &'a [B256],
    /// What the second indexed member of the event must be, if that is all that is wanted.
    pub(crate) second: Option<B256>,
}

impl Wanted<'_> {
    /// The filter's topics: the event, and its indexed members as far as one is wanted.
    fn topics(&self) -> Vec<Option<Vec<B256>>> {
        let mut topics = vec![Some(self.events.to_vec())];
        if let Some(second) = self.second {
            topics.extend([None, Some(vec![second])]);
        }
        topics
    }
}

/// A log that answers the question that was asked. What it says is still to be decoded.
#[derive(Debug, Clone)]
pub(crate) struct FoundLog {
    pub(crate) block: u64,
    pub(crate) transaction: B256,
    event: EventLog,
}

impl FoundLog {
    pub(crate) fn is<E: SolEvent>(&self) -> bool {
        self.event.topics().first() == Some(&E::SIGNATURE_HASH)
    }

    /// Reads the event strictly: unused, overlapping or missing data is an error.
    pub(crate) fn decode<E: SolEvent>(&self) -> Result<E, String> {
        E::decode_log_data_validate(&self.event.data).map_err(|error| format!("a log of {}: {error}", E::SIGNATURE))
    }
}

impl Snapshot {
    /// Reads the logs of one range that begins at `from`, is as long as the endpoint serves, and ends at `to` at the
    /// latest. Returns them and the last block that was looked at.
    pub(crate) async fn logs_from(
        &self,
        wanted: &Wanted<'_>,
        from: u64,
        to: u64,
    ) -> Result<(Vec<FoundLog>, u64), ExecutionError> {
        self.logs(wanted, |blocks| (from, from.saturating_add(blocks - 1).min(to)))
            .await
            .map(|(logs, _, end)| (logs, end))
    }

    /// The same for a range that ends at `to`. Returns the logs and the first block that was looked at.
    pub(crate) async fn logs_up_to(
        &self,
        wanted: &Wanted<'_>,
        from: u64,
        to: u64,
    ) -> Result<(Vec<FoundLog>, u64), ExecutionError> {
        self.logs(wanted, |blocks| (to.saturating_sub(blocks - 1).max(from), to))
            .await
            .map(|(logs, start, _)| (logs, start))
    }

    async fn logs(
        &self,
        wanted: &Wanted<'_>,
        range: impl Fn(u64) -> (u64, u64),
    ) -> Result<(Vec<FoundLog>, u64, u64), ExecutionError> {
        let node = &self.endpoint.client;
        let deadline = Instant::now() + self.retry_budget();
        let (mut silent_failures, mut repeated) = (0, 0);
        loop {
            let (from, to) = range(node.ranges.blocks(wanted.contract));
            let blocks = to.saturating_sub(from).saturating_add(1);
            let answer = self.request(wanted, from, to).await;
            if let Err(error) = &answer
                && repeated < MOST_REPETITIONS
                && error.may_be_chance(node.ranges.has_served(wanted.contract, blocks))
            {
                repeated += 1;
                continue;
            }
            repeated = 0;
            match answer {
                Ok(logs) => {
                    node.ranges.served(wanted.contract, blocks);
                    node.remember().await;
                    return Ok((self.validated(wanted, from, to, logs)?, from, to));
                }
                Err(LogsError::Silent(fault @ EndpointFault::TimedOut(_))) if blocks <= NEVER_TOO_MUCH => {
                    return Err(self.fail(fault.into()));
                }
                Err(LogsError::TooMuch(_)) if node.ranges.failed(wanted.contract, blocks) => {}
                Err(LogsError::Silent(fault)) => {
                    silent_failures += 1;
                    let smaller = node.ranges.failed(wanted.contract, blocks);
                    if silent_failures > MOST_SILENT_FAILURES || !smaller {
                        return Err(self.fail(fault.into()));
                    }
                }
                Err(LogsError::Pause(pause)) if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
                Err(LogsError::Pause(pause)) => {
                    return Err(self.fail(
                        EndpointFault::RateLimited {
                            retry_after: Some(pause),
                        }
                        .into(),
                    ));
                }
                Err(LogsError::TooMuch(answer)) => return Err(self.fail(answer.judge(&node.url, METHOD))),
                Err(LogsError::Fault(fault)) => return Err(self.fail(fault.into())),
            }
        }
    }

    async fn request(&self, wanted: &Wanted<'_>, from: u64, to: u64) -> Result<Vec<LogAnswer>, LogsError> {
        let filter = Filter {
            address: wanted.contract,
            topics: wanted.topics(),
            from_block: U64::from(from),
            to_block: U64::from(to),
        };
        let filter = serde_json::to_value(filter).map_err(|error| EndpointFault::Malformed(error.to_string()))?;
        Ok(self.endpoint.client.call(METHOD, (filter,)).await?)
    }

    /// Refuses logs that were not asked for, that contradict each other, or that are out of date.
    fn validated(
        &self,
        wanted: &Wanted<'_>,
        from: u64,
        to: u64,
        logs: Vec<LogAnswer>,
    ) -> Result<Vec<FoundLog>, ExecutionError> {
        let mut found = Vec::with_capacity(logs.len());
        let mut latest: Option<(u64, u64, B256)> = None;
        for log in logs {
            let (block, index): (u64, u64) = (log.block_number.to(), log.log_index.to());
            let topic = log.topics.first();
            let fault = if log.removed {
                Some("it was removed by a reorganisation".to_owned())
            } else if log.address != wanted.contract {
                Some(format!("it was written by {}", log.address))
            } else if !topic.is_some_and(|topic| wanted.events.contains(topic)) {
                Some("it is of another event".to_owned())
            } else if wanted.second.is_some_and(|second| log.topics.get(2) != Some(&second)) {
                Some("it is about another member than was asked for".to_owned())
            } else if !(from..=to).contains(&block) {
                Some(format!("it is outside of blocks {from} to {to}"))
            } else if latest
                .is_some_and(|(block_before, index_before, _)| (block_before, index_before) >= (block, index))
            {
                Some("it is out of order".to_owned())
            } else if latest.is_some_and(|(block_before, _, hash)| block_before == block && hash != log.block_hash) {
                Some("its block has two hashes".to_owned())
            } else if block == self.block().number && log.block_hash != self.block().hash {
                let (number, hash) = (block, self.block().hash);
                return Err(ExecutionError::Reorganised { number, hash });
            } else {
                None
            };
            if let Some(fault) = fault {
                return Err(self.forged(format!("log {index} of block {block}: {fault}")));
            }
            latest = Some((block, index, log.block_hash));
            let event = EventLog::new(log.address, log.topics, log.data)
                .ok_or_else(|| self.forged(format!("log {index} of block {block} has too many topics")))?;
            found.push(FoundLog {
                block,
                transaction: log.transaction_hash,
                event,
            });
        }
        Ok(found)
    }

    /// The endpoint gave logs that cannot be true: it is set aside, and its word does not count.
    pub(crate) fn forged(&self, reason: String) -> ExecutionError {
        self.set_aside(reason.clone());
        ExecutionError::ForgedLogs {
            endpoint: Box::new(self.endpoint.url.clone()),
            reason,
        }
    }
}

enum LogsError {
    /// The node says no: most likely the range holds too much for it.
    TooMuch(ErrorAnswer),
    /// No complete answer: the range may be too much, or the node may be down.
    Silent(EndpointFault),
    /// Not now.
    Pause(Duration),
    /// Not this node.
    Fault(EndpointFault),
}

impl LogsError {
    /// Whether a range that is not too much may meet with this: an answer can get lost, and a node can stumble. What such
    /// a failure seemed to say of the range would be kept for long, over restarts too.
    fn may_be_chance(&self, was_served: bool) -> bool {
        match self {
            Self::TooMuch(_) => was_served,
            Self::Silent(fault) => fault.is_passing(),
            Self::Pause(_) | Self::Fault(_) => false,
        }
    }
}

impl From<CallError> for LogsError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Answer(answer) if answer.is_rate_limit() => Self::Pause(SHORTEST_PAUSE),
            CallError::Answer(answer) => Self::TooMuch(answer),
            CallError::Fault(fault) => fault.into(),
        }
    }
}

impl From<EndpointFault> for LogsError {
    fn from(fault: EndpointFault) -> Self {
        match fault {
            EndpointFault::RateLimited { retry_after } => Self::Pause(retry_after.unwrap_or(SHORTEST_PAUSE)),
            EndpointFault::TimedOut(_)
            | EndpointFault::Broken(_)
            | EndpointFault::TooLong { .. }
            | EndpointFault::Malformed(_)
            | EndpointFault::Status {
                status: 400 | 408 | 413 | 500..=599,
                ..
            } => Self::Silent(fault),
            other => Self::Fault(other),
        }
    }
}

/// A filter (execution-apis `Filter`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    address: Address,
    topics: Vec<Option<Vec<B256>>>,
    from_block: U64,
    to_block: U64,
}

/// A log (execution-apis `Log`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogAnswer {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
    block_hash: B256,
    transaction_hash: B256,
    log_index: U64,
    #[serde(default)]
    removed: bool,
}

const METHOD: &str = "eth_getLogs";
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many requests in a row without a complete answer it is the node, and not the range.
const MOST_SILENT_FAILURES: u32 = 4;
/// Of one range in a row, before it is held to be too much.
const MOST_REPETITIONS: u32 = 2;
/// Blocks whose logs no node is too slow for: when it does not answer, it is the node.
const NEVER_TOO_MUCH: u64 = 100;
