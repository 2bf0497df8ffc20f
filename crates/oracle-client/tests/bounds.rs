//! Whatever an oracle does, asking it takes a bounded amount of memory and time, and the request goes nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise should fail"
)]

mod support;

use std::{sync::Arc, time::Duration};

use support::{domain, request};
use sw_oracle_client::{AnswerFault, ApprovalError, ApprovalTimeouts, request_approvals};
use sw_testkit::hostile::{HostileServer, Manner, most_memory};

#[tokio::test]
async fn no_oracle_takes_more_memory_or_time_than_it_is_given() {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
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
        let expected = match manner {
            Manner::Endless | Manner::GzipBomb => matches!(fault, AnswerFault::TooLong),
            Manner::DeepJson => matches!(fault, AnswerFault::Malformed(_)),
            Manner::EndlessHeaders | Manner::EndlessHeader => matches!(fault, AnswerFault::Unreachable(_)),
            Manner::Redirect(_) => matches!(fault, AnswerFault::Redirected),
            _ => matches!(fault, AnswerFault::Timeout),
        };
        assert!(expected, "{manner:?}: {outcome}");
    }
    assert_eq!((outcomes.len(), elsewhere.asked()), (9, 0), "no redirect is followed");
    assert!(most_memory().unwrap() < 256, "{:?} MiB", most_memory());
}
