//! The HTTP side: paths and JSON of the Beacon API, <https://ethereum.github.io/beacon-APIs/>.

mod config;
mod node;
mod pool;
mod states;

use std::sync::Arc;

use alloy_primitives::{B256, FixedBytes};
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{Shared, client::Fault, clock::Head};
use crate::rpc::Block;

type Api = State<Arc<Shared>>;
type Answer = Result<Json<Value>, Fault>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/eth/v1/node/syncing", get(node::syncing))
        .route("/eth/v1/node/version", get(node::version))
        .route("/eth/v1/node/health", get(node::health))
        .route("/eth/v1/beacon/genesis", get(config::genesis))
        .route("/eth/v1/config/spec", get(config::spec))
        .route("/eth/v1/config/deposit_contract", get(config::deposit_contract))
        .route("/eth/v1/beacon/states/{state}/fork", get(states::fork))
        .route(
            "/eth/v1/beacon/states/{state}/finality_checkpoints",
            get(states::finality_checkpoints),
        )
        .route(
            "/eth/v1/beacon/states/{state}/validators",
            get(states::validators).post(states::validators_by_body),
        )
        .route("/eth/v1/beacon/states/{state}/validators/{id}", get(states::validator))
        .route("/eth/v1/beacon/headers/{block}", get(header))
        .route("/eth/v2/beacon/blocks/{block}", get(block))
        .route(
            "/eth/v1/beacon/pool/voluntary_exits",
            get(pool::exits).post(pool::submit_exit),
        )
        .route("/eth/v1/validator/liveness/{epoch}", post(node::liveness))
        .fallback(async || Fault::not_found(""))
        .layer(from_fn_with_state(Arc::clone(&shared), as_the_client_does))
        .with_state(shared)
}

/// Words each fault as the node's client does.
async fn as_the_client_does(State(shared): Api, request: Request, next: Next) -> Response {
    let client = shared.client();
    let target = request.uri().path_and_query().map(|target| target.as_str());
    if let Some(refused) = client.too_long(target.unwrap_or_default()) {
        return refused;
    }
    let response = next.run(request).await;
    match response.extensions().get::<Fault>() {
        Some(fault) => client.render(fault, shared.is_old()),
        None => response,
    }
}

async fn header(State(shared): Api, Path(id): Path<String>) -> Answer {
    let (head, block) = shared.resolve(&id).await?;
    let finalized = shared.is_final(&head, &block);
    let data = json!({
        "root": block.hash, "canonical": true,
        "header": {"message": shared.message(&block), "signature": FixedBytes::<96>::ZERO},
    });
    Ok(shared.about(finalized, data))
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
    let Json(mut answer) = shared.about(
        finalized,
        json!({"message": message, "signature": FixedBytes::<96>::ZERO}),
    );
    if let Some(members) = answer.as_object_mut() {
        members.insert("version".to_owned(), json!("electra"));
    }
    Ok(Json(answer))
}

impl Shared {
    /// An answer about a state or block. Versions before beacon-APIs 2.3 and 2.4 did not say whether it can be relied on.
    fn about(&self, finalized: bool, data: Value) -> Json<Value> {
        Json(match self.is_old() {
            true => json!({"data": data}),
            false => json!({"execution_optimistic": self.is_optimistic(), "finalized": finalized, "data": data}),
        })
    }

    async fn require_head(&self) -> Result<Head, Fault> {
        let head = self.head().await?;
        head.ok_or_else(|| Fault::not_found("the chain has no blocks"))
    }

    /// The block that a state or block id names, and the newest one.
    async fn resolve(&self, id: &str) -> Result<(Head, Block), Fault> {
        let head = self.require_head().await?;
        let block = match id {
            "head" => Some(head.block.clone()),
            "genesis" => self.rpc.block(Some(0)).await?,
            "finalized" => self.checkpoint(&head, head.finalized()).await?,
            "justified" => self.checkpoint(&head, head.justified()).await?,
            root if root.starts_with("0x") => {
                let root: B256 = root
                    .parse()
                    .map_err(|_| Fault::bad_request(format!("`{root}` is not a root")))?;
                self.rpc.request("eth_getBlockByHash", json!([root, false])).await?
            }
            slot => {
                let slot = slot.parse();
                let slot = slot.map_err(|_| Fault::bad_request(format!("`{id}` is not a block or state")))?;
                self.block_in(&head, slot).await?
            }
        };
        let block = block.ok_or_else(|| Fault::not_found(format!("no block for `{id}`")))?;
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
}
