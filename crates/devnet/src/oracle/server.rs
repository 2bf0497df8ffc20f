//! One oracle: a key, its own view of the chain, and the answers it gives over HTTP.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::primitives::FixedBytes;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{task::spawn_blocking, time::Instant};

use super::{
    approval::{self, Subject},
    chain::{ChainError, ChainReader, Snapshot},
    checks,
    documents::{DocumentError, Documents},
    exchange::{Exchange, Gathered, PeerShares},
    fault::{Approval, Fault, Terms},
    hook::BeforeReply,
    key::OracleKey,
    members::{self, Members, NoMembers},
    outdated::{self, BeaconError},
    record::{Entries, Record, RecoveredExit},
    refusal::Refusal,
    request::{Batch, Request, RotationRequest, SharedExit, parse_vault},
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
    /// The oracles that it was started with.
    pub(super) at_start: Members,
    pub(super) deployment: Deployment,
    pub(super) client: reqwest::Client,
    pub(super) chain: ChainReader,
    pub(super) documents: Arc<Documents>,
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
    #[error("this oracle does not know who the oracles are")]
    Members(#[from] NoMembers),
    #[error("this oracle cannot read the exit signatures")]
    Exits(#[from] DocumentError),
    #[error(transparent)]
    Beacon(#[from] BeaconError),
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

/// What is asked for with `POST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Register,
    Rotate,
}

/// A request that has passed all that one oracle can check alone.
struct Checked {
    members: Members,
    batch: Arc<Batch>,
    own: Vec<FixedBytes<96>>,
    document: Vec<u8>,
    subject: Subject,
    deadline: u64,
}

pub(super) fn router(oracle: Arc<Oracle>) -> Router {
    Router::new()
        .route("/", get(alive).post(registration))
        .route("/signatures", post(rotation))
        .route("/signatures/{vault}", get(signatures))
        .route("/peer/shares", post(peer_shares))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(oracle)
}

async fn alive(State(oracle): State<Arc<Oracle>>) -> Response {
    Json(json!({ "oracle": oracle.key.address() })).into_response()
}

async fn peer_shares(State(oracle): State<Arc<Oracle>>, body: Bytes) -> StatusCode {
    match serde_json::from_slice::<PeerShares>(&body) {
        Ok(message) if message.position < MAX_ORACLES => {
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

async fn registration(oracle: State<Arc<Oracle>>, line: ConnectInfo<Line>, body: Bytes) -> Response {
    approval(Purpose::Register, oracle, line, body).await
}

async fn rotation(oracle: State<Arc<Oracle>>, line: ConnectInfo<Line>, body: Bytes) -> Response {
    approval(Purpose::Rotate, oracle, line, body).await
}

async fn approval(
    purpose: Purpose,
    State(oracle): State<Arc<Oracle>>,
    ConnectInfo(line): ConnectInfo<Line>,
    body: Bytes,
) -> Response {
    let raw = String::from_utf8_lossy(&body).into_owned();
    oracle.record.write(|record| match purpose {
        Purpose::Register => record.requests.push(raw.clone()),
        Purpose::Rotate => record.rotations.push(raw.clone()),
    });
    let fault = oracle.fault();
    let answer = answer(&oracle, purpose, &body, &raw, &fault);
    oracle.spoiled(&fault, &line, answer).await
}

async fn answer(oracle: &Arc<Oracle>, purpose: Purpose, body: &Bytes, raw: &str, fault: &Fault) -> Response {
    let outcome = match fault.refusal() {
        Some(reason) => Err(Refusal::Told(reason.to_owned()).into()),
        None => oracle.approve(purpose, body, raw, fault).await,
    };
    if let Some(delay) = fault.delay() {
        tokio::time::sleep(delay).await;
    }
    match outcome {
        Ok(approval) => {
            oracle.record.write(|record| {
                let first = match purpose {
                    Purpose::Register => &mut record.first_registration,
                    Purpose::Rotate => &mut record.first_rotation,
                };
                if *fault == Fault::None {
                    first.get_or_insert_with(|| approval.clone());
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
        Err(error) => oracle.refuse(&error),
    }
}

/// What the oracle has seen of a vault's exit signatures (original-v1, 7.3).
async fn signatures(
    State(oracle): State<Arc<Oracle>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(vault): Path<String>,
) -> Response {
    let fault = oracle.fault();
    let answer = async {
        let outcome = match fault.refusal() {
            Some(reason) => Err(Refusal::Told(reason.to_owned()).into()),
            None => oracle.signatures(&vault).await,
        };
        if let Some(delay) = fault.delay() {
            tokio::time::sleep(delay).await;
        }
        match outcome {
            Ok((block, outdated)) => {
                let (block, outdated) = fault.spoil_signatures(block, outdated);
                let validators: Vec<_> = outdated.iter().map(|index| json!({ "index": index })).collect();
                Json(json!({ "exit_signature_block_number": block, "validators": validators })).into_response()
            }
            Err(error) => oracle.refuse(&error),
        }
    };
    oracle.spoiled(&fault, &line, answer).await
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Oracle {
    fn fault(&self) -> Fault {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn spoiled(&self, fault: &Fault, line: &Line, answer: impl Future<Output = Response>) -> Response {
        match fault.on_the_wire() {
            Some(act) => spoil(act, line, &self.next.endpoint, answer).await,
            None => answer.await,
        }
    }

    fn refuse(&self, error: &NoApproval) -> Response {
        let detail = with_causes(error);
        self.record.write(|record| record.refusals.push(detail.clone()));
        let status = match error {
            NoApproval::Refused(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        tracing::debug!(oracle = %self.key.address(), detail, "not approved");
        (status, Json(json!({ "detail": detail }))).into_response()
    }

    async fn members(&self, snapshot: &Snapshot) -> Result<Members, NoMembers> {
        members::members(
            &self.chain,
            &self.documents,
            snapshot,
            &self.key.public_key(),
            &self.at_start,
        )
        .await
    }

    /// The block of a vault's last rotation, and the indexes of validators whose exit signatures are outdated.
    async fn signatures(&self, vault: &str) -> Result<(Option<u64>, Vec<u64>), NoApproval> {
        let vault = parse_vault(vault).ok_or_else(|| Refusal::Malformed("no vault address".to_owned()))?;
        let snapshot = self.chain.snapshot().await?;
        if !self.chain.vault_registered(&snapshot, vault).await? {
            return Err(Refusal::UnknownVault(vault).into());
        }
        let members = self.members(&snapshot).await?;
        let mut outdated = outdated::shared_among_others(&self.documents, &snapshot, vault, &members.quorum).await?;
        if !outdated.is_empty() {
            let statuses = outdated::statuses(&self.client, &self.deployment.consensus_url, &outdated).await?;
            outdated.retain(|_, key| statuses.get(key).is_some_and(|status| outdated::stays(status)));
        }
        Ok((snapshot.ledger.last_rotation(vault), outdated.into_keys().collect()))
    }

    async fn approve(
        self: &Arc<Self>,
        purpose: Purpose,
        body: &Bytes,
        raw: &str,
        fault: &Fault,
    ) -> Result<Approval, NoApproval> {
        let first = |record: &Entries| match purpose {
            Purpose::Register => record.first_registration.clone(),
            Purpose::Rotate => record.first_rotation.clone(),
        };
        if *fault == Fault::Replayed
            && let Some(earlier) = self.record.read(first)
        {
            return Ok(earlier);
        }
        let checked = match purpose {
            Purpose::Register => self.check_registration(body).await?,
            Purpose::Rotate => self.check_rotation(body).await?,
        };
        let signatures = self.recover(&checked).await?;
        self.record.write(|record| record.exits.extend(signatures));
        let ipfs_hash = self.store(checked.document).await?;
        self.hook.run(checked.batch.hash, raw).await;
        let terms = fault.spoil_terms(Terms {
            ipfs_hash,
            deadline: checked.deadline,
        });
        let stranger = OracleKey::of_devnet(usize::MAX);
        let key = match fault {
            Fault::BadSignature => &stranger,
            Fault::AnothersSignature => &self.next.key,
            _ => &self.key,
        };
        let subject = match fault {
            Fault::Replayed => checked.subject.of_another_time(),
            _ => checked.subject,
        };
        let signature = subject.sign(key, &self.deployment, &terms.ipfs_hash, terms.deadline);
        let signature = signature.ok_or(NoApproval::Signature)?;
        Ok(Approval {
            ipfs_hash: terms.ipfs_hash,
            deadline: terms.deadline,
            signature: fault.spoil_signature(signature),
        })
    }

    async fn check_registration(self: &Arc<Self>, body: &Bytes) -> Result<Checked, NoApproval> {
        let rules = &self.deployment;
        let snapshot = self.chain.snapshot().await?;
        let members = self.members(&snapshot).await?;
        let total = members.quorum.oracles.len();
        let request = Request::parse(body, total, rules.validators_approval_batch_limit)?;
        let keys: Vec<_> = request.batch.exits.iter().map(|exit| exit.public_key).collect();
        let facts = self.chain.facts(&snapshot, request.vault, &keys).await?;
        let oracle = self.clone();
        spawn_blocking(move || {
            let rules = &oracle.deployment;
            checks::against_chain(&request, &facts, members.since, rules.signature_validity_period)?;
            checks::deposit_data(&request, &facts, rules)?;
            checks::public_shares(&request.batch, members.quorum.exit_signature_recover_threshold)?;
            let own = checks::own_shares(&request.batch, &members, &oracle.key, rules)?;
            let first_index = Some(request.validator_index);
            Ok(Checked {
                document: approval::document(&request.batch, request.vault, &members.quorum, first_index)?,
                subject: Subject::Registration {
                    deposit_root: request.deposit_root,
                    vault: request.vault,
                    validators: approval::records(&request).concat().into(),
                },
                deadline: request.deadline,
                batch: Arc::new(request.batch),
                members,
                own,
            })
        })
        .await?
    }

    async fn check_rotation(self: &Arc<Self>, body: &Bytes) -> Result<Checked, NoApproval> {
        let rules = &self.deployment;
        let snapshot = self.chain.snapshot().await?;
        let members = self.members(&snapshot).await?;
        let total = members.quorum.oracles.len();
        let limit = rules.validators_exit_rotation_batch_limit;
        let mut request = RotationRequest::parse(body, total, limit)?;
        let vault = request.vault;
        let facts = self.chain.rotation_facts(&snapshot, vault).await?;
        checks::rotation(
            &request,
            &facts,
            &snapshot,
            members.since,
            rules.signature_validity_period,
        )?;
        checks::find_validators(&mut request, &snapshot)?;
        let wanted = request
            .batch
            .exits
            .iter()
            .map(|exit| (exit.index, exit.public_key))
            .collect();
        let statuses = outdated::statuses(&self.client, &rules.consensus_url, &wanted).await?;
        let outdated = outdated::shared_among_others(&self.documents, &snapshot, vault, &members.quorum).await?;
        checks::is_due(&request, &statuses, &outdated)?;
        let oracle = self.clone();
        spawn_blocking(move || {
            let RotationRequest { batch, deadline, .. } = request;
            checks::public_shares(&batch, members.quorum.exit_signature_recover_threshold)?;
            let own = checks::own_shares(&batch, &members, &oracle.key, &oracle.deployment)?;
            Ok(Checked {
                document: approval::document(&batch, vault, &members.quorum, None)?,
                subject: Subject::Rotation {
                    vault,
                    nonce: facts.nonce,
                },
                deadline,
                batch: Arc::new(batch),
                members,
                own,
            })
        })
        .await?
    }

    /// Trades shares with the other oracles until the exit signatures can be recovered, and verifies those.
    async fn recover(self: &Arc<Self>, checked: &Checked) -> Result<Vec<RecoveredExit>, NoApproval> {
        let Checked {
            members, batch, own, ..
        } = checked;
        let message = PeerShares {
            request: batch.hash,
            position: members.position,
            shares: own.clone(),
        };
        let mut gathered = Gathered::from([(members.position, own.clone())]);
        let (total, need) = (
            members.quorum.oracles.len(),
            members.quorum.exit_signature_recover_threshold,
        );
        let verify = |position, shares: Vec<FixedBytes<96>>| {
            let (oracle, batch) = (self.clone(), batch.clone());
            let valid = move || checks::shares_are_valid(&batch, position, &shares, &oracle.deployment);
            async { spawn_blocking(valid).await.unwrap_or(false) }
        };
        let gather = async {
            let start = Instant::now();
            if self.hook.is_set() {
                let deadline = start + CHECKS_WAIT;
                self.exchange
                    .gather(batch.hash, &mut gathered, total, deadline, verify)
                    .await;
            }
            self.exchange
                .gather(batch.hash, &mut gathered, need, start + SHARES_WAIT, verify)
                .await;
        };
        // Both to the end: an oracle that has enough still owes its share to the others.
        futures::join!(self.exchange.send(&members.peers, &message), gather);
        if gathered.len() < need {
            return Err(Refusal::NotEnoughShards {
                have: gathered.len(),
                need,
            }
            .into());
        }
        let (oracle, batch) = (self.clone(), batch.clone());
        Ok(spawn_blocking(move || combine(&batch, &gathered, need, &oracle.deployment)).await??)
    }

    /// Puts the document on the gateway, and makes sure that it is there under the CID the others will find.
    async fn store(&self, document: Vec<u8>) -> Result<String, NoApproval> {
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

/// The exit signature of each validator, from the shares of the first `need` oracles.
fn combine(
    batch: &Batch,
    gathered: &Gathered,
    need: usize,
    deployment: &Deployment,
) -> Result<Vec<RecoveredExit>, Refusal> {
    let recover = |(position, exit): (usize, &SharedExit)| {
        let shares = gathered.iter().take(need);
        let shares: Vec<_> = shares
            .filter_map(|(oracle, shares)| shares.get(position).map(|share| (*oracle, *share)))
            .collect();
        let root = checks::exit_root(exit.index, deployment);
        shares::recover(&shares)
            .filter(|signature| bls::verify(&exit.public_key, root, signature))
            .map(|signature| RecoveredExit {
                public_key: exit.public_key,
                validator_index: exit.index,
                signature,
            })
            .ok_or(Refusal::ExitSignature(position))
    };
    batch.exits.iter().enumerate().map(recover).collect()
}

/// Of the Keeper.
const MAX_ORACLES: usize = 30;
