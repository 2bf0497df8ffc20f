//! The execution chain as far as the consensus chain has come, and no less.

use std::time::Duration;

use sw_chain_client::{ConsensusClient, ConsensusError, ExecutionClient};
use sw_spec::NetworkSpec;

/// Slots that an execution node may be behind the head of the consensus chain: it may belong to another consensus node.
const TOLERATED_SLOTS: u64 = 4;

/// From now on uses no execution endpoint that is behind the consensus chain.
///
/// # Errors
///
/// No consensus node is in step itself: syncing, optimistic, or without an execution node.
pub(crate) async fn follow_consensus(
    execution: &ExecutionClient,
    consensus: &ConsensusClient,
    network: &NetworkSpec,
) -> Result<(), ConsensusError> {
    let slot = consensus.head_slot().await?;
    let time = network
        .genesis_time
        .saturating_add(slot.0.saturating_mul(network.seconds_per_slot));
    let tolerance = Duration::from_secs(network.seconds_per_slot.saturating_mul(TOLERATED_SLOTS));
    execution.expect_head_at(time, tolerance);
    Ok(())
}
