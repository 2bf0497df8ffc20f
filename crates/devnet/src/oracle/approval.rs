//! What all oracles must agree on to the byte: the exit signatures document, and the message they sign.

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, U256},
    sol,
    sol_types::{SolStruct, eip712_domain},
};
use serde::Serialize;

use super::{key::OracleKey, request::Request};
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
        .validators
        .iter()
        .map(|validator| {
            let (key, signature) = (&validator.public_key, &validator.deposit_signature);
            let root = ssz::deposit_data_root(key, credentials, DEPOSIT_GWEI, signature);
            [key.as_slice(), signature.as_slice(), root.as_slice()].concat()
        })
        .collect()
}

/// The document as bytes: members sorted by name, no white space, hex in lower case.
pub(super) fn document(request: &Request) -> Result<Vec<u8>, serde_json::Error> {
    let validators = &request.validators;
    serde_json::to_vec(&Document {
        exit_signature_shards: validators
            .iter()
            .map(|validator| hex_all(&validator.sealed_shares))
            .collect(),
        public_key_shards: validators
            .iter()
            .map(|validator| hex_all(&validator.public_shares))
            .collect(),
        public_keys: validators
            .iter()
            .map(|validator| hex::encode_prefixed(validator.public_key))
            .collect(),
        validator_index: request.validator_index,
        vault_address: request.vault.to_checksum(None),
    })
}

#[derive(Serialize)]
struct Document {
    exit_signature_shards: Vec<Vec<String>>,
    public_key_shards: Vec<Vec<String>>,
    public_keys: Vec<String>,
    validator_index: u64,
    vault_address: String,
}

fn hex_all<const N: usize>(all: &[FixedBytes<N>]) -> Vec<String> {
    all.iter().map(hex::encode_prefixed).collect()
}

/// Signs the approval of a request.
pub(super) fn sign(
    key: &OracleKey,
    deployment: &Deployment,
    request: &Request,
    ipfs_hash: &str,
    deadline: u64,
) -> Option<FixedBytes<65>> {
    let domain = eip712_domain! {
        name: "KeeperOracles",
        version: "1",
        chain_id: deployment.chain_id,
        verifying_contract: deployment.keeper,
    };
    let message = KeeperValidators {
        validatorsRegistryRoot: request.deposit_root,
        vault: request.vault,
        validators: Bytes::from(records(request).concat()),
        exitSignaturesIpfsHash: ipfs_hash.to_owned(),
        deadline: U256::from(deadline),
    };
    key.sign(&message.eip712_signing_hash(&domain))
}
