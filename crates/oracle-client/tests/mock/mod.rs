//! Oracles on loopback that sign, and oracles that misbehave in every way we verify.
#![allow(clippy::unwrap_used, reason = "a test that meets a surprise should fail")]

use std::{sync::Arc, time::Duration};

use alloy::{
    primitives::{B256, Signature, U256, uint},
    sol_types::{SolStruct, eip712_domain},
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Response, StatusCode, Uri},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use sw_oracle_client::{ApprovalRequest, ApprovalSubject, OracleSet, RotationRequest};
use sw_shamir_exit::EncryptedShare;
use sw_spec::PublicKeyBytes;
use tokio::{net::TcpSocket, task::JoinSet};

use crate::support::{self, CID, DEADLINE, OTHER_CID, domain, sign};

/// What an endpoint does when it is asked.
#[derive(Clone, Debug)]
pub enum Manner {
    Honest,
    /// Signs with another oracle's key.
    OtherKey,
    /// Signs what was approved before: at another deposit root, or with the vault's last nonce.
    Replaying,
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
    /// Nothing listens.
    Down,
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
    wanted: Wanted,
}

/// What an oracle signs when it names these exit signatures and this deadline.
type Digest = Arc<dyn Fn(&str, u64) -> B256 + Send + Sync>;

/// What an oracle expects to be asked, and what it signs.
#[derive(Clone)]
pub struct Wanted {
    /// What takes the place of the endpoint's own path and query.
    path: Option<&'static str>,
    body: Value,
    sign: Digest,
    /// The digest of what was approved before.
    last: B256,
}

impl From<&ApprovalRequest> for Wanted {
    fn from(request: &ApprovalRequest) -> Self {
        let last = ApprovalRequest {
            validators_registry_root: B256::ZERO,
            ..request.clone()
        };
        let signed = request.clone();
        Self {
            path: None,
            body: serde_json::from_str(&request.to_json()).unwrap(),
            sign: Arc::new(move |cid, deadline| {
                let request = ApprovalRequest {
                    deadline,
                    ..signed.clone()
                };
                request.digest(&domain(), cid)
            }),
            last: last.digest(&domain(), CID),
        }
    }
}

/// The message as the Keeper has it, written down once more: what is under test does not check itself.
mod keeper {
    alloy::sol! {
        struct KeeperValidators {
            address vault;
            string exitSignaturesIpfsHash;
            uint256 nonce;
            uint256 deadline;
        }
    }
}

impl From<&RotationRequest> for Wanted {
    fn from(request: &RotationRequest) -> Self {
        let (vault, nonce) = (request.vault, request.nonce);
        let sign = move |cid: &str, nonce: U256, deadline: u64| {
            let message = keeper::KeeperValidators {
                vault,
                exitSignaturesIpfsHash: cid.to_owned(),
                nonce,
                deadline: U256::from(deadline),
            };
            message.eip712_signing_hash(&eip712_domain! {
                name: "KeeperOracles",
                version: "1",
                chain_id: 1,
                verifying_contract: domain().keeper,
            })
        };
        let hexadecimal =
            |keys: &[PublicKeyBytes]| keys.iter().map(|key| hex::encode_prefixed(key.0)).collect::<Vec<_>>();
        let shares = request.public_key_shards.iter().map(|keys| hexadecimal(keys));
        let sealed = request.exit_signature_shards.iter();
        let sealed = sealed.map(|shares| shares.iter().map(EncryptedShare::to_string).collect::<Vec<_>>());
        Self {
            path: Some("/signatures"),
            body: json!({
                "vault_address": vault.to_string(),
                "public_keys": hexadecimal(&request.public_keys),
                "public_key_shards": shares.collect::<Vec<_>>(),
                "exit_signature_shards": sealed.collect::<Vec<_>>(),
                "deadline": request.deadline,
            }),
            sign: Arc::new(move |cid, deadline| sign(cid, nonce, deadline)),
            last: sign(CID, nonce - U256::ONE, request.deadline),
        }
    }
}

/// The order of secp256k1.
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

async fn answer(State(endpoint): State<Arc<Endpoint>>, uri: Uri, body: Bytes) -> Response<Body> {
    let Endpoint {
        position,
        manner,
        wanted,
    } = &*endpoint;
    let own = format!("/oracle?of={position}");
    assert_eq!(uri.to_string(), wanted.path.unwrap_or(&own));
    let asked: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(asked, wanted.body, "what is sent is the request");
    let approve = |cid: &str, deadline: u64, signature: &[u8]| {
        json!({ "ipfs_hash": cid, "deadline": deadline, "signature": format!("0x{}", hex::encode(signature)), "more": 1 }).to_string()
    };
    let approve_other = |cid: &str, deadline: u64| {
        let signature = sign(*position, &(wanted.sign)(cid, deadline));
        approve(cid, deadline, &signature.as_bytes())
    };
    let digest = (wanted.sign)(CID, DEADLINE);
    let good = sign(*position, &digest);
    let signed = |signature: Signature| approve(CID, DEADLINE, &signature.as_bytes());
    let text = match manner {
        Manner::Honest => signed(good),
        Manner::OtherKey => signed(sign(position + 100, &digest)),
        Manner::Replaying => signed(sign(*position, &wanted.last)),
        Manner::OtherDeadline => approve_other(CID, DEADLINE + 1),
        Manner::OtherContent => approve_other(OTHER_CID, DEADLINE),
        Manner::NoContentId => approve_other("../../etc", DEADLINE),
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
        Manner::Down | Manner::Silent => std::future::pending().await,
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
    reserved: Vec<TcpSocket>,
}

impl Oracles {
    pub async fn serve(&mut self, position: usize, manner: Manner, wanted: impl Into<Wanted>) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/oracle?of={position}", socket.local_addr().unwrap());
        if matches!(manner, Manner::Down) {
            // Bound but not listening: the port stays ours, and connections to it are refused.
            self.reserved.push(socket);
            return url;
        }
        let listener = socket.listen(64).unwrap();
        let endpoint = Arc::new(Endpoint {
            position,
            manner,
            wanted: wanted.into(),
        });
        let router = Router::new().fallback(answer).with_state(endpoint);
        self.tasks
            .spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    /// One endpoint for each oracle, and the set of them.
    pub async fn set<R>(&mut self, manners: &[Manner], needed: usize, request: fn(usize) -> R) -> (OracleSet, R)
    where
        for<'a> Wanted: From<&'a R>,
    {
        let request = request(manners.len());
        let mut endpoints = Vec::new();
        for (position, manner) in manners.iter().enumerate() {
            endpoints.push(vec![self.serve(position, manner.clone(), &request).await]);
        }
        (support::set(&endpoints, needed), request)
    }
}
