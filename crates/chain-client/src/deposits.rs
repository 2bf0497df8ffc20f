//! Deposits against what the deposit contract itself says of them.

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, U256};
use sw_spec::{DepositData, DepositMessage, DepositTree, WithdrawalCredentials};

use crate::{
    Call, DepositEvent, ExecutionError, Snapshot,
    abi::DepositContract::{get_deposit_countCall, get_deposit_rootCall},
};

impl DepositEvent {
    /// What was deposited, as the consensus chain reads it.
    pub fn data(&self) -> DepositData {
        DepositData {
            message: DepositMessage {
                public_key: self.public_key,
                withdrawal_credentials: WithdrawalCredentials(self.withdrawal_credentials),
                amount: self.amount,
            },
            signature: self.signature,
        }
    }
}

/// What the deposit contract says of all deposits at one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositTotals {
    /// `get_deposit_count`, as a number.
    pub count: u64,
    /// `get_deposit_root`.
    pub root: B256,
}

impl From<&DepositTree> for DepositTotals {
    fn from(tree: &DepositTree) -> Self {
        Self {
            count: tree.count(),
            root: tree.root(),
        }
    }
}

/// Deposits that do not follow on those of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("after {count} deposits comes that of index {index}")]
pub struct OutOfPlace {
    /// How many deposits there are before it.
    pub count: u64,
    /// The index it has.
    pub index: u64,
}

/// Adds deposits to the tree of those before them: every field of every one is in the root afterwards.
///
/// # Errors
/// One is missing, is there twice or is out of order by its own index. The tree is then good for nothing.
pub fn fold_deposits(tree: &mut DepositTree, deposits: &[DepositEvent]) -> Result<(), OutOfPlace> {
    for deposit in deposits {
        let out_of_place = OutOfPlace {
            count: tree.count(),
            index: deposit.index,
        };
        if deposit.index != tree.count() || tree.push(deposit.data().root()).is_err() {
            return Err(out_of_place);
        }
    }
    Ok(())
}

impl Snapshot {
    /// What the contract says at a block, which may be another than the snapshot's: a full node has the state of the
    /// blocks from the finalized one on.
    ///
    /// # Errors
    /// When the node fails, does not have that state, or is on another network.
    pub async fn deposit_totals(&self, contract: Address, block: B256) -> Result<DepositTotals, ExecutionError> {
        let call = |data: Vec<u8>| Call::new(contract, data.into());
        let count = self
            .call_at(block, &call(get_deposit_countCall {}.abi_encode()))
            .await?;
        let root = self.call_at(block, &call(get_deposit_rootCall {}.abi_encode())).await?;
        let mismatch = |function| ExecutionError::ContractMismatch {
            contract: "the deposit contract",
            address: contract,
            function,
        };
        let count = get_deposit_countCall::abi_decode_returns_validate(&count).ok();
        let count = count.and_then(|count| count.as_ref().try_into().ok());
        let root = get_deposit_rootCall::abi_decode_returns_validate(&root).ok();
        Ok(DepositTotals {
            // Eight bytes, the lowest first.
            count: u64::from_le_bytes(count.ok_or_else(|| mismatch("get_deposit_count"))?),
            root: root.ok_or_else(|| mismatch("get_deposit_root"))?,
        })
    }

    /// The tree as the contract's storage has it at a block, at which the contract gives `totals`.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when no layout of the known contracts holds such a tree, and when the node fails or
    /// does not have that state.
    pub async fn stored_deposit_tree(
        &self,
        contract: Address,
        block: B256,
        totals: DepositTotals,
    ) -> Result<DepositTree, ExecutionError> {
        for layout in LAYOUTS {
            let count = self.storage_at(contract, layout.count, block).await?;
            if U256::from_be_bytes(count.0) != U256::from(totals.count) {
                continue;
            }
            let mut branch = [B256::ZERO; 32];
            for (level, node) in (0_u64..).zip(&mut branch) {
                if totals.count >> level & 1 == 1 {
                    *node = self.storage_at(contract, layout.branch + level, block).await?;
                }
            }
            let tree = DepositTree::from_branch(branch, totals.count).ok();
            if let Some(tree) = tree.filter(|tree| tree.root() == totals.root) {
                return Ok(tree);
            }
        }
        Err(self.forged(format!(
            "the storage of the deposit contract {contract} does not hold the tree of its {} deposits",
            totals.count
        )))
    }

    /// Makes sure that the contract counts as many deposits as were found.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when it does not.
    pub fn check_deposit_count(&self, found: u64, totals: DepositTotals) -> Result<(), ExecutionError> {
        if found == totals.count {
            return Ok(());
        }
        let reason = format!(
            "the contract counts {} deposits, in the logs there are {found}",
            totals.count
        );
        if found > totals.count {
            return Err(self.forged(reason));
        }
        // Only the latest are not there: several nodes behind one address are not always at the same block.
        self.set_aside_shortly(reason.clone());
        Err(ExecutionError::ForgedLogs {
            endpoint: Box::new(self.endpoint().clone()),
            reason,
        })
    }

    /// The tree with these deposits, which must be those after it.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when they are not.
    pub fn deposits_after(&self, tree: &DepositTree, deposits: &[DepositEvent]) -> Result<DepositTree, ExecutionError> {
        let mut tree = tree.clone();
        fold_deposits(&mut tree, deposits).map_err(|out_of_place| self.forged(out_of_place.to_string()))?;
        Ok(tree)
    }

    /// Makes sure that the deposits of a tree are those that the contract took: none is missing, there twice, moved or
    /// altered in any field.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when they are not.
    pub fn check_deposits(&self, tree: &DepositTree, totals: DepositTotals) -> Result<(), ExecutionError> {
        self.check_deposit_count(tree.count(), totals)?;
        let root = tree.root();
        if root == totals.root {
            return Ok(());
        }
        Err(self.forged(format!(
            "the contract's root of {} deposits is {}, that of the deposits in the logs is {root}",
            totals.count, totals.root
        )))
    }
}

/// Where a deposit contract keeps its tree.
struct Layout {
    branch: u64,
    count: u64,
}

const LAYOUTS: [Layout; 2] = [
    // consensus specs, `deposit_contract.sol`: `bytes32[32] branch; uint256 deposit_count; bytes32[32] zero_hashes;`.
    Layout { branch: 0, count: 32 },
    // gnosischain/deposit-contract, `SBCDepositContract.sol`: `bool _paused; bytes32[32] zero_hashes;` come before.
    Layout { branch: 33, count: 65 },
];
