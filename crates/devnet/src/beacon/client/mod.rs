//! How the consensus clients word the same Beacon API, each where its source or its users show that it differs.
//!
//! A file is named by its repository and path; `[inf]` is what no source was found for.

mod exits;
mod liveness;
pub(super) mod validators;

use axum::{
    Json,
    body::Body,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Whose node it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BeaconClient {
    /// sigp/lighthouse.
    #[default]
    Lighthouse,
    /// Consensys/teku.
    Teku,
    /// OffchainLabs/prysm.
    Prysm,
    /// status-im/nimbus-eth2.
    Nimbus,
    /// ChainSafe/lodestar.
    Lodestar,
}

impl BeaconClient {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Lighthouse, Self::Teku, Self::Prysm, Self::Nimbus, Self::Lodestar];

    /// What `node/version` says, in the form that each makes of its name, version and platform.
    pub(super) fn version(self) -> &'static str {
        match self {
            // lighthouse common/lighthouse_version/src/lib.rs
            Self::Lighthouse => "Lighthouse/v7.1.0-0000000/x86_64-linux",
            // teku infrastructure/version/.../VersionProvider.java
            Self::Teku => "teku/v25.9.0/linux-x86_64/-eclipseadoptium-openjdk64bitservervm-java-21",
            // prysm beacon-chain/rpc/eth/node/handlers.go
            Self::Prysm => "Prysm/v6.1.0 (linux amd64)",
            // nimbus beacon_chain/rpc/rest_node_api.nim
            Self::Nimbus => "Nimbus/v25.9.0-000000-stateofus",
            // lodestar packages/beacon-node/src/api/impl/node/index.ts
            Self::Lodestar => "Lodestar/v1.34.0/0000000",
        }
    }

    /// The status of `node/health`.
    pub(super) fn health(self, syncing: bool, optimistic: bool, execution_offline: bool) -> StatusCode {
        let catches_up = match self {
            // lighthouse beacon_node/http_api/src/lib.rs get_node_health
            Self::Lighthouse if execution_offline => return StatusCode::SERVICE_UNAVAILABLE,
            // prysm beacon-chain/rpc/eth/node/handlers.go GetHealth
            Self::Lighthouse | Self::Prysm => syncing || optimistic,
            // nimbus rest_node_api.nim, lodestar api/impl/node/index.ts, teku handlers/v1/node/GetHealth.java: a node whose
            // execution node has not verified the head is healthy.
            Self::Teku | Self::Nimbus | Self::Lodestar => syncing,
        };
        match catches_up {
            true => StatusCode::PARTIAL_CONTENT,
            false => StatusCode::OK,
        }
    }

    /// What comes before `postStateValidators` was known to a client.
    pub(super) fn unknown_post(self, path: &str) -> Response {
        let text = |status: StatusCode, text: &'static str| (status, text).into_response();
        match self {
            // Only GET matches: warp's MethodNotAllowed, lighthouse common/warp_utils/src/reject.rs
            Self::Lighthouse => self.render(&Fault::new(StatusCode::METHOD_NOT_ALLOWED, ""), true),
            Self::Teku => text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"), // [inf]
            // v4 read a bare list of ids: beacon-chain/rpc/eth/beacon/handlers_validator.go at v4.2
            Self::Prysm => self.render(
                &Fault::bad_request(
                    "Could not decode request body: json: cannot unmarshal object into Go value of type []string",
                ),
                true,
            ),
            Self::Nimbus => text(StatusCode::NOT_FOUND, ""), // [inf]
            Self::Lodestar => self.render(&Fault::not_found(format!("Route POST:{path} not found")), true),
        }
    }

    /// The answer to a request that is too long to be read, or `None`.
    pub(super) fn too_long(self, target: &str) -> Option<Response> {
        // Node.js reads 16 KiB of headers, and lodestar leaves it so: packages/cli/src/options/beaconNodeOptions/api.ts
        let is_too_long = self == Self::Lodestar && target.len() > 16 << 10;
        is_too_long.then(|| (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Body::empty()).into_response())
    }

    /// The error body, of a present version or an old one.
    pub(super) fn render(self, fault: &Fault, old: bool) -> Response {
        let Fault {
            status,
            message,
            detail,
        } = fault;
        let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
        let body = match self {
            // lighthouse common/warp_utils/src/reject.rs
            Self::Lighthouse => {
                let kind = match *status {
                    StatusCode::SERVICE_UNAVAILABLE => "SERVICE_UNAVAILABLE: beacon node is syncing".to_owned(),
                    _ => reason.to_uppercase().replace(' ', "_"),
                };
                let said = match message.is_empty() {
                    true => kind,
                    false => format!("{kind}: {message}"),
                };
                json!({"code": code, "message": said, "stacktraces": []})
            }
            // nimbus beacon_chain/spec/eth2_apis/eth2_rest_json_serialization.nim jsonError; in 2021 it was
            // eth2_json_rest_serialization.nim, where the code is text.
            Self::Nimbus if old => {
                let details: Vec<_> = detail.iter().collect();
                json!({"code": code.to_string(), "message": message, "stacktraces": details})
            }
            Self::Nimbus => match detail {
                Some(detail) => json!({"code": code, "message": message, "stacktraces": [detail]}),
                None => json!({"code": code, "message": message}),
            },
            // lodestar packages/beacon-node/src/api/rest/base.ts; before it had a form of its own, it was fastify's
            Self::Lodestar if old => json!({"statusCode": code, "error": reason, "message": message}),
            // teku infrastructure/.../http/HttpErrorResponse.java, prysm network/httputil/writer.go
            Self::Teku | Self::Prysm | Self::Lodestar => json!({"code": code, "message": message}),
        };
        (*status, Json(body)).into_response()
    }
}

/// A request that is refused; [`BeaconClient::render`] makes the body of it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    status: StatusCode,
    message: String,
    /// What one client puts beside the message.
    detail: Option<String>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            detail: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    fn because(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}

impl From<crate::rpc::RpcError> for Fault {
    fn from(error: crate::rpc::RpcError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// Carries the fault to the layer that knows whose node it is.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
