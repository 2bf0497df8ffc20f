//! The protocol's configuration: a JSON document on IPFS that the Keeper's `ConfigUpdated` event names.

use alloy_primitives::Address;
use serde::Deserialize;
use sw_shamir_exit::{OraclePublicKey, ParseOracleKeyError};
use sw_spec::RedactedUrl;
use tracing::warn;

/// What the protocol asks of operators. Members that an operator does not use are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolConfig {
    /// The oracles. Their order says which share each holds.
    pub oracles: Vec<OracleInfo>,
    /// How many shares recover an exit signature.
    pub exit_signature_recover_threshold: usize,
    /// How long an approval is valid, in seconds.
    pub signature_validity_period: u64,
    /// The most validators in a registration.
    pub validators_approval_batch_limit: usize,
    /// The most validators in a rotation of exit signatures.
    pub validators_exit_rotation_batch_limit: usize,
}

/// One oracle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleInfo {
    /// What it signs with and receives shares under.
    pub public_key: OraclePublicKey,
    /// Where it answers: replicas of one another. May be empty, and the oracle then never votes.
    pub endpoints: Vec<RedactedUrl>,
}

/// Why a document is no protocol configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It is larger than any configuration.
    #[error("the oracle configuration has {0} bytes, more than {MAX_CONFIG}")]
    TooLarge(usize),
    /// It is not JSON, a member is missing, or one is of another type.
    #[error("the oracle configuration is malformed")]
    Malformed(#[source] serde_json::Error),
    /// It names no oracle, or more than there are share indexes.
    #[error("the oracle configuration names {0} oracles, not between 1 and {MAX_ORACLES}")]
    OracleCount(usize),
    /// An oracle's public key cannot be used.
    #[error("the public key of oracle {position} in the oracle configuration cannot be used")]
    OracleKey {
        /// The oracle, counted from 0.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: ParseOracleKeyError,
    },
    /// An oracle has more endpoints than can sensibly be tried.
    #[error("oracle {position} in the oracle configuration has {count} endpoints, more than {MAX_ENDPOINTS}")]
    EndpointCount {
        /// The oracle, counted from 0.
        position: usize,
        /// How many it has.
        count: usize,
    },
    /// A number is not in the range that makes sense.
    #[error("`{member}` in the oracle configuration is {value}, not between 1 and {highest}")]
    Number {
        /// The member.
        member: &'static str,
        /// Its value.
        value: u64,
        /// The highest value accepted.
        highest: u64,
    },
}

impl OracleInfo {
    /// The address the oracle is known by on chain.
    pub fn address(&self) -> Address {
        self.public_key.address()
    }
}

impl ProtocolConfig {
    /// Reads the document. Unknown members are ignored, and so is an endpoint that is no HTTP URL: one oracle's mistake
    /// must not stop every operator.
    ///
    /// Whether the numbers fit the chain is for [`crate::OracleSet::new`] to say.
    ///
    /// # Errors
    /// A document that is not a configuration, or a number out of any sensible range.
    pub fn parse(document: &[u8]) -> Result<Self, ConfigError> {
        if document.len() > MAX_CONFIG {
            return Err(ConfigError::TooLarge(document.len()));
        }
        let wire: WireConfig = serde_json::from_slice(document).map_err(ConfigError::Malformed)?;
        if !(1..=MAX_ORACLES).contains(&wire.oracles.len()) {
            return Err(ConfigError::OracleCount(wire.oracles.len()));
        }
        Ok(Self {
            exit_signature_recover_threshold: number(
                "exit_signature_recover_threshold",
                wire.exit_signature_recover_threshold,
                MAX_ORACLES as u64,
            )? as usize,
            signature_validity_period: number(
                "signature_validity_period",
                wire.signature_validity_period,
                MAX_VALIDITY_SECONDS,
            )?,
            validators_approval_batch_limit: number(
                "validators_approval_batch_limit",
                wire.validators_approval_batch_limit,
                MAX_BATCH,
            )? as usize,
            validators_exit_rotation_batch_limit: number(
                "validators_exit_rotation_batch_limit",
                wire.validators_exit_rotation_batch_limit,
                MAX_BATCH,
            )? as usize,
            oracles: wire
                .oracles
                .into_iter()
                .enumerate()
                .map(oracle)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The addresses the oracles are known by on chain, in order.
    pub fn oracle_addresses(&self) -> Vec<Address> {
        self.oracles.iter().map(OracleInfo::address).collect()
    }
}

fn oracle((position, wire): (usize, WireOracle)) -> Result<OracleInfo, ConfigError> {
    let public_key = wire
        .public_key
        .parse()
        .map_err(|source| ConfigError::OracleKey { position, source })?;
    // Configurations of the first version name one endpoint, which then wins.
    let texts = match wire.endpoint.filter(|endpoint| !endpoint.trim().is_empty()) {
        Some(endpoint) => vec![endpoint],
        None => wire.endpoints.unwrap_or_default(),
    };
    if texts.len() > MAX_ENDPOINTS {
        return Err(ConfigError::EndpointCount {
            position,
            count: texts.len(),
        });
    }
    let mut oracle = OracleInfo {
        public_key,
        endpoints: Vec::with_capacity(texts.len()),
    };
    for text in texts {
        match text.parse() {
            Ok(endpoint) if text.len() <= MAX_URL => oracle.endpoints.push(endpoint),
            _ => warn!(oracle = %oracle.address(), "an endpoint in the oracle configuration is no http url"),
        }
    }
    Ok(oracle)
}

fn number(member: &'static str, value: u64, highest: u64) -> Result<u64, ConfigError> {
    if (1..=highest).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigError::Number { member, value, highest })
    }
}

#[derive(Deserialize)]
struct WireConfig {
    oracles: Vec<WireOracle>,
    exit_signature_recover_threshold: u64,
    signature_validity_period: u64,
    validators_approval_batch_limit: u64,
    validators_exit_rotation_batch_limit: u64,
}

#[derive(Deserialize)]
struct WireOracle {
    public_key: String,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    endpoints: Option<Vec<String>>,
}

/// Mainnet's document has a few kilobytes.
const MAX_CONFIG: usize = 1 << 20;
/// As many as there are share indexes.
const MAX_ORACLES: usize = 255;
const MAX_ENDPOINTS: usize = 16;
const MAX_URL: usize = 2048;
/// Thirty days; the live value is minutes to hours.
const MAX_VALIDITY_SECONDS: u64 = 30 * 24 * 60 * 60;
/// A registration of this many validators would already exceed a block's gas.
const MAX_BATCH: u64 = 1000;
