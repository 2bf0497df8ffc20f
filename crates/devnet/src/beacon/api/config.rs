//! What never changes: genesis, constants, the deposit contract.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Api;
use crate::beacon::life::{FAR_FUTURE, MIN_ACTIVATION_BALANCE};

pub(super) async fn genesis(State(shared): Api) -> Json<Value> {
    let config = &shared.config;
    Json(json!({"data": {
        "genesis_time": config.genesis_time.to_string(),
        "genesis_validators_root": config.genesis_validators_root,
        "genesis_fork_version": config.genesis_fork_version,
    }}))
}

pub(super) async fn spec(State(shared): Api) -> Json<Value> {
    let config = &shared.config;
    Json(json!({"data": {
        "CONFIG_NAME": "devnet",
        "SECONDS_PER_SLOT": config.seconds_per_slot.to_string(),
        "SLOTS_PER_EPOCH": config.slots_per_epoch.to_string(),
        "GENESIS_FORK_VERSION": config.genesis_fork_version,
        "CAPELLA_FORK_VERSION": config.capella_fork_version,
        "CAPELLA_FORK_EPOCH": config.capella_epoch.to_string(),
        "DENEB_FORK_VERSION": config.deneb_fork_version,
        "DENEB_FORK_EPOCH": config.capella_epoch.to_string(),
        "ELECTRA_FORK_VERSION": config.electra_fork_version,
        "ELECTRA_FORK_EPOCH": config.capella_epoch.to_string(),
        "SHARD_COMMITTEE_PERIOD": config.shard_committee_period.to_string(),
        "MAX_SEED_LOOKAHEAD": config.max_seed_lookahead.to_string(),
        "MIN_VALIDATOR_WITHDRAWABILITY_DELAY": config.min_validator_withdrawability_delay.to_string(),
        "EPOCHS_PER_SLASHINGS_VECTOR": config.epochs_per_slashings_vector.to_string(),
        "MIN_ACTIVATION_BALANCE": MIN_ACTIVATION_BALANCE.to_string(),
        "FAR_FUTURE_EPOCH": FAR_FUTURE.to_string(),
        "DOMAIN_VOLUNTARY_EXIT": "0x04000000",
        "DEPOSIT_CHAIN_ID": config.chain_id.to_string(),
        "DEPOSIT_NETWORK_ID": config.chain_id.to_string(),
        "DEPOSIT_CONTRACT_ADDRESS": config.deposit_contract,
    }}))
}

pub(super) async fn deposit_contract(State(shared): Api) -> Json<Value> {
    let config = &shared.config;
    Json(json!({"data": {"chain_id": config.chain_id.to_string(), "address": config.deposit_contract}}))
}
