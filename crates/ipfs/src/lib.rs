#![doc = include_str!("../README.md")]

mod assembly;
mod block;
mod cache;
mod car;
mod cid_text;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod gateways;
mod limits;
mod protobuf;
mod redirects;
mod unixfs;
mod varint;

pub use assembly::VerifiedBytes;
pub use car::CarError;
pub use cid::Cid;
pub use cid_text::{ParseCidError, parse_cid};
pub use error::{ContentError, FetchError, GatewayFailure, GatewayFault, Way};
pub use gateways::{GatewayOptions, Gateways};
pub use limits::{Limits, MAX_BLOCK_BYTES};
pub use redirects::gateway_redirects;
pub use unixfs::{NodeError, NodeKind};
