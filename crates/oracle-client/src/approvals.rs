//! Asking every oracle at once, and stopping as soon as enough of them agree.

use std::time::Duration;

use alloy_primitives::Address;
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::Client;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::{
    AnswerFault, ApprovalRequest, Eip712Domain, FailedAttempt, OracleInfo, OracleOutcome, OracleSet, Quorum,
    RequestFault, Verdict, Vote, answer, exchange, tally,
};

/// Enough approvals for the transaction.
#[derive(Debug)]
pub struct Approvals {
    /// Where the oracles keep the exit signatures.
    pub ipfs_hash: String,
    /// Until when the approval is valid: the deadline that was asked for.
    pub deadline: u64,
    /// The signatures as the Keeper takes them: exactly as many as needed, 65 bytes each, signers ascending.
    pub signatures: Vec<u8>,
    /// The oracles whose signatures these are, ascending.
    pub signers: Vec<Address>,
    /// What came of each oracle, in the order of the configuration.
    pub outcomes: Vec<OracleOutcome>,
}

/// How long to wait for oracles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalTimeouts {
    /// For one endpoint.
    pub attempt: Duration,
    /// For all endpoints of an oracle together, and so for the whole request.
    pub total: Duration,
}

/// Ten seconds for an endpoint, as the original operator has it, and thirty for all.
impl Default for ApprovalTimeouts {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            total: Duration::from_secs(30),
        }
    }
}

/// Why there is no approval.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalError {
    /// The request is not whole. It was not sent.
    #[error("the request for approval is not whole")]
    InvalidRequest(#[source] RequestFault),
    /// Too few oracles approved the same. `outcomes` says for each why it does not count.
    #[error("{best} of the {needed} oracles needed approved the same registration")]
    NotEnough {
        /// How many are needed.
        needed: usize,
        /// How many agreed.
        best: usize,
        /// What came of each oracle, in the order of the configuration.
        outcomes: Vec<OracleOutcome>,
    },
}

impl ApprovalError {
    /// Whether asking again may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotEnough { .. })
    }
}

/// Asks all oracles at once to approve a registration.
///
/// An oracle's endpoints are tried one after another. An answer counts when its signature recovers to that oracle's
/// address for exactly this registration and deadline. As soon as one content identifier has the votes needed, the
/// other requests are dropped. There is no second round: the next tick of the duty is the retry.
///
/// `client` should be built with `reqwest::redirect::Policy::none()`: an answer that came by a redirect is refused in any
/// case, but only that policy keeps the request itself from following it.
///
/// # Errors
/// A request that is not whole, or too few approvals in time.
pub async fn request_approvals(
    client: &Client,
    set: &OracleSet,
    request: &ApprovalRequest,
    domain: &Eip712Domain,
    timeouts: ApprovalTimeouts,
) -> Result<Approvals, ApprovalError> {
    request.check(set).map_err(ApprovalError::InvalidRequest)?;
    let body = request.to_json();
    let ballot = Ballot {
        client,
        request,
        domain,
        body: &body,
        attempt: timeouts.attempt.min(LONGEST),
    };
    let end = Instant::now() + timeouts.total.min(LONGEST);

    let mut pending = FuturesUnordered::new();
    for (position, oracle) in set.oracles().iter().enumerate() {
        let ballot = &ballot;
        pending.push(async move { (position, ballot.ask(oracle, position, end).await) });
    }
    let mut answers = set.oracles().iter().map(|_| None).collect::<Vec<Option<Asked>>>();
    let mut votes = Vec::new();
    let mut result = tally(&votes, set.approvals_needed());
    while result.is_err() {
        let Some((position, asked)) = pending.next().await else {
            break;
        };
        votes.extend(asked.vote.clone());
        result = tally(&votes, set.approvals_needed());
        if let Some(place) = answers.get_mut(position) {
            *place = Some(asked);
        }
    }
    drop(pending);

    let largest = result
        .as_ref()
        .map(|quorum| quorum.ipfs_hash.clone())
        .ok()
        .or_else(|| leading(&votes));
    let outcomes = set
        .oracles()
        .iter()
        .zip(answers)
        .map(|(oracle, asked)| outcome(oracle, asked, &largest))
        .collect();
    match result {
        Ok(Quorum {
            ipfs_hash,
            deadline,
            signers,
            signatures,
        }) => Ok(Approvals {
            ipfs_hash,
            deadline,
            signatures,
            signers,
            outcomes,
        }),
        Err(best) => Err(ApprovalError::NotEnough {
            needed: set.approvals_needed(),
            best,
            outcomes,
        }),
    }
}

/// No approval is worth waiting longer for; it also keeps the arithmetic of instants in range.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is put to every oracle.
struct Ballot<'a> {
    client: &'a Client,
    request: &'a ApprovalRequest,
    domain: &'a Eip712Domain,
    body: &'a str,
    attempt: Duration,
}

#[derive(Default)]
struct Asked {
    vote: Option<Vote>,
    failures: Vec<FailedAttempt>,
}

impl Ballot<'_> {
    async fn ask(&self, oracle: &OracleInfo, position: usize, end: Instant) -> Asked {
        let mut asked = Asked::default();
        // The first to be tried changes from request to request, so that one dead replica does not delay them all.
        let count = oracle.endpoints.len().max(1);
        let first = (self.request.deadline as usize).wrapping_add(position) % count;
        for endpoint in oracle.endpoints.iter().cycle().skip(first).take(oracle.endpoints.len()) {
            let (address, started) = (oracle.address(), Instant::now());
            let exchange = exchange::post(self.client, endpoint.expose_url(), self.body);
            let answered = timeout_at(end.min(started + self.attempt), exchange).await;
            let vote = answered
                .unwrap_or(Err(AnswerFault::Timeout))
                .and_then(|body| answer::vote(&body, address, self.request, self.domain));
            let milliseconds = started.elapsed().as_millis() as u64;
            match vote {
                Ok(vote) => {
                    debug!(oracle = %address, %endpoint, milliseconds, "oracle approved");
                    asked.vote = Some(vote);
                    return asked;
                }
                Err(fault) => {
                    debug!(oracle = %address, %endpoint, milliseconds, error = %fault, "oracle did not approve");
                    asked.failures.push(FailedAttempt {
                        endpoint: endpoint.clone(),
                        fault,
                    });
                }
            }
            if Instant::now() >= end {
                break;
            }
        }
        asked
    }
}

fn outcome(oracle: &OracleInfo, asked: Option<Asked>, largest: &Option<String>) -> OracleOutcome {
    let Asked { vote, failures } = match asked {
        Some(asked) => asked,
        None => {
            return OracleOutcome {
                oracle: oracle.address(),
                verdict: Verdict::NotAwaited,
                failures: Vec::new(),
            };
        }
    };
    let verdict = match vote {
        Some(vote) if Some(&vote.ipfs_hash) == largest.as_ref() => Verdict::Counted,
        Some(vote) => Verdict::OtherContent {
            ipfs_hash: vote.ipfs_hash,
        },
        None if oracle.endpoints.is_empty() => Verdict::NoEndpoint,
        None => Verdict::NoApproval,
    };
    OracleOutcome {
        oracle: oracle.address(),
        verdict,
        failures,
    }
}

/// The content identifier that most votes name, though not enough.
fn leading(votes: &[Vote]) -> Option<String> {
    tally(votes, 1).ok().map(|quorum| quorum.ipfs_hash)
}
