//! What happens in which slot, as a seed has it.

use crate::chaos::dice::Dice;

/// Something that makes an action due, or that interrupts one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Somebody stakes for so many validators.
    Stake(u64),
    /// The oracles vote on rewards: of the consensus in thousandths of an Ether, of MEV in whole ones.
    Vote { milliether: i64, mev: u64 },
    /// The oracle at this place of the config is replaced.
    Replace(usize),
    /// SIGTERM, so many milliseconds into the slot, and a start.
    Stop(u64),
}

/// The events of each slot, the first slot first.
pub(super) fn draw(dice: &mut Dice, slots: u64, oracles: usize) -> Vec<Vec<Event>> {
    let mut schedule: Vec<Vec<Event>> = (0..slots).map(|_| Vec::new()).collect();
    let mut at = |slot: u64, event: Event| {
        if let Some(slot) = usize::try_from(slot).ok().and_then(|slot| schedule.get_mut(slot)) {
            slot.push(event);
        }
    };
    // A vault without a validator has nothing to harvest or to rotate.
    at(0, Event::Stake(2));
    at(5, Event::Vote { milliether: 20, mev: 1 });
    at(10, Event::Replace(0));
    for slot in sometimes(dice, slots, 15, 40) {
        at(slot, Event::Stake(dice.between(1, 3)));
    }
    for slot in sometimes(dice, slots, 25, 55) {
        let loses = dice.below(4) == 0;
        let milliether = i64::try_from(dice.between(1, 500)).unwrap_or(1);
        at(
            slot,
            Event::Vote {
                milliether: if loses { -milliether } else { milliether },
                mev: dice.below(3),
            },
        );
    }
    for slot in sometimes(dice, slots, 50, 160) {
        let place = usize::try_from(dice.below(oracles as u64)).unwrap_or_default();
        at(slot, Event::Replace(place));
    }
    // In the first half, so that one process is seen for long enough afterwards to tell whether it grows.
    for _ in 0..stops(slots) {
        let slot = dice.between(5, slots / 2);
        at(slot, Event::Stop(dice.below(1000)));
    }
    schedule
}

/// A dozen, or fewer in a short run.
pub(super) fn stops(slots: u64) -> u64 {
    (slots / 40).clamp(2, 12)
}

/// Slots that are `low` to `high` apart. Nothing begins in the last tenth.
fn sometimes(dice: &mut Dice, slots: u64, low: u64, high: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut slot = dice.between(low, high);
    while slot < slots - slots / 10 {
        found.push(slot);
        slot += dice.between(low, high);
    }
    found
}
