//! Validator names and signatures as the bytes that travel, with no claim that they lie on the curve.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not the hexadecimal form of the expected number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} bytes as hexadecimal text, got `{shown}`")]
pub struct ParseBytesError {
    expected: usize,
    shown: String,
}

/// Several words are no mistyped digits, but may be a phrase that nobody should see.
fn shown(text: &str, length: usize) -> String {
    if text.contains(char::is_whitespace) {
        return "several words".to_owned();
    }
    text.chars().take(length).collect()
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The number of bytes.
            pub const LENGTH: usize = $length;

            /// The bytes, in the order of the wire.
            pub fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// The hexadecimal digits, lower-case, without `0x`.
            pub fn to_bare_hex(&self) -> String {
                hex::encode(self.0)
            }
        }

        impl From<[u8; $length]> for $name {
            fn from(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseBytesError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes
                    .try_into()
                    .map(Self)
                    .map_err(|_| ParseBytesError { expected: $length, shown: format!("{} bytes", bytes.len()) })
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Accepts either case, with or without `0x`.
        impl FromStr for $name {
            type Err = ParseBytesError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                hex::decode_to_array::<_, $length>(text).map(Self).map_err(|_| ParseBytesError {
                    expected: $length,
                    shown: shown(text, 2 * $length + 2),
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

fixed_bytes!(
    /// A compressed BLS12-381 G1 point that names a validator: 48 bytes, not checked to lie on the curve.
    PublicKeyBytes,
    48
);
fixed_bytes!(
    /// A compressed BLS12-381 G2 point: 96 bytes, not checked to lie on the curve.
    SignatureBytes,
    96
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_either_case_and_written_in_lower_case() {
        let upper = "AB".repeat(48);
        let key: PublicKeyBytes = upper.parse().expect("96 digits");
        assert_eq!(key.to_string(), format!("0x{}", "ab".repeat(48)));
        assert_eq!(format!("0x{upper}").parse::<PublicKeyBytes>(), Ok(key));
        assert_eq!(serde_json_round_trip(&key), key);
    }

    #[test]
    fn a_wrong_length_is_named() {
        let error = "0xabcd".parse::<SignatureBytes>().expect_err("two bytes");
        assert_eq!(error.to_string(), "expected 96 bytes as hexadecimal text, got `0xabcd`");
    }

    fn serde_json_round_trip(key: &PublicKeyBytes) -> PublicKeyBytes {
        let table = toml::to_string(&std::collections::BTreeMap::from([("key", key)])).expect("serializes");
        let back: std::collections::BTreeMap<String, PublicKeyBytes> = toml::from_str(&table).expect("parses");
        *back.get("key").expect("present")
    }
}
