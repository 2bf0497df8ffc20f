//! How many shares there are, and how many of them are enough.

use std::{fmt, num::NonZeroU8};

/// `threshold` of `total` shares recover what was split; fewer recover nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Threshold {
    threshold: NonZeroU8,
    total: NonZeroU8,
}

/// Numbers that are no threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdError {
    /// There are no shares, or more than the 255 that an index can tell apart.
    #[error("between 1 and 255 shares can be made, not {0}")]
    Total(usize),
    /// The threshold is zero or cannot be reached.
    #[error("a threshold of {threshold} is not between 1 and the {total} shares")]
    Threshold {
        /// The threshold asked for.
        threshold: usize,
        /// The number of shares asked for.
        total: usize,
    },
}

impl Threshold {
    /// Takes a threshold between 1 and `total`, and a total between 1 and 255.
    ///
    /// # Errors
    /// Any other number.
    pub fn new(threshold: usize, total: usize) -> Result<Self, ThresholdError> {
        let total_checked = small(total).ok_or(ThresholdError::Total(total))?;
        let threshold_checked = small(threshold)
            .filter(|threshold| *threshold <= total_checked)
            .ok_or(ThresholdError::Threshold { threshold, total })?;
        Ok(Self {
            threshold: threshold_checked,
            total: total_checked,
        })
    }

    /// The number of shares that are enough.
    pub fn threshold(self) -> usize {
        usize::from(self.threshold.get())
    }

    /// The number of shares.
    pub fn total(self) -> usize {
        usize::from(self.total.get())
    }

    /// The indexes of all shares, ascending.
    pub fn indexes(self) -> impl Iterator<Item = ShareIndex> {
        (1..=self.total.get()).filter_map(NonZeroU8::new).map(ShareIndex)
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.threshold, self.total)
    }
}

/// The place at which the polynomial is evaluated for one share.
///
/// It starts at 1, because the value at 0 is the secret: the oracle at position `i` of the protocol's configuration
/// holds the share of index `i + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareIndex(NonZeroU8);

impl ShareIndex {
    /// Takes an index between 1 and 255.
    pub fn new(index: usize) -> Option<Self> {
        small(index).map(Self)
    }

    /// The index of the share that the oracle at this position (counted from 0) holds.
    pub fn of_position(position: usize) -> Option<Self> {
        Self::new(position.checked_add(1)?)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn small(number: usize) -> Option<NonZeroU8> {
    u8::try_from(number).ok().and_then(NonZeroU8::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_at_least_one_and_at_most_all_of_255() {
        for (threshold, total) in [(1, 1), (1, 255), (255, 255), (6, 11)] {
            let made = Threshold::new(threshold, total).expect("possible");
            assert_eq!(
                (made.threshold(), made.total(), made.indexes().count()),
                (threshold, total, total)
            );
        }
        assert_eq!(Threshold::new(1, 0), Err(ThresholdError::Total(0)));
        assert_eq!(Threshold::new(1, 256), Err(ThresholdError::Total(256)));
        for (threshold, total) in [(0, 3), (4, 3), (usize::MAX, 3)] {
            assert_eq!(
                Threshold::new(threshold, total),
                Err(ThresholdError::Threshold { threshold, total })
            );
        }
    }

    #[test]
    fn positions_count_from_zero_and_indexes_from_one() {
        assert_eq!(ShareIndex::of_position(0), ShareIndex::new(1));
        assert_eq!(ShareIndex::of_position(254).map(ShareIndex::get), Some(255));
        assert_eq!(
            (
                ShareIndex::new(0),
                ShareIndex::of_position(255),
                ShareIndex::of_position(usize::MAX)
            ),
            (None, None, None)
        );
    }
}
