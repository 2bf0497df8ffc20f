//! Whether this machine's clock agrees with the chain's. Deadlines come from the chain; tokens, certificates and the log
//! do not.

use std::{collections::VecDeque, time::Duration};

use sw_chain_client::BlockRef;

/// Compares the newest blocks with the clock.
#[derive(Debug, Default)]
pub(crate) struct ClockCheck {
    /// Number of each of the last blocks, and how much later than its time it was seen first, in seconds.
    ages: VecDeque<(u64, i64)>,
    warned: bool,
}

/// Block that must all look too old: some are late, and some slots are empty.
const BLOCKS: usize = 8;
/// Seconds that clocks may differ.
const TOLERATED: i64 = 2;

impl ClockCheck {
    /// Takes note of the newest block at `now`, the time since the Unix epoch by this machine's clock.
    pub(crate) fn look(&mut self, now: Duration, block: &BlockRef, seconds_per_slot: u64) {
        match self.skew(now, block, seconds_per_slot) {
            Some(seconds) if !self.warned => {
                self.warned = true;
                let (seconds, way) = (seconds.unsigned_abs(), if seconds < 0 { "behind" } else { "ahead of" });
                tracing::warn!(
                    seconds,
                    "this machine's clock is {way} the chain's; set it by NTP (deadlines are not affected)"
                );
            }
            Some(_) => {}
            None => self.warned = false,
        }
    }

    /// Seconds by which the clock is ahead for certain, or behind when negative.
    fn skew(&mut self, now: Duration, block: &BlockRef, seconds_per_slot: u64) -> Option<i64> {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        let age = signed(now.as_secs()).saturating_sub(signed(block.timestamp));
        // No block is from the future.
        if age < -TOLERATED {
            return Some(age);
        }
        if self.ages.back().is_none_or(|(number, _)| *number != block.number) {
            self.ages.push_back((block.number, age));
        }
        while self.ages.len() > BLOCKS {
            self.ages.pop_front();
        }
        let explained = signed(seconds_per_slot).saturating_add(TOLERATED);
        let least = self.ages.iter().map(|(_, age)| *age).min()?;
        (self.ages.len() == BLOCKS && least > explained).then(|| least.saturating_sub(signed(seconds_per_slot)))
    }
}

#[cfg(test)]
mod tests {
    use sw_chain_client::B256;

    use super::*;

    fn block(number: u64) -> BlockRef {
        BlockRef {
            number,
            hash: B256::ZERO,
            timestamp: 1_700_000_000 + 12 * number,
            base_fee_per_gas: 7,
        }
    }

    /// What a clock that is off by so many seconds comes to, seeing each block so many seconds after its time.
    fn skew(off: i64, lateness: impl Fn(u64) -> u64) -> Option<i64> {
        let mut check = ClockCheck::default();
        (0..20)
            .map(|number| {
                let now = (block(number).timestamp + lateness(number)).saturating_add_signed(off);
                check.skew(Duration::from_secs(now), &block(number), 12)
            })
            .last()
            .expect("some blocks")
    }

    #[test]
    fn a_clock_that_is_right_is_not_blamed_for_late_blocks() {
        assert_eq!(skew(0, |_| 0), None);
        assert_eq!(skew(0, |number| number * 5 % 13), None);
        assert_eq!(skew(0, |number| if number % 4 == 0 { 3 } else { 40 }), None);
        assert_eq!(skew(2, |_| 12), None);
        assert_eq!(skew(-2, |_| 0), None);
    }

    #[test]
    fn a_clock_that_is_wrong_is_noticed_in_both_directions() {
        assert_eq!(skew(600, |_| 0), Some(588));
        assert_eq!(skew(86_400, |number| number % 12), Some(86_388));
        assert_eq!(skew(-600, |_| 6), Some(-594));
        assert_eq!(skew(-86_400, |_| 0), Some(-86_400));
        assert_eq!(skew(-3, |_| 0), Some(-3));
        assert_eq!(skew(15, |_| 1), Some(4));
    }
}
