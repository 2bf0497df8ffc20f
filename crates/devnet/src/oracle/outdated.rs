//! Whose exit signatures were shared among other oracles than the present ones.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use alloy::primitives::{Address, FixedBytes};
use serde::Deserialize;

use super::{
    approval::credentials,
    chain::Snapshot,
    documents::{DocumentError, Documents, StoredExits},
    members::Quorum,
};

/// The validators of a vault, by index.
pub(super) type Validators = BTreeMap<u64, FixedBytes<48>>;

/// The Beacon API could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the beacon node did not give the validators' statuses")]
pub(super) struct BeaconError(#[from] reqwest::Error);

/// The validators whose newest exit signatures on chain were shared among others than `quorum`. A validator of whom
/// the chain has none, such as a stranger's with the vault's credentials, is none of them.
pub(super) async fn shared_among_others(
    documents: &Documents,
    snapshot: &Snapshot,
    vault: Address,
    quorum: &Quorum,
) -> Result<Validators, DocumentError> {
    let newest = newest_exits(documents, snapshot, vault).await?;
    let is_outdated = |key: &FixedBytes<48>| newest.get(key).is_some_and(|stored| stored.quorum != *quorum);
    let all = snapshot.ledger.validators_of(credentials(vault));
    Ok(all.filter(|(_, key)| is_outdated(key)).collect())
}

async fn newest_exits(
    documents: &Documents,
    snapshot: &Snapshot,
    vault: Address,
) -> Result<HashMap<FixedBytes<48>, Arc<StoredExits>>, DocumentError> {
    let mut newest = HashMap::new();
    for stored in snapshot.ledger.exits(vault) {
        let document = documents.exits(&stored.cid).await?;
        for key in &document.public_keys {
            newest.insert(*key, Arc::clone(&document));
        }
    }
    Ok(newest)
}

#[derive(Debug, Deserialize)]
struct Listed {
    data: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    status: String,
    validator: Named,
}

#[derive(Debug, Deserialize)]
struct Named {
    pubkey: FixedBytes<48>,
}

/// What state of life the beacon chain has the validators in; one that it does not know is missing.
pub(super) async fn statuses(
    client: &reqwest::Client,
    beacon: &str,
    validators: &Validators,
) -> Result<HashMap<FixedBytes<48>, String>, BeaconError> {
    let indexes: Vec<String> = validators.keys().map(u64::to_string).collect();
    let mut statuses = HashMap::new();
    for some in indexes.chunks(BATCH) {
        let url = format!("{beacon}/eth/v1/beacon/states/head/validators?id={}", some.join(","));
        let mut tries = 1;
        let listed = loop {
            match ask(client, &url).await {
                Ok(listed) => break listed,
                Err(error) if tries >= TRIES => return Err(error.into()),
                Err(_) => tries += 1,
            }
        };
        let entries = listed.data.into_iter();
        statuses.extend(entries.map(|entry| (entry.validator.pubkey, entry.status)));
    }
    Ok(statuses)
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<Listed, reqwest::Error> {
    let answer = client.get(url).timeout(TIMEOUT).send().await?;
    answer.error_for_status()?.json().await
}

/// Whether a validator may still be told to exit: nobody needs the exit signature of one that is leaving or gone.
pub(super) fn stays(status: &str) -> bool {
    matches!(status, "active_ongoing" | "pending_initialized" | "pending_queued")
}

const BATCH: usize = 64;
const TRIES: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(3);
