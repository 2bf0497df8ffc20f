//! What was deployed, where it listens and which rules hold: all that an oracle has to be told.

use alloy_primitives::{Address, B256, FixedBytes};
use serde::{Deserialize, Serialize};

/// A running network as plain values; as JSON it is handed to the Node oracle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The execution chain id (EIP-155).
    pub chain_id: u64,
    /// The execution node itself, not the proxy in front of it that plays faults to the operator.
    pub execution_url: String,
    /// The Beacon API.
    pub consensus_url: String,
    /// The IPFS gateway.
    pub ipfs_url: String,
    /// Unix time of slot 0, which is the timestamp of block 0.
    pub genesis_time: u64,
    /// Slots of an epoch.
    pub slots_per_epoch: u64,
    /// Seconds of a slot, and of a block.
    pub seconds_per_slot: u64,
    /// `genesis_validators_root` of the beacon chain.
    pub genesis_validators_root: B256,
    /// The fork version deposits are signed under.
    pub genesis_fork_version: FixedBytes<4>,
    /// The fork version exits are signed under (EIP-7044).
    pub capella_fork_version: FixedBytes<4>,
    /// The epoch in the exits the oracles hold.
    pub capella_epoch: u64,
    /// The Keeper.
    pub keeper: Address,
    /// The deposit contract.
    pub deposit_contract: Address,
    /// The DepositDataRegistry.
    pub deposit_data_registry: Address,
    /// The VaultsRegistry.
    pub vaults_registry: Address,
    /// The MEV escrow that vaults share.
    pub shared_mev_escrow: Address,
    /// Multicall3.
    pub multicall: Address,
    /// The block in which all of them were deployed.
    pub deploy_block: u64,
    /// Approvals that the Keeper asks for (`validatorsMinOracles`).
    pub validators_threshold: usize,
    /// Shares that recover an exit signature.
    pub recover_threshold: usize,
    /// Seconds that an approval is valid for.
    pub signature_validity_period: u64,
    /// Most validators of one approval.
    pub validators_approval_batch_limit: usize,
    /// Most validators of one rotation.
    pub validators_exit_rotation_batch_limit: usize,
}
