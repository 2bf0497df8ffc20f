//! What the node says of itself, and who it has seen at work.

use std::sync::atomic::Ordering;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{Answer, Api, Fault};

pub(super) async fn syncing(State(shared): Api) -> Answer {
    let head = shared.require_head().await?;
    let syncing = shared.syncing.load(Ordering::SeqCst);
    let distance = if syncing { head.slot.min(SYNC_DISTANCE) } else { 0 };
    let mut data = json!({
        "head_slot": (head.slot - distance).to_string(), "sync_distance": distance.to_string(), "is_syncing": syncing,
    });
    // Both came later: lighthouse beacon_node/http_api/src/lib.rs, teku handlers/v1/node/GetSyncing.java; nimbus
    // rest_node_api.nim has them from Bellatrix and Capella on.
    if let Some(members) = data.as_object_mut().filter(|_| !shared.is_old()) {
        members.insert("is_optimistic".to_owned(), json!(shared.is_optimistic()));
        members.insert("el_offline".to_owned(), json!(shared.is_execution_offline()));
    }
    Ok(Json(json!({ "data": data })))
}

pub(super) async fn version(State(shared): Api) -> Json<Value> {
    Json(json!({"data": {"version": shared.client().version()}}))
}

pub(super) async fn health(State(shared): Api) -> StatusCode {
    let syncing = shared.syncing.load(Ordering::SeqCst);
    let client = shared.client();
    client.health(syncing, shared.is_optimistic(), shared.is_execution_offline())
}

/// `postValidatorLiveness`: who is at work is whoever was said to be, in every epoch.
pub(super) async fn liveness(State(shared): Api, Path(epoch): Path<String>, body: Bytes) -> Answer {
    let client = shared.client();
    let indexes: Vec<String> =
        serde_json::from_slice(&body).map_err(|error| client.cannot_read_list(&error.to_string()))?;
    if !shared.liveness.is_tracked() {
        return Err(client.does_not_track());
    }
    if let Some(fault) = client
        .is_silent_while_syncing()
        .filter(|_| shared.syncing.load(Ordering::SeqCst))
    {
        return Err(fault);
    }
    let number = |text: &str| {
        let number = text.parse::<u64>();
        number.map_err(|_| Fault::bad_request(format!("`{text}` is not a number")))
    };
    let head = shared.require_head().await?;
    if let Some(fault) = client.does_not_know_epoch(number(&epoch)?, head.epoch) {
        return Err(fault);
    }
    let indexes = indexes
        .iter()
        .map(|index| number(index))
        .collect::<Result<Vec<_>, _>>()?;
    let mut registry = shared.registry.lock().await;
    shared.advance(&mut registry, &head).await?;
    if let Some(fault) = client.does_not_know_indexes(&indexes, |index| registry.validator(index).is_some()) {
        return Err(fault);
    }
    let said = indexes.into_iter().map(|index| {
        let validator = registry.validator(index);
        let is_live = validator.is_some_and(|validator| shared.liveness.is_live(&validator.public_key));
        json!({"index": index.to_string(), "is_live": is_live})
    });
    Ok(Json(json!({"data": said.collect::<Vec<_>>()})))
}

const SYNC_DISTANCE: u64 = 1000;
