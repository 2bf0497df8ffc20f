//! The consensus containers an operator signs, their roots and their domains.
//!
//! Sources: consensus specs, `phase0/beacon-chain.md` (containers, `compute_domain`, `compute_signing_root`);
//! EIP-7044 for exits, which stay under the Capella fork version for ever; EIP-7251 for 0x02 credentials.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, FixedBytes};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Epoch, Gwei, PublicKeyBytes, SignatureBytes,
    ssz::{byte_vector_root, hash_pair, merkleize, uint64_chunk},
};

/// A 4-byte fork version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ForkVersion(pub [u8; 4]);

impl fmt::Display for ForkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for ForkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ForkVersion {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode_to_array(text).map(Self)
    }
}

impl Serialize for ForkVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ForkVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is not a 4-byte fork version")))
    }
}

/// Where a validator's stake goes back to: a type byte, eleven zero bytes, an execution address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WithdrawalCredentials(pub B256);

impl WithdrawalCredentials {
    /// Credentials of type 0x01 (Capella), which pay out everything above 32 ETH to `vault`.
    pub fn execution(vault: Address) -> Self {
        Self::with_prefix(0x01, vault)
    }

    /// Credentials of type 0x02 (EIP-7251), which compound up to 2048 ETH for `vault`.
    pub fn compounding(vault: Address) -> Self {
        Self::with_prefix(0x02, vault)
    }

    fn with_prefix(prefix: u8, vault: Address) -> Self {
        let head: FixedBytes<12> = FixedBytes::right_padding_from(&[prefix]);
        Self(head.concat_const(vault.0))
    }
}

/// A signature domain: a 4-byte type and 28 bytes of fork data root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Domain(pub B256);

impl Domain {
    /// `DOMAIN_DEPOSIT` under the genesis fork and a zero validators root: deposits are valid across forks.
    pub fn deposit(genesis_fork_version: ForkVersion) -> Self {
        Self::compute([3, 0, 0, 0], genesis_fork_version, B256::ZERO)
    }

    /// `DOMAIN_VOLUNTARY_EXIT` under the Capella fork version, which never expires (EIP-7044).
    pub fn voluntary_exit(capella_fork_version: ForkVersion, genesis_validators_root: B256) -> Self {
        Self::compute([4, 0, 0, 0], capella_fork_version, genesis_validators_root)
    }

    fn compute(domain_type: [u8; 4], fork_version: ForkVersion, genesis_validators_root: B256) -> Self {
        let fork_data_root = hash_pair(B256::right_padding_from(&fork_version.0), genesis_validators_root);
        let [fork_data @ .., _, _, _, _] = fork_data_root.0;
        Self(FixedBytes(domain_type).concat_const(FixedBytes::<28>(fork_data)))
    }
}

/// Returns what is signed for an object: the root of `SigningData { object_root, domain }`.
pub fn signing_root(object_root: B256, domain: Domain) -> B256 {
    hash_pair(object_root, domain.0)
}

/// `DepositMessage`: what a deposit signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositMessage {
    /// The validator.
    pub public_key: PublicKeyBytes,
    /// Where its stake is paid out.
    pub withdrawal_credentials: WithdrawalCredentials,
    /// The amount deposited.
    pub amount: Gwei,
}

impl DepositMessage {
    /// The SSZ `hash_tree_root`.
    pub fn root(&self) -> B256 {
        merkleize(&self.chunks())
    }

    /// What the validator signs on a network with this genesis fork version.
    pub fn signing_root(&self, genesis_fork_version: ForkVersion) -> B256 {
        signing_root(self.root(), Domain::deposit(genesis_fork_version))
    }

    fn chunks(&self) -> [B256; 3] {
        [
            byte_vector_root(&self.public_key.0),
            self.withdrawal_credentials.0,
            uint64_chunk(self.amount.0),
        ]
    }
}

/// `DepositData`: a deposit message and its signature, as the deposit contract takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositData {
    /// What is signed.
    pub message: DepositMessage,
    /// The validator's signature of it.
    pub signature: SignatureBytes,
}

impl DepositData {
    /// The SSZ `hash_tree_root`: the `deposit_data_root` of the deposit contract.
    pub fn root(&self) -> B256 {
        let [public_key, credentials, amount] = self.message.chunks();
        merkleize(&[public_key, credentials, amount, byte_vector_root(&self.signature.0)])
    }
}

/// `VoluntaryExit`: what an exit signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoluntaryExit {
    /// The first epoch in which the exit is valid. Oracles expect the network's Capella epoch.
    pub epoch: Epoch,
    /// The validator's index in the beacon state.
    pub validator_index: u64,
}

impl VoluntaryExit {
    /// The SSZ `hash_tree_root`.
    pub fn root(&self) -> B256 {
        hash_pair(uint64_chunk(self.epoch.0), uint64_chunk(self.validator_index))
    }
}
