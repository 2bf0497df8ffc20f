//! `states/{state}/validators`: which of the ids that it was given a client answers for, in which order.

use std::collections::{BTreeSet, HashSet};

use axum::http::StatusCode;

use super::{BeaconClient, Fault};

/// How the ids came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::beacon) enum Asked {
    Get,
    Post,
}

/// An id, and the index that it stands for.
#[derive(Debug)]
pub(in crate::beacon) enum Id {
    Known(u64),
    Unknown,
    Malformed,
}

impl BeaconClient {
    /// The indexes to answer for, in order; `None` for all validators. Unknown ids are left out by everybody.
    pub(in crate::beacon) fn pick(
        self,
        asked: Asked,
        ids: Option<&[String]>,
        resolve: impl Fn(&str) -> Id,
    ) -> Result<Option<Vec<u64>>, Fault> {
        let ids = match ids {
            None => return Ok(None),
            // A list with nothing in it matches nothing: lighthouse beacon_node/http_api/src/validators.rs
            Some([]) if self == Self::Lighthouse && asked == Asked::Post => return Ok(Some(Vec::new())),
            Some([]) => return Ok(None),
            Some(ids) => ids,
        };
        self.limit(asked, ids)?;
        let mut picked = Vec::new();
        for id in ids {
            match resolve(id) {
                Id::Known(index) => picked.push(index),
                Id::Unknown => {}
                // lodestar packages/beacon-node/src/api/impl/beacon/state/index.ts
                Id::Malformed if self == Self::Lodestar => {}
                Id::Malformed => return Err(self.malformed_id(asked, id)),
            }
        }
        let distinct: BTreeSet<u64> = picked.iter().copied().collect();
        Ok(Some(match self {
            Self::Lighthouse => distinct.into_iter().collect(),
            // As asked, and twice if asked twice: teku ChainDataProvider.java getValidatorSelector, prysm
            // beacon-chain/rpc/eth/beacon/handlers_validator.go decodeIds
            Self::Teku | Self::Prysm | Self::Lodestar => picked,
            // The order of a hash set: nimbus beacon_chain/rpc/rest_beacon_api.nim getIndices
            Self::Nimbus => distinct.into_iter().rev().collect(),
        }))
    }

    /// How many ids there may be, and whether one twice.
    fn limit(self, asked: Asked, ids: &[String]) -> Result<(), Fault> {
        let is_twice = || ids.iter().collect::<HashSet<_>>().len() < ids.len();
        match self {
            // nimbus rest_beacon_api.nim, rest_constants.nim; `ServerMaximumValidatorIds`
            Self::Nimbus if asked == Asked::Get && ids.len() > 16_384 => Err(Fault::new(
                StatusCode::URI_TOO_LONG,
                "Maximum number of validator identifier values exceeded",
            )),
            Self::Nimbus if is_twice() => Err(Fault::bad_request("Non-unique validator identifier value(s)")),
            // lodestar api/impl/beacon/state/index.ts
            Self::Lodestar if is_twice() => Err(Fault::bad_request("Duplicate validator IDs provided")),
            _ => Ok(()),
        }
    }

    fn malformed_id(self, asked: Asked, id: &str) -> Fault {
        match self {
            Self::Lighthouse => Fault::bad_request(match asked {
                Asked::Get => "invalid query: Invalid query string".to_owned(), // [inf]
                Asked::Post => format!("body deserialize error: {id} cannot be parsed as a validator index"), // [inf]
            }),
            // teku ChainDataProvider.java validatorParameterToIndex
            Self::Teku => Fault::bad_request(format!("Invalid validator: {id}")),
            Self::Prysm => Fault::bad_request(format!("Invalid validator index {id}")),
            Self::Nimbus => match asked {
                Asked::Get => Fault::bad_request("Invalid validator's identifier value(s)"),
                Asked::Post => Fault::bad_request("Invalid request's body").because("Unable to deserialize data"),
            },
            // One id in the path only.
            Self::Lodestar => Fault::bad_request(match id.starts_with("0x") {
                true => "Invalid pubkey hex encoding",
                false => "Invalid validator index",
            }),
        }
    }

    /// The answer to a body that is no filter.
    pub(in crate::beacon) fn cannot_read_list(self, error: &str) -> Fault {
        match self {
            Self::Lighthouse => Fault::bad_request(format!("body deserialize error: {error}")),
            Self::Prysm => Fault::bad_request(format!("Could not decode request body: {error}")),
            Self::Nimbus => Fault::bad_request("Invalid request's body").because("Unable to deserialize data"),
            Self::Teku | Self::Lodestar => Fault::bad_request(error),
        }
    }

    /// The answer to a malformed id in the path.
    pub(in crate::beacon) fn cannot_read_id(self, id: &str) -> Fault {
        match self {
            // lighthouse beacon_node/http_api/src/beacon/states.rs
            Self::Lighthouse => Fault::bad_request("Invalid validator ID"),
            _ => self.malformed_id(Asked::Get, id),
        }
    }

    /// The answer to one id that nobody has.
    pub(in crate::beacon) fn knows_nobody(self, id: &str) -> Fault {
        let is_key = id.starts_with("0x");
        match self {
            Self::Lighthouse => Fault::not_found(format!("unknown validator: {id}")),
            Self::Teku => Fault::not_found("Not found"), // [inf]
            // prysm handlers_validator.go decodeIds: a bad request for an index, and not found for a key
            Self::Prysm if is_key => Fault::not_found(format!("Unknown validator: {id}")),
            Self::Prysm => Fault::bad_request(format!("Invalid validator index {id}")),
            Self::Nimbus => Fault::not_found("Could not find validator"),
            Self::Lodestar => Fault::not_found(match is_key {
                true => "Validator pubkey not found in state",
                false => "Validator index from future state",
            }),
        }
    }

    /// Whether a validator of this status is one of those that the filter names.
    pub(in crate::beacon) fn is_wanted(self, status: &str, wanted: &[String]) -> Result<bool, Fault> {
        for name in wanted {
            let is_known = STATUSES.contains(&name.as_str()) || SUPER_STATUSES.contains(&name.as_str());
            match self {
                // Lodestar compares with the nine statuses, and knows nothing of `active`: api/impl/beacon/state/index.ts
                Self::Lodestar => {}
                Self::Prysm if !is_known => return Err(Fault::bad_request(format!("Invalid status {name}"))),
                Self::Nimbus if !is_known => return Err(Fault::bad_request("Invalid validator's status value error")),
                _ if !is_known => return Err(Fault::bad_request(format!("invalid status: {name}"))), // [inf]
                _ => {}
            }
        }
        let is_super = |name: &String| self != Self::Lodestar && status.split('_').next() == Some(name);
        Ok(wanted.is_empty() || wanted.iter().any(|name| name == status || is_super(name)))
    }
}

/// The statuses of the Beacon API.
const STATUSES: [&str; 9] = [
    "pending_initialized",
    "pending_queued",
    "active_ongoing",
    "active_exiting",
    "active_slashed",
    "exited_unslashed",
    "exited_slashed",
    "withdrawal_possible",
    "withdrawal_done",
];
const SUPER_STATUSES: [&str; 4] = ["pending", "active", "exited", "withdrawal"];
