//! The rotation duty: exit signatures that the present oracles cannot use are made anew for them.
//!
//! Which ones these are is the oracles' word, and only as far as enough of them agree. They are asked when something can have
//! changed, and once in an epoch.

use std::sync::Arc;

use async_trait::async_trait;
use sw_chain_client::{BeaconValidator, BlockRef, Call, ExitSignaturesUpdate, RotationState};
use sw_oracle_client::{ApprovalError, Approvals, OracleSet, Outdated, RotationRequest};
use sw_spec::{Address, PublicKeyBytes};

use crate::{DutyError, Mined, Tended, WhyNot};

pub use duty::{RotateExits, Rotator};
pub use live::LastRotation;

mod claims;
mod duty;
mod live;
mod sorting;

/// The chain at one block: everything a rotation is decided on.
#[derive(Debug, Clone)]
pub struct RotationView<Pin> {
    /// What further reads of the same block go through.
    pub pin: Pin,
    /// The block.
    pub block: BlockRef,
    /// What the Keeper and the wallet have.
    pub state: RotationState,
}

/// What the duty needs of the world. [`crate::Live`] is the world; tests have their own.
///
/// A nested `Result` tells what time cures (the inner one) from what failed (the outer one).
#[async_trait]
pub trait RotationSurroundings: Send + 'static {
    /// A block that reads are pinned to.
    type Pin: Send + Sync;

    /// Looks at the newest block.
    async fn look(&mut self) -> Result<RotationView<Self::Pin>, DutyError>;
    /// The vault's last rotation before the view's block.
    async fn last_rotation(
        &mut self,
        view: &RotationView<Self::Pin>,
    ) -> Result<Option<ExitSignaturesUpdate>, DutyError>;
    /// The number of the latest block that cannot be undone.
    async fn finalized(&mut self) -> Result<u64, DutyError>;
    /// The oracle set at the view, and the CID of its config.
    async fn oracles(
        &mut self,
        view: &RotationView<Self::Pin>,
    ) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError>;
    /// Asks all oracles which exit signatures are outdated.
    async fn outdated(&mut self, set: &OracleSet, updated: Option<u64>) -> Outdated;
    /// Those of these validators that the beacon chain has.
    async fn validators(&mut self, indexes: &[u64]) -> Result<Vec<BeaconValidator>, DutyError>;
    /// The most that a unit of gas would cost now, in wei.
    async fn gas_price(&mut self, view: &RotationView<Self::Pin>) -> Result<Result<u128, WhyNot>, DutyError>;
    /// Who sends.
    fn wallet(&self) -> Address;
    /// Looks after the rotation that is out. One that can no longer be mined, since its deadline has passed or the Keeper's nonce
    /// has moved, is cancelled: the call in the journal is tried against the newest block, also after a restart.
    async fn tend(&mut self) -> Result<Tended, DutyError>;
    /// Asks all oracles to approve.
    async fn approve(&mut self, set: &OracleSet, request: &RotationRequest) -> Result<Approvals, ApprovalError>;
    /// Runs a call at the view without sending it.
    async fn simulate(&mut self, view: &RotationView<Self::Pin>, call: &Call) -> Result<(), DutyError>;
    /// Sends a rotation of these validators and waits a few blocks for it to be mined; later ticks tend it.
    async fn send(&mut self, keys: &[PublicKeyBytes], call: &Call) -> Result<Result<Mined, WhyNot>, DutyError>;
}
