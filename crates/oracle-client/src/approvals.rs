//! Asking every oracle at once, and stopping as soon as enough of them agree.

use std::time::Duration;

use alloy_primitives::Address;
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::Client;
use sw_spec::RedactedUrl;
use tokio::time::Instant;

use crate::{
    ApprovalSubject, Eip712Domain, OracleInfo, OracleOutcome, OracleSet, Quorum, RequestFault, Verdict, Vote, answer,
    exchange::{Asked, LONGEST, Question},
    tally,
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
    #[error("{best} of the {needed} oracles needed approved the same {what}")]
    NotEnough {
        /// What they were asked to approve: a `registration` or a `rotation`.
        what: &'static str,
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

/// Asks all oracles at once to approve a registration or a rotation.
///
/// An oracle's endpoints are tried one after another. An answer counts when its signature recovers to that oracle's
/// address for exactly this subject and deadline. As soon as one content identifier has the votes needed, the
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
    subject: &(impl ApprovalSubject + ?Sized),
    domain: &Eip712Domain,
    timeouts: ApprovalTimeouts,
) -> Result<Approvals, ApprovalError> {
    subject.check(set).map_err(ApprovalError::InvalidRequest)?;
    let body = subject.to_json();
    let question = Question {
        client,
        path: subject.path(),
        body: Some(&body),
        attempt: timeouts.attempt.min(LONGEST),
        end: Instant::now() + timeouts.total.min(LONGEST),
    };

    let mut pending = FuturesUnordered::new();
    for (position, oracle) in set.oracles().iter().enumerate() {
        let question = &question;
        pending.push(async move {
            let address = oracle.address();
            let read = |body: &[u8]| answer::vote(body, address, subject, domain).map(Some);
            let endpoints = endpoints(oracle, subject.deadline(), position);
            (position, question.ask(address, endpoints, read).await)
        });
    }
    let mut answers = set.oracles().iter().map(|_| None).collect::<Vec<Option<Asked<Vote>>>>();
    let mut votes = Vec::new();
    let mut result = tally(&votes, set.approvals_needed());
    while result.is_err() {
        let Some((position, asked)) = pending.next().await else {
            break;
        };
        votes.extend(asked.answer.clone());
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
            what: subject.name(),
            needed: set.approvals_needed(),
            best,
            outcomes,
        }),
    }
}

/// The endpoints of an oracle. The first to be tried changes from request to request, so that one dead replica does not
/// delay them all.
fn endpoints(oracle: &OracleInfo, deadline: u64, position: usize) -> impl Iterator<Item = &RedactedUrl> {
    let count = oracle.endpoints.len();
    let first = (deadline as usize).wrapping_add(position) % count.max(1);
    oracle.endpoints.iter().cycle().skip(first).take(count)
}

fn outcome(oracle: &OracleInfo, asked: Option<Asked<Vote>>, largest: &Option<String>) -> OracleOutcome {
    let Asked { answer, failures } = match asked {
        Some(asked) => asked,
        None => {
            return OracleOutcome {
                oracle: oracle.address(),
                verdict: Verdict::NotAwaited,
                failures: Vec::new(),
            };
        }
    };
    let verdict = match answer {
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
