//! Start-up checks: each has a name, and what it finds has a reason and a remedy.
//!
//! They stand in one registry so that everything that asks "what is wrong?" asks the same questions.

mod keys;
mod nodes;
mod vault;

pub use vault::WALLET_REMEDY;

use std::{fmt, time::Duration};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{Operator, ServiceError, why::without_numbers};

/// What is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The check that found it.
    pub name: &'static str,
    /// What was found.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is well; the text is for a person who wants to see it.
    Passed(String),
    /// Look at this, but it does not stop the service.
    Warning(Finding),
    /// Time cures this: the service waits.
    Waiting(Finding),
    /// A person must mend this: the service does not start.
    Failed(Finding),
    /// Going on could register twice: the service does not start.
    Refused(Finding),
}

/// A reason and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub reason: String,
    /// What the user can do.
    pub remedy: String,
}

impl Finding {
    /// From two texts.
    pub fn new(reason: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self {
            reason: reason.to_string(),
            remedy: remedy.to_string(),
        }
    }
}

/// A question with a name.
#[async_trait]
pub trait Check: Send + Sync {
    /// The name, stable over versions: lower-case words joined by `-`.
    fn name(&self) -> &'static str;
    /// Asks it.
    async fn run(&self, operator: &Operator) -> Verdict;
}

/// All checks, in the order in which a start asks them.
pub fn start_up_checks() -> Vec<Box<dyn Check>> {
    vec![
        Box::new(nodes::ExecutionEndpoints),
        Box::new(nodes::ConsensusEndpoints),
        Box::new(nodes::ConsensusNetwork),
        Box::new(nodes::SameChain),
        Box::new(vault::VaultRoad),
        Box::new(vault::Wallet),
        Box::new(vault::OracleConfig),
        Box::new(keys::DepositData),
        Box::new(keys::Keystores),
    ]
}

/// Asks every check in turn, and waits for what time cures.
///
/// # Errors
///
/// The first check that failed. A stop that was asked for is `Ok(false)`.
pub(crate) async fn pass_all(operator: &Operator, stop: &CancellationToken) -> Result<bool, ServiceError> {
    for check in start_up_checks() {
        let name = check.name();
        let mut said = None;
        loop {
            let verdict = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                verdict = check.run(operator) => verdict,
            };
            match verdict {
                Verdict::Passed(detail) => {
                    tracing::info!(check = name, detail, "check passed");
                    break;
                }
                Verdict::Warning(Finding { reason, remedy }) => {
                    tracing::warn!(check = name, reason, remedy, "check found something");
                    break;
                }
                Verdict::Failed(Finding { reason, remedy }) => {
                    return Err(ServiceError::Check(CheckReport { name, reason, remedy }));
                }
                Verdict::Refused(Finding { reason, remedy }) => {
                    return Err(ServiceError::Unsafe(CheckReport { name, reason, remedy }));
                }
                Verdict::Waiting(finding) => {
                    let reason = without_numbers(&finding.reason);
                    if said.as_ref() != Some(&reason) {
                        tracing::warn!(
                            check = name,
                            reason = finding.reason,
                            remedy = finding.remedy,
                            "waiting"
                        );
                        said = Some(reason);
                    }
                }
            }
            let pause = Duration::from_secs(operator.network.seconds_per_slot.min(10));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
    Ok(true)
}
