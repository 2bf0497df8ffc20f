//! Whether the nodes are there, in step, and on the vault's network.

use std::{collections::BTreeSet, error::Error};

use sw_chain_client::{ConsensusClient, ExecutionClient};
use sw_spec::{NetworkSpec, RedactedUrl, Slot};

use super::chain::{NOTHING_CHANGED, unread};
use crate::{
    error::{CliError, Kind},
    ui::Ui,
};

pub(super) async fn check_execution(execution: &ExecutionClient, network: &NetworkSpec) -> Result<(), CliError> {
    let (mut is_ready, mut faults) = (false, Vec::new());
    for status in execution.check_endpoints(network.chain_id).await {
        let endpoint = &status.endpoint;
        let other = status.chain_id.filter(|chain_id| *chain_id != network.chain_id);
        if let Some(other) = other {
            let (name, right) = (&network.name, network.chain_id);
            return Err(CliError::new(
                Kind::Failed,
                format_args!("execution endpoint {endpoint} is on chain {other}, {name} is chain {right}"),
            )
            .hint("give endpoints of the vault's network in `--execution-endpoints`, or the right `--network`"));
        }
        match &status.error {
            Some(error) => faults.push(format!("{endpoint}: {}", in_one_line(error))),
            None => is_ready = true,
        }
    }
    if is_ready {
        return Ok(());
    }
    Err(none_ready("execution", &faults))
}

fn none_ready(kind: &str, faults: &[String]) -> CliError {
    CliError::new(
        Kind::Failed,
        format_args!("no {kind} node is ready: {}", faults.join("; ")),
    )
    .hint(format_args!(
        "wait until the {kind} node is synced, or name another in `--{kind}-endpoints`"
    ))
}

/// The endpoints whose word can be taken, and the highest head of theirs.
pub(super) async fn ready_consensus(
    consensus: &ConsensusClient,
    network: &NetworkSpec,
    ui: &Ui,
) -> Result<(Vec<RedactedUrl>, Slot), CliError> {
    let mut of_network = BTreeSet::new();
    for (endpoint, genesis) in consensus.every_genesis().await {
        let Ok(genesis) = genesis else { continue };
        if genesis.genesis_validators_root != network.genesis_validators_root
            || genesis.genesis_fork_version != network.genesis_fork_version
        {
            return Err(CliError::new(
                Kind::Failed,
                format_args!(
                    "consensus endpoint {endpoint} is not on {}: its genesis is another",
                    network.name
                ),
            )
            .hint("give endpoints of the vault's network in `--consensus-endpoints`, or the right `--network`"));
        }
        of_network.insert(endpoint.to_string());
    }
    let (mut ready, mut faults, mut head) = (Vec::new(), Vec::new(), Slot(0));
    for status in consensus.syncing().await {
        let endpoint = &status.endpoint;
        if status.is_ready() && of_network.contains(&endpoint.to_string()) {
            head = head.max(status.head_slot.unwrap_or(head));
            ready.push(status.endpoint);
        } else if let Some(error) = &status.error {
            faults.push(format!("{endpoint}: {}", in_one_line(error)));
        } else {
            faults.push(format!("{endpoint}: it is not in step with the chain yet"));
        }
    }
    if ready.is_empty() {
        return Err(none_ready("consensus", &faults));
    }
    for fault in faults {
        ui.warn(format_args!("a consensus node is left out: {fault}"));
    }
    Ok((ready, head))
}

/// A node that fell behind, or follows another chain, does not know all that the vault has registered.
pub(super) async fn check_same_chain(execution: &ExecutionClient, consensus: &ConsensusClient) -> Result<(), CliError> {
    let finalized = consensus.finalized().await;
    let finalized = finalized.map_err(|error| CliError::from_error(Kind::Failed, &error).hint(NOTHING_CHANGED))?;
    execution.expect_final(finalized.block_number);
    let block = execution
        .block_by_number(finalized.block_number)
        .await
        .map_err(|error| unread(&error))?;
    if block.is_some_and(|block| block.hash == finalized.block_hash) {
        return Ok(());
    }
    Err(CliError::new(
        Kind::Failed,
        format_args!(
            "the execution node does not have block {} ({}), which is final on the consensus node",
            finalized.block_number, finalized.block_hash
        ),
    )
    .hint("pair an execution and a consensus node of the same network, both synced"))
}

fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
