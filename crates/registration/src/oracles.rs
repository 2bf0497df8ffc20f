//! The oracle set of the moment: the config that the Keeper names, every oracle of it confirmed on chain.

use std::sync::Arc;

use sw_chain_client::Snapshot;
use sw_ipfs::{Gateways, Limits, parse_cid};
use sw_oracle_client::{OnChainOracles, OracleSet, OracleSetError, ProtocolConfig};
use sw_spec::NetworkSpec;

use crate::{DutyError, WhyNot};

/// Finds, fetches and keeps the config. It is read again when the Keeper names another one; thresholds and oracles are
/// compared with the chain at every use.
pub struct Oracles {
    network: NetworkSpec,
    gateways: Arc<Gateways>,
    found: Option<Found>,
}

struct Found {
    cid: String,
    config: ProtocolConfig,
    /// The last block searched for a newer config.
    searched: u64,
}

/// Configs and rewards files are small documents; rewards grow with the number of vaults.
pub(crate) const DOCUMENT_LIMITS: Limits = Limits {
    bytes: 16 << 20,
    depth: 8,
    blocks: 256,
};
/// Blocks that a reorganisation may replace are searched again.
const REORG_MARGIN: u64 = 64;

impl Oracles {
    /// Nothing is read before the first use.
    pub fn new(network: NetworkSpec, gateways: Arc<Gateways>) -> Self {
        Self {
            network,
            gateways,
            found: None,
        }
    }

    /// Returns the oracle set at the snapshot's block, and the CID of its config.
    ///
    /// # Errors
    ///
    /// Nodes and gateways. The inner error: the set on chain and the config contradict each other, which is so for a
    /// while whenever the set changes.
    pub async fn load(
        &mut self,
        snapshot: &Snapshot,
        validators_min_oracles: u64,
        rewards_min_oracles: u64,
    ) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError> {
        self.refresh(snapshot).await?;
        let Some(Found { cid, config, .. }) = &self.found else {
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
        Ok(OracleSet::new(config.clone(), &chain)
            .map(|set| (Arc::new(set), cid.clone()))
            .map_err(|error: OracleSetError| WhyNot::OraclesChanging {
                detail: format!("{error} (config {cid})"),
            }))
    }

    async fn refresh(&mut self, snapshot: &Snapshot) -> Result<(), DutyError> {
        let head = snapshot.block().number;
        let from = self.found.as_ref().map_or(self.network.config_block, |found| {
            found
                .searched
                .saturating_sub(REORG_MARGIN)
                .max(self.network.config_block)
        });
        let event = snapshot
            .last_config_cid(self.network.contracts.keeper, from.min(head), head)
            .await
            .map_err(|source| DutyError::Execution {
                what: "the oracles' config event",
                source: Box::new(source),
            })?;
        if let Some((cid, block)) = event.filter(|(cid, _)| self.found.as_ref().is_none_or(|found| found.cid != *cid)) {
            let parsed = parse_cid(&cid).map_err(|_| DutyError::NotACid {
                what: "oracles' config",
                cid: cid.clone(),
            })?;
            let bytes = self
                .gateways
                .fetch(&parsed, DOCUMENT_LIMITS)
                .await
                .map_err(|source| DutyError::Ipfs {
                    what: "the oracles' config",
                    source: Box::new(source),
                })?;
            let config = ProtocolConfig::parse(bytes.as_ref()).map_err(|source| DutyError::Config {
                cid: cid.clone(),
                source: Box::new(source),
            })?;
            tracing::info!(%cid, block, count = config.oracles.len(), "oracles' config loaded");
            self.found = Some(Found {
                cid,
                config,
                searched: head,
            });
        } else if let Some(found) = &mut self.found {
            found.searched = head;
        }
        Ok(())
    }
}
