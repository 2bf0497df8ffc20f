//! `POST validator/liveness/{epoch}`: which questions each client answers.

use std::collections::HashSet;

use axum::http::StatusCode;

use super::{BeaconClient, Fault};

impl BeaconClient {
    /// Why a node that keeps no track of who is at work does not answer.
    ///
    /// Teku has to be told to (`--beacon-liveness-tracking-enabled`, NodeDataProvider.java). The others keep track always; one
    /// that is made not to says that it does not know the method.
    pub(in crate::beacon) fn does_not_track(self) -> Fault {
        match self {
            Self::Teku => Fault::bad_request(
                "Validator liveness tracking is not enabled on this beacon node, cannot service request",
            ),
            _ => Fault::new(StatusCode::NOT_IMPLEMENTED, "liveness is not tracked"),
        }
    }

    /// Why a node that is catching up does not answer, if it does not.
    pub(in crate::beacon) fn is_silent_while_syncing(self) -> Option<Fault> {
        let why = match self {
            // teku handlers/v1/validator/PostValidatorLiveness.java
            Self::Teku => "Beacon node is currently syncing and not serving requests.",
            // nimbus beacon_chain/rpc/rest_validator_api.nim, rest_constants.nim
            Self::Nimbus => "Beacon node is currently syncing and not serving request on that endpoint",
            Self::Lighthouse | Self::Prysm | Self::Lodestar => return None,
        };
        Some(Fault::new(StatusCode::SERVICE_UNAVAILABLE, why))
    }

    /// Why it does not answer for an epoch when the present one is `now`, if it does not.
    pub(in crate::beacon) fn does_not_know_epoch(self, epoch: u64, now: u64) -> Option<Fault> {
        let is_near = epoch.abs_diff(now) <= 1;
        match self {
            // prysm beacon-chain/rpc/eth/validator/handlers.go GetLiveness: any epoch that has begun, from its states
            Self::Prysm if epoch > now => Some(Fault::bad_request("Requested epoch cannot be in the future")),
            Self::Prysm => None,
            _ if is_near => None,
            // lighthouse beacon_node/http_api/src/validator/mod.rs post_validator_liveness_epoch
            Self::Lighthouse => Some(Fault::bad_request(format!(
                "request epoch {epoch} is more than one epoch from the current epoch {now}"
            ))),
            // teku NodeDataProvider.java; the future one: [inf]
            Self::Teku if epoch < now => Some(Fault::bad_request(format!(
                "Current node epoch {now}, cannot check liveness for an epoch ({epoch}) more than 1 in the past"
            ))),
            Self::Teku => Some(Fault::bad_request(format!(
                "Current node epoch {now}, cannot check liveness for a future epoch {epoch}"
            ))),
            // nimbus rest_validator_api.nim
            Self::Nimbus => Some(
                Fault::bad_request("Invalid epoch value")
                    .because("Requested epoch is more than one epoch from current epoch"),
            ),
            // lodestar packages/beacon-node/src/api/impl/validator/index.ts getLiveness
            Self::Lodestar => Some(Fault::bad_request(format!(
                "Request epoch {epoch} is more than one epoch before or after the current epoch {now}"
            ))),
        }
    }

    /// Why it does not answer for these indexes, if it does not. `is_known` says whether there is such a validator: where that
    /// does not matter, nobody has seen the unknown at work.
    pub(in crate::beacon) fn does_not_know_indexes(
        self,
        indexes: &[u64],
        is_known: impl Fn(u64) -> bool,
    ) -> Option<Fault> {
        let why = match self {
            Self::Teku if indexes.is_empty() => "No validator indices posted in validator liveness request".to_owned(),
            Self::Prysm if indexes.is_empty() => "No data submitted".to_owned(),
            Self::Prysm => {
                let unknown = indexes.iter().find(|index| !is_known(**index))?;
                format!("Validator index {unknown} is invalid")
            }
            Self::Nimbus if indexes.is_empty() => "Empty validator's index array".to_owned(),
            Self::Nimbus if indexes.iter().collect::<HashSet<_>>().len() < indexes.len() => {
                "Duplicate validator index found in array".to_owned()
            }
            _ => return None,
        };
        Some(Fault::bad_request(why))
    }
}
