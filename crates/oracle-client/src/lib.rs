#![doc = include_str!("../README.md")]

mod answer;
mod approvals;
mod config;
mod digest;
mod exchange;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod oracle_set;
mod outcome;
mod outdated;
mod request;
mod rotation;
mod subject;
mod tally;

pub use approvals::{ApprovalError, ApprovalTimeouts, Approvals, request_approvals};
pub use config::{ConfigError, OracleInfo, ProtocolConfig};
pub use digest::{Eip712Domain, InvalidSignature, recover_signer};
pub use oracle_set::{OnChainOracles, OracleSet, OracleSetError, SealSharesError};
pub use outcome::{AnswerFault, FailedAttempt, OracleOutcome, Verdict};
pub use outdated::{NotAgreed, Outdated, OutdatedAnswer, Standing, ask_outdated};
pub use request::ApprovalRequest;
pub use rotation::RotationRequest;
pub use subject::{ApprovalSubject, RequestFault};
pub use tally::{Quorum, Vote, tally};
