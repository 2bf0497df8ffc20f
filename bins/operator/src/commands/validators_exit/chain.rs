//! What the consensus nodes know of the validators.

use std::collections::BTreeSet;

use reqwest::redirect::Policy;
use sw_chain_client::{BeaconSpec, BeaconValidator, ConsensusClient, ConsensusError, ConsensusOptions};
use sw_key_ops::{ExitRules, KnownValidator};
use sw_spec::{Address, Epoch, NetworkSpec, PublicKeyBytes, RedactedUrl};

use crate::{
    error::{CliError, Kind},
    nodes::{NodeCheck, RETRY_BUDGET},
    ui::Ui,
    wiring::http_client,
};

/// Consensus nodes that are in step and of the vault's network.
pub(super) struct Chain {
    pub(super) client: ConsensusClient,
    spec: BeaconSpec,
}

/// What was found out before anything is decided.
pub(super) struct Found {
    pub(super) rules: ExitRules,
    pub(super) known: Vec<KnownValidator>,
}

impl Chain {
    pub(super) async fn connect(network: &NetworkSpec, urls: &[RedactedUrl], ui: &Ui) -> Result<Self, CliError> {
        let http = http_client(Policy::none())?;
        let check = NodeCheck {
            http: &http,
            network,
            jwt_secret: None,
            is_optional: false,
            ui,
        };
        let ready = check.consensus(urls).await?;
        let options = ConsensusOptions {
            retry_budget: RETRY_BUDGET,
            genesis: Some(network.into()),
            ..ConsensusOptions::default()
        };
        let client = ConsensusClient::new(http.clone(), ready, options);
        let spec = client.chain_spec().await.map_err(|error| unread(&error))?;
        Ok(Self { client, spec })
    }

    pub(super) async fn look(&self, vault: Address, keys: &[PublicKeyBytes]) -> Result<Found, CliError> {
        let head = self.client.head_slot().await.map_err(|error| unread(&error))?;
        let known = self.client.validators(keys).await.map_err(|error| unread(&error))?;
        // Not every node shows its pool. Without it an exit that waits there is sent once more, which does no harm.
        let pool = self.client.pool_exits().await.unwrap_or_default();
        let in_pool: BTreeSet<u64> = pool.iter().map(|exit| exit.message.validator_index).collect();
        Ok(Found {
            rules: ExitRules {
                vault,
                epoch: Epoch(head.0.checked_div(self.spec.slots_per_epoch).unwrap_or(0)),
                shard_committee_period: self.spec.shard_committee_period,
                in_pool,
            },
            known: known.iter().map(known_validator).collect(),
        })
    }

    /// Exits that are signed for another fork are worth nothing. A node says so when it gets them; a drawer does not.
    pub(super) fn compare(&self, network: &NetworkSpec, is_for_a_drawer: bool, ui: &Ui) -> Result<(), CliError> {
        let (ours, theirs) = (
            (network.capella_fork_version, network.capella_epoch),
            (self.spec.capella_fork_version, self.spec.capella_fork_epoch),
        );
        if ours == theirs {
            return Ok(());
        }
        let differs = format!(
            "exits on {} are signed for Capella fork version {} and epoch {}, but the consensus node has {} and {}",
            network.name, ours.0, ours.1, theirs.0, theirs.1
        );
        if is_for_a_drawer {
            return Err(CliError::new(Kind::Failed, differs).hint("correct the file that describes the network"));
        }
        ui.warn(differs);
        Ok(())
    }
}

fn known_validator(validator: &BeaconValidator) -> KnownValidator {
    KnownValidator {
        index: validator.index,
        public_key: validator.public_key,
        status: validator.status,
        activation_epoch: validator.activation_epoch,
        withdrawal_credentials: validator.withdrawal_credentials,
    }
}

fn unread(error: &ConsensusError) -> CliError {
    CliError::from_error(Kind::Failed, error).hint("nothing was sent; run this again, or name other nodes")
}
