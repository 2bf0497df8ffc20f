//! The oracle set of the moment: the config that the Keeper names, every oracle of it confirmed on chain.

use std::sync::Arc;

use sw_chain_client::Snapshot;
use sw_ipfs::{Gateways, Limits, parse_cid};
use sw_oracle_client::{OnChainOracles, OracleSet, OracleSetError, ProtocolConfig};
use sw_spec::NetworkSpec;

use tokio::sync::Mutex;

use crate::{DutyError, WhyNot, last_event::LastEvent};

/// Finds, fetches and keeps the config. It is read again when the Keeper names another one; thresholds and oracles are
/// compared with the chain at every use. Clones share what was found.
#[derive(Clone)]
pub struct Oracles {
    network: NetworkSpec,
    gateways: Arc<Gateways>,
    known: Arc<Mutex<Known>>,
}

struct Known {
    event: LastEvent<String>,
    /// The config that was loaded last, with its CID.
    config: Option<(String, ProtocolConfig)>,
}

/// Configs and rewards files are small documents; rewards grow with the number of vaults.
pub(crate) const DOCUMENT_LIMITS: Limits = Limits {
    bytes: 16 << 20,
    depth: 8,
    blocks: 256,
};

impl Oracles {
    /// Nothing is read before the first use.
    pub fn new(network: NetworkSpec, gateways: Arc<Gateways>) -> Self {
        let known = Known {
            event: LastEvent::new(network.config_block),
            config: None,
        };
        Self {
            network,
            gateways,
            known: Arc::new(Mutex::new(known)),
        }
    }

    /// Returns the oracle set at the snapshot's block, and the CID of its config.
    ///
    /// # Errors
    ///
    /// Nodes and gateways. The inner error: the set on chain and the config contradict each other, which is so for a
    /// while whenever the set changes.
    pub async fn load(
        &self,
        snapshot: &Snapshot,
        validators_min_oracles: u64,
        rewards_min_oracles: u64,
    ) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError> {
        let Some((cid, config)) = self.config(snapshot).await? else {
            let detail = format!(
                "the node knows no ConfigUpdated event of the Keeper {} from block {} on; it may have pruned its logs",
                self.network.contracts.keeper, self.network.config_block
            );
            return Ok(Err(WhyNot::OraclesChanging { detail }));
        };
        let addresses = config.oracle_addresses();
        let listed = snapshot
            .are_oracles(&self.network, &addresses)
            .await
            .map_err(|source| DutyError::Execution {
                what: "the oracles",
                source: Box::new(source),
            })?;
        let is_oracle = addresses.into_iter().zip(listed).collect();
        let chain = OnChainOracles {
            is_oracle,
            validators_min_oracles,
            rewards_min_oracles,
        };
        Ok(OracleSet::new(config, &chain)
            .map(|set| (Arc::new(set), cid.clone()))
            .map_err(|error: OracleSetError| WhyNot::OraclesChanging {
                detail: format!("{error} (config {cid})"),
            }))
    }

    /// The config that the Keeper names at the snapshot's block, and its CID.
    async fn config(&self, snapshot: &Snapshot) -> Result<Option<(String, ProtocolConfig)>, DutyError> {
        let mut known = self.known.lock().await;
        let keeper = self.network.contracts.keeper;
        let event = known
            .event
            .at(snapshot.block().number, |from, to| {
                snapshot.last_config_cid(keeper, from, to)
            })
            .await
            .map_err(|source| DutyError::Execution {
                what: "the oracles' config event",
                source: Box::new(source),
            })?;
        let Some((cid, block)) = event.cloned() else {
            return Ok(None);
        };
        if known.config.as_ref().is_none_or(|(loaded, _)| *loaded != cid) {
            let config = self.fetch(&cid).await?;
            tracing::info!(%cid, block, count = config.oracles.len(), "oracles' config loaded");
            known.config = Some((cid, config));
        }
        Ok(known.config.clone())
    }

    async fn fetch(&self, cid: &str) -> Result<ProtocolConfig, DutyError> {
        let parsed = parse_cid(cid).map_err(|_| DutyError::NotACid {
            what: "oracles' config",
            cid: cid.to_owned(),
        })?;
        let bytes = self
            .gateways
            .fetch(&parsed, DOCUMENT_LIMITS)
            .await
            .map_err(|source| DutyError::Ipfs {
                what: "the oracles' config",
                source: Box::new(source),
            })?;
        ProtocolConfig::parse(bytes.as_ref()).map_err(|source| DutyError::Config {
            cid: cid.to_owned(),
            source: Box::new(source),
        })
    }
}
