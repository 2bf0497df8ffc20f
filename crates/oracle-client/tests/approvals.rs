//! Asking oracles that sign, and oracles that misbehave in every way we verify.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise should fail"
)]

mod mock;
mod support;

use std::time::Duration;

use mock::{Manner, Oracles, Wanted};
use support::{CID, DEADLINE, OTHER_CID, client, domain, request, rotation, signer};
use sw_oracle_client::{
    AnswerFault, ApprovalError, ApprovalRequest, ApprovalSubject, ApprovalTimeouts, Approvals, InvalidSignature,
    OracleOutcome, OracleSet, RequestFault, RotationRequest, Verdict, recover_signer, request_approvals,
};

/// Short for an endpoint, so that silence is noticed; long in total.
const TIMEOUTS: ApprovalTimeouts = ApprovalTimeouts {
    attempt: Duration::from_secs(2),
    total: Duration::from_secs(20),
};

async fn ask(set: &OracleSet, request: &impl ApprovalSubject) -> Result<Approvals, ApprovalError> {
    let client = client(reqwest::redirect::Policy::none());
    request_approvals(&client, set, request, &domain(), TIMEOUTS).await
}

fn assert_valid(approvals: &Approvals, request: &impl ApprovalSubject, needed: usize) {
    assert_eq!((approvals.ipfs_hash.as_str(), approvals.deadline), (CID, DEADLINE));
    assert_eq!(
        (approvals.signers.len(), approvals.signatures.len()),
        (needed, needed * 65)
    );
    assert!(approvals.signers.is_sorted());
    for (signer, signature) in approvals.signers.iter().zip(approvals.signatures.chunks(65)) {
        let digest = request.digest(&domain(), &approvals.ipfs_hash);
        assert_eq!(recover_signer(&digest, signature.try_into().unwrap()), Ok(*signer));
    }
}

#[tokio::test]
async fn enough_honest_oracles_approve() {
    let mut oracles = Oracles::default();
    let (set, request) = oracles.set(&vec![Manner::Honest; 5], 3, request).await;
    let approvals = ask(&set, &request).await.unwrap();
    assert_valid(&approvals, &request, 3);
    let count = |verdict: Verdict| {
        approvals
            .outcomes
            .iter()
            .filter(|outcome| outcome.verdict == verdict)
            .count()
    };
    assert_eq!((count(Verdict::Counted), count(Verdict::NotAwaited)), (3, 2));
    assert_eq!(approvals.outcomes[4].oracle, signer(4).address());
}

type Expected = fn(&AnswerFault) -> bool;

/// Every way to misbehave, and how the first oracle's outcome must look.
fn misbehaviours(elsewhere: &str) -> Vec<(Manner, Expected)> {
    vec![
        (
            Manner::OtherKey,
            |fault| matches!(fault, AnswerFault::OtherSigner(address) if *address == signer(100).address()),
        ),
        (Manner::Replaying, |fault| matches!(fault, AnswerFault::OtherSigner(_))),
        (
            Manner::OtherDeadline,
            |fault| matches!(fault, AnswerFault::OtherDeadline { requested: DEADLINE, actual } if *actual == DEADLINE + 1),
        ),
        (Manner::NoContentId, |fault| matches!(fault, AnswerFault::NoContentId)),
        (Manner::HighS, |fault| {
            matches!(fault, AnswerFault::InvalidSignature(InvalidSignature::HighS))
        }),
        (Manner::RecoveryIdZero, |fault| {
            matches!(
                fault,
                AnswerFault::InvalidSignature(InvalidSignature::RecoveryId(0 | 1))
            )
        }),
        (Manner::ShortSignature, |fault| {
            matches!(fault, AnswerFault::SignatureLength)
        }),
        (Manner::ZeroSignature, |fault| {
            matches!(fault, AnswerFault::InvalidSignature(InvalidSignature::Nobody))
        }),
        (Manner::Truncated, |fault| matches!(fault, AnswerFault::Malformed(_))),
        (Manner::Html, |fault| matches!(fault, AnswerFault::Malformed(_))),
        (Manner::Empty, |fault| matches!(fault, AnswerFault::Malformed(_))),
        (Manner::Failing, |fault| {
            fault.is_retryable()
                && matches!(fault, AnswerFault::Status { status: 502, message } if message == "upstream [31mis gone")
        }),
        (Manner::Refusing, |fault| {
            !fault.is_retryable()
                && matches!(fault, AnswerFault::Status { status: 400, message }
                    if message.starts_with("{\"error\":\"bad proof\"}xx") && message.len() == 300)
        }),
        (Manner::Down, |fault| matches!(fault, AnswerFault::Unreachable(_))),
        (Manner::Silent, |fault| matches!(fault, AnswerFault::Timeout)),
        (Manner::Dripping, |fault| matches!(fault, AnswerFault::Timeout)),
        (Manner::Endless, |fault| matches!(fault, AnswerFault::TooLong)),
        (Manner::Redirecting(elsewhere.to_owned()), |fault| {
            matches!(fault, AnswerFault::Redirected)
        }),
    ]
}

/// Runs a check for a registration and for a rotation.
macro_rules! for_both {
    ($($check:ident: $registration:ident, $rotation:ident;)*) => {$(
        #[tokio::test]
        async fn $registration() {
            $check(request).await;
        }

        #[tokio::test]
        async fn $rotation() {
            $check(rotation).await;
        }
    )*};
}

for_both! {
    three_faulty_of_eleven: three_faulty_oracles_of_eleven_do_not_stop_a_registration, three_faulty_oracles_of_eleven_do_not_stop_a_rotation;
    each_is_named: each_misbehaviour_is_named_when_it_costs_a_registration, each_misbehaviour_is_named_when_it_costs_a_rotation;
}

async fn three_faulty_of_eleven<R: ApprovalSubject>(request: fn(usize) -> R)
where
    for<'a> Wanted: From<&'a R>,
{
    let mut oracles = Oracles::default();
    let elsewhere = oracles.serve(0, Manner::Honest, &request(11)).await;
    let mut manners = misbehaviours(&elsewhere)
        .into_iter()
        .map(|(manner, _)| manner)
        .collect::<Vec<_>>();
    manners.push(Manner::OtherContent);
    let mut checked = 0;
    for manner in manners {
        let mut crew = vec![manner; 3];
        crew.extend(vec![Manner::Honest; 8]);
        let (set, request) = oracles.set(&crew, 8, request).await;
        let approvals = ask(&set, &request).await.unwrap();
        assert_valid(&approvals, &request, 8);
        assert!(
            approvals.outcomes[..3]
                .iter()
                .all(|outcome| outcome.verdict != Verdict::Counted)
        );
        checked += 1;
    }
    assert_eq!(checked, 19);
}

async fn each_is_named<R: ApprovalSubject>(request: fn(usize) -> R)
where
    for<'a> Wanted: From<&'a R>,
{
    let mut oracles = Oracles::default();
    let elsewhere = oracles.serve(0, Manner::Honest, &request(3)).await;
    let mut checked = 0;
    for (manner, expected) in misbehaviours(&elsewhere) {
        let crew = [manner.clone(), Manner::Honest, Manner::Honest];
        let (set, request) = oracles.set(&crew, 3, request).await;
        let refused = ask(&set, &request).await.unwrap_err();
        assert!(refused.is_retryable());
        let ApprovalError::NotEnough {
            what,
            needed: 3,
            best: 2,
            outcomes,
        } = refused
        else {
            unreachable!("{refused}")
        };
        assert_eq!(what, request.name());
        assert_eq!(outcomes[0].verdict, Verdict::NoApproval, "{manner:?}");
        assert!(expected(&outcomes[0].failures[0].fault), "{manner:?}: {}", outcomes[0]);
        assert!(
            !outcomes[0].to_string().contains("of=0"),
            "an endpoint's path is not shown: {}",
            outcomes[0]
        );
        assert!(
            outcomes[1..].iter().all(|outcome| outcome.verdict == Verdict::Counted),
            "{manner:?}"
        );
        checked += 1;
    }
    assert_eq!(checked, 18);
}

#[tokio::test]
async fn a_client_that_follows_redirects_does_not_make_them_count() {
    let mut oracles = Oracles::default();
    let elsewhere = oracles.serve(0, Manner::Honest, &request(1)).await;
    let (set, request) = oracles.set(&[Manner::Redirecting(elsewhere)], 1, request).await;
    let client = client(reqwest::redirect::Policy::limited(5));
    let refused = request_approvals(&client, &set, &request, &domain(), TIMEOUTS)
        .await
        .unwrap_err();
    let ApprovalError::NotEnough { best: 0, outcomes, .. } = refused else {
        unreachable!("{refused}")
    };
    assert!(
        matches!(outcomes[0].failures[0].fault, AnswerFault::Redirected),
        "{}",
        outcomes[0]
    );
}

#[tokio::test]
async fn an_endpoint_with_credentials_is_asked_with_them() {
    let mut oracles = Oracles::default();
    let request = request(1);
    let endpoint = oracles.serve(0, Manner::Honest, &request).await;
    let endpoint = endpoint.replacen("http://", "http://operator:secret@", 1);
    let approvals = ask(&support::set(&[vec![endpoint]], 1), &request).await.unwrap();
    assert_valid(&approvals, &request, 1);
}

#[tokio::test]
async fn the_slowest_are_not_waited_for() {
    let mut oracles = Oracles::default();
    let crew = [Manner::Silent, Manner::Honest, Manner::Dripping, Manner::Honest];
    let (set, request) = oracles.set(&crew, 2, request).await;
    let patient = ApprovalTimeouts {
        attempt: Duration::from_secs(600),
        total: Duration::from_secs(600),
    };
    let client = client(reqwest::redirect::Policy::none());
    let domain = domain();
    let asking = request_approvals(&client, &set, &request, &domain, patient);
    let approvals = tokio::time::timeout(Duration::from_secs(20), asking)
        .await
        .unwrap()
        .unwrap();
    assert_valid(&approvals, &request, 2);
    let verdicts = approvals
        .outcomes
        .iter()
        .map(|outcome| outcome.verdict.clone())
        .collect::<Vec<_>>();
    assert_eq!(
        verdicts,
        [
            Verdict::NotAwaited,
            Verdict::Counted,
            Verdict::NotAwaited,
            Verdict::Counted
        ]
    );
}

#[tokio::test]
async fn a_replica_answers_for_one_that_does_not() {
    let mut oracles = Oracles::default();
    let request = request(2);
    let down = oracles.serve(0, Manner::Down, &request).await;
    // Whichever replica is tried first, one of these two oracles meets the bad one.
    let mut endpoints = Vec::new();
    for position in 0..2 {
        let honest = oracles.serve(position, Manner::Honest, &request).await;
        endpoints.push(vec![down.clone(), honest]);
    }
    let set = support::set(&endpoints, 2);
    let approvals = ask(&set, &request).await.unwrap();
    assert_valid(&approvals, &request, 2);
    let failures = approvals
        .outcomes
        .iter()
        .flat_map(|outcome| &outcome.failures)
        .collect::<Vec<_>>();
    assert_eq!(failures.len(), 1);
    assert!(
        matches!(failures[0].fault, AnswerFault::Unreachable(_)),
        "{}",
        failures[0]
    );
    assert!(
        failures[0]
            .to_string()
            .starts_with(&format!("{}: no answer: ", down.split("/oracle").next().unwrap())),
        "{}",
        failures[0]
    );
}

#[tokio::test]
async fn the_time_for_all_replicas_is_bounded() {
    let mut oracles = Oracles::default();
    let request = request(1);
    let mut replicas = Vec::new();
    for _ in 0..10 {
        replicas.push(oracles.serve(0, Manner::Silent, &request).await);
    }
    let set = support::set(&[replicas], 1);
    let timeouts = ApprovalTimeouts {
        attempt: Duration::from_millis(200),
        total: Duration::from_millis(500),
    };
    let client = client(reqwest::redirect::Policy::none());
    let refused = request_approvals(&client, &set, &request, &domain(), timeouts)
        .await
        .unwrap_err();
    let ApprovalError::NotEnough { outcomes, .. } = refused else {
        unreachable!("{refused}")
    };
    assert!((1..=3).contains(&outcomes[0].failures.len()), "{}", outcomes[0]);
}

#[tokio::test]
async fn too_few_approvals_say_of_what() {
    let set = support::set(&[Vec::new()], 1);
    assert_eq!(
        ask(&set, &rotation(1)).await.unwrap_err().to_string(),
        "0 of the 1 oracles needed approved the same rotation"
    );
}

#[tokio::test]
async fn oracles_that_disagree_are_not_added_up() {
    let mut oracles = Oracles::default();
    let crew = [
        Manner::Honest,
        Manner::Honest,
        Manner::OtherContent,
        Manner::OtherContent,
        Manner::Honest,
    ];
    let (set, request) = oracles.set(&crew, 4, request).await;
    let refused = ask(&set, &request).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "3 of the 4 oracles needed approved the same registration"
    );
    let ApprovalError::NotEnough { outcomes, .. } = refused else {
        unreachable!("{refused}")
    };
    let other = |outcome: &&OracleOutcome| {
        outcome.verdict
            == Verdict::OtherContent {
                ipfs_hash: OTHER_CID.to_owned(),
            }
    };
    assert_eq!(outcomes.iter().filter(other).count(), 2);
}

#[tokio::test]
async fn an_oracle_without_an_endpoint_is_named() {
    let mut oracles = Oracles::default();
    let request = request(2);
    let honest = oracles.serve(0, Manner::Honest, &request).await;
    let set = support::set(&[vec![honest], Vec::new()], 2);
    let ApprovalError::NotEnough { outcomes, .. } = ask(&set, &request).await.unwrap_err() else {
        unreachable!()
    };
    assert_eq!(
        outcomes[1].to_string(),
        format!("{}: no endpoint to ask", signer(1).address())
    );
}

#[tokio::test]
async fn a_request_that_is_not_whole_is_not_sent() {
    let set = support::set(&vec![vec!["http://127.0.0.1:9".to_owned()]; 3], 1);
    let whole = || request(3);
    let mut broken = Vec::new();

    broken.push((
        ApprovalRequest {
            public_keys: Vec::new(),
            ..whole()
        },
        RequestFault::Empty,
    ));
    broken.push((request(2), RequestFault::Shares { validator: 0 }));
    let mut one_short = whole();
    one_short.exit_signature_shards[1].pop();
    broken.push((one_short, RequestFault::Shares { validator: 1 }));
    for list in [
        "deposit_signatures",
        "public_key_shards",
        "exit_signature_shards",
        "proof_indexes",
    ] {
        let mut request = whole();
        match list {
            "deposit_signatures" => drop(request.deposit_signatures.pop()),
            "public_key_shards" => drop(request.public_key_shards.pop()),
            "exit_signature_shards" => drop(request.exit_signature_shards.pop()),
            _ => drop(request.proof_indexes.pop()),
        }
        broken.push((request, RequestFault::Length { list }));
    }
    for damage in [0, 60, 175] {
        let mut request = whole();
        if damage == 175 {
            request.validators.pop();
        } else {
            request.validators[damage] ^= 1;
        }
        broken.push((request, RequestFault::Records));
    }
    let mut swapped = whole();
    swapped.validators.rotate_left(176);
    broken.push((swapped, RequestFault::Records));
    broken.push((
        ApprovalRequest {
            validators: Vec::new(),
            ..whole()
        },
        RequestFault::Records,
    ));

    let mut twice = whole();
    twice.public_keys[1] = twice.public_keys[0];
    broken.push((twice, RequestFault::Repeated { validator: 1 }));

    assert_eq!(whole().check(&set), Ok(()));
    for (request, expected) in broken {
        let refused = ask(&set, &request).await.unwrap_err();
        assert!(!refused.is_retryable());
        assert!(
            matches!(refused, ApprovalError::InvalidRequest(fault) if fault == expected),
            "{expected}"
        );
    }
}

#[tokio::test]
async fn a_rotation_that_is_not_whole_is_not_sent() {
    let set = support::set(&vec![vec!["http://127.0.0.1:9".to_owned()]; 3], 1);
    assert_eq!(rotation(3).check(&set), Ok(()));
    type Damage = fn(&mut RotationRequest);
    let broken: [(Damage, RequestFault); 6] = [
        (|request| request.public_keys.clear(), RequestFault::Empty),
        (
            |request| drop(request.public_key_shards.pop()),
            RequestFault::Length {
                list: "public_key_shards",
            },
        ),
        (
            |request| request.exit_signature_shards.push(Vec::new()),
            RequestFault::Length {
                list: "exit_signature_shards",
            },
        ),
        (
            |request| request.public_keys[1] = request.public_keys[0],
            RequestFault::Repeated { validator: 1 },
        ),
        (
            |request| request.public_key_shards[0].truncate(2),
            RequestFault::Shares { validator: 0 },
        ),
        (
            |request| request.exit_signature_shards[1].truncate(1),
            RequestFault::Shares { validator: 1 },
        ),
    ];
    for (damage, expected) in broken {
        let mut request = rotation(3);
        damage(&mut request);
        let refused = ask(&set, &request).await.unwrap_err();
        assert!(
            matches!(refused, ApprovalError::InvalidRequest(fault) if fault == expected),
            "{expected}"
        );
    }
}

#[test]
fn asking_can_move_between_threads() {
    fn is_send(_: impl Send) {}
    let (set, request, domain) = (support::set(&[Vec::new()], 1), request(1), domain());
    let client = client(reqwest::redirect::Policy::none());
    is_send(request_approvals(&client, &set, &request, &domain, TIMEOUTS));
}
