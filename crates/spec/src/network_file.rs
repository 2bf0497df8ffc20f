//! The TOML form of a network: what `operator network show` prints and `--network-config` reads.

use crate::{Network, NetworkSpec, networks::RETIRED_NETWORKS};

/// A network file that is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkFileError {
    /// It is far larger than any network.
    #[error("a network file of {0} bytes is refused; at most 65536 are read")]
    TooLarge(usize),
    /// It is not TOML of the expected shape.
    #[error("the network file is not valid: line {line}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What is wrong there, without what stands there: in the wrong file that may be a secret.
        reason: String,
    },
    /// A member has a value no network can have.
    #[error("the network file's `{member}` must not be {value}")]
    Impossible {
        /// The member of the file.
        member: &'static str,
        /// What it says.
        value: u64,
    },
    /// It takes the name of a network that exists or existed, with other values.
    #[error("the name `{name}` belongs to another network; a network file needs a name of its own")]
    NameTaken {
        /// The name in the file.
        name: String,
    },
    /// It could be mistaken for a built-in network: a signature for one would be valid on the other.
    #[error(
        "the network file has the {member} of {network} but other values than {network}; a deposit or transaction made with it could be replayed there"
    )]
    Collides {
        /// The member that is the same.
        member: &'static str,
        /// The built-in network.
        network: Network,
    },
}

fn malformed(text: &str, error: &toml::de::Error) -> NetworkFileError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    // serde's "invalid type: string \"..\", expected a string".
    let reason = match error.message().rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid ") => format!("expected {expected}"),
        _ => error.message().to_owned(),
    };
    NetworkFileError::Malformed {
        line: before.matches('\n').count() + 1,
        reason,
    }
}

impl NetworkSpec {
    /// Reads a network file.
    ///
    /// # Errors
    ///
    /// A file that is malformed, or that reuses a built-in network's name, chain id or genesis fork version with other
    /// values. A file equal to a built-in network is that network.
    pub fn from_toml(text: &str) -> Result<Self, NetworkFileError> {
        // What it becomes takes a hundred times its length.
        if text.len() > MAX_FILE_BYTES {
            return Err(NetworkFileError::TooLarge(text.len()));
        }
        let spec: Self = toml::from_str(text).map_err(|error| malformed(text, &error))?;
        for (member, value) in [
            ("slots_per_epoch", spec.slots_per_epoch),
            ("seconds_per_slot", spec.seconds_per_slot),
            ("chain_id", spec.chain_id),
            ("validator_assets", u64::from(!spec.validator_assets.is_zero())),
        ] {
            if value == 0 {
                return Err(NetworkFileError::Impossible { member, value });
            }
        }
        for network in Network::ALL {
            let built_in = network.spec();
            if spec == built_in {
                return Ok(spec);
            }
            if spec.name == built_in.name {
                return Err(NetworkFileError::NameTaken {
                    name: spec.name.to_string(),
                });
            }
            let collision = if spec.chain_id == built_in.chain_id {
                Some("chain id")
            } else if spec.genesis_fork_version == built_in.genesis_fork_version {
                Some("genesis fork version")
            } else {
                None
            };
            if let Some(member) = collision {
                return Err(NetworkFileError::Collides { member, network });
            }
        }
        if RETIRED_NETWORKS.contains(&spec.name.as_str()) {
            return Err(NetworkFileError::NameTaken {
                name: spec.name.to_string(),
            });
        }
        Ok(spec)
    }

    /// Writes the network in the form that [`NetworkSpec::from_toml`] reads.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

const MAX_FILE_BYTES: usize = 1 << 16;

/// Amounts as decimal text: TOML integers end at 2^63.
pub(crate) mod decimal {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        let text = String::deserialize(deserializer)?;
        U256::from_str_radix(&text, 10)
            .map_err(|_| serde::de::Error::custom(format!("`{text}` is not a decimal amount in wei")))
    }
}

/// Addresses in EIP-55 form; mixed case with a wrong checksum is refused.
pub(crate) mod checksummed {
    use alloy_primitives::Address;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_checksum(None))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mixed_case = text.bytes().any(|byte| matches!(byte, b'A'..=b'F'))
            && text.bytes().any(|byte| matches!(byte, b'a'..=b'f'));
        let parsed = if mixed_case {
            Address::parse_checksummed(&text, None).ok()
        } else {
            text.parse().ok()
        };
        parsed.ok_or_else(|| D::Error::custom(format!("`{text}` is not an address, or its checksum is wrong")))
    }
}

/// The same for an address that may be absent.
pub(crate) mod checksummed_option {
    use alloy_primitives::Address;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(address) => super::checksummed::serialize(address, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
        super::checksummed::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_far_too_long_is_not_looked_into() {
        let text = format!("{}# {}", Network::Hoodi.spec().to_toml(), "x".repeat(MAX_FILE_BYTES));
        let error = NetworkSpec::from_toml(&text).expect_err("refused");
        assert!(
            matches!(error, NetworkFileError::TooLarge(length) if length == text.len()),
            "{error}"
        );
    }
}
