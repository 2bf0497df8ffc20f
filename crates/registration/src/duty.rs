//! What a duty is.

use async_trait::async_trait;

use crate::{DutyError, WhyNot};

/// One look at the chain, one decision, at most one act.
///
/// A duty never loops and never sleeps: the next tick is the retry. What matters is on the chain or in the journal;
/// what a duty keeps between ticks is a cache of what it read there.
#[async_trait]
pub trait Duty: Send + 'static {
    /// The name in logs and metrics.
    fn name(&self) -> &'static str;

    /// What does not happen while it is idle, in the words of the log.
    fn undone(&self) -> &'static str {
        "nothing is done"
    }

    /// Looks, decides, acts and returns.
    ///
    /// It may be dropped at any await: nothing it does may be half done at one, other than through the wallet,
    /// which finishes what it has journalled.
    async fn tick(&mut self) -> Result<Outcome, DutyError>;
}

/// What a tick came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// There was nothing to do, and this is why.
    Idle(WhyNot),
    /// The duty did what it is for; the next tick may follow at once.
    Acted,
    /// The duty watches and has nothing to act on.
    Watched,
}
