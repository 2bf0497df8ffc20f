//! The whole service: checks, then duties, then an orderly stop.

use std::{sync::Arc, time::Duration};

use rand_core::CryptoRng;
use sw_chain_client::{ConsensusClient, ExecutionClient, HotWallet};
use sw_deposit_data::{DepositDataFile, ValidatorsTree};
use sw_ipfs::Gateways;
use sw_oracle_client::ApprovalTimeouts;
use sw_signers::ValidatorSigner;
use sw_spec::{Address, NetworkSpec};
use tokio_util::sync::CancellationToken;

use crate::{
    Duty, HarvestVault, Live, Metrics, NetworkValidators, RegisterValidators, Registrar, Rewards, RotateExits, Rotator,
    ScanDeposits, ServiceError, Supervisor, WatchChain, checks, oracles::Oracles, rotate::LastRotation,
};

/// Everything a running operator is made of, opened and checked for form. Nothing has been asked of any node yet.
pub struct Operator {
    /// The vault.
    pub vault: Address,
    /// Its network.
    pub network: NetworkSpec,
    /// Execution nodes.
    pub execution: ExecutionClient,
    /// Consensus nodes.
    pub consensus: ConsensusClient,
    /// IPFS gateways.
    pub gateways: Arc<Gateways>,
    /// The same with more time, for the published list of the network's validators.
    pub dump_gateways: Arc<Gateways>,
    /// The oracle set.
    pub oracles: Oracles,
    /// The client the oracles are asked with; it must not follow redirects.
    pub http: reqwest::Client,
    /// How long each oracle may take.
    pub approval_timeouts: ApprovalTimeouts,
    /// How long a registration may stay unmined before a tick returns to it later.
    pub transaction_timeout: Duration,
    /// Who signs exits.
    pub signer: Arc<dyn ValidatorSigner>,
    /// Who sends transactions.
    pub wallet: HotWallet,
    /// Whether to harvest whenever the Keeper allows it, and not only with a registration.
    pub harvest_vault: bool,
    /// Whether to accept what something else sent from the wallet before this start: the user has said that it is over.
    pub adopt_wallet: bool,
    /// The deposit data as it is in the file.
    pub deposit_data: Arc<DepositDataFile>,
    /// The Merkle tree over it.
    pub tree: Arc<ValidatorsTree>,
    /// The network's validators, as far as they were read.
    pub validators: NetworkValidators,
    /// Where the numbers go.
    pub metrics: Arc<Metrics>,
    /// Where unpredictable numbers come from: the operating system's generator.
    pub random: fn() -> Box<dyn CryptoRng + Send>,
}

/// How long a stop waits for a transaction between its journal entry and its send.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);

/// Runs the service until `stop` is cancelled.
///
/// # Errors
///
/// A check that only a person can mend, or what a duty cannot go on with. Whatever was sent is in the journal.
pub async fn run(operator: Operator, stop: CancellationToken) -> Result<(), ServiceError> {
    if !checks::pass_all(&operator, &stop).await? {
        return Ok(());
    }
    let slot = Duration::from_secs(operator.network.seconds_per_slot);
    let (metrics, wallet) = (Arc::clone(&operator.metrics), operator.wallet.clone());
    let duties = duties(operator);
    let mut supervisor = Supervisor::new(stop, Arc::clone(&metrics));
    for (duty, slots) in duties {
        supervisor.start(duty, slot.saturating_mul(slots));
    }
    metrics.service_started.set(1.0);
    tracing::info!("operator started");
    let ended = supervisor.join().await;
    metrics.service_started.set(0.0);
    if tokio::time::timeout(SETTLE_WITHIN, wallet.settle()).await.is_err() {
        tracing::warn!("a transaction was being sent at the stop; the journal has it, and the next start looks it up");
    }
    tracing::info!("operator stopped");
    ended
}

/// The duties, each with the slots between two ticks.
fn duties(operator: Operator) -> Vec<(Box<dyn Duty>, u32)> {
    // Finality moves once an epoch, and the finalized block is a large answer.
    let part_of_epoch = |part| {
        u32::try_from(operator.network.slots_per_epoch / part)
            .unwrap_or(1)
            .max(1)
    };
    let (scan_slots, rotate_slots) = (part_of_epoch(4), part_of_epoch(2));
    let rewards = Rewards::new(operator.network.clone(), Arc::clone(&operator.gateways));
    let live = |operator: &Operator| Live {
        vault: operator.vault,
        network: operator.network.clone(),
        execution: operator.execution.clone(),
        consensus: operator.consensus.clone(),
        oracles: operator.oracles.clone(),
        rewards: rewards.clone(),
        last_rotation: LastRotation::new(&operator.network),
        validators: operator.validators.clone(),
        wallet: operator.wallet.clone(),
        http: operator.http.clone(),
        approval_timeouts: operator.approval_timeouts,
        transaction_timeout: operator.transaction_timeout,
        looked_at: 0,
    };
    let mut duties: Vec<(Box<dyn Duty>, u32)> = Vec::new();
    if operator.harvest_vault {
        duties.push((
            Box::new(HarvestVault::new(
                live(&operator),
                operator.vault,
                operator.network.wallet_symbol.clone(),
            )),
            1,
        ));
    }
    let (for_registrations, for_rotations) = (live(&operator), live(&operator));
    let Operator {
        vault,
        network,
        execution,
        consensus,
        dump_gateways,
        signer,
        wallet,
        tree,
        validators,
        metrics,
        random,
        ..
    } = operator;
    let scan = ScanDeposits::new(
        validators,
        execution.clone(),
        consensus,
        dump_gateways,
        Arc::clone(&metrics),
    );
    duties.push((Box::new(scan), scan_slots));
    let watch = WatchChain::new(execution, wallet, network.clone(), Arc::clone(&metrics));
    duties.push((Box::new(watch), 1));
    // No rotation is urgent, and its batches are an epoch or two apart. What is on its way is tended in every slot, by whatever
    // else uses the wallet.
    let rotator = Rotator {
        vault,
        network: network.clone(),
        signer: Arc::clone(&signer),
        metrics: Arc::clone(&metrics),
        random,
    };
    duties.push((Box::new(RotateExits::new(for_rotations, rotator)), rotate_slots));
    let registrar = Registrar {
        vault,
        network,
        tree,
        signer,
        metrics,
        random,
    };
    let register = RegisterValidators::new(for_registrations, registrar);
    duties.push((Box::new(register.open_ahead()), 1));
    duties.push((Box::new(register), 1));
    duties
}
