//! New validators of a vault.

use alloy_primitives::{Address, B256};
use serde::Serialize;
use sw_shamir_exit::EncryptedShare;
use sw_spec::{PublicKeyBytes, SignatureBytes};

use crate::{ApprovalSubject, Eip712Domain, OracleSet, RequestFault, subject::Shared};

/// A registration that oracles are asked to approve, for a vault whose keys are in a deposit data tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// The index the first of the validators will have, by which the exits are signed; each further one has the next.
    pub validator_index: u64,
    /// The vault.
    pub vault: Address,
    /// The deposit contract's root, at which the registration must happen.
    pub validators_registry_root: B256,
    /// The validators.
    pub public_keys: Vec<PublicKeyBytes>,
    /// Their deposit signatures.
    pub deposit_signatures: Vec<SignatureBytes>,
    /// For each validator, the public share of each oracle.
    pub public_key_shards: Vec<Vec<PublicKeyBytes>>,
    /// For each validator, the exit signature share sealed to each oracle.
    pub exit_signature_shards: Vec<Vec<EncryptedShare>>,
    /// Unix time after which the approval is void.
    pub deadline: u64,
    /// The multiproof of the validators.
    pub proof: Vec<B256>,
    /// The multiproof's flags.
    pub proof_flags: Vec<bool>,
    /// The order of the multiproof's leaves, as oracles expect it.
    pub proof_indexes: Vec<usize>,
    /// The records that the contract will be given: signed by the oracles, but not sent to them.
    pub validators: Vec<u8>,
}

impl ApprovalSubject for ApprovalRequest {
    fn name(&self) -> &'static str {
        "registration"
    }

    fn path(&self) -> Option<&'static str> {
        None
    }

    fn deadline(&self) -> u64 {
        self.deadline
    }

    fn check(&self, set: &OracleSet) -> Result<(), RequestFault> {
        let others = [
            ("deposit_signatures", self.deposit_signatures.len()),
            ("proof_indexes", self.proof_indexes.len()),
        ];
        self.shared().check(set, &others)?;
        self.check_records()
    }

    fn to_json(&self) -> String {
        let wire = WireRequest {
            validator_index: self.validator_index,
            vault_address: self.vault.to_checksum(None),
            validators_root: self.validators_registry_root,
            public_keys: &self.public_keys,
            deposit_signatures: &self.deposit_signatures,
            public_key_shards: &self.public_key_shards,
            exit_signature_shards: self.shared().sealed(),
            deadline: self.deadline,
            proof: &self.proof,
            proof_flags: &self.proof_flags,
            proof_indexes: &self.proof_indexes,
            validators_manager_signature: None,
        };
        // Nothing in it can fail to serialize: there are no maps and no floats.
        serde_json::to_string(&wire).unwrap_or_default()
    }

    fn digest(&self, domain: &Eip712Domain, ipfs_hash: &str) -> B256 {
        domain.registration_digest(
            self.validators_registry_root,
            self.vault,
            &self.validators,
            ipfs_hash,
            self.deadline,
        )
    }
}

impl ApprovalRequest {
    fn shared(&self) -> Shared<'_> {
        Shared {
            public_keys: &self.public_keys,
            public_key_shards: &self.public_key_shards,
            exit_signature_shards: &self.exit_signature_shards,
        }
    }

    fn check_records(&self) -> Result<(), RequestFault> {
        let length = self.validators.len() / self.public_keys.len().max(1);
        if !RECORD_LENGTHS.contains(&length) || self.validators.len() != length * self.public_keys.len() {
            return Err(RequestFault::Records);
        }
        let validators = self.public_keys.iter().zip(&self.deposit_signatures);
        let own = |(record, (key, signature)): (&[u8], (&PublicKeyBytes, &SignatureBytes))| {
            record.starts_with(&key.0)
                && record
                    .get(PublicKeyBytes::LENGTH..)
                    .is_some_and(|rest| rest.starts_with(&signature.0))
        };
        if self.validators.chunks_exact(length).zip(validators).all(own) {
            Ok(())
        } else {
            Err(RequestFault::Records)
        }
    }
}

/// The lengths of a record: public key, deposit signature, root, and for 0x02 credentials an amount of 8 bytes
/// (v3-core, `ValidatorUtils`).
const RECORD_LENGTHS: [usize; 2] = [176, 184];

#[derive(Serialize)]
struct WireRequest<'a> {
    validator_index: u64,
    vault_address: String,
    validators_root: B256,
    public_keys: &'a [PublicKeyBytes],
    deposit_signatures: &'a [SignatureBytes],
    public_key_shards: &'a [Vec<PublicKeyBytes>],
    exit_signature_shards: Vec<Vec<String>>,
    deadline: u64,
    proof: &'a [B256],
    proof_flags: &'a [bool],
    proof_indexes: &'a [usize],
    validators_manager_signature: Option<&'a str>,
}
