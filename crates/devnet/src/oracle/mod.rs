//! The oracles: independent services that check a registration or a rotation for themselves before they sign it.
//!
//! Each has its own key, its own view of the chain through JSON-RPC and its own scan of events; they speak with each
//! other only to hand over the shares they decrypted. Who the oracles are they read from the chain, too. A request is
//! refused with HTTP 400 and `{"detail": reason}`; the Node oracle gives the same reasons in the same words.

mod approval;
mod chain;
mod checks;
mod documents;
mod exchange;
mod fault;
mod handle;
mod hook;
mod key;
mod ledger;
mod members;
mod merkle;
mod node;
mod outdated;
mod record;
mod recoverable;
mod refusal;
mod request;
mod server;
mod set;
mod shares;

pub use self::{
    fault::{Approval, Fault},
    handle::OracleHandle,
    hook::{BeforeReply, Hook},
    key::{InvalidOracleKey, OracleKey},
    node::NodeOracleError,
    record::RecoveredExit,
    recoverable::{Recoverable, Rotated},
    set::{Newcomer, NodeRuntime, OracleSet, OracleSetConfig, OracleSetError},
};
