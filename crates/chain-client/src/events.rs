//! The events the operator looks for.

use alloy::sol_types::SolEvent;
use alloy_primitives::{Address, B256, U256};
use sw_spec::{Gwei, PublicKeyBytes, SignatureBytes};

use crate::{
    ExecutionError, Snapshot,
    abi::{DepositContract, Keeper, LegacyPool, Vault, VaultV5},
    logs::{FoundLog, Wanted},
};

/// A deposit, as the deposit contract logged it. Its signature may be invalid: the contract does not look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositEvent {
    /// The validator.
    pub public_key: PublicKeyBytes,
    /// Where its stake is paid out.
    pub withdrawal_credentials: B256,
    /// How much was deposited.
    pub amount: Gwei,
    /// The signature that came with it.
    pub signature: SignatureBytes,
    /// The number of deposits before it.
    pub index: u64,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
}

/// A validator that a vault registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredValidator {
    /// The validator.
    pub public_key: PublicKeyBytes,
    /// The block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
}

/// A new rewards tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardsUpdate {
    /// Its root.
    pub rewards_root: B256,
    /// Where its leaves are.
    pub ipfs_hash: String,
    /// How many trees there were before it.
    pub nonce: u64,
    /// The block.
    pub block: u64,
}

/// A rotation of a vault's exit signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitSignaturesUpdate {
    /// Who sent it.
    pub caller: Address,
    /// How many rotations of the vault there were before it.
    pub nonce: U256,
    /// Where the new exit signatures are.
    pub ipfs_hash: String,
    /// The block.
    pub block: u64,
}

impl ExitSignaturesUpdate {
    /// Whether it is the last of so many rotations.
    pub fn is_last_of(&self, count: U256) -> bool {
        self.nonce.checked_add(U256::from(1)) == Some(count)
    }
}

impl Snapshot {
    /// All deposits in blocks `from` to `to`, which is at most the snapshot's block.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when one is missing, out of place or malformed, and when the node fails.
    pub async fn deposit_events(
        &self,
        contract: Address,
        from: u64,
        to: u64,
    ) -> Result<Vec<DepositEvent>, ExecutionError> {
        let mut deposits: Vec<DepositEvent> = Vec::new();
        let (mut next, to) = (from, to.min(self.block().number));
        while next <= to {
            let (more, scanned) = self.next_deposit_events(contract, next, to).await?;
            if let (Some(last), Some(first)) = (deposits.last(), more.first()) {
                self.check_successor(last, first)?;
            }
            deposits.extend(more);
            next = scanned.saturating_add(1);
        }
        Ok(deposits)
    }

    /// The deposits of one range that begins at `from`, is as long as the endpoint serves, and ends at `to` at the
    /// latest; and the last block that was looked at. For long scans, which are better kept in pieces.
    ///
    /// # Errors
    /// As [`Snapshot::deposit_events`].
    pub async fn next_deposit_events(
        &self,
        contract: Address,
        from: u64,
        to: u64,
    ) -> Result<(Vec<DepositEvent>, u64), ExecutionError> {
        let to = to.min(self.block().number);
        if from > to {
            return Ok((Vec::new(), to));
        }
        let wanted = Wanted {
            contract,
            events: &[DepositContract::DepositEvent::SIGNATURE_HASH],
            second: None,
        };
        let (logs, scanned) = self.logs_from(&wanted, from, to).await?;
        let deposits = logs
            .iter()
            .map(deposit)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|why| self.forged(why))?;
        for (before, after) in deposits.iter().zip(deposits.iter().skip(1)) {
            self.check_successor(before, after)?;
        }
        self.check_near_head(scanned).await?;
        Ok((deposits, scanned))
    }

    /// Makes sure that deposits begin after the first `count` of all.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when some before them were left out.
    pub fn check_deposits_begin(&self, deposits: &[DepositEvent], count: u64) -> Result<(), ExecutionError> {
        match deposits.first() {
            Some(first) if first.index != count => {
                Err(self.forged(format!("after {count} deposits comes that of index {}", first.index)))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that deposits end with the last of the `count` that the contract counts.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when the latest are not in the logs yet, or were left out.
    pub fn check_deposits_end(&self, deposits: &[DepositEvent], count: u64) -> Result<(), ExecutionError> {
        match deposits.last() {
            Some(last) if last.index.checked_add(1) != Some(count) => Err(self.forged(format!(
                "the contract counts {count} deposits, the last in the logs has index {}",
                last.index
            ))),
            _ => Ok(()),
        }
    }

    /// The latest `ConfigUpdated` of the Keeper in blocks `from` to `to`: its CID and its block.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when a log is out of place or malformed, and when the node fails.
    pub async fn last_config_cid(
        &self,
        keeper: Address,
        from: u64,
        to: u64,
    ) -> Result<Option<(String, u64)>, ExecutionError> {
        let wanted = Wanted {
            contract: keeper,
            events: &[Keeper::ConfigUpdated::SIGNATURE_HASH],
            second: None,
        };
        let Some(log) = self.last_log(&wanted, from, to).await? else {
            return Ok(None);
        };
        let event: Keeper::ConfigUpdated = log.decode().map_err(|why| self.forged(why))?;
        let cid = content_id(event.configIpfsHash).map_err(|why| self.forged(why))?;
        Ok(Some((cid, log.block)))
    }

    /// The latest `RewardsUpdated` of the Keeper in blocks `from` to `to`.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when a log is out of place or malformed, and when the node fails.
    pub async fn last_rewards(
        &self,
        keeper: Address,
        from: u64,
        to: u64,
    ) -> Result<Option<RewardsUpdate>, ExecutionError> {
        let wanted = Wanted {
            contract: keeper,
            events: &[Keeper::RewardsUpdated::SIGNATURE_HASH],
            second: None,
        };
        let Some(log) = self.last_log(&wanted, from, to).await? else {
            return Ok(None);
        };
        let event: Keeper::RewardsUpdated = log.decode().map_err(|why| self.forged(why))?;
        Ok(Some(RewardsUpdate {
            rewards_root: event.rewardsRoot,
            ipfs_hash: content_id(event.rewardsIpfsHash).map_err(|why| self.forged(why))?,
            nonce: event.nonce,
            block: log.block,
        }))
    }

    /// The latest `ExitSignaturesUpdated` of the Keeper about a vault in blocks `from` to `to`.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when a log is out of place, of another vault or malformed, and when the node fails.
    pub async fn last_exit_signatures_update(
        &self,
        keeper: Address,
        vault: Address,
        from: u64,
        to: u64,
    ) -> Result<Option<ExitSignaturesUpdate>, ExecutionError> {
        let wanted = Wanted {
            contract: keeper,
            events: &[Keeper::ExitSignaturesUpdated::SIGNATURE_HASH],
            second: Some(vault.into_word()),
        };
        let Some(log) = self.last_log(&wanted, from, to).await? else {
            return Ok(None);
        };
        let event: Keeper::ExitSignaturesUpdated = log.decode().map_err(|why| self.forged(why))?;
        Ok(Some(ExitSignaturesUpdate {
            caller: event.caller,
            nonce: event.nonce,
            ipfs_hash: content_id(event.exitSignaturesIpfsHash).map_err(|why| self.forged(why))?,
            block: log.block,
        }))
    }

    /// The validators that a vault registered in blocks `from` to `to`, of either kind.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when a log is out of place or malformed, and when the node fails.
    pub async fn validator_registered_events(
        &self,
        vault: Address,
        from: u64,
        to: u64,
    ) -> Result<Vec<RegisteredValidator>, ExecutionError> {
        let events = [
            Vault::ValidatorRegistered::SIGNATURE_HASH,
            VaultV5::V2ValidatorRegistered::SIGNATURE_HASH,
        ];
        self.registrations(vault, &events, from, to).await
    }

    /// The validators that the pool of StakeWise V2 registered in blocks `from` to `to`. The genesis vault has them now.
    ///
    /// # Errors
    /// [`ExecutionError::ForgedLogs`] when a log is out of place or malformed, and when the node fails.
    pub async fn legacy_validator_registered_events(
        &self,
        pool: Address,
        from: u64,
        to: u64,
    ) -> Result<Vec<RegisteredValidator>, ExecutionError> {
        let events = [LegacyPool::ValidatorRegistered::SIGNATURE_HASH];
        self.registrations(pool, &events, from, to).await
    }

    async fn registrations(
        &self,
        contract: Address,
        events: &[B256],
        from: u64,
        to: u64,
    ) -> Result<Vec<RegisteredValidator>, ExecutionError> {
        let wanted = Wanted {
            contract,
            events,
            second: None,
        };
        let mut registered = Vec::new();
        let (mut next, to) = (from, to.min(self.block().number));
        while next <= to {
            let (logs, scanned) = self.logs_from(&wanted, next, to).await?;
            for log in &logs {
                registered.push(registration(log).map_err(|why| self.forged(why))?);
            }
            next = scanned.saturating_add(1);
        }
        self.check_near_head(to).await?;
        Ok(registered)
    }

    /// Looks for the latest log that is wanted, backwards from `to`.
    async fn last_log(&self, wanted: &Wanted<'_>, from: u64, to: u64) -> Result<Option<FoundLog>, ExecutionError> {
        let mut end = to.min(self.block().number);
        while from <= end {
            let (mut logs, start) = self.logs_up_to(wanted, from, end).await?;
            if let Some(log) = logs.pop() {
                self.check_near_head(end).await?;
                return Ok(Some(log));
            }
            let Some(before) = start.checked_sub(1) else { break };
            end = before;
        }
        Ok(None)
    }

    /// Deposits are numbered without gaps (deposit contract, `deposit_count`): a gap is a log that was left out.
    fn check_successor(&self, before: &DepositEvent, after: &DepositEvent) -> Result<(), ExecutionError> {
        if before.index.checked_add(1) == Some(after.index) {
            return Ok(());
        }
        Err(self.forged(format!(
            "deposit {} is followed by deposit {}",
            before.index, after.index
        )))
    }

    /// A range that reaches near the head may have changed while it was read.
    async fn check_near_head(&self, scanned: u64) -> Result<(), ExecutionError> {
        if scanned.saturating_add(DEEPEST_REORGANISATION) > self.block().number {
            self.check_canonical().await?;
        }
        Ok(())
    }
}

fn deposit(log: &FoundLog) -> Result<DepositEvent, String> {
    let event: DepositContract::DepositEvent = log.decode()?;
    let ill_sized = |name| format!("a deposit in block {} with an ill-sized {name}", log.block);
    let credentials = B256::try_from(event.withdrawal_credentials.as_ref());
    Ok(DepositEvent {
        public_key: event.pubkey.as_ref().try_into().map_err(|_| ill_sized("public key"))?,
        withdrawal_credentials: credentials.map_err(|_| ill_sized("withdrawal credentials"))?,
        amount: Gwei(little_endian(&event.amount).ok_or_else(|| ill_sized("amount"))?),
        signature: event
            .signature
            .as_ref()
            .try_into()
            .map_err(|_| ill_sized("signature"))?,
        index: little_endian(&event.index).ok_or_else(|| ill_sized("index"))?,
        block: log.block,
        transaction: log.transaction,
    })
}

fn registration(log: &FoundLog) -> Result<RegisteredValidator, String> {
    let public_key = if log.is::<VaultV5::V2ValidatorRegistered>() {
        log.decode::<VaultV5::V2ValidatorRegistered>()?.publicKey
    } else if log.is::<LegacyPool::ValidatorRegistered>() {
        log.decode::<LegacyPool::ValidatorRegistered>()?.publicKey
    } else {
        log.decode::<Vault::ValidatorRegistered>()?.publicKey
    };
    let public_key = PublicKeyBytes::try_from(public_key.as_ref())
        .map_err(|_| format!("a registration in block {} with an ill-sized public key", log.block))?;
    Ok(RegisteredValidator {
        public_key,
        block: log.block,
        transaction: log.transaction,
    })
}

/// The deposit contract logs numbers as eight bytes, the lowest first.
fn little_endian(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

fn content_id(text: String) -> Result<String, String> {
    let plausible = (1..=LONGEST_CONTENT_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plausible {
        Ok(text)
    } else {
        Err("a content identifier that is none".to_owned())
    }
}

/// More blocks than any reorganisation between two finalised epochs undoes.
const DEEPEST_REORGANISATION: u64 = 128;
const LONGEST_CONTENT_ID: usize = 256;
