//! The Beacon API of one node (ethereum/beacon-APIs), with a type for each answer.

use std::{
    collections::BTreeSet,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use alloy_primitives::{Address, B256};
use reqwest::Method;
use serde::{Deserialize, Deserializer, de};
use sw_spec::{Epoch, ForkVersion, Gwei, PublicKeyBytes, RedactedUrl, Slot};

use super::{BeaconDepositContract, BeaconValidator, ConsensusStatus, ExpectedGenesis, FinalizedBlock, Genesis};
use crate::{
    EndpointFault,
    http::{excerpt, exchange},
};

pub(super) struct Beacon {
    pub(super) client: reqwest::Client,
    pub(super) url: RedactedUrl,
    pub(super) timeout: Duration,
    pub(super) limit: usize,
    pub(super) expected: Option<ExpectedGenesis>,
    pub(super) is_checked: AtomicBool,
}

impl Beacon {
    pub(super) async fn syncing(&self) -> Result<ConsensusStatus, EndpointFault> {
        let Envelope { data, .. } = self.get::<SyncingAnswer>("eth/v1/node/syncing").await?;
        Ok(ConsensusStatus {
            is_syncing: data.is_syncing,
            is_optimistic: data.is_optimistic,
            el_offline: data.el_offline,
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
        if answer.execution_optimistic {
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

    /// Asks with POST, which takes any number of keys, and with GET where the node does not know that.
    pub(super) async fn validators(&self, keys: &[PublicKeyBytes]) -> Result<Vec<BeaconValidator>, EndpointFault> {
        let ids: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let body = serde_json::json!({ "ids": ids });
        let posted = self
            .request::<Vec<ValidatorAnswer>>(Method::POST, VALIDATORS, &[], Some(&body))
            .await;
        let found = match posted {
            Err(EndpointFault::Status {
                status: 400 | 404 | 405 | 415 | 501,
                ..
            }) => {
                let mut found = Vec::new();
                for ids in ids.chunks(IDS_IN_A_URL) {
                    let query: Vec<_> = ids.iter().map(|id| ("id", id.as_str())).collect();
                    let more = self
                        .request::<Vec<ValidatorAnswer>>(Method::GET, VALIDATORS, &query, None)
                        .await?;
                    found.extend(unless_optimistic(more)?);
                }
                found
            }
            answer => unless_optimistic(answer?)?,
        };
        let mut wanted: BTreeSet<_> = keys.iter().copied().collect();
        if !found.iter().all(|validator| wanted.remove(&validator.validator.pubkey)) {
            return Err(EndpointFault::Malformed(
                "a validator that was not asked for, or one twice".to_owned(),
            ));
        }
        Ok(found.into_iter().map(BeaconValidator::from).collect())
    }

    pub(super) async fn live_validators(&self, epoch: Epoch, indices: &[u64]) -> Result<Vec<u64>, EndpointFault> {
        let path = format!("eth/v1/validator/liveness/{}", epoch.0);
        let body = indices.iter().map(u64::to_string).collect::<serde_json::Value>();
        let Envelope { data, .. } = self
            .request::<Vec<LivenessAnswer>>(Method::POST, &path, &[], Some(&body))
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

    async fn get<T: de::DeserializeOwned>(&self, path: &str) -> Result<Envelope<T>, EndpointFault> {
        self.request(Method::GET, path, &[], None).await
    }

    async fn request<T: de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&serde_json::Value>,
    ) -> Result<Envelope<T>, EndpointFault> {
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
        if !answer.status.is_success() {
            return Err(answer.fault(&self.url));
        }
        parse(&answer.body, &self.url)
    }
}

fn parse<T: de::DeserializeOwned>(body: &[u8], url: &RedactedUrl) -> Result<Envelope<T>, EndpointFault> {
    serde_json::from_slice(body).map_err(|error| EndpointFault::Malformed(excerpt(error.to_string().as_bytes(), url)))
}

fn unless_optimistic<T>(answer: Envelope<T>) -> Result<T, EndpointFault> {
    if answer.execution_optimistic {
        Err(EndpointFault::Optimistic)
    } else {
        Ok(answer.data)
    }
}

impl From<ValidatorAnswer> for BeaconValidator {
    fn from(answer: ValidatorAnswer) -> Self {
        let validator = answer.validator;
        Self {
            index: answer.index.0,
            public_key: validator.pubkey,
            balance: Gwei(answer.balance.0),
            status: answer.status,
            withdrawal_credentials: validator.withdrawal_credentials,
            activation_epoch: Epoch(validator.activation_epoch.0),
            exit_epoch: Epoch(validator.exit_epoch.0),
        }
    }
}

/// What every answer comes in.
#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    execution_optimistic: bool,
    data: T,
}

#[derive(Deserialize)]
struct SyncingAnswer {
    head_slot: Decimal,
    sync_distance: Decimal,
    is_syncing: bool,
    #[serde(default)]
    is_optimistic: bool,
    #[serde(default)]
    el_offline: bool,
}

#[derive(Deserialize)]
struct GenesisAnswer {
    genesis_time: Decimal,
    genesis_validators_root: B256,
    genesis_fork_version: ForkVersion,
}

#[derive(Deserialize)]
struct DepositContractAnswer {
    chain_id: Decimal,
    address: Address,
}

#[derive(Deserialize)]
struct BlockAnswer {
    message: BlockMessage,
}

#[derive(Deserialize)]
struct BlockMessage {
    slot: Decimal,
    body: BlockBody,
}

#[derive(Deserialize)]
struct BlockBody {
    execution_payload: ExecutionPayload,
}

#[derive(Deserialize)]
struct ExecutionPayload {
    block_number: Decimal,
    block_hash: B256,
    timestamp: Decimal,
}

#[derive(Deserialize)]
struct ValidatorAnswer {
    index: Decimal,
    balance: Decimal,
    status: String,
    validator: ValidatorMembers,
}

#[derive(Deserialize)]
struct LivenessAnswer {
    index: Decimal,
    is_live: bool,
}

#[derive(Deserialize)]
struct ValidatorMembers {
    pubkey: PublicKeyBytes,
    withdrawal_credentials: B256,
    activation_epoch: Decimal,
    exit_epoch: Decimal,
}

/// A number, which the Beacon API writes as a decimal string.
#[derive(Clone, Copy)]
struct Decimal(u64);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number of at most 64 bits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse().ok().filter(|_| digits);
                number
                    .map(Decimal)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Decimal, E> {
                Ok(Decimal(number))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads a body as each answer of the Beacon API, and says as which it can be read.
#[cfg(feature = "fuzzing")]
pub(crate) fn readable_as(body: &[u8], url: &RedactedUrl) -> Vec<&'static str> {
    let validators = parse::<Vec<ValidatorAnswer>>(body, url).and_then(unless_optimistic);
    let validators = validators.map(|found| found.into_iter().map(BeaconValidator::from).collect::<Vec<_>>());
    let read = [
        ("syncing", parse::<SyncingAnswer>(body, url).is_ok()),
        ("genesis", parse::<GenesisAnswer>(body, url).is_ok()),
        ("deposit_contract", parse::<DepositContractAnswer>(body, url).is_ok()),
        ("finalized", parse::<BlockAnswer>(body, url).is_ok()),
        ("validators", validators.is_ok()),
        ("liveness", parse::<Vec<LivenessAnswer>>(body, url).is_ok()),
    ];
    read.into_iter().filter_map(|(name, is)| is.then_some(name)).collect()
}

const VALIDATORS: &str = "eth/v1/beacon/states/head/validators";
/// 98 characters each: servers cut requests lines at 4 to 8 KiB.
const IDS_IN_A_URL: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_strings_and_nothing_else_passes() {
        let read = |text: &str| serde_json::from_str::<Decimal>(text).map(|number| number.0).ok();
        assert_eq!(read("\"18446744073709551615\""), Some(u64::MAX));
        assert_eq!(read("7"), Some(7));
        for text in [
            "\"18446744073709551616\"",
            "\"+1\"",
            "\"-1\"",
            "\"\"",
            "\"0x1\"",
            "1.5",
            "null",
            "[]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
