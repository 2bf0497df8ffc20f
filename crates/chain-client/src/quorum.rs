//! What several endpoints say of the same thing, and which of it counts.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::{
    EndpointFailure, EndpointFault, ExecutionError,
    endpoints::{Endpoint, Failed},
    rpc::Node,
};

pub(crate) type Answer<T> = (Arc<Endpoint<Node>>, Result<T, ExecutionError>);

/// What endpoints answered to one question. Those that are at fault have been set aside.
pub(crate) struct Said<T> {
    pub(crate) answers: Vec<Answer<T>>,
    pub(crate) failures: Vec<EndpointFailure>,
}

/// Asks endpoints at once. Once as many have answered as are needed, the others have a moment left.
pub(crate) async fn ask_all<'a, T, F>(
    endpoints: impl IntoIterator<Item = &'a Arc<Endpoint<Node>>>,
    needed: usize,
    ask: impl Fn(Arc<Endpoint<Node>>) -> F,
) -> Said<T>
where
    F: Future<Output = Result<T, Failed<ExecutionError>>>,
{
    let (mut said, mut order) = (Vec::new(), 0_usize);
    let mut failures = Vec::new();
    let mut asked: FuturesUnordered<_> = endpoints
        .into_iter()
        .map(|endpoint| {
            let place = order;
            order += 1;
            let answer = ask(Arc::clone(endpoint));
            async move { (place, endpoint, answer.await) }
        })
        .collect();
    let mut until: Option<Instant> = None;
    loop {
        let next = match until {
            None => asked.next().await,
            Some(until) => tokio::select! {
                biased;
                next = asked.next() => next,
                () = sleep_until(until) => None,
            },
        };
        let Some((place, endpoint, answer)) = next else { break };
        match answer {
            Ok(answer) => said.push((place, Arc::clone(endpoint), Ok(answer))),
            Err(Failed::Request(error)) => said.push((place, Arc::clone(endpoint), Err(error))),
            Err(Failed::Endpoint(fault)) => failures.push(EndpointFailure {
                endpoint: endpoint.url.clone(),
                fault: endpoint.failed(fault),
            }),
        }
        if said.len() >= needed && until.is_none() {
            until = Some(Instant::now() + GRACE);
        }
    }
    said.sort_by_key(|(place, ..)| *place);
    let answers = said
        .into_iter()
        .map(|(_, endpoint, answer)| (endpoint, answer))
        .collect();
    Said { answers, failures }
}

impl<T: PartialEq> Said<T> {
    /// The answer that at least `needed` endpoints give, if there is one such answer. Whoever says something else is
    /// named and set aside.
    pub(crate) fn agreed(self, needed: usize, what: &'static str) -> Result<T, ExecutionError> {
        let groups = groups(&self.answers, same);
        let strong: Vec<_> = groups.iter().filter(|group| group.len() >= needed).collect();
        let [winner] = strong.as_slice() else {
            return Err(self.disagreement(&groups, needed, what));
        };
        let Some(first) = winner.first().copied() else {
            return Err(self.disagreement(&groups, needed, what));
        };
        let mut agreed = None;
        for (place, (endpoint, answer)) in self.answers.into_iter().enumerate() {
            if place == first {
                agreed = Some(answer);
            } else if !winner.contains(&place) {
                warn!(endpoint = %endpoint.url, what, "an execution endpoint says something else than the others and is set aside");
                endpoint.failed(EndpointFault::Outvoted { what });
            }
        }
        agreed.unwrap_or(Err(ExecutionError::Unavailable(self.failures)))
    }

    pub(crate) fn disagreement(&self, groups: &[Vec<usize>], needed: usize, what: &'static str) -> ExecutionError {
        let name = |place: &usize| self.answers.get(*place).map(|(endpoint, _)| endpoint.url.to_string());
        let sides: Vec<String> = groups
            .iter()
            .map(|group| group.iter().filter_map(name).collect::<Vec<_>>().join(" and "))
            .collect();
        let mut said = sides.join(" against ");
        for failure in &self.failures {
            said.push_str(&format!("; {failure}"));
        }
        ExecutionError::NoQuorum { what, needed, said }
    }
}

/// The places of equal things, the largest group first.
pub(crate) fn groups<T>(things: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<(&T, Vec<usize>)> = Vec::new();
    for (place, thing) in things.iter().enumerate() {
        match groups.iter_mut().find(|(first, _)| same(first, thing)) {
            Some((_, group)) => group.push(place),
            None => groups.push((thing, vec![place])),
        }
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(_, group)| group).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// Nodes word their errors in many ways: a revert is a revert, and a refusal is a refusal.
fn same<T: PartialEq>((_, one): &Answer<T>, (_, other): &Answer<T>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(ExecutionError::Reverted { .. }), Err(ExecutionError::Reverted { .. })) => true,
        (Err(ExecutionError::Refused { .. }), Err(ExecutionError::Refused { .. })) => true,
        _ => false,
    }
}

/// What a slow endpoint gets after the others have answered. It holds nobody up, and is noticed if it disagrees.
const GRACE: Duration = Duration::from_millis(500);
