//! The oracles: independent services that check a registration for themselves before they sign it.
//!
//! Each has its own key, its own view of the chain through JSON-RPC and its own scan of deposits; they speak with each
//! other only to hand over the shares they decrypted. A request is refused with HTTP 400 and `{"detail": reason}`; the
//! Node oracle gives the same reasons in the same words.

mod approval;
mod chain;
mod checks;
mod exchange;
mod fault;
mod hook;
mod key;
mod merkle;
mod node;
mod record;
mod refusal;
mod request;
mod server;
mod set;
mod shares;

pub use self::{
    fault::{Approval, Fault},
    hook::{BeforeReply, Hook},
    key::{InvalidOracleKey, OracleKey},
    node::NodeOracleError,
    record::RecoveredExit,
    set::{NodeRuntime, OracleHandle, OracleSet, OracleSetConfig, OracleSetError},
};
