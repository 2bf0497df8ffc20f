//! The HTTP side: paths and JSON of the Beacon API, <https://ethereum.github.io/beacon-APIs/>.

use std::{collections::BTreeSet, sync::Arc, sync::atomic::Ordering};

use alloy_primitives::{B256, FixedBytes};
use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Shared,
    clock::Head,
    exits::{Exit, Life, SignedExit, refusal},
    registry::Validator,
};
use crate::rpc::{Block, RpcError};

type Api = State<Arc<Shared>>;
type Answer = Result<Json<Value>, ApiError>;

/// A request that the Beacon API refuses.
#[derive(Debug)]
pub(super) struct ApiError(StatusCode, String);

impl From<RpcError> for ApiError {
    fn from(error: RpcError) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"code": self.0.as_u16(), "message": self.1}))).into_response()
    }
}

fn refuse(message: impl Into<String>) -> ApiError {
    ApiError(StatusCode::BAD_REQUEST, message.into())
}

fn not_found(message: impl Into<String>) -> ApiError {
    ApiError(StatusCode::NOT_FOUND, message.into())
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/eth/v1/node/syncing", get(syncing))
        .route("/eth/v1/node/version", get(version))
        .route("/eth/v1/node/health", get(health))
        .route("/eth/v1/beacon/genesis", get(genesis))
        .route("/eth/v1/config/spec", get(spec))
        .route("/eth/v1/config/deposit_contract", get(deposit_contract))
        .route(
            "/eth/v1/beacon/states/{state}/finality_checkpoints",
            get(finality_checkpoints),
        )
        .route(
            "/eth/v1/beacon/states/{state}/validators",
            get(validators).post(validators_by_body),
        )
        .route("/eth/v1/beacon/states/{state}/validators/{id}", get(validator))
        .route("/eth/v1/beacon/headers/{block}", get(header))
        .route("/eth/v2/beacon/blocks/{block}", get(block))
        .route("/eth/v1/beacon/pool/voluntary_exits", get(exits).post(submit_exit))
        .route("/eth/v1/validator/liveness/{epoch}", post(liveness))
        .with_state(shared)
}

async fn syncing(State(shared): Api) -> Answer {
    let head = shared.require_head().await?;
    let syncing = shared.syncing.load(Ordering::SeqCst);
    let distance = if syncing { head.slot.min(SYNC_DISTANCE) } else { 0 };
    Ok(Json(json!({"data": {
        "head_slot": (head.slot - distance).to_string(), "sync_distance": distance.to_string(),
        "is_syncing": syncing, "is_optimistic": shared.is_optimistic(),
        "el_offline": shared.execution_offline.load(Ordering::SeqCst),
    }})))
}

async fn version() -> Json<Value> {
    Json(json!({"data": {"version": concat!("devnet/", env!("CARGO_PKG_VERSION"))}}))
}

async fn health(State(shared): Api) -> StatusCode {
    match shared.syncing.load(Ordering::SeqCst) {
        true => StatusCode::PARTIAL_CONTENT,
        false => StatusCode::OK,
    }
}

async fn genesis(State(shared): Api) -> Json<Value> {
    let config = &shared.config;
    Json(json!({"data": {
        "genesis_time": config.genesis_time.to_string(),
        "genesis_validators_root": config.genesis_validators_root,
        "genesis_fork_version": config.genesis_fork_version,
    }}))
}

async fn spec(State(shared): Api) -> Json<Value> {
    let config = &shared.config;
    Json(json!({"data": {
        "CONFIG_NAME": "devnet",
        "SECONDS_PER_SLOT": config.seconds_per_slot.to_string(),
        "SLOTS_PER_EPOCH": config.slots_per_epoch.to_string(),
        "GENESIS_FORK_VERSION": config.genesis_fork_version,
        "CAPELLA_FORK_VERSION": config.capella_fork_version,
        "CAPELLA_FORK_EPOCH": config.capella_epoch.to_string(),
        "SHARD_COMMITTEE_PERIOD": "0",
        "DEPOSIT_CHAIN_ID": config.chain_id.to_string(),
        "DEPOSIT_NETWORK_ID": config.chain_id.to_string(),
        "DEPOSIT_CONTRACT_ADDRESS": config.deposit_contract,
    }}))
}

async fn deposit_contract(State(shared): Api) -> Json<Value> {
    let config = &shared.config;
    Json(json!({"data": {"chain_id": config.chain_id.to_string(), "address": config.deposit_contract}}))
}

async fn finality_checkpoints(State(shared): Api, Path(state): Path<String>) -> Answer {
    let (head, block) = shared.resolve(&state).await?;
    let at = shared.head_at(block);
    let mut checkpoints = serde_json::Map::new();
    let epochs = [
        ("previous_justified", at.finalized()),
        ("current_justified", at.justified()),
        ("finalized", at.finalized()),
    ];
    for (name, epoch) in epochs {
        // The checkpoint of epoch 0 has no block: the specs give it the zero root.
        let root = match epoch {
            0 => Some(B256::ZERO),
            epoch => shared.checkpoint(&head, epoch).await?.map(|block| block.hash),
        };
        checkpoints.insert(name.to_owned(), json!({"epoch": epoch.to_string(), "root": root}));
    }
    Ok(Json(
        json!({"execution_optimistic": shared.is_optimistic(), "finalized": false, "data": checkpoints}),
    ))
}

async fn header(State(shared): Api, Path(id): Path<String>) -> Answer {
    let (head, block) = shared.resolve(&id).await?;
    let finalized = shared.is_final(&head, &block);
    Ok(Json(json!({
        "execution_optimistic": shared.is_optimistic(), "finalized": finalized,
        "data": {
            "root": block.hash, "canonical": true,
            "header": {"message": shared.message(&block), "signature": FixedBytes::<96>::ZERO},
        },
    })))
}

async fn block(State(shared): Api, Path(id): Path<String>) -> Answer {
    let (head, block) = shared.resolve(&id).await?;
    let finalized = shared.is_final(&head, &block);
    let mut message = shared.message(&block);
    if let Some(members) = message.as_object_mut() {
        members.remove("body_root");
        members.insert(
            "body".to_owned(),
            json!({"execution_payload": {
                "parent_hash": block.parent_hash, "block_hash": block.hash,
                "block_number": block.number.to::<u64>().to_string(),
                "timestamp": block.timestamp.to::<u64>().to_string(),
            }}),
        );
    }
    Ok(Json(json!({
        "version": "electra", "execution_optimistic": shared.is_optimistic(), "finalized": finalized,
        "data": {"message": message, "signature": FixedBytes::<96>::ZERO},
    })))
}

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    ids: Option<Vec<String>>,
    #[serde(default)]
    statuses: Option<Vec<String>>,
}

async fn validators(State(shared): Api, Path(state): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let mut wanted = Wanted::default();
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let list = match name.as_ref() {
            "id" => &mut wanted.ids,
            "status" => &mut wanted.statuses,
            _ => continue,
        };
        list.get_or_insert_default().extend(value.split(',').map(str::to_owned));
    }
    shared.validators(&state, wanted).await
}

async fn validators_by_body(State(shared): Api, Path(state): Path<String>, Json(wanted): Json<Wanted>) -> Answer {
    shared.validators(&state, wanted).await
}

async fn validator(State(shared): Api, Path((state, id)): Path<(String, String)>) -> Answer {
    let wanted = Wanted {
        ids: Some(vec![id]),
        statuses: None,
    };
    let Json(mut all) = shared.validators(&state, wanted).await?;
    let one = all.get_mut("data").and_then(Value::as_array_mut).and_then(Vec::pop);
    let one = one.ok_or_else(|| not_found("no such validator"))?;
    all.as_object_mut()
        .map(|members| members.insert("data".to_owned(), one));
    Ok(Json(all))
}

/// `postValidatorLiveness`: for the present epoch and those next to it, as Lighthouse and Lodestar answer.
async fn liveness(State(shared): Api, Path(epoch): Path<String>, Json(indexes): Json<Vec<String>>) -> Answer {
    if !shared.liveness.is_tracked() {
        return Err(ApiError(
            StatusCode::NOT_IMPLEMENTED,
            "liveness is not tracked".to_owned(),
        ));
    }
    if shared.syncing.load(Ordering::SeqCst) {
        return Err(ApiError(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node is syncing".to_owned(),
        ));
    }
    let epoch: u64 = epoch
        .parse()
        .map_err(|_| refuse(format!("`{epoch}` is not an epoch")))?;
    let head = shared.require_head().await?;
    if epoch.abs_diff(head.epoch) > 1 {
        return Err(refuse(format!("epoch {epoch} is too far from epoch {}", head.epoch)));
    }
    let mut registry = shared.registry.lock().await;
    shared.advance(&mut registry, &head).await?;
    let mut data = Vec::new();
    for index in indexes {
        let validator = index.parse().ok().and_then(|index| registry.validator(index));
        let validator = validator.ok_or_else(|| refuse(format!("`{index}` is not the index of a validator")))?;
        let is_live = shared.liveness.is_live(&validator.public_key);
        data.push(json!({"index": index, "is_live": is_live}));
    }
    Ok(Json(json!({ "data": data })))
}

async fn exits(State(shared): Api) -> Json<Value> {
    let exits = shared.exits.lock().await;
    Json(json!({"data": exits.values().map(|exit| &exit.signed).collect::<Vec<_>>()}))
}

async fn submit_exit(State(shared): Api, Json(signed): Json<SignedExit>) -> Result<StatusCode, ApiError> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| refuse(format!("`{text}` is not an integer")))
    };
    let (exit_epoch, index) = (number(&signed.message.epoch)?, number(&signed.message.validator_index)?);
    let head = shared.require_head().await?;
    let mut registry = shared.registry.lock().await;
    shared.advance(&mut registry, &head).await?;
    let validator = registry.validator(index).ok_or_else(|| refuse("no such validator"))?;
    let mut exits = shared.exits.lock().await;
    let balance = validator.balance_at(head.block.number.to());
    let life = Life::of(
        &shared.config,
        validator,
        balance,
        exits.get(&index).map(|exit| exit.epoch),
    );
    let exit = (exit_epoch, index, &signed.signature);
    if let Some(reason) = refusal(&shared.config, validator, &life, exit, head.epoch) {
        return Err(refuse(reason));
    }
    exits.insert(
        index,
        Exit {
            signed,
            epoch: head.epoch + 2,
        },
    );
    Ok(StatusCode::OK)
}

impl Shared {
    fn is_optimistic(&self) -> bool {
        self.optimistic.load(Ordering::SeqCst)
    }

    async fn require_head(&self) -> Result<Head, ApiError> {
        self.head().await?.ok_or_else(|| not_found("the chain has no blocks"))
    }

    /// The block that a state or block id names, and the newest one.
    async fn resolve(&self, id: &str) -> Result<(Head, Block), ApiError> {
        let head = self.require_head().await?;
        let block = match id {
            "head" => Some(head.block.clone()),
            "genesis" => self.rpc.block(Some(0)).await?,
            "finalized" => self.checkpoint(&head, head.finalized()).await?,
            "justified" => self.checkpoint(&head, head.justified()).await?,
            root if root.starts_with("0x") => {
                let root: B256 = root.parse().map_err(|_| refuse(format!("`{root}` is not a root")))?;
                self.rpc.request("eth_getBlockByHash", json!([root, false])).await?
            }
            slot => {
                let slot = slot
                    .parse()
                    .map_err(|_| refuse(format!("`{slot}` is not a block or state")))?;
                self.block_in(&head, slot).await?
            }
        };
        let block = block.ok_or_else(|| not_found(format!("no block for `{id}`")))?;
        Ok((head, block))
    }

    fn head_at(&self, block: Block) -> Head {
        let slot = self.config.slot_at(block.timestamp.to());
        Head {
            slot,
            epoch: self.config.epoch_of(slot),
            block,
        }
    }

    fn is_final(&self, head: &Head, block: &Block) -> bool {
        self.config.slot_at(block.timestamp.to()) <= head.finalized() * self.config.slots_per_epoch
    }

    fn message(&self, block: &Block) -> Value {
        json!({
            "slot": self.config.slot_at(block.timestamp.to()).to_string(), "proposer_index": "0",
            "parent_root": block.parent_hash, "state_root": block.hash, "body_root": block.hash,
        })
    }

    fn status_of(&self, public_key: &FixedBytes<48>, truth: &'static str) -> &'static str {
        let statuses = self.statuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        statuses.get(public_key).copied().unwrap_or(truth)
    }

    async fn validators(&self, state: &str, wanted: Wanted) -> Answer {
        let (head, block) = self.resolve(state).await?;
        let finalized = self.is_final(&head, &block);
        let at = self.head_at(block);
        let number = at.block.number.to::<u64>();
        let mut registry = self.registry.lock().await;
        self.advance(&mut registry, &head).await?;
        let exits = self.exits.lock().await;
        let mut indexes = None;
        if let Some(ids) = wanted.ids.filter(|ids| !ids.is_empty()) {
            let list: &mut BTreeSet<u64> = indexes.insert(BTreeSet::new());
            for id in ids {
                let index = match id.strip_prefix("0x") {
                    Some(_) => {
                        let key = id.parse().map_err(|_| refuse(format!("`{id}` is not a public key")))?;
                        registry.index(&key)
                    }
                    None => Some(id.parse().map_err(|_| refuse(format!("`{id}` is not an index")))?),
                };
                list.extend(index);
            }
        }
        let statuses = wanted.statuses.filter(|statuses| !statuses.is_empty());
        let mut data = Vec::new();
        for (index, validator) in registry.at(number) {
            if indexes.as_ref().is_some_and(|indexes| !indexes.contains(&index)) {
                continue;
            }
            let balance = validator.balance_at(number);
            let life = Life::of(
                &self.config,
                validator,
                balance,
                exits.get(&index).map(|exit| exit.epoch),
            );
            let status = self.status_of(&validator.public_key, life.status(at.epoch));
            let matches = |wanted: &String| status == wanted || status.split('_').next() == Some(wanted);
            if statuses.as_ref().is_none_or(|statuses| statuses.iter().any(matches)) {
                data.push(describe(index, validator, balance, &life, status));
            }
        }
        Ok(Json(
            json!({"execution_optimistic": self.is_optimistic(), "finalized": finalized, "data": data}),
        ))
    }
}

fn describe(index: u64, validator: &Validator, balance: u64, life: &Life, status: &str) -> Value {
    json!({
        "index": index.to_string(), "balance": balance.to_string(), "status": status,
        "validator": {
            "pubkey": validator.public_key, "withdrawal_credentials": validator.credentials,
            "effective_balance": effective(balance, validator).to_string(), "slashed": false,
            "activation_eligibility_epoch": life.eligible.to_string(),
            "activation_epoch": life.activation.to_string(),
            "exit_epoch": life.exit.to_string(), "withdrawable_epoch": life.withdrawable.to_string(),
        },
    })
}

/// Whole ETH, up to what the credentials allow (EIP-7251).
fn effective(balance: u64, validator: &Validator) -> u64 {
    let most = if validator.credentials.first() == Some(&2) {
        2048
    } else {
        32
    };
    (balance / GWEI_PER_ETH).min(most) * GWEI_PER_ETH
}

const GWEI_PER_ETH: u64 = 1_000_000_000;
const SYNC_DISTANCE: u64 = 1000;
