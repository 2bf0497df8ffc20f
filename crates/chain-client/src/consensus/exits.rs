//! Handing over a signed exit, and finding out what became of it.

use std::fmt;

use sw_spec::{RedactedUrl, SignedVoluntaryExit, ValidatorStatus};

use super::{ConsensusClient, ConsensusError, beacon::Beacon};
use crate::{EndpointFailure, EndpointFault};

/// What became of an exit that was handed over.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExitOutcome {
    /// A node took it.
    Accepted {
        /// The node.
        endpoint: RedactedUrl,
        /// What others had said before.
        refusals: Vec<ExitRefusal>,
    },
    /// It arrived: no node was heard to take it, but one has it.
    Arrived {
        /// The node.
        endpoint: RedactedUrl,
        /// Where it was seen.
        seen: ExitSeen,
    },
    /// It was not needed: the validator had an exit before.
    AlreadyKnown {
        /// The node that says so.
        endpoint: RedactedUrl,
        /// Where the exit was seen.
        seen: ExitSeen,
    },
    /// No node takes it: each that could be asked refuses it, and none of them knows of an exit of this validator.
    Refused {
        /// What each of them says; at least one.
        refusals: Vec<ExitRefusal>,
        /// Those that could not be asked.
        failures: Vec<EndpointFailure>,
    },
    /// Nobody knows: an answer was lost, and the exit is not to be seen, or there is nobody to ask. It may still take effect.
    Unknown {
        /// What was refused.
        refusals: Vec<ExitRefusal>,
        /// Whose answer was lost, and who could not be asked.
        failures: Vec<EndpointFailure>,
    },
}

impl ExitOutcome {
    /// Whether the validator exits.
    pub fn is_under_way(&self) -> bool {
        matches!(
            self,
            Self::Accepted { .. } | Self::Arrived { .. } | Self::AlreadyKnown { .. }
        )
    }
}

/// A node's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRefusal {
    /// The node.
    pub endpoint: RedactedUrl,
    /// The HTTP status.
    pub status: u16,
    /// Its reason: one line of at most 300 characters.
    pub message: String,
}

impl fmt::Display for ExitRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            status,
            message,
        } = self;
        write!(f, "{endpoint} refuses it with HTTP {status}: {message}")
    }
}

/// Where a node shows that a validator has an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitSeen {
    /// Among the exits that wait for a block.
    Pool,
    /// In the state of the chain.
    Status(ValidatorStatus),
}

impl fmt::Display for ExitSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool => f.write_str("in the pool"),
            Self::Status(status) => status.fmt(f),
        }
    }
}

impl ConsensusClient {
    /// The exits that a node holds until they are in a block.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn pool_exits(&self) -> Result<Vec<SignedVoluntaryExit>, ConsensusError> {
        self.first_answer(async |beacon| beacon.pool_exits().await).await
    }

    /// Hands over a signed exit, to one node after the other until one takes it.
    ///
    /// Only nodes in step are asked. A node that refuses it is not the last word: it may be behind, or of a version that is
    /// mistaken, so the next is asked; what it says is not interpreted. When the answer is lost, or a node refuses, the exit
    /// is looked for in the pool and in the validator's status. It may be sent more than once, which does no harm.
    ///
    /// # Errors
    /// When it did not reach any node.
    pub async fn submit_exit(&self, exit: &SignedVoluntaryExit) -> Result<ExitOutcome, ConsensusError> {
        let deadline = self.endpoints.deadline();
        let mut submission = Submission {
            exit,
            refusals: Vec::new(),
            may_have_arrived: false,
        };
        loop {
            for endpoint in self.endpoints.to_be_asked() {
                let attempt = submission.attempt(&endpoint.client, &endpoint.url).await;
                match attempt {
                    Ok(outcome) => {
                        endpoint.succeeded();
                        if let Some(outcome) = outcome {
                            return Ok(outcome);
                        }
                    }
                    Err(fault) => {
                        endpoint.client.doubt();
                        endpoint.failed(fault);
                    }
                }
            }
            let next = self.endpoints.next_rested();
            let is_settled = submission.is_settled(self.endpoints.all().len());
            match next.filter(|next| *next < deadline && !is_settled) {
                Some(next) => tokio::time::sleep_until(next).await,
                None => return submission.given_up(self.endpoints.failures()),
            }
        }
    }
}

/// An exit on its way, and what was said of it.
struct Submission<'a> {
    exit: &'a SignedVoluntaryExit,
    refusals: Vec<ExitRefusal>,
    may_have_arrived: bool,
}

impl Submission<'_> {
    /// Tries one node. Nothing comes of it when the node refuses.
    async fn attempt(&mut self, beacon: &Beacon, endpoint: &RedactedUrl) -> Result<Option<ExitOutcome>, EndpointFault> {
        beacon.check_genesis().await?;
        beacon.ready().await?;
        if self.may_have_arrived
            && let Some(seen) = self.look(beacon).await?
        {
            return Ok(Some(self.seen(endpoint, seen)));
        }
        if self.refusals.iter().any(|refusal| refusal.endpoint == *endpoint) {
            return Ok(None);
        }
        let fault = match beacon.submit_exit(self.exit).await {
            Ok(()) => {
                return Ok(Some(ExitOutcome::Accepted {
                    endpoint: endpoint.clone(),
                    refusals: std::mem::take(&mut self.refusals),
                }));
            }
            Err(fault) => fault,
        };
        let refusal = refusal(endpoint, &fault);
        self.may_have_arrived |= refusal.is_none() && fault.may_have_arrived();
        if (refusal.is_some() || self.may_have_arrived)
            && let Ok(Some(seen)) = self.look(beacon).await
        {
            return Ok(Some(self.seen(endpoint, seen)));
        }
        match refusal {
            Some(refusal) => {
                self.refusals.push(refusal);
                Ok(None)
            }
            None => Err(fault),
        }
    }

    /// Looks for an exit of the validator. Not every node shows its pool; every node has the status.
    async fn look(&self, beacon: &Beacon) -> Result<Option<ExitSeen>, EndpointFault> {
        let index = self.exit.message.validator_index;
        let pool = beacon.pool_exits().await.unwrap_or_default();
        if pool.iter().any(|exit| exit.message.validator_index == index) {
            return Ok(Some(ExitSeen::Pool));
        }
        let found = beacon.validators_by_index(&[index]).await?;
        let status = found.first().map(|validator| validator.status);
        Ok(status.filter(|status| status.is_leaving()).map(ExitSeen::Status))
    }

    fn seen(&self, endpoint: &RedactedUrl, seen: ExitSeen) -> ExitOutcome {
        let endpoint = endpoint.clone();
        if self.may_have_arrived {
            ExitOutcome::Arrived { endpoint, seen }
        } else {
            ExitOutcome::AlreadyKnown { endpoint, seen }
        }
    }

    /// Whether there is nothing to wait for: a node has refused it and none may have it, or all have refused it.
    fn is_settled(&self, endpoints: usize) -> bool {
        (!self.refusals.is_empty() && !self.may_have_arrived) || self.refusals.len() >= endpoints
    }

    fn given_up(self, failures: Vec<EndpointFailure>) -> Result<ExitOutcome, ConsensusError> {
        let refusals = self.refusals;
        if self.may_have_arrived {
            Ok(ExitOutcome::Unknown { refusals, failures })
        } else if refusals.is_empty() {
            Err(ConsensusError::Unavailable(failures))
        } else {
            Ok(ExitOutcome::Refused { refusals, failures })
        }
    }
}

/// A node's no, if a fault is one. The API has 400 for it; 500 is what a node says that did not foresee the reason. Other
/// statuses from 500 come from what stands before a node, which may have been reached.
fn refusal(endpoint: &RedactedUrl, fault: &EndpointFault) -> Option<ExitRefusal> {
    match fault {
        EndpointFault::Status { status, message } if matches!(status, 400..=407 | 409..=499 | 500 | 501) => {
            Some(ExitRefusal {
                endpoint: endpoint.clone(),
                status: *status,
                message: message.clone(),
            })
        }
        _ => None,
    }
}

/// What is told of an answer to an exit, if it is a refusal.
#[cfg(feature = "fuzzing")]
pub(crate) fn refusal_in(answer: &crate::http::Answer, url: &RedactedUrl) -> Option<String> {
    let fault = super::beacon::fault(answer, url);
    refusal(url, &fault).map(|refusal| refusal.to_string())
}
