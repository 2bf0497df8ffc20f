//! Why a call reverted, by name.

use std::fmt;

use alloy::sol_types::{Panic, Revert as ErrorString, SolError, SolInterface};
use alloy_primitives::Bytes;

use crate::{abi::Contracts::ContractsErrors, http};

/// Why a call reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// The error's name in the contract, when it is one we know: `NotHarvested`, `Error`, `Panic`.
    pub name: Option<String>,
    /// What the error says beyond its name: the text of `Error`, the code of `Panic`, the arguments of another.
    pub detail: Option<String>,
    /// What the call returned, at most its first kilobyte.
    pub data: Bytes,
}

impl Revert {
    /// Whether the contract's error has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.detail) {
            (Some(name), Some(detail)) => write!(f, "{name}: {detail}"),
            (Some(name), None) => f.write_str(name),
            (None, _) if self.data.is_empty() => f.write_str("without a reason"),
            (None, _) => write!(
                f,
                "unknown error 0x{}",
                hex::encode(self.data.get(..4).unwrap_or(&self.data))
            ),
        }
    }
}

/// Names the error that a reverted call returned: every custom error of the contracts, `Error(string)`, `Panic(uint256)`.
pub fn decode_revert(data: &[u8]) -> Revert {
    let kept = Bytes::copy_from_slice(data.get(..KEPT).unwrap_or(data));
    let (name, detail) = match data.first_chunk::<4>() {
        Some(&ErrorString::SELECTOR) => {
            let text = ErrorString::abi_decode(data).ok().map(|error| printable(&error.reason));
            (Some("Error".to_owned()), text)
        }
        Some(&Panic::SELECTOR) => {
            let code = Panic::abi_decode(data).ok().map(|panic| panic.to_string());
            (Some("Panic".to_owned()), code)
        }
        Some(&selector) => (
            ContractsErrors::name_by_selector(selector).map(str::to_owned),
            arguments(data),
        ),
        None => (None, None),
    };
    Revert {
        name,
        detail,
        data: kept,
    }
}

/// The arguments of a custom error as `{ name: value }`.
fn arguments(data: &[u8]) -> Option<String> {
    if data.len() <= 4 {
        return None;
    }
    let shown = format!("{:?}", ContractsErrors::abi_decode(data).ok()?);
    let from = shown.find('{')?;
    Some(printable(shown.get(from..)?.trim_end_matches(')')))
}

fn printable(text: &str) -> String {
    http::printable(text).chars().take(SHOWN).collect()
}

const KEPT: usize = 1024;
const SHOWN: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_errors_say_what_they_carry() {
        let text = ErrorString::from("out of stock\u{7}").abi_encode();
        assert_eq!(decode_revert(&text).to_string(), "Error: out of stock ");
        let panic = Panic::from(0x11).abi_encode();
        assert!(
            decode_revert(&panic).to_string().starts_with("Panic: "),
            "{}",
            decode_revert(&panic)
        );
    }

    #[test]
    fn arguments_of_custom_errors_are_shown() {
        let mut data = hex::decode("cf479181").expect("InsufficientBalance");
        data.extend([0; 31]);
        data.push(1);
        data.extend([0; 31]);
        data.push(2);
        assert_eq!(
            decode_revert(&data).to_string(),
            "InsufficientBalance: { balance: 1, needed: 2 }"
        );
        assert_eq!(decode_revert(&data[..20]).to_string(), "InsufficientBalance");
    }

    #[test]
    fn any_bytes_are_described() {
        assert_eq!(decode_revert(&[]).to_string(), "without a reason");
        assert_eq!(decode_revert(&[1]).to_string(), "unknown error 0x01");
        assert_eq!(
            decode_revert(&[0xde, 0xad, 0xbe, 0xef, 5]).to_string(),
            "unknown error 0xdeadbeef"
        );
        assert_eq!(decode_revert(&[7; 100_000]).data.len(), KEPT);
    }
}
