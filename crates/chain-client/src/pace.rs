//! How fast an endpoint may be asked, learned from its refusals. One that never refuses is never held back.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    EndpointFault,
    learned::{Learned, Limit},
};

/// The calls to one endpoint, in turn.
#[derive(Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    /// Calls a minute.
    rate: Option<Learned>,
    /// When the next call may begin.
    next: Option<Instant>,
    /// When it last said that it was too much.
    refused: Option<Instant>,
    /// Calls of the last second.
    recent: VecDeque<Instant>,
}

impl Pace {
    /// Goes on from what an earlier run has learned, in calls a minute.
    pub(crate) fn remembered(limit: Option<Limit>) -> Self {
        let rate = limit.map(Learned::remembered);
        Self(Mutex::new(State {
            rate,
            ..State::default()
        }))
    }

    /// What to remember, in calls a minute.
    pub(crate) fn limit(&self) -> Option<Limit> {
        self.state().rate.and_then(|rate| rate.limit())
    }

    /// Waits until the endpoint may be asked, or says at once that this takes too long.
    pub(crate) async fn turn(&self) -> Result<(), EndpointFault> {
        let (begin, wait) = {
            let mut state = self.state();
            let now = Instant::now();
            let begin = state.next.unwrap_or(now).max(now);
            let wait = begin - now;
            if wait > LONGEST_WAIT {
                return Err(EndpointFault::RateLimited {
                    retry_after: Some(wait),
                });
            }
            if let Some(rate) = state.rate {
                state.next = Some(begin + MINUTE.div_f64(rate.trying() as f64));
            }
            (begin, wait)
        };
        if !wait.is_zero() {
            tokio::time::sleep_until(begin).await;
        }
        Ok(())
    }

    /// A call was answered.
    pub(crate) fn served(&self) {
        let mut state = self.state();
        let now = Instant::now();
        state.recent.push_back(now);
        while state.recent.front().is_some_and(|first| now - *first >= SECOND) {
            state.recent.pop_front();
        }
        if let Some(rate) = &mut state.rate {
            rate.served(rate.trying(), FASTEST);
        }
    }

    /// A call was refused because there were too many.
    pub(crate) fn refused(&self, retry_after: Option<Duration>) {
        let mut state = self.state();
        let now = Instant::now();
        let pause = now + retry_after.unwrap_or(SECOND).min(LONGEST_PAUSE);
        state.next = Some(state.next.map_or(pause, |next| next.max(pause)));
        // Calls that were on their way when the pace was cut say nothing of the new one.
        let again = state.refused.is_some_and(|refused| now - refused < SECOND);
        state.refused = Some(now);
        if again {
            return;
        }
        let recent = state.recent.iter().filter(|call| now - **call < SECOND).count();
        let rate = match state.rate {
            Some(mut rate) => {
                rate.failed(rate.trying());
                rate
            }
            None => {
                let refused = 60 * u64::try_from(recent).unwrap_or(FASTEST).clamp(1, FASTEST);
                // A little less than what was too much, or else it is too much again.
                Learned::remembered(Limit {
                    served: refused - refused / 10,
                    refused: Some(refused),
                })
            }
        };
        state.rate = Some(if rate.trying() < SLOWEST {
            Learned::remembered(Limit {
                served: SLOWEST,
                refused: Some(2 * SLOWEST),
            })
        } else {
            rate
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Longer waits are for the next endpoint to fill.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Calls a minute.
const SLOWEST: u64 = 30;
const FASTEST: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider with a limit of log blocks and of calls in any second.
    struct Provider {
        blocks: u64,
        calls: usize,
        recent: VecDeque<Instant>,
        asked: usize,
        wasted: usize,
    }

    enum Answer {
        Logs,
        TooMuch,
        TooFast,
    }

    impl Provider {
        fn ask(&mut self, blocks: u64) -> Answer {
            let now = Instant::now();
            self.recent.retain(|call| now - *call < SECOND);
            self.asked += 1;
            if self.recent.len() >= self.calls {
                self.wasted += 1;
                return Answer::TooFast;
            }
            self.recent.push_back(now);
            if blocks > self.blocks {
                self.wasted += 1;
                return Answer::TooMuch;
            }
            Answer::Logs
        }
    }

    /// Reads so many blocks the way logs are read; returns the share of calls that were wasted, and the time.
    async fn sync(blocks: u64, provider: &mut Provider, range: &mut Learned, pace: &Pace) -> (f64, Duration) {
        let begun = Instant::now();
        let mut read = 0;
        while read < blocks {
            pace.turn().await.expect("short waits");
            let asked = range.trying().min(blocks - read);
            // On the way there.
            tokio::time::sleep(Duration::from_millis(20)).await;
            match provider.ask(asked) {
                Answer::Logs => {
                    pace.served();
                    range.served(asked, 1_000_000);
                    read += asked;
                }
                Answer::TooMuch => {
                    pace.served();
                    assert!(range.failed(asked));
                }
                Answer::TooFast => pace.refused(None),
            }
        }
        (provider.wasted as f64 / provider.asked as f64, begun.elapsed())
    }

    fn provider(blocks: u64, calls: usize) -> Provider {
        Provider {
            blocks,
            calls,
            recent: VecDeque::new(),
            asked: 0,
            wasted: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_blocks_and_five_calls_a_second_are_enough_and_less_than_one_call_in_a_hundred_is_wasted() {
        let (mut range, pace) = (Learned::from_guess(10_000), Pace::default());
        let mut strict = provider(10, 5);
        let (wasted, time) = sync(30_000, &mut strict, &mut range, &pace).await;
        assert!(wasted <= 0.01, "{} of {}", strict.wasted, strict.asked);
        assert_eq!(range.limit().map(|limit| limit.served), Some(10));
        let perfect = Duration::from_secs(30_000 / 10 / 5);
        assert!(
            time < perfect.mul_f64(1.4),
            "{time:?}, and {perfect:?} without a mistake"
        );

        let (mut range, pace) = (
            range.limit().map(Learned::remembered).expect("learned"),
            Pace::remembered(pace.limit()),
        );
        let mut strict = provider(10, 5);
        sync(3_000, &mut strict, &mut range, &pace).await;
        assert!(
            strict.wasted <= 1,
            "{} of {} after a restart",
            strict.wasted,
            strict.asked
        );
    }

    #[tokio::test(start_paused = true)]
    async fn many_limits_are_learned() {
        for (blocks, calls) in [(1, 1), (7, 3), (100, 10), (500, 25), (2_000, 100), (10_000, 1000)] {
            let (mut range, pace) = (Learned::from_guess(10_000), Pace::default());
            let mut strict = provider(blocks, calls);
            let (wasted, _) = sync(blocks * 4_000, &mut strict, &mut range, &pace).await;
            assert!(
                wasted <= 0.01,
                "{blocks} blocks, {calls} calls: {} of {}",
                strict.wasted,
                strict.asked
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_never_refuses_is_never_held_back() {
        let pace = Pace::default();
        let begun = Instant::now();
        for _ in 0..10_000 {
            pace.turn().await.expect("no wait");
            pace.served();
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_that_is_asked_for_is_no_reason_to_wait_here() {
        let pace = Pace::default();
        pace.refused(Some(Duration::from_secs(60)));
        assert!(matches!(
            pace.turn().await,
            Err(EndpointFault::RateLimited { retry_after: Some(_) })
        ));
        tokio::time::advance(Duration::from_secs(55)).await;
        pace.turn().await.expect("five seconds are waited for");
    }
}
