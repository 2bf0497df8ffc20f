//! Comparing what a deposit data file states with the vault and the network it is for.

use std::{collections::HashMap, fmt};

use alloy_primitives::{Address, B256};
use rand_core::CryptoRng;
use sw_keys::{SignedRoot, verify_batch};
use sw_spec::{ForkVersion, Gwei, NetworkSpec, PublicKeyBytes, WithdrawalCredentials};

use crate::{DepositDataFile, DepositEntry};

/// The entries of a file that must not be deposited, with every reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of {entries} deposits are not sound: {}", faulty_entries(.faults), listed(.faults))]
pub struct VerifyError {
    /// All faults, by index.
    pub faults: Vec<EntryFault>,
    /// How many entries the file has.
    pub entries: usize,
}

/// What is wrong with one entry. An entry can have several faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFault {
    /// The entry's place in the file, from 0.
    pub index: usize,
    /// The validator.
    pub public_key: PublicKeyBytes,
    /// What is wrong.
    pub fault: Fault,
}

/// A way in which an entry does not fit the vault and the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The stake would be paid out to somebody else.
    #[error("withdrawal credentials {} are not those of the vault", .0.0)]
    OtherVault(WithdrawalCredentials),
    /// Another amount than 32 ETH.
    #[error("the amount is {0}, not 32000000000 gwei")]
    OtherAmount(Gwei),
    /// Made for another network, by its genesis fork version.
    #[error("fork version {0} is that of another network")]
    OtherForkVersion(ForkVersion),
    /// Made for another network, by its name.
    #[error("made for network `{0}`")]
    OtherNetwork(String),
    /// The same validator stands in the file before.
    #[error("the same validator is entry {first}")]
    Duplicate {
        /// Where it stands first.
        first: usize,
    },
    /// The stated root of the deposit message is not that of the entry.
    #[error("deposit message root {0} does not match the entry")]
    OtherMessageRoot(B256),
    /// The stated root of the deposit is not that of the entry.
    #[error("deposit data root {0} does not match the entry")]
    OtherDataRoot(B256),
    /// The signature is not the validator's for this vault, amount and network.
    #[error("the signature is not the validator's for this vault and network")]
    BadSignature,
}

impl DepositDataFile {
    /// Checks every entry against the vault and the network it is for: whatever the file states must be right, no
    /// validator may stand twice, and all signatures must hold, which are checked as one batch.
    ///
    /// # Errors
    /// With all faults of all entries.
    pub fn verify(
        &self,
        vault: Address,
        network: &NetworkSpec,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(), VerifyError> {
        self.verify_with(vault, network, |claims| verify_batch(claims, rng))
    }

    /// Does the same with signatures that the caller checks, on several threads for instance: `holds` returns for each
    /// claim whether it holds.
    ///
    /// # Errors
    /// With all faults of all entries. An entry that `holds` has no answer for has a bad signature.
    pub fn verify_with(
        &self,
        vault: Address,
        network: &NetworkSpec,
        holds: impl FnOnce(&[SignedRoot]) -> Vec<bool>,
    ) -> Result<(), VerifyError> {
        let mut faults = Vec::new();
        let mut seen = HashMap::new();
        let mut claims = Vec::with_capacity(self.entries().len());
        for (index, entry) in self.entries().iter().enumerate() {
            let public_key = entry.public_key;
            let mut report = |fault| {
                faults.push(EntryFault {
                    index,
                    public_key,
                    fault,
                })
            };
            compare_statements(entry, vault, network, &mut report);
            let first = *seen.entry(public_key).or_insert(index);
            if first != index {
                report(Fault::Duplicate { first });
            }
            claims.push(SignedRoot {
                public_key,
                root: entry
                    .deposit_data(vault)
                    .message
                    .signing_root(network.genesis_fork_version),
                signature: entry.signature,
            });
        }
        let verdicts = holds(&claims).into_iter().chain(std::iter::repeat(false));
        let bad = claims.iter().zip(verdicts).enumerate().filter(|(_, (_, holds))| !holds);
        faults.extend(bad.map(|(index, (claim, _))| EntryFault {
            index,
            public_key: claim.public_key,
            fault: Fault::BadSignature,
        }));
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|fault| fault.index);
        Err(VerifyError {
            faults,
            entries: self.entries().len(),
        })
    }
}

impl Fault {
    /// What kind of fault it is, in a word that stays the same over versions.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::OtherVault(_) => "withdrawal-credentials",
            Self::OtherAmount(_) => "amount",
            Self::OtherForkVersion(_) => "fork-version",
            Self::OtherNetwork(_) => "network-name",
            Self::Duplicate { .. } => "duplicate",
            Self::OtherMessageRoot(_) => "deposit-message-root",
            Self::OtherDataRoot(_) => "deposit-data-root",
            Self::BadSignature => "signature",
        }
    }
}

fn compare_statements(entry: &DepositEntry, vault: Address, network: &NetworkSpec, report: &mut impl FnMut(Fault)) {
    let deposit = entry.deposit_data(vault);
    if let Some(stated) = entry
        .withdrawal_credentials
        .filter(|stated| *stated != deposit.message.withdrawal_credentials)
    {
        report(Fault::OtherVault(stated));
    }
    if let Some(stated) = entry.amount.filter(|stated| *stated != deposit.message.amount) {
        report(Fault::OtherAmount(stated));
    }
    if let Some(stated) = entry
        .fork_version
        .filter(|stated| *stated != network.genesis_fork_version)
    {
        report(Fault::OtherForkVersion(stated));
    }
    if let Some(stated) = entry
        .network_name
        .as_ref()
        .filter(|stated| *stated != network.name.as_str())
    {
        report(Fault::OtherNetwork(stated.chars().take(40).collect()));
    }
    if let Some(stated) = entry
        .deposit_message_root
        .filter(|stated| *stated != deposit.message.root())
    {
        report(Fault::OtherMessageRoot(stated));
    }
    if let Some(stated) = entry.deposit_data_root.filter(|stated| *stated != deposit.root()) {
        report(Fault::OtherDataRoot(stated));
    }
}

fn faulty_entries(faults: &[EntryFault]) -> usize {
    faults.chunk_by(|left, right| left.index == right.index).count()
}

/// The first few faults; the rest are in the list.
fn listed(faults: &[EntryFault]) -> String {
    let mut text: Vec<String> = faults.iter().take(SHOWN).map(EntryFault::to_string).collect();
    if let Some(more) = faults.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push(format!("and {more} more"));
    }
    text.join("; ")
}

impl fmt::Display for EntryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} ({}): {}", self.index, self.public_key, self.fault)
    }
}

/// How many faults fit into one error message.
const SHOWN: usize = 3;
