//! A limit that an endpoint does not tell, learned from what it serves and refuses.

use serde::{Deserialize, Serialize};

/// What is known of a limit, for the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// The most that was served.
    pub(crate) served: u64,
    /// The least that was refused.
    pub(crate) refused: Option<u64>,
}

impl Limit {
    /// The same within what is sensible: a file can say anything.
    pub(crate) fn between(self, least: u64, most: u64) -> Self {
        let served = self.served.clamp(least, most);
        Self {
            served,
            // The search halves: what is farther apart was not found by it.
            refused: self.refused.filter(|refused| *refused > served && refused / 4 < served),
        }
    }
}

/// The search for the limit. What was refused is seldom tried again, so that less than one request in a hundred is wasted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learned {
    /// 0 while nothing was served.
    served: u64,
    trying: u64,
    refused: Option<u64>,
    successes: u32,
    patience: u32,
    /// What was known before the failures since the last success.
    before: Option<Limit>,
}

impl Learned {
    /// Begins with a guess.
    pub(crate) fn from_guess(trying: u64) -> Self {
        Self {
            served: 0,
            trying: trying.max(1),
            refused: None,
            successes: 0,
            patience: FIRST_PATIENCE,
            before: None,
        }
    }

    /// Begins where an earlier run has come to.
    pub(crate) fn remembered(limit: Limit) -> Self {
        Self {
            served: limit.served,
            refused: limit.refused,
            ..Self::from_guess(limit.served)
        }
    }

    /// What to remember.
    pub(crate) fn limit(&self) -> Option<Limit> {
        (self.served > 0).then_some(Limit {
            served: self.served,
            refused: self.refused,
        })
    }

    /// What to ask for; at least 1.
    pub(crate) fn trying(&self) -> u64 {
        self.trying
    }

    /// So much was served. `most` is never exceeded.
    pub(crate) fn served(&mut self, amount: u64, most: u64) {
        if amount < self.trying {
            return;
        }
        self.before = None;
        if self.trying > self.served {
            self.patience = FIRST_PATIENCE;
        }
        self.served = self.trying;
        self.successes = self.successes.saturating_add(1);
        let (next, patience) = match self.refused.filter(|refused| *refused > self.served) {
            None => (self.served.saturating_mul(2), 0),
            Some(refused) => match refused - self.served {
                gap if gap > refused / 8 && gap > 1 => (self.served + gap / 2, self.patience),
                // As near as need be. The limit may be raised one day, or never was one.
                _ => (refused, self.patience.saturating_mul(4).min(LAST_PATIENCE)),
            },
        };
        if self.successes >= patience {
            self.trying = next.min(most).max(self.served);
            self.successes = 0;
        }
    }

    /// So much was refused. Returns whether less can be asked for.
    ///
    /// When even 1 is refused, it was not the amount: what the failures up to there seemed to say is forgotten.
    pub(crate) fn failed(&mut self, amount: u64) -> bool {
        if amount <= 1 {
            if let Some(before) = self.before.take() {
                *self = Self::remembered(before);
            }
            return false;
        }
        if self.before.is_none() {
            self.before = Some(Limit {
                served: if self.served > 0 { self.served } else { amount },
                refused: self.refused,
            });
        }
        if amount > self.served && self.served > 0 {
            self.patience = self.patience.saturating_mul(2).min(LAST_PATIENCE);
            self.trying = self.served;
        } else {
            self.served = 0;
            self.trying = amount / 2;
        }
        self.refused = Some(amount);
        self.successes = 0;
        true
    }
}

const FIRST_PATIENCE: u32 = 128;
const LAST_PATIENCE: u32 = 4096;
