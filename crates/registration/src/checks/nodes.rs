//! Whether the nodes are there, in step, and on the right network.

use async_trait::async_trait;
use sw_chain_client::{BeaconDepositContract, ConsensusClient, ExecutionClient, ExecutionError, Genesis};
use sw_spec::NetworkSpec;

use super::{Check, Finding, Verdict};
use crate::{Operator, in_step::follow_consensus, supervisor::error_chain};

/// Every execution endpoint is on the network's chain, and at least one is synced.
pub(super) struct ExecutionEndpoints;

#[async_trait]
impl Check for ExecutionEndpoints {
    fn name(&self) -> &'static str {
        "execution-endpoints"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        execution_endpoints(&operator.network, &operator.execution).await
    }
}

async fn execution_endpoints(network: &NetworkSpec, execution: &ExecutionClient) -> Verdict {
    let statuses = execution.check_endpoints(network.chain_id).await;
    if let Some((endpoint, chain_id)) = statuses.iter().find_map(|status| {
        let other = status.chain_id.filter(|chain_id| *chain_id != network.chain_id)?;
        Some((&status.endpoint, other))
    }) {
        return Verdict::Failed(Finding::new(
            format_args!(
                "execution endpoint {endpoint} is on chain {chain_id}, {} is chain {}",
                network.name, network.chain_id
            ),
            "give endpoints of the vault's network in `--execution-endpoints`, or the right `--network`",
        ));
    }
    let mut ready = Vec::new();
    let mut faults = Vec::new();
    for status in &statuses {
        let endpoint = &status.endpoint;
        match (&status.error, status.block) {
            (Some(error), _) => faults.push(format!("{endpoint}: {}", error_chain(error))),
            (None, _) if status.syncing => faults.push(format!("{endpoint}: is syncing")),
            (None, None | Some(0)) => faults.push(format!("{endpoint}: has no block yet")),
            (None, Some(block)) => ready.push(format!("{endpoint} at block {block}")),
        }
    }
    verdict("execution", ready, faults)
}

/// At least one consensus endpoint is synced, with an execution node behind it.
pub(super) struct ConsensusEndpoints;

#[async_trait]
impl Check for ConsensusEndpoints {
    fn name(&self) -> &'static str {
        "consensus-endpoints"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        let mut ready = Vec::new();
        let mut faults = Vec::new();
        for status in operator.consensus.syncing().await {
            let endpoint = &status.endpoint;
            if let Some(error) = &status.error {
                faults.push(format!("{endpoint}: {}", error_chain(error)));
            } else if status.is_syncing {
                faults.push(format!("{endpoint}: is syncing, {} slots behind", status.sync_distance));
            } else if status.is_optimistic {
                faults.push(format!(
                    "{endpoint}: follows blocks its execution node has not verified"
                ));
            } else if status.el_offline {
                faults.push(format!("{endpoint}: has no execution node"));
            } else {
                ready.push(endpoint.to_string());
            }
        }
        verdict("consensus", ready, faults)
    }
}

fn verdict(kind: &str, ready: Vec<String>, faults: Vec<String>) -> Verdict {
    if ready.is_empty() {
        let remedy = format!("wait until the {kind} node is synced, or name another in `--{kind}-endpoints`");
        return Verdict::Waiting(Finding::new(
            format_args!("no {kind} node is ready: {}", faults.join("; ")),
            remedy,
        ));
    }
    if faults.is_empty() {
        return Verdict::Passed(ready.join(", "));
    }
    let remedy = "the operator goes on with the other endpoints";
    Verdict::Warning(Finding::new(
        format_args!("some {kind} nodes are not ready: {}", faults.join("; ")),
        remedy,
    ))
}

/// The beacon chain is the network's, at every endpoint that may have to take over.
pub(super) struct ConsensusNetwork;

#[async_trait]
impl Check for ConsensusNetwork {
    fn name(&self) -> &'static str {
        "consensus-network"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        consensus_network(&operator.network, &operator.consensus).await
    }
}

async fn consensus_network(network: &NetworkSpec, consensus: &ConsensusClient) -> Verdict {
    let (geneses, contracts) = tokio::join!(consensus.every_genesis(), consensus.every_deposit_contract());
    let mut answered = false;
    let mut faults = Vec::new();
    for ((endpoint, genesis), (_, contract)) in geneses.into_iter().zip(contracts) {
        let genesis = match genesis {
            Ok(genesis) => genesis,
            Err(fault) => {
                faults.push(format!("{endpoint}: {}", error_chain(&fault)));
                continue;
            }
        };
        answered = true;
        // A provider may not serve the deposit contract; the genesis alone tells one network from another.
        let other = other_genesis(network, &genesis)
            .or_else(|| contract.ok().and_then(|contract| other_contract(network, &contract)));
        if let Some(other) = other {
            return Verdict::Failed(Finding::new(
                format_args!(
                    "consensus endpoint {endpoint} is of another network than {}: {other}",
                    network.name
                ),
                "give endpoints of the vault's network in `--consensus-endpoints`, or the right `--network`",
            ));
        }
    }
    if answered {
        return Verdict::Passed(format!("genesis and deposit contract of {}", network.name));
    }
    Verdict::Waiting(Finding::new(
        format_args!("cannot read the beacon chain's genesis: {}", faults.join("; ")),
        REACHABLE,
    ))
}

fn other_genesis(network: &NetworkSpec, genesis: &Genesis) -> Option<String> {
    let (root, fork) = (network.genesis_validators_root, network.genesis_fork_version);
    if genesis.genesis_validators_root != root || genesis.genesis_fork_version != fork {
        return Some(format!(
            "its genesis has validators root {} and fork version {}, and not {root} and {fork}",
            genesis.genesis_validators_root, genesis.genesis_fork_version
        ));
    }
    (genesis.genesis_time != network.genesis_time).then(|| {
        format!(
            "its genesis was at {}, and not at {}",
            genesis.genesis_time, network.genesis_time
        )
    })
}

fn other_contract(network: &NetworkSpec, contract: &BeaconDepositContract) -> Option<String> {
    let (chain_id, address) = (network.chain_id, network.contracts.deposit_contract);
    (contract.chain_id != chain_id || contract.address != address).then(|| {
        format!(
            "it follows the deposit contract {} of chain {}, and not {address} of chain {chain_id}",
            contract.address, contract.chain_id
        )
    })
}

/// The execution node has the consensus node's finalized block.
pub(super) struct SameChain;

#[async_trait]
impl Check for SameChain {
    fn name(&self) -> &'static str {
        "same-chain"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        same_chain(&operator.network, &operator.execution, &operator.consensus).await
    }
}

async fn same_chain(network: &NetworkSpec, execution: &ExecutionClient, consensus: &ConsensusClient) -> Verdict {
    let finalized = match consensus.finalized().await {
        Ok(finalized) => finalized,
        Err(error) => return unreadable("the finalized block", &error),
    };
    let statuses = execution.check_endpoints(network.chain_id).await;
    let heads = || statuses.iter().filter_map(|status| status.block);
    // Endpoints that have it take over from those that do not.
    if heads().any(|head| head >= finalized.block_number) {
        execution.expect_final(finalized.block_number);
    }
    let block = match execution.block_by_number(finalized.block_number).await {
        Ok(block) => block,
        Err(error) => return unreadable("the finalized block", &error),
    };
    match block {
        Some(block) if block.hash == finalized.block_hash => {}
        Some(block) => {
            return Verdict::Waiting(Finding::new(
                format_args!(
                    "block {} is {} on the execution node and {} on the consensus node",
                    block.number, block.hash, finalized.block_hash
                ),
                "the two nodes follow different chains; pair an execution and a consensus node of the same network",
            ));
        }
        None => {
            return Verdict::Waiting(Finding::new(
                format_args!(
                    "the execution node does not have the finalized block {} yet",
                    finalized.block_number
                ),
                CATCH_UP,
            ));
        }
    }
    if let Err(error) = follow_consensus(execution, consensus, network).await {
        return unreadable("the head of the beacon chain", &error);
    }
    match execution.head().await {
        Ok(head) => Verdict::Passed(format!(
            "finalized block {}, newest block {}",
            finalized.block_number,
            head.block().number
        )),
        Err(error) => Verdict::Waiting(Finding::new(error_chain(&error), CATCH_UP)),
    }
}

pub(super) fn unreadable(what: &str, error: &dyn std::error::Error) -> Verdict {
    Verdict::Waiting(Finding::new(
        format_args!("cannot read {what}: {}", error_chain(error)),
        REACHABLE,
    ))
}

/// The same for contracts: one that does not answer what it must is not where the network has it.
pub(super) fn unreadable_contracts(what: &str, error: &ExecutionError) -> Verdict {
    if matches!(error, ExecutionError::ContractMismatch { .. }) {
        return Verdict::Failed(Finding::new(
            format_args!("cannot read {what}: {}", error_chain(error)),
            "compare the addresses in the network's file with those of `operator network show`; for a built-in network, \
             use another execution node",
        ));
    }
    unreadable(what, error)
}

const CATCH_UP: &str = "wait until the execution node has caught up with the consensus node";
const REACHABLE: &str = "check that the endpoint is reachable; it is asked again";

#[cfg(test)]
mod tests;
