//! Amounts and times that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in gwei (10^9 wei), the unit of the consensus layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gwei(pub u64);

/// A consensus epoch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// A consensus slot number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u64);

/// What one 0x01 validator deposits, on every network (32 mGNO, that is 1 GNO, on Gnosis).
///
/// Source: consensus specs, `MAX_EFFECTIVE_BALANCE` of phase 0.
pub const VALIDATOR_DEPOSIT: Gwei = Gwei(32_000_000_000);

impl fmt::Display for Gwei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gwei", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
