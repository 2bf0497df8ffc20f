//! Asking oracles which exit signatures are outdated, and oracles that misbehave when they are asked.
#![expect(clippy::unwrap_used, reason = "a test that meets a surprise should fail")]

mod lists;
mod support;

use std::{collections::BTreeSet, time::Duration};

use lists::{Oracles, Says, VAULT};
use proptest::{
    collection, option,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use support::{client, set_recovering};
use sw_oracle_client::{AnswerFault, ApprovalTimeouts, OracleSet, Outdated, OutdatedAnswer, Standing, ask_outdated};

/// Short for an endpoint, so that silence is noticed; long in total.
const TIMEOUTS: ApprovalTimeouts = ApprovalTimeouts {
    attempt: Duration::from_secs(2),
    total: Duration::from_secs(20),
};
/// Longer than any test may take.
const PATIENT: ApprovalTimeouts = ApprovalTimeouts {
    attempt: Duration::from_secs(600),
    total: Duration::from_secs(600),
};
const UPDATED: Option<u64> = Some(100);

async fn ask(set: &OracleSet, timeouts: ApprovalTimeouts) -> Outdated {
    let client = client(reqwest::redirect::Policy::none());
    let asking = ask_outdated(&client, set, VAULT, UPDATED, timeouts);
    tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap()
}

fn honest(indexes: &[u64]) -> Says {
    Says::list(Some(100), indexes)
}

fn synced_to(answer: &OutdatedAnswer) -> Option<u64> {
    match answer.standing {
        Standing::Answered { synced_to, .. } => synced_to,
        _ => None,
    }
}

#[tokio::test]
async fn what_enough_oracles_name_is_agreed() {
    let mut oracles = Oracles::default();
    let mut endpoints = Vec::new();
    for says in [
        honest(&[5, 9]),
        honest(&[9, 5, 7]),
        honest(&[5]),
        Says::list(Some(99), &[8, 5, 7]),
    ] {
        endpoints.push(vec![oracles.serve(says).await]);
    }
    let set = set_recovering(&endpoints, 3, 2);
    let outdated = ask(&set, TIMEOUTS).await;
    assert_eq!(outdated.agreed(UPDATED, &set).unwrap(), BTreeSet::from([5, 9]));
    // Nobody else was asked anything, and nobody twice.
    assert!(oracles.asked() <= 4, "{}", oracles.asked());
}

#[tokio::test]
async fn the_path_of_an_endpoint_is_replaced_and_its_credentials_are_sent() {
    let mut oracles = Oracles::default();
    let endpoint = oracles.serve(Says::Credentials).await;
    let endpoint = endpoint.replacen("http://", "http://operator:secret@", 1);
    assert!(endpoint.ends_with("/a/b?key=1"), "{endpoint}");
    let set = set_recovering(&[vec![endpoint]], 1, 1);
    let outdated = ask(&set, TIMEOUTS).await;
    assert_eq!(
        outdated.agreed(UPDATED, &set).unwrap(),
        BTreeSet::from([1]),
        "{:?}",
        outdated
    );
}

type Expected = fn(&AnswerFault) -> bool;

/// Answers that are none, and how each is named.
fn wrong(elsewhere: &str) -> Vec<(Says, Expected)> {
    let not_a_list: Expected = |fault| matches!(fault, AnswerFault::NotAList(_)) && !fault.is_retryable();
    let indexes = |index: &str| {
        Says::Body(format!(
            r#"{{"exit_signature_block_number":100,"validators":[{{"index":3}},{{"index":{index}}}]}}"#
        ))
    };
    let block = |number: &str| Says::Body(format!(r#"{{"exit_signature_block_number":{number},"validators":[]}}"#));
    let mut wrong: Vec<_> = [
        indexes("-1"),
        indexes("1.5"),
        indexes("1e3"),
        indexes("18446744073709551616"),
        indexes("\"7\""),
        indexes("null"),
        indexes("[7]"),
        indexes("7,\"index\":8"),
        block("-1"),
        block("\"100\""),
        block("18446744073709551616"),
        block("100.0"),
        block("true"),
        Says::Body(r#"{"validators":[]}"#.to_owned()),
        Says::Body(r#"{"exit_signature_block_number":100}"#.to_owned()),
        Says::Body(r#"{"exit_signature_block_number":100,"validators":null}"#.to_owned()),
        Says::Body(r#"{"exit_signature_block_number":100,"validators":{"index":1}}"#.to_owned()),
        Says::Body(r#"{"exit_signature_block_number":100,"validators":[7]}"#.to_owned()),
        Says::Body(r#"{"exit_signature_block_number":100,"validators":[{}]}"#.to_owned()),
        Says::Body(r#"{"exit_signature_block_number":100,"validators":[{"index":1"#.to_owned()),
        Says::Body("[]".to_owned()),
        Says::Body("null".to_owned()),
        Says::Body(String::new()),
        Says::Body("<html>welcome to the captive portal</html>".to_owned()),
    ]
    .into_iter()
    .map(|says| (says, not_a_list))
    .collect();
    let many = |count: u64| Says::list(Some(100), &vec![1; usize::try_from(count).unwrap()]);
    let others: [(Says, Expected); 8] = [
        (many(65_537), |fault| matches!(fault, AnswerFault::ListTooLong(65_537))),
        (Says::Status(502), |fault| {
            fault.is_retryable() && matches!(fault, AnswerFault::Status { status: 502, .. })
        }),
        (Says::Status(404), |fault| {
            !fault.is_retryable() && matches!(fault, AnswerFault::Status { status: 404, .. })
        }),
        (Says::Redirect(elsewhere.to_owned()), |fault| {
            matches!(fault, AnswerFault::Redirected)
        }),
        (Says::Endless, |fault| matches!(fault, AnswerFault::TooLong)),
        (Says::Dripping, |fault| matches!(fault, AnswerFault::Timeout)),
        (Says::Silent, |fault| matches!(fault, AnswerFault::Timeout)),
        (Says::Down, |fault| matches!(fault, AnswerFault::Unreachable(_))),
    ];
    wrong.extend(others);
    wrong
}

#[tokio::test]
async fn a_wrong_answer_is_named_when_it_costs_the_quorum() {
    let mut oracles = Oracles::default();
    let elsewhere = oracles.serve(honest(&[1])).await;
    let cases = wrong(&elsewhere);
    assert_eq!(cases.len(), 32);
    // All at once: each is an oracle, and all of them are needed.
    let mut endpoints = Vec::new();
    for (says, _) in &cases {
        endpoints.push(vec![oracles.serve(says.clone()).await]);
    }
    let set = set_recovering(&endpoints, endpoints.len(), 1);
    let outdated = ask(&set, TIMEOUTS).await;
    let not_agreed = outdated.agreed(UPDATED, &set).unwrap_err();
    assert_eq!((not_agreed.synced, not_agreed.missing.len()), (0, cases.len()));
    for (place, ((_, expected), answer)) in cases.iter().zip(&not_agreed.missing).enumerate() {
        assert_eq!(answer.standing, Standing::NoAnswer, "answer {place}");
        assert!(expected(&answer.failures[0].fault), "answer {place}: {answer}");
        let line = answer.to_string();
        assert!(line.contains(": no answer; http://127.0.0.1:"), "{line}");
        assert!(!line.contains("key=1") && line.lines().count() == 1, "{line}");
    }
}

#[tokio::test]
async fn a_wrong_answer_stops_nobody_else() {
    let mut oracles = Oracles::default();
    let elsewhere = oracles.serve(honest(&[1])).await;
    for (place, (says, _)) in wrong(&elsewhere).into_iter().enumerate() {
        let mut endpoints = vec![vec![oracles.serve(says).await]];
        for _ in 0..3 {
            endpoints.push(vec![oracles.serve(honest(&[4])).await]);
        }
        let set = set_recovering(&endpoints, 3, 2);
        let agreed = ask(&set, PATIENT).await.agreed(UPDATED, &set);
        assert_eq!(agreed.unwrap(), BTreeSet::from([4]), "answer {place}");
    }
}

#[tokio::test]
async fn an_index_that_is_named_twice_by_one_oracle_counts_once() {
    let mut oracles = Oracles::default();
    let twice = oracles.serve(honest(&[3, 3, 3, 4])).await;
    let once = oracles.serve(honest(&[4])).await;
    let set = set_recovering(&[vec![twice], vec![once]], 2, 2);
    let agreed = ask(&set, TIMEOUTS).await.agreed(UPDATED, &set);
    assert_eq!(agreed.unwrap(), BTreeSet::from([4]));
}

#[tokio::test]
async fn replicas_are_asked_until_one_is_synced() {
    let mut oracles = Oracles::default();
    let mut replicas = Vec::new();
    for says in [
        Says::Down,
        Says::list(None, &[1]),
        Says::list(Some(90), &[2]),
        Says::Status(500),
        honest(&[3]),
        honest(&[4]),
    ] {
        replicas.push(oracles.serve(says).await);
    }
    let set = set_recovering(&[replicas.clone()], 1, 1);
    let outdated = ask(&set, TIMEOUTS).await;
    assert_eq!(outdated.agreed(UPDATED, &set).unwrap(), BTreeSet::from([3]));
    assert_eq!((outdated.answers[0].failures.len(), oracles.asked()), (2, 4));

    // None is: the one that has come furthest tells how far the oracle is.
    let set = set_recovering(&[replicas[..4].to_vec()], 1, 1);
    let outdated = ask(&set, TIMEOUTS).await;
    let not_agreed = outdated.agreed(UPDATED, &set).unwrap_err();
    assert_eq!(synced_to(&not_agreed.missing[0]), Some(90));
    let line = not_agreed.missing[0].to_string();
    assert!(
        line.contains(": synced to block 90; http://127.0.0.1:") && line.contains("; http"),
        "{line}"
    );
}

#[tokio::test]
async fn a_slow_oracle_is_not_waited_for_when_the_others_agree() {
    let mut oracles = Oracles::default();
    let mut endpoints = vec![vec![oracles.serve(Says::Silent).await]];
    for _ in 0..10 {
        endpoints.push(vec![oracles.serve(honest(&[7])).await]);
    }
    let set = set_recovering(&endpoints, 8, 6);
    let outdated = ask(&set, PATIENT).await;
    assert_eq!(outdated.agreed(UPDATED, &set).unwrap(), BTreeSet::from([7]));
    assert_eq!(outdated.answers[0].standing, Standing::NotAwaited);
}

/// With the silent one's voice, what the liar says would count.
#[tokio::test]
async fn a_slow_oracle_is_not_waited_for_long_when_it_could_decide() {
    let mut oracles = Oracles::default();
    let mut endpoints = Vec::new();
    for says in [Says::Silent, honest(&[7, 8]), honest(&[7]), honest(&[7])] {
        endpoints.push(vec![oracles.serve(says).await]);
    }
    let set = set_recovering(&endpoints, 3, 2);
    let outdated = ask(&set, PATIENT).await;
    assert_eq!(outdated.agreed(UPDATED, &set).unwrap(), BTreeSet::from([7]));
    assert_eq!(outdated.answers[0].standing, Standing::NotAwaited);
}

#[tokio::test]
async fn a_slow_oracle_is_not_waited_for_long_when_too_few_others_are_left() {
    let mut oracles = Oracles::default();
    let mut endpoints = Vec::new();
    for says in [Says::Silent, Says::list(Some(99), &[]), Says::Status(500), honest(&[7])] {
        endpoints.push(vec![oracles.serve(says).await]);
    }
    let set = set_recovering(&endpoints, 3, 2);
    let outdated = ask(&set, PATIENT).await;
    let not_agreed = outdated.agreed(UPDATED, &set).unwrap_err();
    assert_eq!((not_agreed.synced, not_agreed.missing.len()), (1, 3));
    assert_eq!(not_agreed.missing[0].standing, Standing::NotAwaited);
}

#[tokio::test]
async fn one_lying_oracle_of_eleven_changes_nothing() {
    let rounds = 1_000;
    let mut oracles = Oracles::default();
    let mut endpoints = Vec::new();
    for _ in 0..11 {
        endpoints.push(vec![oracles.serve(Says::Silent).await]);
    }
    let set = set_recovering(&endpoints, 8, 6);
    let client = client(reqwest::redirect::Policy::none());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let indexes = || collection::vec(prop_oneof![0_u64..20, any::<u64>()], 0..9);
    let block = option::of(prop_oneof![95_u64..105, any::<u64>()]);
    let round = (0_usize..11, indexes(), block, indexes());
    for _ in 0..rounds {
        let (liar, truth, block, lie) = round.new_tree(&mut runner).unwrap().current();
        for position in 0..11 {
            let says = if position == liar {
                Says::list(block, &lie)
            } else {
                honest(&truth)
            };
            oracles.change(position, says);
        }
        let outdated = ask_outdated(&client, &set, VAULT, UPDATED, TIMEOUTS).await;
        assert_eq!(
            outdated.agreed(UPDATED, &set).unwrap(),
            truth.into_iter().collect(),
            "oracle {liar} lies {lie:?}"
        );
    }
    assert!(oracles.asked() >= rounds * 8, "{}", oracles.asked());
}

#[test]
fn asking_can_move_between_threads() {
    fn is_send(_: impl Send) {}
    let set = set_recovering(&[Vec::new()], 1, 1);
    let client = client(reqwest::redirect::Policy::none());
    is_send(ask_outdated(&client, &set, VAULT, None, TIMEOUTS));
}
