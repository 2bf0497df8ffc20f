//! What all oracles must agree on to the byte: the exit signatures document, and the message they sign.

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, U256},
    sol,
    sol_types::{SolStruct, eip712_domain},
};
use serde::Serialize;

use super::{
    key::OracleKey,
    members::Quorum,
    request::{Batch, Request},
};
use crate::{Deployment, ssz};

/// What every devnet validator stakes.
pub(super) const DEPOSIT_GWEI: u64 = 32_000_000_000;

sol! {
    /// The Keeper's registration approval (original-v1, 7.5).
    struct KeeperValidators {
        bytes32 validatorsRegistryRoot;
        address vault;
        bytes validators;
        string exitSignaturesIpfsHash;
        uint256 deadline;
    }
}

mod rotation {
    alloy::sol! {
        /// The Keeper's approval of a rotation, which has the same name (original-v1, 7.5).
        struct KeeperValidators {
            address vault;
            string exitSignaturesIpfsHash;
            uint256 nonce;
            uint256 deadline;
        }
    }
}

/// What an oracle approves, but for the document and the deadline.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    Registration {
        deposit_root: B256,
        vault: Address,
        /// The records of all validators.
        validators: Bytes,
    },
    Rotation {
        vault: Address,
        /// How many rotations of the vault there were.
        nonce: U256,
    },
}

/// 0x01, eleven zero bytes, the vault.
pub(super) fn credentials(vault: Address) -> B256 {
    let mut credentials = vault.into_word();
    if let Some(kind) = credentials.first_mut() {
        *kind = 1;
    }
    credentials
}

/// The 176-byte records in the order of the request (original-v1, 4.3).
pub(super) fn records(request: &Request) -> Vec<Vec<u8>> {
    let credentials = credentials(request.vault);
    request
        .batch
        .exits
        .iter()
        .zip(&request.deposit_signatures)
        .map(|(exit, signature)| {
            let key = &exit.public_key;
            let root = ssz::deposit_data_root(key, credentials, DEPOSIT_GWEI, signature);
            [key.as_slice(), signature.as_slice(), root.as_slice()].concat()
        })
        .collect()
}

/// The document as bytes: members sorted by name, no white space, hex in lower case. It says for whom the exits are
/// shared: by that they are outdated, or not.
///
/// A registration has `first_index`; the exits of a rotation have an index each.
pub(super) fn document(
    batch: &Batch,
    vault: Address,
    quorum: &Quorum,
    first_index: Option<u64>,
) -> Result<Vec<u8>, serde_json::Error> {
    let exits = &batch.exits;
    let indexes = || exits.iter().map(|exit| exit.index).collect();
    serde_json::to_vec(&Document {
        exit_signature_recover_threshold: quorum.exit_signature_recover_threshold,
        exit_signature_shards: exits.iter().map(|exit| hex_all(&exit.sealed_shares)).collect(),
        oracles: &quorum.oracles,
        public_key_shards: exits.iter().map(|exit| hex_all(&exit.public_shares)).collect(),
        public_keys: exits.iter().map(|exit| hex::encode_prefixed(exit.public_key)).collect(),
        validator_index: first_index,
        validator_indexes: first_index.is_none().then(indexes),
        vault_address: vault.to_checksum(None),
    })
}

#[derive(Serialize)]
struct Document<'a> {
    exit_signature_recover_threshold: usize,
    exit_signature_shards: Vec<Vec<String>>,
    oracles: &'a [String],
    public_key_shards: Vec<Vec<String>>,
    public_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validator_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validator_indexes: Option<Vec<u64>>,
    vault_address: String,
}

fn hex_all<const N: usize>(all: &[FixedBytes<N>]) -> Vec<String> {
    all.iter().map(hex::encode_prefixed).collect()
}

impl Subject {
    /// Another subject: a deposit root that never was, or the rotation before.
    pub(super) fn of_another_time(self) -> Self {
        match self {
            Self::Registration { vault, validators, .. } => Self::Registration {
                deposit_root: B256::ZERO,
                vault,
                validators,
            },
            Self::Rotation { vault, nonce } => Self::Rotation {
                vault,
                nonce: nonce.wrapping_sub(U256::ONE),
            },
        }
    }

    /// Signs the approval of a document.
    pub(super) fn sign(
        self,
        key: &OracleKey,
        deployment: &Deployment,
        ipfs_hash: &str,
        deadline: u64,
    ) -> Option<FixedBytes<65>> {
        let domain = eip712_domain! {
            name: "KeeperOracles",
            version: "1",
            chain_id: deployment.chain_id,
            verifying_contract: deployment.keeper,
        };
        let deadline = U256::from(deadline);
        let digest = match self {
            Self::Registration {
                deposit_root,
                vault,
                validators,
            } => KeeperValidators {
                validatorsRegistryRoot: deposit_root,
                vault,
                validators,
                exitSignaturesIpfsHash: ipfs_hash.to_owned(),
                deadline,
            }
            .eip712_signing_hash(&domain),
            Self::Rotation { vault, nonce } => rotation::KeeperValidators {
                vault,
                exitSignaturesIpfsHash: ipfs_hash.to_owned(),
                nonce,
                deadline,
            }
            .eip712_signing_hash(&domain),
        };
        key.sign(&digest)
    }
}
