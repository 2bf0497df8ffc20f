//! The Beacon API of one node (ethereum/beacon-APIs).

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};
use sw_spec::{Epoch, PublicKeyBytes, RedactedUrl, SignedVoluntaryExit, Slot};

use super::{
    BeaconDepositContract, BeaconSpec, BeaconValidator, ConsensusOptions, ConsensusStatus, ExpectedGenesis, Finality,
    FinalizedBlock, Fork, Genesis,
    answers::{
        BlockAnswer, DepositContractAnswer, Envelope, ErrorAnswer, FinalityAnswer, ForkAnswer, GenesisAnswer,
        LivenessAnswer, SpecAnswer, SyncingAnswer, TakenAnswer, ValidatorAnswer,
    },
};
use crate::{
    EndpointFault,
    http::{Answer, excerpt, exchange},
};

pub(super) struct Beacon {
    client: reqwest::Client,
    url: RedactedUrl,
    timeout: Duration,
    limit: usize,
    expected: Option<ExpectedGenesis>,
    is_checked: AtomicBool,
    is_without_post: AtomicBool,
}

impl Beacon {
    pub(super) fn new(client: reqwest::Client, url: RedactedUrl, options: &ConsensusOptions) -> Self {
        Self {
            client,
            url,
            timeout: options.request_timeout,
            limit: options.body_limit,
            expected: options.genesis,
            is_checked: AtomicBool::new(false),
            is_without_post: AtomicBool::new(false),
        }
    }

    pub(super) async fn syncing(&self) -> Result<ConsensusStatus, EndpointFault> {
        let Envelope { data, .. } = self.get::<SyncingAnswer>("eth/v1/node/syncing").await?;
        Ok(ConsensusStatus {
            is_syncing: data.is_syncing,
            is_optimistic: data.is_optimistic.unwrap_or(false),
            el_offline: data.el_offline.unwrap_or(false),
            head_slot: Some(Slot(data.head_slot.0)),
            sync_distance: data.sync_distance.0,
            ..ConsensusStatus::unknown(self.url.clone())
        })
    }

    pub(super) async fn genesis(&self) -> Result<Genesis, EndpointFault> {
        let Envelope { data, .. } = self.get::<GenesisAnswer>("eth/v1/beacon/genesis").await?;
        Ok(Genesis {
            genesis_time: data.genesis_time.0,
            genesis_validators_root: data.genesis_validators_root,
            genesis_fork_version: data.genesis_fork_version,
        })
    }

    /// Makes sure that the node is on the chain that is wanted, if it has not been made sure of.
    pub(super) async fn check_genesis(&self) -> Result<(), EndpointFault> {
        let Some(expected) = self.expected.filter(|_| !self.is_checked.load(Ordering::Relaxed)) else {
            return Ok(());
        };
        let found = self.genesis().await?;
        let found = ExpectedGenesis {
            validators_root: found.genesis_validators_root,
            fork_version: found.genesis_fork_version,
        };
        if found != expected {
            return Err(EndpointFault::WrongGenesis {
                validators_root: found.validators_root,
                fork_version: found.fork_version,
            });
        }
        self.is_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Behind a fault there may be another node the next time.
    pub(super) fn doubt(&self) {
        self.is_checked.store(false, Ordering::Relaxed);
        self.is_without_post.store(false, Ordering::Relaxed);
    }

    /// Whether it is in step: not syncing, not optimistic, and with an execution node.
    pub(super) async fn ready(&self) -> Result<ConsensusStatus, EndpointFault> {
        let said = self.syncing().await?;
        match said {
            _ if said.is_syncing => Err(EndpointFault::Syncing),
            _ if said.is_optimistic => Err(EndpointFault::Optimistic),
            _ if said.el_offline => Err(EndpointFault::ExecutionOffline),
            said => Ok(said),
        }
    }

    pub(super) async fn spec(&self) -> Result<BeaconSpec, EndpointFault> {
        let Envelope { data, .. } = self.get::<SpecAnswer>("eth/v1/config/spec").await?;
        data.try_into()
    }

    pub(super) async fn fork(&self) -> Result<Fork, EndpointFault> {
        let answer = self.get::<ForkAnswer>("eth/v1/beacon/states/head/fork").await?;
        unless_optimistic(answer).map(Fork::from)
    }

    pub(super) async fn finality(&self) -> Result<Finality, EndpointFault> {
        let answer = self
            .get::<FinalityAnswer>("eth/v1/beacon/states/head/finality_checkpoints")
            .await?;
        unless_optimistic(answer).map(Finality::from)
    }

    pub(super) async fn pool_exits(&self) -> Result<Vec<SignedVoluntaryExit>, EndpointFault> {
        let Envelope { data, .. } = self.get::<Vec<SignedVoluntaryExit>>(POOL).await?;
        Ok(data)
    }

    /// Hands over an exit. What a node says when it takes one is nothing, `null`, or an object that names no error; anything
    /// else is from what stands before it.
    pub(super) async fn submit_exit(&self, exit: &SignedVoluntaryExit) -> Result<(), EndpointFault> {
        let answer = self.send(Method::POST, POOL, &[], Some(exit)).await?;
        let is_yes = || {
            serde_json::from_slice::<Option<TakenAnswer>>(&answer.body)
                .is_ok_and(|said| said.is_none_or(|said| said.is_yes()))
        };
        if answer.body.trim_ascii().is_empty() || is_yes() {
            Ok(())
        } else {
            Err(EndpointFault::Malformed(excerpt(&answer.body, &self.url)))
        }
    }

    pub(super) async fn deposit_contract(&self) -> Result<BeaconDepositContract, EndpointFault> {
        let Envelope { data, .. } = self
            .get::<DepositContractAnswer>("eth/v1/config/deposit_contract")
            .await?;
        Ok(BeaconDepositContract {
            chain_id: data.chain_id.0,
            address: data.address,
        })
    }

    pub(super) async fn finalized(&self) -> Result<FinalizedBlock, EndpointFault> {
        let answer = self.get::<BlockAnswer>("eth/v2/beacon/blocks/finalized").await?;
        if answer.execution_optimistic == Some(true) {
            return Err(EndpointFault::Optimistic);
        }
        let message = answer.data.message;
        let payload = message.body.execution_payload;
        Ok(FinalizedBlock {
            slot: Slot(message.slot.0),
            block_number: payload.block_number.0,
            block_hash: payload.block_hash,
            timestamp: payload.timestamp.0,
        })
    }

    pub(super) async fn validators(&self, keys: &[PublicKeyBytes]) -> Result<Vec<BeaconValidator>, EndpointFault> {
        let ids: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let found = self.states(&ids, KEYS_IN_A_URL).await?;
        only_those(keys, found, |validator| validator.public_key)
    }

    pub(super) async fn validators_by_index(&self, indexes: &[u64]) -> Result<Vec<BeaconValidator>, EndpointFault> {
        let ids: Vec<String> = indexes.iter().map(u64::to_string).collect();
        let found = self.states(&ids, INDEXES_IN_A_URL).await?;
        only_those(indexes, found, |validator| validator.index)
    }

    /// Asks with POST, which takes any number of them, and with GET where the node does not know that; it is not tried again then.
    async fn states(&self, ids: &[String], in_a_url: usize) -> Result<Vec<BeaconValidator>, EndpointFault> {
        // Without any, all validators of the chain are meant.
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_without_post.load(Ordering::Relaxed) {
            return self.states_by_get(ids, in_a_url).await;
        }
        let body = serde_json::json!({ "ids": ids });
        let posted = self.request(Method::POST, VALIDATORS, &[], Some(&body)).await;
        match posted {
            Err(EndpointFault::Status { status, .. }) if NO_POST.contains(&status) => {
                let found = self.states_by_get(ids, in_a_url).await?;
                self.is_without_post.store(true, Ordering::Relaxed);
                Ok(found)
            }
            answer => of_validators(answer?),
        }
    }

    async fn states_by_get(&self, ids: &[String], in_a_url: usize) -> Result<Vec<BeaconValidator>, EndpointFault> {
        let mut found = Vec::new();
        for ids in ids.chunks(in_a_url) {
            let query: Vec<_> = ids.iter().map(|id| ("id", id.as_str())).collect();
            let answer = self.request::<_, ()>(Method::GET, VALIDATORS, &query, None).await?;
            found.extend(of_validators(answer)?);
        }
        Ok(found)
    }

    pub(super) async fn live_validators(&self, epoch: Epoch, indices: &[u64]) -> Result<Vec<u64>, EndpointFault> {
        let path = format!("eth/v1/validator/liveness/{}", epoch.0);
        let body: Vec<String> = indices.iter().map(u64::to_string).collect();
        let Envelope { data, .. } = self
            .request::<Vec<LivenessAnswer>, _>(Method::POST, &path, &[], Some(&body))
            .await?;
        let mut wanted: BTreeSet<_> = indices.iter().copied().collect();
        if !data.iter().all(|answer| wanted.remove(&answer.index.0)) || !wanted.is_empty() {
            return Err(EndpointFault::Malformed(
                "the liveness of other validators than those asked for".to_owned(),
            ));
        }
        let live = data.into_iter().filter(|answer| answer.is_live);
        Ok(live.map(|answer| answer.index.0).collect())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Envelope<T>, EndpointFault> {
        self.request::<T, ()>(Method::GET, path, &[], None).await
    }

    async fn request<T: DeserializeOwned, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&B>,
    ) -> Result<Envelope<T>, EndpointFault> {
        let answer = self.send(method, path, query, body).await?;
        parse(&answer.body, &self.url)
    }

    async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&B>,
    ) -> Result<Answer, EndpointFault> {
        let mut url = self.url.expose_url().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = exchange(request, &self.url, path, self.timeout, self.limit).await?;
        if answer.status.is_success() {
            Ok(answer)
        } else {
            Err(fault(&answer, &self.url))
        }
    }
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8], url: &RedactedUrl) -> Result<Envelope<T>, EndpointFault> {
    serde_json::from_slice(body).map_err(|error| EndpointFault::Malformed(excerpt(error.to_string().as_bytes(), url)))
}

pub(super) fn unless_optimistic<T>(answer: Envelope<T>) -> Result<T, EndpointFault> {
    if answer.execution_optimistic == Some(true) {
        Err(EndpointFault::Optimistic)
    } else {
        Ok(answer.data)
    }
}

/// The fault that an unsuccessful status is, in the node's own words if it says any.
pub(super) fn fault(answer: &Answer, url: &RedactedUrl) -> EndpointFault {
    match (answer.fault(url), serde_json::from_slice::<ErrorAnswer>(&answer.body)) {
        (EndpointFault::Status { status, .. }, Ok(said)) => EndpointFault::Status {
            status,
            message: excerpt(said.reason().as_bytes(), url),
        },
        (fault, _) => fault,
    }
}

fn of_validators(answer: Envelope<Vec<ValidatorAnswer>>) -> Result<Vec<BeaconValidator>, EndpointFault> {
    let found = unless_optimistic(answer)?;
    Ok(found.into_iter().map(BeaconValidator::from).collect())
}

/// Holds a node to the question: each validator is one that was asked for, and there once, under its key and under its index.
fn only_those<T: Copy + Ord>(
    asked: &[T],
    found: Vec<BeaconValidator>,
    name: fn(&BeaconValidator) -> T,
) -> Result<Vec<BeaconValidator>, EndpointFault> {
    let mut wanted: BTreeSet<T> = asked.iter().copied().collect();
    let (mut keys, mut indexes) = (BTreeSet::new(), BTreeSet::new());
    let is_sound = found.iter().all(|validator| {
        wanted.remove(&name(validator)) && keys.insert(validator.public_key) && indexes.insert(validator.index)
    });
    if is_sound {
        Ok(found)
    } else {
        Err(EndpointFault::Malformed(
            "a validator that was not asked for, or one twice".to_owned(),
        ))
    }
}

const VALIDATORS: &str = "eth/v1/beacon/states/head/validators";
const POOL: &str = "eth/v1/beacon/pool/voluntary_exits";
/// What nodes answer that do not know `postStateValidators`, or do not take so much. Prysm 4 has 400: it wants a bare list.
const NO_POST: [u16; 6] = [400, 404, 405, 413, 415, 501];
/// 102 characters each: servers cut request lines at 4 to 8 KiB.
const KEYS_IN_A_URL: usize = 30;
/// `maxItems` of the query in the Beacon API.
const INDEXES_IN_A_URL: usize = 64;
