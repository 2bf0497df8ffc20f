//! Endpoints in order of preference, and how the next one takes over.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sw_spec::RedactedUrl;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::EndpointFault;

/// What is wrong with one of several endpoints.
#[derive(Debug, Clone)]
pub struct EndpointFailure {
    /// The endpoint.
    pub endpoint: RedactedUrl,
    /// Its latest fault.
    pub fault: Arc<EndpointFault>,
}

impl EndpointFailure {
    pub(crate) fn list(failures: &[Self]) -> String {
        if failures.is_empty() {
            return "none is configured".to_owned();
        }
        failures.iter().map(Self::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.fault.in_one_line())
    }
}

/// Why an attempt at one endpoint ended without an answer.
pub(crate) enum Failed<E> {
    /// It is the endpoint's fault: the next one is asked.
    Endpoint(EndpointFault),
    /// It is the request's fault: nobody else is asked.
    Request(E),
}

impl<E> From<EndpointFault> for Failed<E> {
    fn from(fault: EndpointFault) -> Self {
        Self::Endpoint(fault)
    }
}

/// Why no endpoint gave an answer.
pub(crate) enum NoAnswer<E> {
    Unavailable(Vec<EndpointFailure>),
    Request(E),
}

/// Endpoints that are asked in their order. One that fails rests for a while, longer each time, and is passed over.
pub(crate) struct Endpoints<C> {
    members: Vec<Arc<Endpoint<C>>>,
    budget: Duration,
}

impl<C> Endpoints<C> {
    pub(crate) fn new(members: impl IntoIterator<Item = (RedactedUrl, C)>, budget: Duration) -> Self {
        let members = members
            .into_iter()
            .map(|(url, client)| {
                Arc::new(Endpoint {
                    url,
                    client,
                    rest: Mutex::default(),
                })
            })
            .collect();
        Self { members, budget }
    }

    pub(crate) fn all(&self) -> &[Arc<Endpoint<C>>] {
        &self.members
    }

    /// The configured order, but that those that were set aside come last: a lie is no outage that a pause cures.
    fn in_order(&self) -> Vec<&Arc<Endpoint<C>>> {
        let now = Instant::now();
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|endpoint| endpoint.rest().set_aside_until.filter(|until| *until > now));
        members
    }

    /// Those that do not rest; all of them if all do.
    pub(crate) fn rested(&self) -> Vec<&Arc<Endpoint<C>>> {
        let rested: Vec<_> = self.members.iter().filter(|endpoint| endpoint.is_rested()).collect();
        if rested.is_empty() {
            self.members.iter().collect()
        } else {
            rested
        }
    }

    /// Those that do not rest, in their order.
    pub(crate) fn to_be_asked(&self) -> impl Iterator<Item = &Arc<Endpoint<C>>> {
        self.in_order().into_iter().filter(|endpoint| endpoint.is_rested())
    }

    /// When the next of them can be asked again.
    pub(crate) fn next_rested(&self) -> Option<Instant> {
        let now = Instant::now();
        let rests = self
            .members
            .iter()
            .map(|endpoint| endpoint.rests_until().unwrap_or(now));
        rests.min().map(|next| next.max(now))
    }

    /// Until when a call that begins now may try.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.budget
    }

    /// Asks one endpoint after the other, and then all over again, until one answers or the budget of time is used up.
    pub(crate) async fn first_answer<T, E, F>(
        &self,
        mut ask: impl FnMut(Arc<Endpoint<C>>) -> F,
    ) -> Result<T, NoAnswer<E>>
    where
        F: Future<Output = Result<T, Failed<E>>>,
    {
        let deadline = self.deadline();
        loop {
            for endpoint in self.to_be_asked() {
                match ask(Arc::clone(endpoint)).await {
                    Ok(answer) => {
                        endpoint.succeeded();
                        return Ok(answer);
                    }
                    Err(Failed::Request(error)) => {
                        endpoint.succeeded();
                        return Err(NoAnswer::Request(error));
                    }
                    Err(Failed::Endpoint(fault)) => {
                        endpoint.failed(fault);
                    }
                }
            }
            match self.next_rested() {
                Some(next) if next < deadline => tokio::time::sleep_until(next).await,
                _ => return Err(NoAnswer::Unavailable(self.failures())),
            }
        }
    }

    pub(crate) fn failures(&self) -> Vec<EndpointFailure> {
        self.members
            .iter()
            .filter_map(|endpoint| endpoint.latest_failure())
            .collect()
    }
}

/// One endpoint, and how it has been doing.
pub(crate) struct Endpoint<C> {
    pub(crate) url: RedactedUrl,
    pub(crate) client: C,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    failures_in_a_row: u32,
    until: Option<Instant>,
    set_aside_until: Option<Instant>,
    latest: Option<Arc<EndpointFault>>,
}

impl<C> Endpoint<C> {
    /// Whether it can be asked now.
    pub(crate) fn is_rested(&self) -> bool {
        self.rests_until().is_none_or(|until| until <= Instant::now())
    }

    pub(crate) fn succeeded(&self) {
        let mut rest = self.rest();
        *rest = Rest {
            set_aside_until: rest.set_aside_until,
            ..Rest::default()
        };
    }

    /// It gave what cannot be true: beside its rest, it is asked only while no other endpoint can be.
    pub(crate) fn set_aside(&self, fault: EndpointFault, time: Duration) {
        warn!(endpoint = %self.url, error = %fault.in_one_line(), minutes = time.as_secs() / 60, "endpoint set aside");
        self.failed(fault);
        let until = Instant::now() + time;
        let mut rest = self.rest();
        rest.set_aside_until = rest.set_aside_until.max(Some(until));
    }

    pub(crate) fn failed(&self, fault: EndpointFault) -> Arc<EndpointFault> {
        let fault = Arc::new(fault);
        let mut rest = self.rest();
        let doubled = FIRST_REST.saturating_mul(1_u32.checked_shl(rest.failures_in_a_row).unwrap_or(u32::MAX));
        let pause = match (fault.retry_after(), &*fault) {
            (Some(asked), _) => asked.clamp(FIRST_REST, LONGEST_ASKED_REST),
            // It may have caught up by the next look.
            (None, EndpointFault::Lagging { .. }) => FIRST_REST,
            (None, EndpointFault::Outvoted { .. }) => LONGEST_REST,
            (None, fault) if fault.is_retryable() => jittered(doubled.min(LONGEST_REST)),
            (None, _) => LONGEST_REST,
        };
        rest.failures_in_a_row = rest.failures_in_a_row.saturating_add(1);
        rest.until = Some(Instant::now() + pause);
        debug!(endpoint = %self.url, error = %fault.in_one_line(), ?pause, "endpoint rests");
        rest.latest = Some(Arc::clone(&fault));
        fault
    }

    fn rests_until(&self) -> Option<Instant> {
        self.rest().until
    }

    fn latest_failure(&self) -> Option<EndpointFailure> {
        let fault = self.rest().latest.clone()?;
        Some(EndpointFailure {
            endpoint: self.url.clone(),
            fault,
        })
    }

    fn rest(&self) -> std::sync::MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between 3/4 and 5/4 of a duration, so that many clients do not come back at once.
fn jittered(duration: Duration) -> Duration {
    let random = u32::from((RandomState::new().build_hasher().finish() & 0xff) as u8);
    duration.saturating_mul(384 + random) / 512
}

const FIRST_REST: Duration = Duration::from_secs(1);
/// For what cannot be an accident.
pub(crate) const LIE: Duration = Duration::from_secs(3600);
/// For what several nodes behind one address say when one of them is a block behind.
pub(crate) const LAG: Duration = Duration::from_secs(120);
const LONGEST_REST: Duration = Duration::from_secs(30);
const LONGEST_ASKED_REST: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn endpoints(count: usize, budget: u64) -> Endpoints<usize> {
        let members = (0..count).map(|index| (format!("http://node{index}").parse().expect("a URL"), index));
        Endpoints::new(members, Duration::from_secs(budget))
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_first_endpoint_is_passed_over_and_the_third_is_never_asked() {
        let endpoints = endpoints(3, 10);
        let asked = [AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)];
        for _ in 0..5 {
            let answer = endpoints.first_answer::<_, (), _>(|endpoint| {
                asked[endpoint.client].fetch_add(1, Ordering::Relaxed);
                async move {
                    if endpoint.client == 0 {
                        Err(EndpointFault::Syncing.into())
                    } else {
                        Ok(endpoint.client)
                    }
                }
            });
            assert_eq!(answer.await.ok(), Some(1));
        }
        assert_eq!(asked.map(|count| count.into_inner()), [1, 5, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_was_set_aside_is_asked_only_while_no_other_can_be() {
        let endpoints = endpoints(3, 1_000);
        let [first, second] = [0, 1].map(|index| Arc::clone(endpoints.all().get(index).expect("three")));
        let down = std::cell::Cell::new(3);
        let preferred = || async {
            let asked = endpoints.first_answer::<_, (), _>(|endpoint| {
                let is_down = endpoint.client == down.get();
                async move {
                    if is_down {
                        Err(EndpointFault::Syncing.into())
                    } else {
                        Ok(endpoint.client)
                    }
                }
            });
            asked.await.ok()
        };
        second.set_aside(EndpointFault::Malformed("a lie".to_owned()), LIE);
        tokio::time::sleep(LONGEST_REST).await;
        first.set_aside(EndpointFault::Malformed("a lie".to_owned()), LIE);
        assert_eq!(preferred().await, Some(2));
        tokio::time::sleep(2 * LONGEST_REST).await;
        assert_eq!(preferred().await, Some(2), "a rest is over, a lie is not forgotten");
        down.set(2);
        assert_eq!(preferred().await, Some(1), "the one whose lie is older");
        assert_eq!(preferred().await, Some(1));
        down.set(3);
        tokio::time::sleep(LIE).await;
        assert_eq!(preferred().await, Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_request_s_own_fault_ends_the_search() {
        let answer = endpoints(2, 10)
            .first_answer::<(), _, _>(|endpoint| async move {
                assert_eq!(endpoint.client, 0);
                Err(Failed::Request("reverted"))
            })
            .await;
        assert!(matches!(answer, Err(NoAnswer::Request("reverted"))));
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_asked_again_until_the_budget_is_used_up() {
        let start = Instant::now();
        let asked = AtomicUsize::new(0);
        let answer = endpoints(2, 20)
            .first_answer::<(), (), _>(|_| {
                asked.fetch_add(1, Ordering::Relaxed);
                async { Err(EndpointFault::Syncing.into()) }
            })
            .await;
        let Err(NoAnswer::Unavailable(failures)) = answer else {
            panic!("nobody answers")
        };
        assert_eq!(failures.len(), 2);
        assert!(start.elapsed() <= Duration::from_secs(20), "{:?}", start.elapsed());
        assert!((6..=12).contains(&asked.into_inner()), "rests double");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_asks_for_a_pause_gets_it() {
        let endpoints = endpoints(1, 100);
        let start = Instant::now();
        let answer = endpoints.first_answer::<_, (), _>(|_| async move {
            let retry_after = Some(Duration::from_secs(40));
            if start.elapsed() < Duration::from_secs(40) {
                Err(EndpointFault::RateLimited { retry_after }.into())
            } else {
                Ok(start.elapsed())
            }
        });
        assert_eq!(answer.await.ok().map(|waited| waited.as_secs()), Some(40));
    }

    #[tokio::test]
    async fn without_endpoints_there_is_no_answer() {
        let answer = endpoints(0, 10).first_answer::<(), (), _>(|_| async { Ok(()) }).await;
        assert!(matches!(answer, Err(NoAnswer::Unavailable(failures)) if failures.is_empty()));
    }
}
