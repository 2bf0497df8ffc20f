//! New exit signatures for validators that are registered already.

use alloy_primitives::{Address, B256, U256};
use serde::Serialize;
use sw_shamir_exit::EncryptedShare;
use sw_spec::PublicKeyBytes;

use crate::{ApprovalSubject, Eip712Domain, OracleSet, RequestFault, subject::Shared};

/// New shares of the exit signatures of a vault's validators, which oracles are asked to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationRequest {
    /// The vault.
    pub vault: Address,
    /// The validators.
    pub public_keys: Vec<PublicKeyBytes>,
    /// For each validator, the public share of each oracle.
    pub public_key_shards: Vec<Vec<PublicKeyBytes>>,
    /// For each validator, the exit signature share sealed to each oracle.
    pub exit_signature_shards: Vec<Vec<EncryptedShare>>,
    /// Unix time after which the approval is void.
    pub deadline: u64,
    /// The Keeper's `exitSignaturesNonces` of the vault: signed by the oracles, but not sent to them.
    pub nonce: U256,
}

impl RotationRequest {
    fn shared(&self) -> Shared<'_> {
        Shared {
            public_keys: &self.public_keys,
            public_key_shards: &self.public_key_shards,
            exit_signature_shards: &self.exit_signature_shards,
        }
    }
}

impl ApprovalSubject for RotationRequest {
    fn name(&self) -> &'static str {
        "rotation"
    }

    fn path(&self) -> Option<&'static str> {
        Some("/signatures")
    }

    fn deadline(&self) -> u64 {
        self.deadline
    }

    fn check(&self, set: &OracleSet) -> Result<(), RequestFault> {
        self.shared().check(set, &[])
    }

    fn to_json(&self) -> String {
        let wire = WireRequest {
            vault_address: self.vault.to_checksum(None),
            public_keys: &self.public_keys,
            public_key_shards: &self.public_key_shards,
            exit_signature_shards: self.shared().sealed(),
            deadline: self.deadline,
        };
        // Nothing in it can fail to serialize: there are no maps and no floats.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    fn digest(&self, domain: &Eip712Domain, ipfs_hash: &str) -> B256 {
        domain.rotation_digest(self.vault, ipfs_hash, self.nonce, self.deadline)
    }
}

#[derive(Serialize)]
struct WireRequest<'a> {
    vault_address: String,
    public_keys: &'a [PublicKeyBytes],
    public_key_shards: &'a [Vec<PublicKeyBytes>],
    exit_signature_shards: Vec<Vec<String>>,
    deadline: u64,
}
