//! How a tick, and the service, can fail.

use std::{error::Error, fmt::Write, mem::discriminant};

use sw_chain_client::{
    ConsensusError, ExecutionError, FeeError, JournalError, Revert, SendError, SimulateError, WaitError,
};
use sw_ipfs::FetchError;
use sw_oracle_client::{AnswerFault, ApprovalError, ConfigError, Verdict};
use sw_signers::SignerError;
use sw_spec::PublicKeyBytes;

use crate::{CheckReport, remedy::remedy, supervisor::error_chain, why::without_numbers};

/// A tick that failed. The next tick tries again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DutyError {
    /// An execution node could not be asked.
    #[error("cannot read {what} from the execution node")]
    Execution {
        /// What was wanted.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<ExecutionError>,
    },
    /// A consensus node could not be asked.
    #[error("cannot read {what} from the consensus node")]
    Consensus {
        /// What was wanted.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<ConsensusError>,
    },
    /// No gateway served content that matches its CID.
    #[error("cannot fetch {what} from IPFS")]
    Ipfs {
        /// What was wanted.
        what: &'static str,
        /// The cause, gateway by gateway.
        #[source]
        source: Box<FetchError>,
    },
    /// The CID in an event is none.
    #[error("the {what} on chain names `{cid}`, which is not a CID")]
    NotACid {
        /// What should be there.
        what: &'static str,
        /// What is there.
        cid: String,
    },
    /// The oracles' config is not one.
    #[error("the oracles' config {cid} is not usable")]
    Config {
        /// The content.
        cid: String,
        /// The cause.
        #[source]
        source: Box<ConfigError>,
    },
    /// The rewards file is not one.
    #[error("the rewards file {cid} is not usable")]
    Rewards {
        /// The content.
        cid: String,
        /// The cause.
        #[source]
        source: Box<crate::harvest::RewardsError>,
    },
    /// The signer did not sign.
    #[error("no exit signature for validator {validator}")]
    Signer {
        /// The validator.
        validator: PublicKeyBytes,
        /// The cause.
        #[source]
        source: Box<SignerError>,
    },
    /// Exit shares could not be made, or failed their own check.
    #[error("no exit shares for validator {validator}; nothing was sent to the oracles")]
    Shares {
        /// The validator.
        validator: PublicKeyBytes,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Too few oracles approved.
    #[error("the oracles did not approve; nothing was sent to the chain")]
    Approvals(#[source] Box<ApprovalError>),
    /// The transaction would revert, so it was not sent.
    #[error("the transaction would fail on chain and was not sent")]
    Simulation(#[source] Box<SimulateError>),
    /// The price of gas could not be read.
    #[error("cannot tell what a transaction costs")]
    Fees(#[source] Box<FeeError>),
    /// The transaction was not sent, or its fate is unknown; the journal knows.
    #[error("the wallet did not send")]
    Send(#[source] Box<SendError>),
    /// The transaction is out and not mined; the next ticks look at it again.
    #[error("the transaction is not confirmed yet")]
    Wait(#[source] Box<WaitError>),
    /// The transaction was mined and failed.
    #[error("transaction {tx} was mined in block {block} but failed")]
    Reverted {
        /// Its hash.
        tx: sw_spec::B256,
        /// Its block.
        block: u64,
    },
    /// The validator index could not be read or written.
    #[error("the validator index failed")]
    Store(#[source] Box<sw_store::StoreError>),
    /// A deposit data file cannot prove what was planned.
    #[error("no Merkle proof for the next keys")]
    Proof(#[source] Box<sw_deposit_data::TreeError>),
    /// A task on another thread ended before its result.
    #[error("a background computation was cut short")]
    Interrupted,
}

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A start-up check found what only a person can mend.
    #[error("start-up check `{}` failed: {}", .0.name, .0.reason)]
    Check(CheckReport),
    /// A start-up check found what makes it unsafe to go on.
    #[error("start-up check `{}` refuses to go on: {}", .0.name, .0.reason)]
    Unsafe(CheckReport),
    /// A duty panicked; everything else was stopped in order.
    #[error("duty `{duty}` panicked, which is a bug; the service stopped in order")]
    Panicked {
        /// The duty.
        duty: &'static str,
    },
    /// Something else sends transactions from the same wallet.
    #[error("another program sends transactions from this wallet; two operators must not share one")]
    WalletShared(#[source] Box<SendError>),
    /// Nothing can be recorded any more, and so nothing can be sent.
    #[error("no transaction can be sent before a restart")]
    JournalUnusable(#[source] Box<SendError>),
}

impl DutyError {
    /// What belongs to the failure and is too long for its line: what each oracle said, or what to do about a refusal.
    pub(crate) fn details(&self) -> Vec<String> {
        match self {
            Self::Approvals(error) => match &**error {
                ApprovalError::NotEnough { outcomes, .. } => {
                    let short = outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Counted);
                    short.map(|outcome| format!("oracle {outcome}")).collect()
                }
                _ => Vec::new(),
            },
            _ => {
                let remedy = self.revert().and_then(remedy);
                remedy
                    .into_iter()
                    .map(|remedy| format!("what to do: {remedy}"))
                    .collect()
            }
        }
    }

    /// What tells this failure from others: its text without numbers, and which oracles failed in which way.
    ///
    /// What an oracle says in its own words is left out: it could say something else every time.
    pub(crate) fn kind(&self) -> String {
        let mut kind = without_numbers(&error_chain(self));
        let Self::Approvals(error) = self else { return kind };
        let ApprovalError::NotEnough { outcomes, .. } = &**error else {
            return kind;
        };
        for outcome in outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Counted) {
            let how = outcome.failures.iter().map(|attempt| match attempt.fault {
                AnswerFault::Status { status, .. } => (discriminant(&attempt.fault), status),
                _ => (discriminant(&attempt.fault), 0),
            });
            // Writing to a String cannot fail.
            let _ = write!(kind, "; {} {:?}", outcome.oracle, how.collect::<Vec<_>>());
        }
        kind
    }

    /// What a contract refused with.
    fn revert(&self) -> Option<&Revert> {
        match self {
            Self::Simulation(error) => match &**error {
                SimulateError::Reverted { revert } => Some(revert),
                _ => None,
            },
            Self::Execution { source, .. } => match &**source {
                ExecutionError::Reverted { revert } => Some(revert),
                _ => None,
            },
            _ => None,
        }
    }

    /// Splits off what the service cannot go on with.
    pub(crate) fn into_fatal(self) -> Result<Self, ServiceError> {
        match self {
            Self::Send(source) if matches!(*source, SendError::AnotherOperator { .. }) => {
                Err(ServiceError::WalletShared(source))
            }
            Self::Send(source) if matches!(*source, SendError::Journal(JournalError::Unusable { .. })) => {
                Err(ServiceError::JournalUnusable(source))
            }
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_named_with_what_to_do() {
        let not_harvested = hex::decode("e7757151").expect("a selector");
        let revert = sw_chain_client::decode_revert(&not_harvested);
        let refused = DutyError::Simulation(Box::new(SimulateError::Reverted { revert: revert.clone() }));
        let unreadable = DutyError::Execution {
            what: "the vault's assets after a harvest",
            source: Box::new(ExecutionError::Reverted { revert }),
        };
        for error in [refused, unreadable] {
            let said = crate::supervisor::error_chain(&error);
            assert!(said.contains("NotHarvested"), "{said}");
            assert!(matches!(&error.details()[..], [detail] if detail.contains("--ipfs-fetch-endpoints")));
        }
    }

    #[test]
    fn what_no_tick_can_cure_ends_the_service() {
        let sent = |error| DutyError::Send(Box::new(error)).into_fatal();
        let path = std::path::PathBuf::from("transactions.journal");
        let unusable = sent(SendError::Journal(JournalError::Unusable { path }));
        assert!(matches!(unusable, Err(ServiceError::JournalUnusable(_))));
        let (address, nonce) = (sw_spec::Address::ZERO, 7);
        let shared = sent(SendError::AnotherOperator { address, nonce });
        assert!(matches!(shared, Err(ServiceError::WalletShared(_))));
        assert!(DutyError::Interrupted.into_fatal().is_ok());
    }
}
