//! The registration duty: from an idle 32 ETH to a validator on chain.

use std::sync::Arc;

use async_trait::async_trait;
use rand_core::CryptoRng;
use sw_chain_client::{BlockRef, Call, HarvestParams, KeeperParams, Offer, RegistrationState, VaultState};
use sw_deposit_data::{Multiproof, ValidatorsTree};
use sw_oracle_client::{ApprovalError, ApprovalRequest, Approvals, OracleSet};
use sw_signers::ValidatorSigner;
use sw_spec::{Address, B256, NetworkSpec, PublicKeyBytes, U256};
use tokio::sync::watch;

use crate::{
    Duty, DutyError, ForeignDeposit, Metrics, OpenAhead, Outcome, WhyNot,
    plan::{self, NextKeys, Standing},
    road::{Road, road},
    shares::{self, Exit, PreparedShares},
    supervisor::error_chain,
};

/// The chain at one block: everything a registration is decided on.
#[derive(Debug, Clone)]
pub struct View<Pin> {
    /// What further reads of the same block go through.
    pub pin: Pin,
    /// The block.
    pub block: BlockRef,
    /// The vault's standing.
    pub vault: VaultState,
    /// Roots, counters and balances.
    pub state: RegistrationState,
}

/// What a harvest would bring.
#[derive(Debug, Clone)]
pub struct Harvest {
    /// The parameters of `updateState`.
    pub params: HarvestParams,
    /// What the vault could stake afterwards, in wei, as simulated at the view's block.
    pub withdrawable_assets: U256,
}

/// The network's validators at the view's block.
#[derive(Debug, Clone)]
pub struct NetworkView {
    /// The index the next validator will have: the number of distinct keys with a valid deposit.
    pub next_index: u64,
    /// Which of the keys asked about are among them.
    pub deposited: Vec<PublicKeyBytes>,
    /// Which of them have a valid deposit that is not the vault's.
    pub quarantined: Vec<ForeignDeposit>,
}

impl NetworkView {
    fn standing(&self, key: &PublicKeyBytes) -> Standing {
        match self.quarantined.iter().find(|foreign| foreign.validator == *key) {
            Some(foreign) => Standing::Quarantined(*foreign),
            None if self.deposited.contains(key) => Standing::Deposited,
            None => Standing::Unused,
        }
    }
}

/// What a transaction is for, as the wallet's journal names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Registering validators.
    Register,
    /// Updating the vault's state.
    Harvest,
    /// Rotating exit signatures.
    Rotate,
}

impl Purpose {
    /// The word in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Harvest => "harvest",
            Self::Rotate => "rotate",
        }
    }

    /// What must not be on its way, nor in a block that the decision does not know of, when this is sent: it may have done
    /// the same, and the contract would take the gas of the second one, too.
    pub(crate) fn unless(self) -> &'static [&'static str] {
        match self {
            // A registration brings a due harvest along.
            Self::Harvest => &["register"],
            Self::Register | Self::Rotate => &[],
        }
    }
}

/// A transaction that was mined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// The transaction.
    pub tx: B256,
    /// Its block.
    pub block: u64,
    /// The validators it was about.
    pub keys: Vec<PublicKeyBytes>,
    /// What it cost for gas, in wei, if that was looked at.
    pub cost: Option<U256>,
}

/// What there is to say of the transactions that were sent before.
#[derive(Debug, Clone, Default)]
pub struct Tended {
    /// Those that were mined since this was last asked.
    pub mined: Vec<Mined>,
    /// Those of them that failed, each with its block.
    pub reverted: Vec<(B256, u64)>,
    /// Why no other can be sent now.
    pub blocked: Option<WhyNot>,
}

/// What the duty needs of the world. [`crate::Live`] is the world; tests have their own.
///
/// A nested `Result` tells what time cures (the inner one) from what failed (the outer one).
#[async_trait]
pub trait Surroundings: Send + 'static {
    /// A block that reads are pinned to.
    type Pin: Send + Sync;

    /// Looks at the newest block.
    async fn look(&mut self) -> Result<View<Self::Pin>, DutyError>;
    /// What the vault can harvest at the view, if the Keeper says that it can.
    async fn harvest(&mut self, view: &View<Self::Pin>) -> Result<Option<Harvest>, DutyError>;
    /// The network's validators at the view.
    async fn validators(
        &mut self,
        view: &View<Self::Pin>,
        keys: &[PublicKeyBytes],
    ) -> Result<Result<NetworkView, WhyNot>, DutyError>;
    /// The oracle set at the view, and the CID of its config.
    async fn oracles(&mut self, view: &View<Self::Pin>) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError>;
    /// The most that a unit of gas would cost now, in wei.
    async fn gas_price(&mut self, view: &View<Self::Pin>) -> Result<Result<u128, WhyNot>, DutyError>;
    /// Who sends.
    fn wallet(&self) -> Address;
    /// Looks after the transactions that are out. `useful` tells whether one of this purpose is still wanted.
    async fn tend(&mut self, purpose: Purpose, useful: bool) -> Result<Tended, DutyError>;
    /// Asks all oracles.
    async fn approve(&mut self, set: &OracleSet, request: &ApprovalRequest) -> Result<Approvals, ApprovalError>;
    /// What a transaction with this call would offer now.
    async fn offer(&mut self, view: &View<Self::Pin>, call: &Call) -> Result<Result<Offer, WhyNot>, DutyError>;
    /// Runs a call at the view without sending it.
    async fn simulate(&mut self, view: &View<Self::Pin>, call: &Call) -> Result<(), DutyError>;
    /// Sends a transaction that was decided on at the last look, and waits a few blocks for it to be mined; later ticks tend
    /// it.
    async fn send(
        &mut self,
        purpose: Purpose,
        keys: &[PublicKeyBytes],
        call: &Call,
    ) -> Result<Result<Mined, WhyNot>, DutyError>;
}

/// Registers the next validators of a deposit data file whenever the vault can pay for them.
pub struct RegisterValidators<S> {
    surroundings: S,
    vault: Address,
    network: NetworkSpec,
    tree: Arc<ValidatorsTree>,
    signer: Arc<dyn ValidatorSigner>,
    metrics: Arc<Metrics>,
    random: fn() -> Box<dyn CryptoRng + Send>,
    shares: Option<PreparedShares>,
    harvest_fault: Option<String>,
    signed: Option<NextKeys>,
    batch_limit: usize,
    upcoming: watch::Sender<Vec<PublicKeyBytes>>,
}

/// What the duty registers, and with what.
pub struct Registrar {
    /// The vault.
    pub vault: Address,
    /// Its network.
    pub network: NetworkSpec,
    /// The deposit data, in its order.
    pub tree: Arc<ValidatorsTree>,
    /// Who signs exits.
    pub signer: Arc<dyn ValidatorSigner>,
    /// Where the numbers go.
    pub metrics: Arc<Metrics>,
    /// Where unpredictable numbers come from.
    pub random: fn() -> Box<dyn CryptoRng + Send>,
}

/// What would be registered, all reasons against it ruled out.
struct Plan {
    road: Road,
    next: NextKeys,
    next_index: u64,
    proof: Multiproof,
    harvest: Option<Harvest>,
    oracles: Arc<OracleSet>,
    config: String,
}

/// Gas of a registration, generously: the original's documents put one at 0.01 ETH at 30 gwei, a third of a million.
pub(crate) const GAS_OF_ONE: u64 = 700_000;
const GAS_OF_EACH_FURTHER: u64 = 120_000;
/// The validators that one registration may hold until the oracles' config says so: that of mainnet's.
const USUAL_BATCH_LIMIT: usize = 10;

impl<S: Surroundings> RegisterValidators<S> {
    /// The duty over these surroundings.
    pub fn new(surroundings: S, registrar: Registrar) -> Self {
        let Registrar {
            vault,
            network,
            tree,
            signer,
            metrics,
            random,
        } = registrar;
        Self {
            surroundings,
            vault,
            network,
            tree,
            signer,
            metrics,
            random,
            shares: None,
            harvest_fault: None,
            signed: None,
            batch_limit: USUAL_BATCH_LIMIT,
            upcoming: watch::Sender::default(),
        }
    }

    /// The duty that opens the keys of the next registrations while this one waits.
    pub fn open_ahead(&self) -> OpenAhead {
        OpenAhead::new(self.upcoming.subscribe(), Arc::clone(&self.signer))
    }

    async fn plan(&mut self, view: &View<S::Pin>) -> Result<Result<Plan, WhyNot>, DutyError> {
        let road = match road(&view.vault, &self.network) {
            Ok(road) => road,
            Err(no_road) => {
                return Ok(Err(WhyNot::OtherRoad {
                    detail: no_road.to_string(),
                }));
            }
        };
        let harvest = if view.state.can_harvest {
            self.harvest(view).await?
        } else {
            None
        };
        let stakeable = harvest
            .as_ref()
            .map_or(view.state.withdrawable_assets, |harvest| harvest.withdrawable_assets);
        self.metrics.stakeable_assets.set(f64::from(stakeable));
        let root = self.tree.root();
        if view.state.deposit_data_root != root {
            self.metrics.unused_validator_keys.set(0.0);
            return Ok(Err(WhyNot::RootNotUploaded {
                file: root,
                chain: view.state.deposit_data_root,
                manager: view.state.deposit_data_manager,
                upload: road.upload(root, self.vault, &self.network),
            }));
        }
        self.count_unused(view.state.deposit_data_index);
        self.announce(view.state.deposit_data_index);
        if first(view.state.deposit_data_index) >= self.tree.len() {
            return Ok(Err(WhyNot::KeysUsedUp { keys: self.tree.len() }));
        }
        if harvest.is_none() && view.state.harvest_required {
            return Ok(Err(WhyNot::HarvestUnknown { vault: self.vault }));
        }
        let affordable = plan::affordable(stakeable, self.network.validator_assets);
        if affordable == 0 {
            let symbol = self.network.vault_symbol.clone();
            return Ok(Err(WhyNot::NotEnoughAssets {
                stakeable,
                needed: self.network.validator_assets,
                symbol,
            }));
        }
        let (oracles, config) = match self.surroundings.oracles(view).await? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        self.batch_limit = oracles.batch_limit();
        self.announce(view.state.deposit_data_index);
        let limit = usize::try_from(affordable)
            .unwrap_or(usize::MAX)
            .min(oracles.batch_limit());
        let signer = Arc::clone(&self.signer);
        let select = |network: Option<&NetworkView>| {
            plan::next_keys(
                &self.tree,
                view.state.deposit_data_index,
                limit,
                |key| signer.holds(key),
                |key| network.map_or(Standing::Unused, |network| network.standing(key)),
            )
        };
        let wanted = match select(None) {
            Ok(wanted) => wanted,
            Err(why) => return Ok(Err(why)),
        };
        let network = match self.surroundings.validators(view, &wanted.keys).await? {
            Ok(network) => network,
            Err(why) => return Ok(Err(why)),
        };
        let next = match select(Some(&network)) {
            Ok(next) => next,
            Err(why) => return Ok(Err(why)),
        };
        let next = match self.validly_signed(next).await? {
            Ok(next) => next,
            Err(why) => return Ok(Err(why)),
        };
        if let Err(why) = self.can_pay(view, next.keys.len()).await? {
            return Ok(Err(why));
        }
        let proof = self
            .tree
            .multiproof(&next.positions())
            .map_err(|error| DutyError::Proof(Box::new(error)))?;
        Ok(Ok(Plan {
            road,
            next,
            next_index: network.next_index,
            proof,
            harvest,
            oracles,
            config,
        }))
    }

    /// A start does not check every signature of a large file. Those that were checked are not checked again.
    async fn validly_signed(&mut self, next: NextKeys) -> Result<Result<NextKeys, WhyNot>, DutyError> {
        if self.signed.as_ref() == Some(&next) {
            return Ok(Ok(next));
        }
        let (tree, vault, network) = (Arc::clone(&self.tree), self.vault, self.network.clone());
        let checked = tokio::task::spawn_blocking(move || plan::validly_signed(next, &tree, vault, &network));
        let checked = checked.await.map_err(|_| DutyError::Interrupted)?;
        self.signed = checked.clone().ok();
        Ok(checked)
    }

    /// What the vault earned is worth waiting for only while the vault refuses to register without it.
    async fn harvest(&mut self, view: &View<S::Pin>) -> Result<Option<Harvest>, DutyError> {
        let harvest = self.surroundings.harvest(view).await;
        if view.state.harvest_required {
            return harvest;
        }
        let fault = harvest.as_ref().err().map(|error| error_chain(error));
        if let Some(error) = fault
            .as_ref()
            .filter(|fault| self.harvest_fault.as_ref() != Some(*fault))
        {
            tracing::warn!(
                error,
                "what the vault earned cannot be counted; registering without it for now"
            );
        }
        self.harvest_fault = fault;
        Ok(harvest.unwrap_or_default())
    }

    /// Says which keys the next registration may take, and lets go of those that none will take any more.
    fn announce(&self, index: u64) {
        let keys = (first(index)..self.tree.len()).filter_map(|position| self.tree.public_key(position));
        let next: Vec<PublicKeyBytes> = keys
            .take_while(|key| self.signer.holds(key))
            .take(self.batch_limit)
            .collect();
        self.upcoming.send_if_modified(|upcoming| {
            let gone: Vec<PublicKeyBytes> = upcoming.iter().filter(|key| !next.contains(key)).copied().collect();
            self.signer.forget(&gone);
            let moved = *upcoming != next;
            *upcoming = next;
            moved
        });
    }

    fn count_unused(&self, index: u64) {
        let unused = (first(index)..self.tree.len())
            .filter_map(|position| self.tree.public_key(position))
            .filter(|key| self.signer.holds(key))
            .count();
        self.metrics
            .unused_validator_keys
            .set(f64::from(u32::try_from(unused).unwrap_or(u32::MAX)));
    }

    async fn can_pay(&mut self, view: &View<S::Pin>, keys: usize) -> Result<Result<(), WhyNot>, DutyError> {
        let price = match self.surroundings.gas_price(view).await? {
            Ok(price) => price,
            Err(why) => return Ok(Err(why)),
        };
        let further = u64::try_from(keys).unwrap_or(u64::MAX).saturating_sub(1);
        let gas = GAS_OF_EACH_FURTHER.saturating_mul(further).saturating_add(GAS_OF_ONE);
        let needed = U256::from(price).saturating_mul(U256::from(gas));
        let balance = view.state.wallet_balance;
        if balance >= needed {
            return Ok(Ok(()));
        }
        Ok(Err(WhyNot::WalletTooPoor {
            purpose: Purpose::Register,
            wallet: self.surroundings.wallet(),
            balance,
            needed,
            symbol: self.network.wallet_symbol.clone(),
        }))
    }

    /// Shares are made anew only when the keys, their indices or the oracles change: a moved deposit root alone does not
    /// touch them.
    async fn shares(&mut self, plan: &Plan) -> Result<PreparedShares, DutyError> {
        let keys = plan.next.keys.iter().copied().zip(plan.next_index..);
        let exits: Vec<Exit> = keys.map(|(validator, index)| Exit { validator, index }).collect();
        let known = self.shares.as_ref();
        if let Some(shares) = known.filter(|old| old.serve(&exits, &plan.config)) {
            return Ok(shares.clone());
        }
        let (signer, network) = (self.signer.as_ref(), &self.network);
        let shares = shares::prepare(signer, &plan.oracles, &plan.config, network, &exits, self.random).await?;
        self.shares = Some(shares.clone());
        Ok(shares)
    }

    fn request(&self, view: &View<S::Pin>, plan: &Plan, shares: PreparedShares) -> ApprovalRequest {
        let (public_key_shards, exit_signature_shards) = shares.into_shards();
        ApprovalRequest {
            validator_index: plan.next_index,
            vault: self.vault,
            validators_registry_root: view.state.deposit_root,
            public_keys: plan.next.keys.clone(),
            deposit_signatures: plan
                .next
                .positions()
                .into_iter()
                .filter_map(|at| self.tree.signature(at))
                .collect(),
            public_key_shards,
            exit_signature_shards,
            deadline: view
                .block
                .timestamp
                .saturating_add(plan.oracles.validity_period().as_secs()),
            proof: plan.proof.proof.clone(),
            proof_flags: plan.proof.flags.clone(),
            proof_indexes: plan.proof.proof_indexes.clone(),
            validators: plan.proof.validators.clone(),
        }
    }

    /// Whether what the oracles approved still holds at a newer block.
    async fn overtaken(&mut self, then: &View<S::Pin>, plan: &Plan) -> Result<Result<View<S::Pin>, WhyNot>, DutyError> {
        let now = self.surroundings.look().await?;
        let what = if now.state.deposit_root != then.state.deposit_root {
            Some("the deposit contract's root")
        } else if now.state.deposit_data_root != then.state.deposit_data_root
            || now.state.deposit_data_index != then.state.deposit_data_index
        {
            Some("the vault's deposit data")
        } else if road(&now.vault, &self.network) != Ok(plan.road) {
            Some("the vault's version or validators manager")
        } else if now.state.can_harvest != then.state.can_harvest {
            Some("the vault's rewards")
        } else {
            match self.surroundings.validators(&now, &plan.next.keys).await? {
                Err(why) => return Ok(Err(why)),
                Ok(network) if network.next_index != plan.next_index => Some("the next validator index"),
                Ok(network) if !(network.deposited.is_empty() && network.quarantined.is_empty()) => {
                    Some("a deposit of one of the keys")
                }
                Ok(_) => None,
            }
        };
        Ok(what.map_or(Ok(now), |what| Err(WhyNot::Overtaken { what })))
    }

    fn call(&self, view: &View<S::Pin>, plan: &Plan, approvals: Approvals) -> Call {
        let params = KeeperParams {
            validators_registry_root: view.state.deposit_root,
            deadline: approvals.deadline,
            validators: plan.proof.validators.clone().into(),
            signatures: approvals.signatures.into(),
            ipfs_hash: approvals.ipfs_hash,
        };
        let harvest = plan.harvest.as_ref().map(|harvest| &harvest.params);
        plan.road.call(self.vault, &self.network, &params, &plan.proof, harvest)
    }

    async fn register(&mut self) -> Result<Outcome, DutyError> {
        // Before the look: what it finds mined is in the view then.
        if let Some(why) = self.tend().await? {
            return Ok(Outcome::Idle(why));
        }
        let view = self.surroundings.look().await?;
        let plan = match self.plan(&view).await? {
            Ok(plan) => plan,
            Err(why) => return Ok(Outcome::Idle(why)),
        };
        let shares = self.shares(&plan).await?;
        let request = self.request(&view, &plan, shares);
        tracing::info!(
            count = plan.next.keys.len(),
            index = plan.next_index,
            "asking the oracles for approval"
        );
        let approvals = match self.surroundings.approve(&plan.oracles, &request).await {
            Ok(approvals) => approvals,
            // Oracles that look at a later block refuse for a reason that the next tick removes.
            Err(error) => {
                return match self.overtaken(&view, &plan).await? {
                    Err(why) => Ok(Outcome::Idle(why)),
                    Ok(_) => Err(DutyError::Approvals(Box::new(error))),
                };
            }
        };
        for outcome in &approvals.outcomes {
            tracing::debug!(oracle = %outcome.oracle, %outcome, "asked for approval");
        }
        let now = match self.overtaken(&view, &plan).await? {
            Ok(now) => now,
            Err(why) => return Ok(Outcome::Idle(why)),
        };
        let call = self.call(&view, &plan, approvals);
        self.surroundings.simulate(&now, &call).await?;
        let sent = self.surroundings.send(Purpose::Register, &plan.next.keys, &call);
        match sent.await? {
            Ok(mined) => {
                self.registered(&mined);
                Ok(Outcome::Acted)
            }
            Err(why) => Ok(Outcome::Idle(why)),
        }
    }

    /// What was sent before comes first: it is looked after, whatever else the vault's state is.
    async fn tend(&mut self) -> Result<Option<WhyNot>, DutyError> {
        let tended = self.surroundings.tend(Purpose::Register, true).await?;
        for mined in &tended.mined {
            self.registered(mined);
        }
        match tended.reverted.first() {
            Some(&(tx, block)) => Err(DutyError::Reverted { tx, block }),
            None => Ok(tended.blocked),
        }
    }

    fn registered(&mut self, mined: &Mined) {
        self.shares = None;
        self.metrics
            .last_registration_block
            .set(f64::from(u32::try_from(mined.block).unwrap_or(u32::MAX)));
        for validator in &mined.keys {
            tracing::info!(%validator, tx = %mined.tx, block = mined.block, "validator registered");
        }
    }
}

/// A position that a contract counts in 256 bits and a file in far fewer.
fn first(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[async_trait]
impl<S: Surroundings> Duty for RegisterValidators<S> {
    fn name(&self) -> &'static str {
        "register"
    }

    fn undone(&self) -> &'static str {
        "no validator is registered"
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        self.register().await
    }
}
