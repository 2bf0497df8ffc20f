//! The rewards of the moment: the file that the Keeper names, and what it has for a vault.

use std::sync::Arc;

use sw_chain_client::{ExecutionError, HarvestParams, RewardsUpdate, Snapshot};
use sw_ipfs::{Gateways, parse_cid};
use sw_spec::{Address, B256, NetworkSpec};
use tokio::sync::Mutex;

use crate::{DutyError, harvest::harvest_params, last_event::LastEvent, oracles::DOCUMENT_LIMITS};

/// Finds and reads the last rewards file. It is read again when the Keeper names another one, however long a harvest is due.
/// Clones share what was found.
#[derive(Clone)]
pub struct Rewards {
    network: NetworkSpec,
    gateways: Arc<Gateways>,
    known: Arc<Mutex<Known>>,
}

struct Known {
    event: LastEvent<RewardsUpdate>,
    /// What was read last, and for which update, vault and escrow.
    params: Option<(RewardsUpdate, Address, Address, Option<HarvestParams>)>,
}

impl Rewards {
    /// Nothing is read before the first use.
    pub fn new(network: NetworkSpec, gateways: Arc<Gateways>) -> Self {
        let event = LastEvent::new(network.contracts.keeper_block);
        Self {
            network,
            gateways,
            known: Arc::new(Mutex::new(Known { event, params: None })),
        }
    }

    /// What to pass to `updateState` of a vault that keeps its MEV in this escrow, at the snapshot's block, at which the
    /// Keeper has this root; `None` when there were no rewards yet, or none of this vault.
    ///
    /// # Errors
    ///
    /// Nodes and gateways, and a file that cannot be used.
    pub(crate) async fn params(
        &self,
        snapshot: &Snapshot,
        rewards_root: B256,
        vault: Address,
        mev_escrow: Address,
    ) -> Result<Option<HarvestParams>, DutyError> {
        let mut known = self.known.lock().await;
        let update = known.last(self.network.contracts.keeper, snapshot, rewards_root);
        let update = update.await.map_err(|source| DutyError::Execution {
            what: "the last rewards",
            source: Box::new(source),
        })?;
        let Some(update) = update else { return Ok(None) };
        if let Some((of, for_vault, escrow, params)) = &known.params
            && (of, *for_vault, *escrow) == (&update, vault, mev_escrow)
        {
            return Ok(params.clone());
        }
        let params = self.read(&update, vault, mev_escrow).await?;
        known.params = Some((update, vault, mev_escrow, params.clone()));
        Ok(params)
    }

    async fn read(
        &self,
        update: &RewardsUpdate,
        vault: Address,
        mev_escrow: Address,
    ) -> Result<Option<HarvestParams>, DutyError> {
        let cid = parse_cid(&update.ipfs_hash).map_err(|_| DutyError::NotACid {
            what: "rewards file",
            cid: update.ipfs_hash.clone(),
        })?;
        let file = self.gateways.fetch(&cid, DOCUMENT_LIMITS).await;
        let file = file.map_err(|source| DutyError::Ipfs {
            what: "the rewards file",
            source: Box::new(source),
        })?;
        harvest_params(file.as_ref(), vault, mev_escrow, update.rewards_root, &self.network).map_err(|source| {
            DutyError::Rewards {
                cid: update.ipfs_hash.clone(),
                source: Box::new(source),
            }
        })
    }
}

impl Known {
    /// The last update at the snapshot's block.
    async fn last(
        &mut self,
        keeper: Address,
        snapshot: &Snapshot,
        rewards_root: B256,
    ) -> Result<Option<RewardsUpdate>, ExecutionError> {
        let head = snapshot.block().number;
        let search = async |from, to| {
            let update = snapshot.last_rewards(keeper, from, to).await?;
            Ok(update.map(|update| (update.clone(), update.block)))
        };
        let update = self.event.at(head, search).await?.map(|(update, _)| update.clone());
        if update.as_ref().is_none_or(|update| update.rewards_root == rewards_root) {
            return Ok(update);
        }
        // Another one counts on chain: what was found earlier has been undone, or a later one was left out.
        self.event.forget();
        Ok(self.event.at(head, search).await?.map(|(update, _)| update.clone()))
    }
}
