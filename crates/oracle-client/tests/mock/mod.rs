//! Oracles on loopback that sign, and oracles that misbehave in every way we verify.
#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should fail")]

use std::{sync::Arc, time::Duration};

use alloy::primitives::{Signature, U256, uint};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Response, StatusCode},
};
use futures::{StreamExt, stream};
use serde_json::json;
use sw_oracle_client::{ApprovalRequest, OracleSet};
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{self, CID, DEADLINE, OTHER_CID, domain, request, sign};

/// What an endpoint does when it is asked.
#[derive(Clone, Debug)]
pub enum Manner {
    Honest,
    /// Signs with another oracle's key.
    OtherKey,
    /// Signs for another deposit root.
    OtherRegistration,
    OtherDeadline,
    OtherContent,
    NoContentId,
    HighS,
    RecoveryIdZero,
    ShortSignature,
    ZeroSignature,
    Truncated,
    Html,
    Empty,
    Failing,
    Refusing,
    Silent,
    /// One byte at a time, for ever.
    Dripping,
    Endless,
    /// To a place that would approve.
    Redirecting(String),
}

struct Endpoint {
    position: usize,
    manner: Manner,
    request: ApprovalRequest,
}

/// The order of secp256k1.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

async fn answer(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> Response<Body> {
    let Endpoint {
        position,
        manner,
        request,
    } = &*endpoint;
    assert_eq!(body, request.to_json(), "what is sent is the request");
    let approve = |cid: &str, deadline: u64, signature: &[u8]| {
        json!({ "ipfs_hash": cid, "deadline": deadline, "signature": format!("0x{}", hex::encode(signature)), "more": 1 }).to_string()
    };
    let digest = request.digest(&domain(), CID);
    let good = sign(*position, &digest);
    let signed = |signature: Signature| approve(CID, DEADLINE, &signature.as_bytes());
    let text = match manner {
        Manner::Honest => signed(good),
        Manner::OtherKey => signed(sign(position + 100, &digest)),
        Manner::OtherRegistration => {
            let other = ApprovalRequest {
                validators_registry_root: Default::default(),
                ..request.clone()
            };
            signed(sign(*position, &other.digest(&domain(), CID)))
        }
        Manner::OtherDeadline => {
            let other = ApprovalRequest {
                deadline: DEADLINE + 1,
                ..request.clone()
            };
            approve(
                CID,
                DEADLINE + 1,
                &sign(*position, &other.digest(&domain(), CID)).as_bytes(),
            )
        }
        Manner::OtherContent => approve(
            OTHER_CID,
            DEADLINE,
            &sign(*position, &request.digest(&domain(), OTHER_CID)).as_bytes(),
        ),
        Manner::NoContentId => approve(
            "../../etc",
            DEADLINE,
            &sign(*position, &request.digest(&domain(), "../../etc")).as_bytes(),
        ),
        Manner::HighS => signed(Signature::new(good.r(), ORDER - good.s(), !good.v())),
        Manner::RecoveryIdZero => {
            let mut raw = good.as_bytes();
            raw[64] -= 27;
            approve(CID, DEADLINE, &raw)
        }
        Manner::ShortSignature => approve(CID, DEADLINE, &good.as_bytes()[..64]),
        Manner::ZeroSignature => {
            let mut raw = [0; 65];
            raw[64] = 27;
            approve(CID, DEADLINE, &raw)
        }
        Manner::Truncated => signed(good)[..40].to_owned(),
        Manner::Html => "<html>welcome to the captive portal</html>".to_owned(),
        Manner::Empty => String::new(),
        Manner::Failing => return status(StatusCode::BAD_GATEWAY, "upstream\r\n\u{1b}[31mis gone"),
        Manner::Refusing => {
            return status(
                StatusCode::BAD_REQUEST,
                &format!("{{\"error\":\"bad proof\"}}{}", "x".repeat(9000)),
            );
        }
        Manner::Silent => std::future::pending().await,
        Manner::Dripping => {
            let interval = tokio::time::interval(Duration::from_millis(20));
            let drops = stream::unfold(interval, async |mut interval| {
                interval.tick().await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), interval))
            });
            return Response::new(Body::from_stream(drops));
        }
        Manner::Endless => {
            let flood = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16])));
            return Response::new(Body::from_stream(flood.take(1 << 14)));
        }
        Manner::Redirecting(to) => {
            let response = Response::builder()
                .status(StatusCode::TEMPORARY_REDIRECT)
                .header("location", to);
            return response.body(Body::empty()).unwrap();
        }
    };
    Response::new(Body::from(text))
}

fn status(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(Body::from(text.to_owned()))
        .unwrap()
}

/// Endpoints that stop answering when this is dropped.
#[derive(Default)]
pub struct Oracles {
    tasks: JoinSet<()>,
}

impl Oracles {
    pub async fn serve(&mut self, position: usize, manner: Manner, request: &ApprovalRequest) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/oracle?of={position}", listener.local_addr().unwrap());
        let endpoint = Arc::new(Endpoint {
            position,
            manner,
            request: request.clone(),
        });
        let router = Router::new().fallback(answer).with_state(endpoint);
        self.tasks
            .spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    /// One endpoint for each oracle, and the set of them.
    pub async fn set(&mut self, manners: &[Manner], needed: usize) -> (OracleSet, ApprovalRequest) {
        let request = request(manners.len());
        let mut endpoints = Vec::new();
        for (position, manner) in manners.iter().enumerate() {
            endpoints.push(vec![self.serve(position, manner.clone(), &request).await]);
        }
        (support::set(&endpoints, needed), request)
    }
}
