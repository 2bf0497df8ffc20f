//! What all requests for approval have in common.

use std::collections::HashSet;

use alloy_primitives::B256;
use sw_shamir_exit::EncryptedShare;
use sw_spec::PublicKeyBytes;

use crate::{Eip712Domain, OracleSet};

/// Something that oracles approve with a signature for the Keeper.
pub trait ApprovalSubject: Sync {
    /// What it is called in an error, such as `registration`.
    fn name(&self) -> &'static str;

    /// The path it is posted to, which takes the place of an endpoint's own path and query; `None` posts to the endpoint
    /// as it is.
    fn path(&self) -> Option<&'static str>;

    /// Unix time after which the approval is void.
    fn deadline(&self) -> u64;

    /// Checks that the request is whole, so that what is asked is what will be sent to the chain.
    ///
    /// # Errors
    /// Lists of different lengths, a validator that is there twice, shares that do not fit the oracles, or whatever else
    /// makes it impossible to approve.
    fn check(&self, set: &OracleSet) -> Result<(), RequestFault>;

    /// The body of the request: compact JSON, members in the order of the original operator.
    fn to_json(&self) -> String;

    /// What an oracle signs when it approves this request with these exit signatures on IPFS.
    fn digest(&self, domain: &Eip712Domain, ipfs_hash: &str) -> B256;
}

/// Why a request is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// There is nothing to approve.
    #[error("the request names no validators")]
    Empty,
    /// A list does not have one entry for each validator.
    #[error("`{list}` of the request does not have one entry for each validator")]
    Length {
        /// The list.
        list: &'static str,
    },
    /// A validator is there twice.
    #[error("validator {validator} of the request is already in it")]
    Repeated {
        /// The place of the second one, counted from 0.
        validator: usize,
    },
    /// A validator's shares are not one for each oracle.
    #[error("validator {validator} of the request does not have one share for each oracle")]
    Shares {
        /// The validator's place, counted from 0.
        validator: usize,
    },
    /// The records are not those of the validators.
    #[error("the records of the request are not those of its validators, in order")]
    Records,
}

/// The validators of a request and their shares, as oracles are sent them.
pub(crate) struct Shared<'a> {
    pub(crate) public_keys: &'a [PublicKeyBytes],
    pub(crate) public_key_shards: &'a [Vec<PublicKeyBytes>],
    pub(crate) exit_signature_shards: &'a [Vec<EncryptedShare>],
}

impl Shared<'_> {
    /// Checks the shares against validators and oracles, and `others`, further lists that have an entry for each validator.
    pub(crate) fn check(&self, set: &OracleSet, others: &[(&'static str, usize)]) -> Result<(), RequestFault> {
        let count = self.public_keys.len();
        if count == 0 {
            return Err(RequestFault::Empty);
        }
        let own = [
            ("public_key_shards", self.public_key_shards.len()),
            ("exit_signature_shards", self.exit_signature_shards.len()),
        ];
        if let Some((list, _)) = own.iter().chain(others).find(|(_, length)| *length != count) {
            return Err(RequestFault::Length { list });
        }
        let mut seen = HashSet::with_capacity(count);
        if let Some(validator) = self.public_keys.iter().position(|key| !seen.insert(key)) {
            return Err(RequestFault::Repeated { validator });
        }
        let oracles = set.oracles().len();
        let mut shares = self.public_key_shards.iter().zip(self.exit_signature_shards);
        match shares.position(|(keys, sealed)| (keys.len(), sealed.len()) != (oracles, oracles)) {
            Some(validator) => Err(RequestFault::Shares { validator }),
            None => Ok(()),
        }
    }

    /// The sealed shares as texts.
    pub(crate) fn sealed(&self) -> Vec<Vec<String>> {
        let texts = |shares: &Vec<EncryptedShare>| shares.iter().map(EncryptedShare::to_string).collect();
        self.exit_signature_shards.iter().map(texts).collect()
    }
}
