//! The one owner of all running tasks.

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    fmt::Write,
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::{Id, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{Duty, DutyError, Metrics, Outcome, ServiceError, why::SaidOnce};

/// Runs duties until it is told to stop, one of them panics, or one finds what ends the service.
pub struct Supervisor {
    tasks: JoinSet<Result<(), ServiceError>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
}

/// How long a stop may take before what is left is abandoned. What matters is in the journal by then.
const STOP_WITHIN: Duration = Duration::from_secs(3);

impl Supervisor {
    /// A supervisor that stops when `stop` is cancelled.
    pub fn new(stop: CancellationToken, metrics: Arc<Metrics>) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop,
            metrics,
        }
    }

    /// Starts a duty: a tick at once, then one in every `period`, and one directly after each act.
    pub fn start(&mut self, duty: Box<dyn Duty>, period: Duration) {
        let name = duty.name();
        let span = tracing::info_span!("duty", duty = name);
        let task = run_duty(duty, period, self.stop.child_token(), Arc::clone(&self.metrics)).instrument(span);
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the end: `Ok` after a stop that was asked for.
    ///
    /// # Errors
    ///
    /// A panic in a duty, or what a duty cannot go on with. Everything else is stopped first, in either case.
    pub async fn join(mut self) -> Result<(), ServiceError> {
        let mut result = Ok(());
        loop {
            let next = if self.stop.is_cancelled() {
                match timeout(STOP_WITHIN, self.tasks.join_next_with_id()).await {
                    Ok(next) => next,
                    Err(_elapsed) => {
                        tracing::warn!("some duties did not stop in time and were dropped");
                        self.tasks.shutdown().await;
                        None
                    }
                }
            } else {
                self.tasks.join_next_with_id().await
            };
            let ended = match next {
                None => return result,
                Some(Ok((_, ended))) => ended,
                Some(Err(error)) if error.is_panic() => Err(ServiceError::Panicked {
                    duty: self.names.get(&error.id()).copied().unwrap_or("unnamed"),
                }),
                Some(Err(_cancelled)) => Ok(()),
            };
            if ended.is_err() && result.is_ok() {
                result = ended;
            }
            self.stop.cancel();
        }
    }
}

async fn run_duty(
    mut duty: Box<dyn Duty>,
    period: Duration,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
) -> Result<(), ServiceError> {
    let mut ticks = interval_at(Instant::now(), period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut report = Report::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            outcome = duty.tick() => outcome,
        };
        if matches!(outcome, Ok(Outcome::Acted)) {
            ticks.reset_immediately();
        }
        report.tell(duty.undone(), outcome, &metrics)?;
    }
}

/// What a duty said of late, so that it is not said every slot.
#[derive(Default)]
struct Report {
    why: SaidOnce,
    /// Failures without their numbers, oldest first, and when each was said.
    said: VecDeque<(String, Instant)>,
    /// Ticks in a row that failed.
    failures: u64,
    /// Whether one of these was said.
    told: bool,
}

/// How long a failure that was said is not said again, and how many different ones are said in that time: a node that
/// fails every other minute, and in other words each time, fills no disk.
const SILENCE: Duration = Duration::from_secs(3600);
const MOST_SAID: usize = 6;
/// A failure of which nothing was said since the duty last worked is said after as many ticks, whatever was said before.
const GOES_ON: u64 = 10;

impl Report {
    fn tell(
        &mut self,
        undone: &'static str,
        outcome: Result<Outcome, DutyError>,
        metrics: &Metrics,
    ) -> Result<(), ServiceError> {
        let error = match outcome {
            Ok(outcome) => {
                if std::mem::take(&mut self.told) {
                    tracing::info!(failures = self.failures, "duty works again");
                }
                self.failures = 0;
                match outcome {
                    Outcome::Idle(why) => self.why.say(undone, &why),
                    Outcome::Acted | Outcome::Watched => self.why.clear(),
                }
                return Ok(());
            }
            Err(error) => error,
        };
        metrics.exception_count.increment(1);
        self.failures = self.failures.saturating_add(1);
        let error = error.into_fatal()?;
        let text = error_chain(&error);
        // The last word was that it works.
        let goes_on = !self.told && self.failures == GOES_ON;
        if self.is_news(error.kind()) || goes_on {
            tracing::warn!(error = text, "duty failed; the next tick tries again");
            for detail in error.details() {
                tracing::warn!(detail);
            }
            self.told = true;
        } else {
            tracing::debug!(error = text, failures = self.failures, "duty failed again");
        }
        Ok(())
    }

    fn is_news(&mut self, kind: String) -> bool {
        let now = Instant::now();
        self.said.retain(|(_, at)| now.duration_since(*at) < SILENCE);
        let news = self.said.len() < MOST_SAID && self.said.iter().all(|(said, _)| *said != kind);
        if news {
            self.said.push_back((kind, now));
        }
        news
    }
}

/// An error and its causes on one line.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{WhyNot, why::without_numbers};

    struct Scripted {
        name: &'static str,
        ticks: mpsc::UnboundedSender<&'static str>,
        panics: bool,
    }

    #[async_trait]
    impl Duty for Scripted {
        fn name(&self) -> &'static str {
            self.name
        }

        async fn tick(&mut self) -> Result<Outcome, DutyError> {
            self.ticks.send(self.name).expect("the test listens");
            assert!(!self.panics, "a bug");
            Ok(Outcome::Idle(WhyNot::ValidatorsNotScanned))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_comes_and_goes_is_said_once_an_hour() {
        let mut report = Report::default();
        let mut said = 0;
        for minute in 0..180_u64 {
            said += u32::from(report.is_news(without_numbers(&format!("block {minute} cannot be read"))));
            said += u32::from(report.is_news("the oracles did not approve".to_owned()));
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert_eq!(said, 6, "two failures in three hours");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_ever_new_words_are_few_lines() {
        let mut report = Report::default();
        let words = (0..26_u8).map(|letter| format!("failure {}", char::from(b'a' + letter)));
        assert_eq!(words.filter(|text| report.is_news(text.clone())).count(), MOST_SAID);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_comes_back_and_goes_on_is_said_before_the_hour_is_over() {
        let (mut report, metrics) = (Report::default(), metrics());
        let fail = |report: &mut Report| {
            report
                .tell("", Err(DutyError::Interrupted), &metrics)
                .expect("not fatal");
            report.told
        };
        assert!(fail(&mut report), "the first is news");
        for _ in 0..2 {
            let works = Ok(Outcome::Watched);
            report.tell("", works, &self::metrics()).expect("it works");
            let told: Vec<bool> = (0..GOES_ON).map(|_| fail(&mut report)).collect();
            let first = told.iter().position(|told| *told);
            assert_eq!(
                first,
                Some(told.len() - 1),
                "after some ticks, and not before: {told:?}"
            );
        }
    }

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new("sw_operator", "devnet", "0.0.0"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_duty_ticks_in_every_period_and_stops_when_told() {
        let (ticks, mut seen) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone(), metrics());
        supervisor.start(
            Box::new(Scripted {
                name: "a",
                ticks,
                panics: false,
            }),
            Duration::from_secs(12),
        );
        for _ in 0..3 {
            assert_eq!(seen.recv().await, Some("a"));
        }
        stop.cancel();
        supervisor.join().await.expect("an orderly stop");
        assert_eq!(seen.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_one_duty_stops_all_and_is_named() {
        let (ticks, mut seen) = mpsc::unbounded_channel();
        let mut supervisor = Supervisor::new(CancellationToken::new(), metrics());
        supervisor.start(
            Box::new(Scripted {
                name: "calm",
                ticks: ticks.clone(),
                panics: false,
            }),
            Duration::from_secs(1),
        );
        supervisor.start(
            Box::new(Scripted {
                name: "wild",
                ticks,
                panics: true,
            }),
            Duration::from_secs(1),
        );
        let error = supervisor.join().await.expect_err("a bug ends the service");
        assert!(matches!(error, ServiceError::Panicked { duty: "wild" }), "{error}");
        while seen.recv().await.is_some() {}
    }
}
