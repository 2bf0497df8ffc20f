//! One oracle: a key, its own view of the chain, and the answers it gives over HTTP.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::primitives::{B256, FixedBytes};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{task::spawn_blocking, time::Instant};

use super::{
    approval,
    chain::{ChainError, ChainReader},
    checks,
    exchange::{Exchange, Gathered, PeerShares},
    fault::{Approval, Fault, Terms},
    hook::BeforeReply,
    key::OracleKey,
    record::{Record, RecoveredExit},
    refusal::Refusal,
    request::Request,
    shares,
};
use crate::{Deployment, bls, door::Line, ipfs, proxy::wire::spoil};

/// More than a full batch of the largest oracle set needs.
const MAX_BODY: usize = 8 << 20;

/// How long shares of the other oracles are waited for.
const SHARES_WAIT: Duration = Duration::from_secs(6);

/// How long all of them are waited for when a hook is set: by then each has looked at the chain, or never will.
const CHECKS_WAIT: Duration = Duration::from_secs(3);

/// What one oracle is made of. Several ports may serve the same one: its replicas.
#[derive(Debug)]
pub(super) struct Oracle {
    pub(super) key: OracleKey,
    /// Its place in the config.
    pub(super) position: usize,
    /// How many oracles the config names.
    pub(super) total: usize,
    pub(super) deployment: Deployment,
    pub(super) client: reqwest::Client,
    pub(super) chain: ChainReader,
    pub(super) exchange: Exchange,
    pub(super) record: Arc<Record>,
    pub(super) fault: Arc<Mutex<Fault>>,
    pub(super) hook: BeforeReply,
    /// The next oracle in the config: whom faults take signatures from and send clients to.
    pub(super) next: Next,
}

#[derive(Debug)]
pub(super) struct Next {
    pub(super) key: OracleKey,
    pub(super) endpoint: String,
}

/// Why there is no approval: a request that is wrong is the asker's fault, anything else is ours.
#[derive(Debug, thiserror::Error)]
enum NoApproval {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("this oracle cannot read the chain")]
    Chain(#[from] ChainError),
    #[error("this oracle cannot store the exit signatures")]
    Store(#[from] reqwest::Error),
    #[error("the gateway stored the exit signatures as {got}, not as {expected}")]
    StoredAs { got: String, expected: String },
    #[error("this oracle cannot write the exit signatures down")]
    Document(#[from] serde_json::Error),
    #[error("a check was cut off")]
    Interrupted(#[from] tokio::task::JoinError),
    #[error("this oracle cannot sign")]
    Signature,
}

pub(super) fn router(oracle: Arc<Oracle>) -> Router {
    // Exit signature rotation (`GET /signatures/{vault}`, `POST /signatures`) will be two more routes here.
    Router::new()
        .route("/", get(alive).post(registration))
        .route("/peer/shares", post(peer_shares))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(oracle)
}

async fn alive(State(oracle): State<Arc<Oracle>>) -> Response {
    Json(json!({ "oracle": oracle.key.address() })).into_response()
}

async fn peer_shares(State(oracle): State<Arc<Oracle>>, body: Bytes) -> StatusCode {
    match serde_json::from_slice::<PeerShares>(&body) {
        Ok(message) if message.position < oracle.total => {
            oracle.exchange.receive(message);
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::BAD_REQUEST,
    }
}

#[derive(Serialize)]
struct Answer {
    ipfs_hash: String,
    signature: FixedBytes<65>,
    deadline: u64,
}

async fn registration(
    State(oracle): State<Arc<Oracle>>,
    ConnectInfo(line): ConnectInfo<Line>,
    body: Bytes,
) -> Response {
    let raw = String::from_utf8_lossy(&body).into_owned();
    oracle.record.write(|record| record.requests.push(raw.clone()));
    let fault = oracle.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let answer = answer(&oracle, &body, &raw, &fault);
    match fault.on_the_wire() {
        Some(act) => spoil(act, &line, &oracle.next.endpoint, answer).await,
        None => answer.await,
    }
}

async fn answer(oracle: &Arc<Oracle>, body: &Bytes, raw: &str, fault: &Fault) -> Response {
    let outcome = match fault.refusal() {
        Some(reason) => Err(Refusal::Told(reason.to_owned()).into()),
        None => oracle.approve(body, raw, fault).await,
    };
    if let Some(delay) = fault.delay() {
        tokio::time::sleep(delay).await;
    }
    match outcome {
        Ok(approval) => {
            oracle.record.write(|record| {
                if *fault == Fault::None {
                    record.first_honest.get_or_insert_with(|| approval.clone());
                }
                record.approvals.push(approval.clone());
            });
            let Approval {
                ipfs_hash,
                deadline,
                signature,
            } = approval;
            Json(Answer {
                ipfs_hash,
                signature,
                deadline,
            })
            .into_response()
        }
        Err(error) => {
            let detail = with_causes(&error);
            oracle.record.write(|record| record.refusals.push(detail.clone()));
            let status = match error {
                NoApproval::Refused(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            tracing::debug!(oracle = oracle.position, detail, "registration not approved");
            (status, Json(json!({ "detail": detail }))).into_response()
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Oracle {
    async fn approve(self: &Arc<Self>, body: &Bytes, raw: &str, fault: &Fault) -> Result<Approval, NoApproval> {
        if *fault == Fault::Replayed
            && let Some(earlier) = self.record.read(|record| record.first_honest.clone())
        {
            return Ok(earlier);
        }
        let (request, own) = self.check(body).await?;
        let signatures = self.recover(&request, own).await?;
        self.record.write(|record| record.exits.extend(signatures));
        let ipfs_hash = self.store(&request).await?;
        self.hook.run(request.hash, raw).await;
        let terms = fault.spoil_terms(Terms {
            ipfs_hash,
            deadline: request.deadline,
        });
        let stranger = OracleKey::of_devnet(usize::MAX);
        let key = match fault {
            Fault::BadSignature => &stranger,
            Fault::AnothersSignature => &self.next.key,
            _ => &self.key,
        };
        let mut asked = (*request).clone();
        if *fault == Fault::Replayed {
            asked.deposit_root = B256::ZERO;
        }
        let signature = approval::sign(key, &self.deployment, &asked, &terms.ipfs_hash, terms.deadline);
        let signature = signature.ok_or(NoApproval::Signature)?;
        Ok(Approval {
            ipfs_hash: terms.ipfs_hash,
            deadline: terms.deadline,
            signature: fault.spoil_signature(signature),
        })
    }

    /// Everything that can be judged without the other oracles; gives the request and this oracle's own shares.
    async fn check(self: &Arc<Self>, body: &Bytes) -> Result<(Arc<Request>, Vec<FixedBytes<96>>), NoApproval> {
        let rules = &self.deployment;
        let request = Request::parse(body, self.total, rules.validators_approval_batch_limit)?;
        let keys: Vec<_> = request
            .validators
            .iter()
            .map(|validator| validator.public_key)
            .collect();
        let facts = self.chain.facts(request.vault, &keys).await?;
        let (oracle, request) = (self.clone(), Arc::new(request));
        spawn_blocking(move || {
            let rules = &oracle.deployment;
            checks::against_chain(&request, &facts, rules.signature_validity_period)?;
            checks::deposit_data(&request, &facts, rules)?;
            checks::public_shares(&request, rules.recover_threshold)?;
            let own = checks::own_shares(&request, oracle.position, &oracle.key, rules)?;
            Ok((request, own))
        })
        .await?
    }

    /// Trades shares with the other oracles until the exit signatures can be recovered, and verifies those.
    async fn recover(
        self: &Arc<Self>,
        request: &Arc<Request>,
        own: Vec<FixedBytes<96>>,
    ) -> Result<Vec<RecoveredExit>, NoApproval> {
        let message = PeerShares {
            request: request.hash,
            position: self.position,
            shares: own.clone(),
        };
        let mut gathered = Gathered::from([(self.position, own)]);
        let need = self.deployment.recover_threshold;
        let verify = |position, shares: Vec<FixedBytes<96>>| {
            let (oracle, request) = (self.clone(), request.clone());
            let valid = move || checks::shares_are_valid(&request, position, &shares, &oracle.deployment);
            async { spawn_blocking(valid).await.unwrap_or(false) }
        };
        let gather = async {
            let start = Instant::now();
            if self.hook.is_set() {
                let deadline = start + CHECKS_WAIT;
                self.exchange
                    .gather(request.hash, &mut gathered, self.total, deadline, verify)
                    .await;
            }
            self.exchange
                .gather(request.hash, &mut gathered, need, start + SHARES_WAIT, verify)
                .await;
        };
        // Both to the end: an oracle that has enough still owes its share to the others.
        futures::join!(self.exchange.send(&message), gather);
        if gathered.len() < need {
            return Err(Refusal::NotEnoughShards {
                have: gathered.len(),
                need,
            }
            .into());
        }
        let (oracle, request) = (self.clone(), request.clone());
        Ok(spawn_blocking(move || oracle.combine(&request, &gathered)).await??)
    }

    fn combine(&self, request: &Request, gathered: &Gathered) -> Result<Vec<RecoveredExit>, Refusal> {
        let need = self.deployment.recover_threshold;
        let recover = |position: usize, public_key: FixedBytes<48>| {
            let shares: Vec<_> = gathered
                .iter()
                .take(need)
                .filter_map(|(oracle, shares)| shares.get(position).map(|share| (*oracle, *share)))
                .collect();
            let signature = shares::recover(&shares)?;
            let root = checks::exit_root(request, position, &self.deployment);
            let validator_index = request.validator_index.saturating_add(position as u64);
            bls::verify(&public_key, root, &signature).then_some(RecoveredExit {
                public_key,
                validator_index,
                signature,
            })
        };
        request
            .validators
            .iter()
            .enumerate()
            .map(|(position, validator)| {
                recover(position, validator.public_key).ok_or(Refusal::ExitSignature(position))
            })
            .collect()
    }

    /// Puts the document on the gateway, and makes sure that it is there under the CID the others will find.
    async fn store(&self, request: &Request) -> Result<String, NoApproval> {
        let document = approval::document(request)?;
        let expected = ipfs::raw_cid(&document);
        #[derive(Deserialize)]
        struct Added {
            cid: String,
        }
        let url = format!("{}/add", self.deployment.ipfs_url);
        let answer = self.client.post(url).body(document).send().await?.error_for_status()?;
        let Added { cid } = answer.json().await?;
        match cid == expected {
            true => Ok(cid),
            false => Err(NoApproval::StoredAs { got: cid, expected }),
        }
    }
}
