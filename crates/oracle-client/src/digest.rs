//! What oracles sign, and who signed it.

use alloy::{
    primitives::{Address, B256, Signature, U256},
    sol_types::SolStruct,
};

/// The Keeper whose oracles sign: its contract and the chain it is on (EIP-712, domain `KeeperOracles`, version 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Eip712Domain {
    /// The chain.
    pub chain_id: u64,
    /// The Keeper.
    pub keeper: Address,
}

/// A signature that the Keeper would refuse whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSignature {
    /// Its last byte is neither 27 nor 28.
    #[error("the signature ends in {0}, not in 27 or 28")]
    RecoveryId(u8),
    /// Its `s` is in the upper half: OpenZeppelin's `ECDSA` refuses it, because everybody can make it from the other.
    #[error("the signature's s is in the upper half of the range")]
    HighS,
    /// Nobody's signature looks like this.
    #[error("the signature belongs to nobody")]
    Nobody,
}

impl Eip712Domain {
    /// What an oracle signs to approve a registration (`KeeperValidators.approveValidators`).
    ///
    /// `records` are the validators' records as the contract takes them, one after another.
    pub fn registration_digest(
        &self,
        validators_registry_root: B256,
        vault: Address,
        records: &[u8],
        ipfs_hash: &str,
        deadline: u64,
    ) -> B256 {
        let message = registration::KeeperValidators {
            validatorsRegistryRoot: validators_registry_root,
            vault,
            validators: records.to_vec().into(),
            exitSignaturesIpfsHash: ipfs_hash.to_owned(),
            deadline: U256::from(deadline),
        };
        message.eip712_signing_hash(&self.domain())
    }

    /// What an oracle signs to replace a vault's exit signatures (`KeeperValidators.updateExitSignatures`).
    pub fn rotation_digest(&self, vault: Address, ipfs_hash: &str, nonce: U256, deadline: u64) -> B256 {
        let message = rotation::KeeperValidators {
            vault,
            exitSignaturesIpfsHash: ipfs_hash.to_owned(),
            nonce,
            deadline: U256::from(deadline),
        };
        message.eip712_signing_hash(&self.domain())
    }

    /// The domain separator, which makes a signature for one Keeper worthless to another.
    pub fn separator(&self) -> B256 {
        self.domain().separator()
    }

    fn domain(&self) -> alloy::sol_types::Eip712Domain {
        let (name, version) = (Some("KeeperOracles".into()), Some("1".into()));
        let chain_id = Some(U256::from(self.chain_id));
        alloy::sol_types::Eip712Domain {
            name,
            version,
            chain_id,
            verifying_contract: Some(self.keeper),
            salt: None,
        }
    }
}

/// Recovers who signed a digest, by the rules of OpenZeppelin's `ECDSA.recover` that the Keeper applies.
///
/// # Errors
/// A signature the Keeper would refuse.
pub fn recover_signer(digest: &B256, signature: &[u8; 65]) -> Result<Address, InvalidSignature> {
    let [.., recovery_id] = *signature;
    if !matches!(recovery_id, 27 | 28) {
        return Err(InvalidSignature::RecoveryId(recovery_id));
    }
    let signature = Signature::from_raw_array(signature).map_err(|_| InvalidSignature::Nobody)?;
    if signature.normalize_s().is_some() {
        return Err(InvalidSignature::HighS);
    }
    signature
        .recover_address_from_prehash(digest)
        .map_err(|_| InvalidSignature::Nobody)
}

/// The two structures have one name, so each has its own module.
mod registration {
    alloy::sol! {
        struct KeeperValidators {
            bytes32 validatorsRegistryRoot;
            address vault;
            bytes validators;
            string exitSignaturesIpfsHash;
            uint256 deadline;
        }
    }
}

mod rotation {
    alloy::sol! {
        struct KeeperValidators {
            address vault;
            string exitSignaturesIpfsHash;
            uint256 nonce;
            uint256 deadline;
        }
    }
}
