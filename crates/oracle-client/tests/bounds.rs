//! Whatever an oracle does, asking it takes a bounded amount of memory and time, and the request goes nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise should fail"
)]

mod support;

use std::time::Duration;

use support::{client, domain, request};
use sw_oracle_client::{AnswerFault, ApprovalError, ApprovalTimeouts, ask_outdated, request_approvals};
use sw_testkit::hostile::{HostileServer, Manner, most_memory};

#[tokio::test]
async fn no_oracle_takes_more_memory_or_time_than_it_is_given() {
    let client = client(reqwest::redirect::Policy::none());
    let elsewhere = HostileServer::start(Manner::Silence).unwrap();
    let manners = Manner::all(&format!("http://{}/", elsewhere.address()));
    let servers: Vec<_> = manners
        .iter()
        .map(|manner| HostileServer::start(manner.clone()).unwrap())
        .collect();
    let endpoints: Vec<_> = servers
        .iter()
        .map(|server| vec![format!("http://{}/", server.address())])
        .collect();
    // All of them at once, as oracles are asked.
    let (set, request) = (support::set(&endpoints, endpoints.len()), request(endpoints.len()));
    let timeouts = ApprovalTimeouts {
        attempt: Duration::from_secs(2),
        total: Duration::from_secs(5),
    };
    let domain = domain();
    let asking = request_approvals(&client, &set, &request, &domain, timeouts);
    let asked = tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap();
    let ApprovalError::NotEnough { best: 0, outcomes, .. } = asked.unwrap_err() else {
        unreachable!()
    };
    for (manner, outcome) in manners.iter().zip(&outcomes) {
        let fault = &outcome.failures[0].fault;
        let deep = matches!(fault, AnswerFault::Malformed(_));
        assert!(is_expected(manner, fault, deep), "{manner:?}: {outcome}");
    }
    assert_eq!(outcomes.len(), 9);

    // The same oracles, asked which exit signatures are outdated: they hang or lie, and the time is still that of an attempt.
    let asking = ask_outdated(&client, &set, request.vault, None, timeouts);
    let outdated = tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap();
    let not_agreed = outdated.agreed(None, &set).unwrap_err();
    assert_eq!((not_agreed.synced, not_agreed.missing.len()), (0, 9));
    for (manner, answer) in manners.iter().zip(&not_agreed.missing) {
        let fault = &answer.failures[0].fault;
        let deep = matches!(fault, AnswerFault::NotAList(_));
        assert!(is_expected(manner, fault, deep), "{manner:?}: {answer}");
    }
    assert_eq!(elsewhere.asked(), 0, "no redirect is followed");
    assert!(most_memory().unwrap() < 256, "{:?} MiB", most_memory());
}

fn is_expected(manner: &Manner, fault: &AnswerFault, malformed: bool) -> bool {
    match manner {
        Manner::Endless | Manner::GzipBomb => matches!(fault, AnswerFault::TooLong),
        Manner::DeepJson => malformed,
        Manner::EndlessHeaders | Manner::EndlessHeader => matches!(fault, AnswerFault::Unreachable(_)),
        Manner::Redirect(_) => matches!(fault, AnswerFault::Redirected),
        _ => matches!(fault, AnswerFault::Timeout),
    }
}
