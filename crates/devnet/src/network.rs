//! The network file an operator is given: TOML, as `operator network show` prints it.

use crate::Deployment;

/// The name of the network in that file.
pub const NETWORK_NAME: &str = "devnet";

/// Describes a deployment to the operator.
pub fn network_file(deployment: &Deployment) -> String {
    let Deployment {
        chain_id,
        genesis_time,
        slots_per_epoch,
        seconds_per_slot,
        genesis_validators_root,
        genesis_fork_version,
        capella_fork_version,
        capella_epoch,
        keeper,
        deposit_contract,
        deposit_data_registry,
        vaults_registry,
        shared_mev_escrow,
        multicall,
        deploy_block,
        ..
    } = deployment;
    format!(
        r#"# A network on one machine, gone when the devnet stops. Its keys are known to everybody.
name = "{NETWORK_NAME}"
chain_id = {chain_id}
wallet_symbol = "ETH"
vault_symbol = "ETH"
slots_per_epoch = {slots_per_epoch}
seconds_per_slot = {seconds_per_slot}
genesis_time = {genesis_time}
genesis_validators_root = "{genesis_validators_root}"
genesis_fork_version = "{genesis_fork_version}"
capella_fork_version = "{capella_fork_version}"
capella_epoch = {capella_epoch}
validator_assets = "32000000000000000000"
rewards_include_mev = true
wallet_min_balance = "30000000000000000"
max_fee_per_gas_gwei = 10
min_priority_fee_gwei = 0
config_block = {deploy_block}

[contracts]
keeper = "{keeper}"
keeper_block = {deploy_block}
deposit_contract = "{deposit_contract}"
deposit_contract_block = {deploy_block}
deposit_data_registry = "{deposit_data_registry}"
vaults_registry = "{vaults_registry}"
shared_mev_escrow = "{shared_mev_escrow}"
multicall = "{multicall}"
"#
    )
}
