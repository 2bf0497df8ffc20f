//! Fault scripts: what goes wrong, with which requests, and how often.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What goes wrong with one request.
///
/// The first ones are faults of a connection or of HTTP, and any server of the devnet can have them. Those from
/// [`Act::RpcError`] on are faults of JSON-RPC: a server that speaks something else tells the truth then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// The request is carried out, and the connection ends without an answer.
    LoseReply,
    /// The connection ends without an answer, and nothing was done.
    LoseRequest,
    /// Nothing is done and nothing said for this long; then the connection ends.
    Hang(Duration),
    /// An HTTP status, and how many seconds to wait before the next request, if it says so.
    Status {
        /// The status.
        code: u16,
        /// `Retry-After`, seconds.
        retry_after: Option<u64>,
    },
    /// A web page with status 200.
    Html,
    /// The first half of the true answer, as if that were all.
    Truncated,
    /// A body that begins like an answer and never ends, as fast as it is read.
    Endless,
    /// A small compressed body that becomes a gibibyte.
    GzipBomb,
    /// The true answer, one byte a second.
    Trickle,
    /// A redirect to where the same request would be answered: an address that nobody configured.
    Redirect,
    /// A JSON-RPC error in place of the answer; nothing was done.
    RpcError {
        /// The error's code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// The true answer to another request.
    WrongId,
    /// The deposit event that [`super::Victim`] names is missing, wherever logs are shown.
    DropLog,
    /// That deposit event is there twice.
    DoubleLog,
    /// A field of that deposit event differs.
    AlterLog,
    /// That deposit event and the one after it have changed places.
    ReorderLogs,
    /// The node answers as it would have this many blocks ago.
    Behind(u64),
}

/// How often a rule strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chance {
    /// With every request that it is for.
    Always,
    /// With that many requests, and then never again.
    Times(u32),
    /// With one in so many requests, as the script's seed has it.
    OneIn(u32),
}

/// One line of a fault script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The JSON-RPC method it is for; of a server without JSON-RPC, a part of `METHOD /path`. `None` is all.
    pub method: Option<String>,
    /// How often.
    pub chance: Chance,
    /// What goes wrong.
    pub act: Act,
}

impl Rule {
    /// A rule for every request to `method`.
    pub fn always(method: &str, act: Act) -> Self {
        Self {
            method: Some(method.to_owned()),
            chance: Chance::Always,
            act,
        }
    }

    /// A rule for the next `times` requests to `method`.
    pub fn times(times: u32, method: &str, act: Act) -> Self {
        Self {
            chance: Chance::Times(times),
            ..Self::always(method, act)
        }
    }

    /// A rule for every request.
    pub fn everything(act: Act) -> Self {
        Self {
            method: None,
            chance: Chance::Always,
            act,
        }
    }
}

/// The fault script of one server. The first rule that strikes is the one that counts.
#[derive(Debug, Default)]
pub struct Rules(Mutex<Script>);

#[derive(Debug, Default)]
struct Script {
    rules: VecDeque<Rule>,
    /// How often each name was struck, for tests that ask whether a fault was there at all.
    struck: u64,
    random: u64,
}

impl Rules {
    /// Adds a rule behind those there are.
    pub fn push(&self, rule: Rule) {
        self.with(|script| script.rules.push_back(rule));
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.with(|script| script.rules.clear());
    }

    /// Starts the chances of [`Chance::OneIn`] anew: the same seed and the same requests, the same strikes.
    pub fn seed(&self, seed: u64) {
        self.with(|script| script.random = seed);
    }

    /// How often a rule has struck.
    pub fn struck(&self) -> u64 {
        self.with(|script| script.struck)
    }

    /// What goes wrong with a request; `is_for` says whether a rule's method is the request's.
    pub(crate) fn pick(&self, is_for: impl Fn(&str) -> bool) -> Option<Act> {
        self.with(|script| script.pick(is_for))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Script) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Script {
    fn pick(&mut self, is_for: impl Fn(&str) -> bool) -> Option<Act> {
        let mut random = self.random;
        let found = self.rules.iter().position(|rule| {
            rule.method.as_deref().is_none_or(&is_for)
                && match rule.chance {
                    Chance::Always => true,
                    Chance::Times(left) => left > 0,
                    Chance::OneIn(many) => next_random(&mut random).is_multiple_of(u64::from(many.max(1))),
                }
        });
        self.random = random;
        let rule = self.rules.get_mut(found?)?;
        if let Chance::Times(left) = &mut rule.chance {
            *left -= 1;
        }
        self.struck += 1;
        Some(rule.act.clone())
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a whole generator in one word of state.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
