//! Which validators of a deposit data file have a deposit already, and which root the vault holds: for a person who looks
//! before uploading.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt,
    ops::RangeInclusive,
    slice,
};

use sw_chain_client::{
    Address, B256, BeaconValidator, ConsensusClient, ConsensusError, DepositEvent, ExecutionClient, ExecutionError,
    Snapshot,
};
use sw_deposit_data::DepositDataFile;
use sw_keys::verify;
use sw_spec::{NetworkSpec, PublicKeyBytes, ValidatorStatus, WithdrawalCredentials};

use crate::{road::Road, validators::signed_deposit};

/// Whom to ask about the deposits of a vault. Without a node nothing is asked.
#[derive(Clone)]
pub struct DepositLookUp<'a> {
    /// The vault.
    pub vault: Address,
    /// Its network.
    pub network: &'a NetworkSpec,
    /// Asked for the vault's root and for recent deposits, which the beacon chain may keep waiting for weeks.
    pub execution: Option<&'a ExecutionClient>,
    /// Asked for validators.
    pub consensus: Option<&'a ConsensusClient>,
    /// How many blocks before the head are searched for deposits.
    pub blocks: u64,
}

/// What the chain has of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DepositsFound {
    /// The entries with a deposit, by their place.
    pub deposited: Vec<DepositedEntry>,
    /// The root that the vault holds; `None` when no execution node was asked.
    pub uploaded: Option<UploadedRoot>,
    /// The blocks that were searched for deposits; `None` when no execution node was asked.
    pub searched: Option<RangeInclusive<u64>>,
    /// Whether a consensus node was asked.
    pub validators_asked: bool,
}

impl DepositsFound {
    /// The deposited entries that can never be registered again, and would hold up those behind them.
    pub fn in_the_way(&self) -> impl Iterator<Item = &DepositedEntry> {
        self.deposited.iter().filter(|entry| !entry.registered)
    }
}

/// The root that a vault registers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadedRoot {
    /// The root; zero while none was uploaded.
    pub root: B256,
    /// The entry that is registered next.
    pub next_index: u64,
    /// Whether it is the root of the file.
    pub is_this: bool,
    /// Who may set it.
    pub manager: Address,
    /// Where it is kept.
    pub road: Road,
}

impl UploadedRoot {
    /// Who must call what so that the vault registers from `root`.
    pub fn to_upload(&self, root: B256, vault: Address, network: &NetworkSpec) -> String {
        format!("{} must call {}", self.manager, self.road.upload(root, vault, network))
    }
}

/// An entry whose validator has a deposit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositedEntry {
    /// The entry's place in the file, from 0.
    pub index: usize,
    /// The validator.
    pub public_key: PublicKeyBytes,
    /// Where the deposit was seen.
    pub seen: DepositSeen,
    /// Whether the vault holds the root of this very file and has passed the entry, so that all is as it should be.
    pub registered: bool,
}

/// Where a deposit was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DepositSeen {
    /// The beacon chain has the validator.
    Validator {
        /// Its index.
        index: u64,
        /// Its state in life: `pending_queued`, `active_ongoing`, `exited_unslashed` and so on.
        status: ValidatorStatus,
        /// Where its stake is paid out.
        withdrawal_credentials: WithdrawalCredentials,
    },
    /// The deposit contract took a validly signed deposit.
    Deposit {
        /// In this block.
        block: u64,
        /// Where its stake is paid out.
        withdrawal_credentials: WithdrawalCredentials,
    },
}

impl DepositSeen {
    /// Where the stake is paid out.
    pub fn withdrawal_credentials(&self) -> WithdrawalCredentials {
        match self {
            Self::Validator {
                withdrawal_credentials, ..
            }
            | Self::Deposit {
                withdrawal_credentials, ..
            } => *withdrawal_credentials,
        }
    }
}

impl fmt::Display for DepositSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator { index, status, .. } => write!(f, "has a deposit: validator {index}, {status}"),
            Self::Deposit { block, .. } => write!(f, "has a deposit in block {block}"),
        }
    }
}

/// What could not be learned.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what}")]
pub struct LookUpError {
    what: &'static str,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl LookUpError {
    fn execution(what: &'static str) -> impl FnOnce(ExecutionError) -> Self {
        move |source| Self {
            what,
            source: Box::new(source),
        }
    }

    fn consensus(what: &'static str) -> impl FnOnce(ConsensusError) -> Self {
        move |source| Self {
            what,
            source: Box::new(source),
        }
    }
}

impl DepositLookUp<'_> {
    /// Looks for the validators of a file whose root is `root`.
    ///
    /// # Errors
    /// A node that was to be asked does not answer, or not what it must. Nothing is taken for absent then.
    pub async fn run(&self, file: &DepositDataFile, root: B256) -> Result<DepositsFound, LookUpError> {
        let keys: BTreeSet<PublicKeyBytes> = file.entries().iter().map(|entry| entry.public_key).collect();
        let mut seen = BTreeMap::new();
        let mut found = DepositsFound::default();
        if let (Some(execution), Some(consensus)) = (self.execution, self.consensus) {
            let finalized = consensus.finalized().await;
            let finalized = finalized.map_err(LookUpError::consensus("the finalized block"))?;
            execution.expect_final(finalized.block_number);
        }
        if let Some(execution) = self.execution {
            let unreadable = LookUpError::execution("the head of the chain");
            let snapshot = execution.head().await.map_err(unreadable)?;
            let unreadable = LookUpError::execution("the vault");
            let vault = snapshot.vault(self.vault, self.network).await.map_err(unreadable)?;
            let unreadable = LookUpError::execution("the vault's deposit data root");
            let state = snapshot.registration(self.vault, vault.version, self.network, Address::ZERO);
            let state = state.await.map_err(unreadable)?;
            found.uploaded = Some(UploadedRoot {
                root: state.deposit_data_root,
                next_index: state.deposit_data_index,
                is_this: state.deposit_data_root == root,
                manager: state.deposit_data_manager,
                road: Road::of_deposit_data(vault.version),
            });
            let searched = self
                .search_deposits(&snapshot, state.deposit_count, &keys, &mut seen)
                .await;
            found.searched = Some(searched.map_err(LookUpError::execution("recent deposits"))?);
        }
        if let Some(consensus) = self.consensus {
            let keys: Vec<PublicKeyBytes> = keys.into_iter().collect();
            let validators = consensus.validators(&keys).await;
            let validators = validators.map_err(LookUpError::consensus("the validators"))?;
            seen.extend(
                validators
                    .into_iter()
                    .map(|validator| (validator.public_key, validator.into())),
            );
            found.validators_asked = true;
        }
        found.deposited = deposited(file, &seen, found.uploaded);
        Ok(found)
    }

    /// Reads the deposits before the head, piece by piece, and keeps those of `keys`.
    async fn search_deposits(
        &self,
        snapshot: &Snapshot,
        deposit_count: u64,
        keys: &BTreeSet<PublicKeyBytes>,
        seen: &mut BTreeMap<PublicKeyBytes, DepositSeen>,
    ) -> Result<RangeInclusive<u64>, ExecutionError> {
        let contracts = &self.network.contracts;
        let head = snapshot.block().number;
        let first = head
            .saturating_sub(self.blocks.saturating_sub(1))
            .max(contracts.deposit_contract_block);
        let mut last: Option<DepositEvent> = None;
        let mut next = first;
        while next <= head {
            let (events, scanned) = snapshot
                .next_deposit_events(contracts.deposit_contract, next, head)
                .await?;
            if let Some(before) = &last {
                snapshot.check_deposits_begin(&events, before.index.saturating_add(1))?;
            }
            for event in events.iter().filter(|event| keys.contains(&event.public_key)) {
                // The contract takes deposits with any signature; one that is invalid makes no validator.
                if !seen.contains_key(&event.public_key)
                    && verify(&signed_deposit(event, self.network.genesis_fork_version))
                {
                    seen.insert(event.public_key, event.into());
                }
            }
            last = events.into_iter().next_back().or(last);
            next = scanned.saturating_add(1);
        }
        if let Some(last) = &last {
            snapshot.check_deposits_end(slice::from_ref(last), deposit_count)?;
        }
        Ok(first..=head)
    }
}

/// The entries that were seen, and whether the vault itself registered them from this file.
fn deposited(
    file: &DepositDataFile,
    seen: &BTreeMap<PublicKeyBytes, DepositSeen>,
    uploaded: Option<UploadedRoot>,
) -> Vec<DepositedEntry> {
    let passed = uploaded
        .filter(|uploaded| uploaded.is_this)
        .map_or(0, |uploaded| uploaded.next_index);
    let entries = file.entries().iter().enumerate();
    let found = entries.filter_map(|(index, entry)| {
        Some(DepositedEntry {
            index,
            public_key: entry.public_key,
            seen: seen.get(&entry.public_key)?.clone(),
            registered: u64::try_from(index).is_ok_and(|index| index < passed),
        })
    });
    found.collect()
}

impl From<BeaconValidator> for DepositSeen {
    fn from(validator: BeaconValidator) -> Self {
        Self::Validator {
            index: validator.index,
            status: validator.status,
            withdrawal_credentials: WithdrawalCredentials(validator.withdrawal_credentials),
        }
    }
}

impl From<&DepositEvent> for DepositSeen {
    fn from(event: &DepositEvent) -> Self {
        Self::Deposit {
            block: event.block,
            withdrawal_credentials: WithdrawalCredentials(event.withdrawal_credentials),
        }
    }
}

#[cfg(test)]
mod tests {
    use sw_deposit_data::DepositEntry;
    use sw_spec::{Network, SignatureBytes};

    use super::*;

    #[test]
    fn what_the_vault_registered_from_this_file_is_not_in_the_way() {
        let key = |number: u8| PublicKeyBytes([number; 48]);
        let entry = |number| {
            DepositEntry::from_signature(
                key(number),
                SignatureBytes([0; 96]),
                Address::ZERO,
                &Network::Hoodi.spec(),
            )
        };
        let file = DepositDataFile::new((0..5).map(entry).collect());
        let seen = [0, 1, 3].map(|number| {
            let deposit = DepositSeen::Deposit {
                block: 7,
                withdrawal_credentials: WithdrawalCredentials(B256::ZERO),
            };
            (key(number), deposit)
        });
        let in_the_way = |uploaded| {
            let found = DepositsFound {
                deposited: deposited(&file, &BTreeMap::from(seen.clone()), uploaded),
                ..DepositsFound::default()
            };
            assert_eq!(found.deposited.len(), 3);
            found.in_the_way().map(|entry| entry.index).collect::<Vec<_>>()
        };
        let uploaded = |is_this, next_index| {
            Some(UploadedRoot {
                root: B256::ZERO,
                next_index,
                is_this,
                manager: Address::ZERO,
                road: Road::Vault,
            })
        };
        assert_eq!(in_the_way(None), [0, 1, 3]);
        assert_eq!(in_the_way(uploaded(false, 2)), [0, 1, 3]);
        assert_eq!(in_the_way(uploaded(true, 2)), [3]);
        assert_eq!(in_the_way(uploaded(true, 1)), [1, 3]);
        assert_eq!(in_the_way(uploaded(true, u64::MAX)), Vec::<usize>::new());
    }
}
