//! `POST pool/voluntary_exits`: what each client takes, and how it says no.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{BeaconClient, Fault};
use crate::beacon::exits::Refusal;

impl BeaconClient {
    /// The epoch of the state that an exit valid from `from` is judged in, when the newest state is of epoch `head`.
    ///
    /// Prysm first advances the state to the epoch of the exit, and so takes an exit that is valid later; it goes into a block
    /// then (prysm beacon-chain/rpc/eth/beacon/handlers_pool.go `SubmitVoluntaryExit`). The others judge by the present epoch.
    pub(in crate::beacon) fn epoch_to_judge_in(self, head: u64, from: u64) -> u64 {
        match self {
            Self::Prysm => head.max(from),
            _ => head,
        }
    }

    /// What becomes of an exit of a validator of which one was taken before: `None` if it is judged as the first was.
    pub(in crate::beacon) fn judges_again(self, index: u64) -> Option<Result<(), Refusal>> {
        match self {
            // `ObservationOutcome::AlreadyKnown` is a success: lighthouse beacon_node/http_api/src/beacon/pool.rs
            Self::Lighthouse => Some(Ok(())),
            // Prysm's pool takes it again while no block holds the first: beacon-chain/rpc/eth/beacon/handlers_pool.go
            Self::Prysm => None,
            // teku statetransition/validation/VoluntaryExitValidator.java, nimbus gossip_processing/gossip_validation.nim,
            // lodestar packages/beacon-node/src/chain/validation/voluntaryExit.ts
            Self::Teku | Self::Nimbus | Self::Lodestar => Some(Err(Refusal::Seen(index))),
        }
    }

    /// The answer to an exit that was taken, by a present version or an old one.
    pub(in crate::beacon) fn takes_exit(self, old: bool) -> Response {
        match self {
            // Seen in stereum-dev/ethereum-node issue 2093.
            Self::Lighthouse => Json(Value::Null).into_response(),
            // nimbus beacon_chain/rpc/rest_beacon_api.nim, rest_constants.nim; before, eth2_json_rest_serialization.nim
            Self::Nimbus if old => {
                let body =
                    json!({"code": "200", "message": "Voluntary exit object(s) was broadcast", "stacktraces": []});
                Json(body).into_response()
            }
            Self::Nimbus => {
                Json(json!({"code": 200, "message": "Voluntary exit object(s) was broadcast"})).into_response()
            }
            // teku handlers/v1/beacon/PostVoluntaryExit.java, prysm handlers_pool.go, lodestar
            // packages/api/src/utils/server/handler.ts
            Self::Teku | Self::Prysm | Self::Lodestar => StatusCode::OK.into_response(),
        }
    }

    /// The answer to a body that is no exit.
    pub(in crate::beacon) fn cannot_read_exit(self, error: &str) -> Fault {
        match self {
            Self::Lighthouse => Fault::bad_request(format!("body deserialize error: {error}")),
            Self::Prysm => Fault::bad_request(format!("Could not decode request body: {error}")),
            Self::Nimbus => {
                Fault::bad_request("Unable to decode voluntary exit object(s)").because("Unable to deserialize data")
            }
            Self::Teku | Self::Lodestar => Fault::bad_request(error),
        }
    }

    /// The answer to an exit that breaks a rule, from a present version or an old one.
    pub(in crate::beacon) fn refuses_exit(self, refusal: &Refusal, old: bool) -> Fault {
        match self {
            // common/warp_utils/src/reject.rs `object_invalid`; seen in gobitfly/eth2-beaconchain-explorer issue 2193.
            Self::Lighthouse => Fault::bad_request(format!(
                "Invalid object: gossip verification failed: ExitValidationError(Invalid({}))",
                lighthouse(refusal)
            )),
            // PostVoluntaryExit.java of 2021 gave no reason.
            Self::Teku if old => Fault::bad_request(NEVER),
            Self::Teku => Fault::bad_request(teku(refusal)),
            Self::Prysm => Fault::bad_request(prysm(refusal)),
            Self::Nimbus => {
                Fault::bad_request("Invalid voluntary exit, it will never pass validation so it's rejected")
                    .because(nimbus(refusal))
            }
            // The error is no `ApiError`, and so a 500: packages/beacon-node/src/api/rest/base.ts with
            // packages/api/src/utils/server/handler.ts; seen in ChainSafe/lodestar pull request 6327.
            Self::Lodestar => Fault::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("VOLUNTARY_EXIT_ERROR_{}", lodestar(refusal, old)),
            ),
        }
    }
}

/// `ExitInvalid` of consensus/state_processing/src/per_block_processing/errors.rs, as Rust prints it.
fn lighthouse(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Unknown(index) => format!("ValidatorUnknown({index})"),
        Refusal::NotActive(index) => format!("NotActive({index})"),
        Refusal::Leaving { index, .. } | Refusal::Seen(index) => format!("AlreadyExited({index})"),
        Refusal::Early { from, now, .. } => format!("FutureEpoch {{ state: Epoch({now}), exit: Epoch({from}) }}"),
        Refusal::Young { from, now, .. } => {
            format!("TooYoungToExit {{ current_epoch: Epoch({now}), earliest_exit_epoch: Epoch({from}) }}")
        }
        Refusal::PendingWithdrawal(index) => format!("PendingWithdrawalInQueue({index})"),
        Refusal::Signature(_) => "BadSignature".to_owned(),
    }
}

/// statetransition/validation/VoluntaryExitValidator.java and spec/.../operations/validation/VoluntaryExitValidator.java.
fn teku(refusal: &Refusal) -> String {
    let (index, why) = match refusal {
        Refusal::Seen(index) => return format!("Exit is not the first one for validator {index}."),
        Refusal::Unknown(index) => (index, "Invalid validator index".to_owned()),
        Refusal::NotActive(index) => (index, "Validator is not active".to_owned()),
        Refusal::Leaving { index, .. } => (index, "Validator has already initiated exit".to_owned()),
        Refusal::Early { index, .. } => (index, "Specified exit epoch is still in the future".to_owned()),
        Refusal::Young { index, from, .. } => (index, format!("Validator cannot exit until epoch {from}")),
        Refusal::PendingWithdrawal(index) => (index, "Validator has pending withdrawals in the queue".to_owned()), // [inf]
        Refusal::Signature(index) => (index, "Signature is invalid".to_owned()),
    };
    format!("Exit for validator {index} is invalid: {why}")
}

/// beacon-chain/core/blocks/exit.go, and handlers_pool.go for an unknown index.
fn prysm(refusal: &Refusal) -> String {
    let why = match refusal {
        Refusal::Unknown(index) => return format!("Could not get validator: index {index} out of bounds"), // [inf]
        Refusal::NotActive(_) => "non-active validator cannot exit".to_owned(),
        Refusal::Leaving { index, exit } => {
            format!(
                "validator with index {index} has already submitted an exit, which will take place at epoch: {exit}"
            )
        }
        Refusal::Seen(index) => format!("validator with index {index} has already submitted an exit"),
        Refusal::Early { from, now, .. } => format!("expected current epoch >= exit epoch, received {now} < {from}"),
        Refusal::Young {
            from, now, activation, ..
        } => format!(
            "validator has not been active long enough to exit: {} of {} epochs. Validator will be eligible for exit at \
             epoch {from}",
            now - activation,
            from - activation
        ),
        Refusal::PendingWithdrawal(index) => format!("validator {index} must have no pending balance to withdraw"),
        Refusal::Signature(_) => "signature did not verify".to_owned(),
    };
    format!("Invalid exit: {why}")
}

/// beacon_chain/spec/state_transition_block.nim `check_voluntary_exit`, gossip_processing/gossip_validation.nim.
fn nimbus(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unknown(_) => "VoluntaryExit: validator index too high",
        Refusal::Seen(_) => "VoluntaryExit: validator index already voluntarily exited",
        Refusal::NotActive(_) => "Exit: validator not active",
        Refusal::Leaving { .. } => "Exit: validator has exited",
        Refusal::Early { .. } => "Exit: exit epoch not passed",
        Refusal::Young { .. } => "Exit: not in validator set long enough",
        Refusal::PendingWithdrawal(_) => "Exit: still has pending withdrawals",
        Refusal::Signature(_) => "Exit: invalid signature",
    }
}

/// packages/beacon-node/src/chain/errors/voluntaryExitError.ts; before 2025 it told only two apart (issue 6330).
fn lodestar(refusal: &Refusal, old: bool) -> &'static str {
    match refusal {
        Refusal::Seen(_) => "ALREADY_EXISTS",
        Refusal::Signature(_) => "INVALID_SIGNATURE",
        _ if old => "INVALID",
        Refusal::Unknown(_) | Refusal::NotActive(_) => "INACTIVE", // of the unknown: [inf]
        Refusal::Leaving { .. } => "ALREADY_EXITED",
        Refusal::Early { .. } => "EARLY_EPOCH",
        Refusal::Young { .. } => "SHORT_TIME_ACTIVE",
        Refusal::PendingWithdrawal(_) => "INVALID",
    }
}

/// What the Beacon API's own text is for a 400; Teku and Nimbus repeat it.
const NEVER: &str = "Invalid voluntary exit, it will never pass validation so it's rejected";
