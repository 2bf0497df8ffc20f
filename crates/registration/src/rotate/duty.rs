//! One batch of exit signatures after the other, for the oracles of the moment.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use rand_core::CryptoRng;
use sw_chain_client::{Call, calls};
use sw_oracle_client::{Approvals, OracleSet, RotationRequest};
use sw_signers::ValidatorSigner;
use sw_spec::{Address, NetworkSpec, PublicKeyBytes, U256};

use super::{
    RotationSurroundings, RotationView,
    claims::{Circumstances, Claims, Missing},
    sorting::Sorted,
};
use crate::{
    Duty, DutyError, Metrics, Mined, Outcome, Purpose, WhyNot,
    shares::{self, Exit, PreparedShares},
    supervisor::error_chain,
    why::{Cost, Few},
};

/// Rotates exit signatures whenever enough oracles call them outdated.
pub struct RotateExits<S> {
    surroundings: S,
    vault: Address,
    network: NetworkSpec,
    signer: Arc<dyn ValidatorSigner>,
    metrics: Arc<Metrics>,
    random: fn() -> Box<dyn CryptoRng + Send>,
    /// The last rotation that cannot be undone: how many there were with it, and its block.
    settled: Option<(U256, u64)>,
    claims: Option<Claims>,
    shares: Option<PreparedShares>,
    /// Keys that did not open. They are tried again when the oracles are asked again.
    stuck: BTreeSet<PublicKeyBytes>,
    /// Keys that the signer has open for us.
    open: Vec<PublicKeyBytes>,
    /// The block of our last rotation: what a node says of an earlier one is out of date.
    rotated_in: u64,
    said_missing: Missing,
    said_stuck: BTreeSet<PublicKeyBytes>,
    said_not_held: Vec<PublicKeyBytes>,
    said_not_ours: Vec<u64>,
}

/// Whose exit signatures the duty rotates, and with what.
pub struct Rotator {
    /// The vault.
    pub vault: Address,
    /// Its network.
    pub network: NetworkSpec,
    /// Who signs exits.
    pub signer: Arc<dyn ValidatorSigner>,
    /// Where the numbers go.
    pub metrics: Arc<Metrics>,
    /// Where unpredictable numbers come from.
    pub random: fn() -> Box<dyn CryptoRng + Send>,
}

/// What would be rotated, all reasons against it ruled out.
struct Plan {
    batch: Vec<Exit>,
    oracles: Arc<OracleSet>,
    config: String,
}

impl Plan {
    fn keys(&self) -> Vec<PublicKeyBytes> {
        self.batch.iter().map(|exit| exit.validator).collect()
    }
}

/// Gas of a rotation, generously: it checks as many signatures as oracles must approve, and its event names one CID.
const GAS: u64 = 400_000;
/// Blocks that a node may be behind our last rotation. A receipt of a later block was not true.
const MOST_BEHIND: u64 = 64;

impl<S: RotationSurroundings> RotateExits<S> {
    /// The duty over these surroundings.
    pub fn new(surroundings: S, rotator: Rotator) -> Self {
        let Rotator {
            vault,
            network,
            signer,
            metrics,
            random,
        } = rotator;
        Self {
            surroundings,
            vault,
            network,
            signer,
            metrics,
            random,
            settled: None,
            claims: None,
            shares: None,
            stuck: BTreeSet::new(),
            open: Vec::new(),
            rotated_in: 0,
            said_missing: Missing::default(),
            said_stuck: BTreeSet::new(),
            said_not_held: Vec::new(),
            said_not_ours: Vec::new(),
        }
    }

    async fn plan(&mut self, view: &RotationView<S::Pin>) -> Result<Result<Plan, WhyNot>, DutyError> {
        if !view.state.is_collateralized {
            self.metrics.outdated_signatures.set(0.0);
            return Ok(Err(WhyNot::NoValidators));
        }
        let updated = match self.updated(view).await? {
            Ok(updated) => updated,
            Err(why) => return Ok(Err(why)),
        };
        let (oracles, config) = match self.surroundings.oracles(view).await? {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let circumstances = Circumstances {
            config: config.clone(),
            set: Arc::clone(&oracles),
            nonce: view.state.nonce,
            updated,
        };
        let claims = match self.claims(view, circumstances).await {
            Ok(claims) => claims,
            Err(why) => return Ok(Err(why)),
        };
        if claims.agreed.is_empty() {
            self.keep_open(Vec::new());
            return Ok(Err(WhyNot::UpToDate));
        }
        let candidates = match self.candidates(&claims).await? {
            Ok(candidates) => candidates,
            Err(why) => return Ok(Err(why)),
        };
        if let Err(why) = self.can_pay(view).await? {
            return Ok(Err(why));
        }
        let batch = self.opened(candidates, oracles.rotation_batch_limit()).await?;
        Ok(Ok(Plan { batch, oracles, config }))
    }

    /// The block of the last rotation, once it cannot be undone; `None` if there never was one.
    async fn updated(&mut self, view: &RotationView<S::Pin>) -> Result<Result<Option<u64>, WhyNot>, DutyError> {
        let count = view.state.nonce;
        if count.is_zero() {
            return Ok(Ok(None));
        }
        if let Some((_, block)) = self.settled.filter(|(settled, _)| *settled == count) {
            return Ok(Ok(Some(block)));
        }
        let update = self.surroundings.last_rotation(view).await?;
        let Some(update) = update.filter(|update| update.is_last_of(count)) else {
            let from = self.network.contracts.keeper_block;
            return Ok(Err(WhyNot::RotationUnknown { count, from }));
        };
        let block = update.block;
        if block > self.surroundings.finalized().await? {
            return Ok(Err(WhyNot::RotationNotFinal { block }));
        }
        self.settled = Some((count, block));
        Ok(Ok(Some(block)))
    }

    /// What the oracles call outdated. They are asked when something has changed, and once in an epoch.
    async fn claims(&mut self, view: &RotationView<S::Pin>, circumstances: Circumstances) -> Result<Claims, WhyNot> {
        let (time, epoch) = (view.block.timestamp, self.seconds_per_epoch());
        if let Some(claims) = self.claims.as_ref().filter(|old| old.hold(&circumstances, time, epoch)) {
            return Ok(claims.clone());
        }
        let Circumstances { set, updated, .. } = &circumstances;
        let said = self.surroundings.outdated(set, *updated).await;
        let claims = Claims::new(circumstances, time, said);
        self.stuck.clear();
        self.claims = claims.as_ref().ok().cloned();
        match claims {
            Ok(claims) => {
                self.count_outdated(claims.agreed.len());
                Ok(claims)
            }
            Err(not_agreed) => {
                self.said_missing.name(&not_agreed.missing, time);
                let detail = not_agreed.to_string();
                Err(WhyNot::OutdatedUnknown { detail })
            }
        }
    }

    /// Those of the outdated that can be signed for. The others are named once.
    async fn candidates(&mut self, claims: &Claims) -> Result<Result<Vec<Exit>, WhyNot>, DutyError> {
        let indexes: Vec<u64> = claims.agreed.iter().copied().collect();
        let validators = self.surroundings.validators(&indexes).await?;
        let Sorted {
            ours,
            not_held,
            not_ours,
            leaving,
        } = Sorted::new(&claims.agreed, validators, self.vault, |key| self.signer.holds(key));
        if leaving > 0 {
            tracing::debug!(count = leaving, "validators that leave need no new exit signatures");
        }
        self.name_not_ours(claims, &not_ours);
        self.name_not_held(&not_held);
        let usable: Vec<Exit> = ours
            .into_iter()
            .filter(|exit| !self.stuck.contains(&exit.validator))
            .collect();
        let unusable = not_held.len().saturating_add(self.stuck.len());
        Ok(match (usable.is_empty(), unusable, not_ours.len()) {
            (false, ..) => Ok(usable),
            (true, 0, 0) => Err(WhyNot::UpToDate),
            (true, 0, count) => Err(WhyNot::OutdatedNotOurs { count }),
            (true, count, _) => Err(WhyNot::OutdatedNotHeld { count }),
        })
    }

    fn name_not_ours(&mut self, claims: &Claims, indexes: &[u64]) {
        if self.said_not_ours == indexes {
            return;
        }
        self.said_not_ours = indexes.to_vec();
        if !indexes.is_empty() {
            let (count, oracles) = (indexes.len(), claims.who_named(indexes));
            tracing::warn!(
                count,
                indexes = %Few(indexes),
                oracles = %Few(&oracles),
                "oracles call exit signatures outdated that are of no validator of this vault; none is made for them"
            );
        }
    }

    fn name_not_held(&mut self, keys: &[PublicKeyBytes]) {
        if self.said_not_held == keys {
            return;
        }
        self.said_not_held = keys.to_vec();
        if !keys.is_empty() {
            tracing::warn!(
                count = keys.len(),
                validators = %Few(keys),
                "exit signatures of validators are outdated whose keys are not in the keystores directory; whoever holds the keys \
                 must rotate them"
            );
        }
    }

    async fn can_pay(&mut self, view: &RotationView<S::Pin>) -> Result<Result<(), WhyNot>, DutyError> {
        let price = match self.surroundings.gas_price(view).await? {
            Ok(price) => price,
            Err(why) => return Ok(Err(why)),
        };
        let needed = U256::from(price).saturating_mul(U256::from(GAS));
        let balance = view.state.wallet_balance;
        if balance >= needed {
            return Ok(Ok(()));
        }
        Ok(Err(WhyNot::WalletTooPoor {
            purpose: Purpose::Rotate,
            wallet: self.surroundings.wallet(),
            balance,
            needed,
            symbol: self.network.wallet_symbol.clone(),
        }))
    }

    /// The first so many of which the signer can use the keys. One that cannot be opened does not hold up the others.
    async fn opened(&mut self, candidates: Vec<Exit>, limit: usize) -> Result<Vec<Exit>, DutyError> {
        let mut batch: Vec<Exit> = candidates.into_iter().take(limit).collect();
        let keys: Vec<PublicKeyBytes> = batch.iter().map(|exit| exit.validator).collect();
        self.keep_open(keys.clone());
        let mut first_refused = None;
        for (validator, source) in self.signer.prepare(&keys).await {
            let error = error_chain(&source);
            if self.said_stuck.insert(validator) {
                tracing::warn!(%validator, error, "a validator's exit signature is outdated, and its key cannot be used");
            } else {
                tracing::debug!(%validator, error, "a validator's key still cannot be used");
            }
            self.stuck.insert(validator);
            batch.retain(|exit| exit.validator != validator);
            first_refused.get_or_insert((validator, source));
        }
        batch.iter().for_each(|exit| {
            self.said_stuck.remove(&exit.validator);
        });
        match first_refused {
            Some((validator, source)) if batch.is_empty() => Err(DutyError::Signer {
                validator,
                source: Box::new(source),
            }),
            _ => Ok(batch),
        }
    }

    /// Closes what was open before and is none of these: somebody else may have rotated.
    fn keep_open(&mut self, keys: Vec<PublicKeyBytes>) {
        let gone: Vec<PublicKeyBytes> = self.open.iter().filter(|key| !keys.contains(key)).copied().collect();
        self.signer.forget(&gone);
        self.open = keys;
    }

    /// Shares are made anew only when the validators or the oracles change.
    async fn shares(&mut self, plan: &Plan) -> Result<PreparedShares, DutyError> {
        let known = self.shares.as_ref();
        if let Some(shares) = known.filter(|old| old.serve(&plan.batch, &plan.config)) {
            return Ok(shares.clone());
        }
        let (signer, network) = (self.signer.as_ref(), &self.network);
        let shares = shares::prepare(signer, &plan.oracles, &plan.config, network, &plan.batch, self.random).await?;
        self.shares = Some(shares.clone());
        Ok(shares)
    }

    fn request(&self, view: &RotationView<S::Pin>, plan: &Plan, shares: PreparedShares) -> RotationRequest {
        let (public_key_shards, exit_signature_shards) = shares.into_shards();
        RotationRequest {
            vault: self.vault,
            public_keys: plan.keys(),
            public_key_shards,
            exit_signature_shards,
            deadline: view
                .block
                .timestamp
                .saturating_add(plan.oracles.validity_period().as_secs()),
            nonce: view.state.nonce,
        }
    }

    /// Whether what the oracles approved still holds at a newer block.
    async fn overtaken(
        &mut self,
        then: &RotationView<S::Pin>,
        plan: &Plan,
    ) -> Result<Result<RotationView<S::Pin>, WhyNot>, DutyError> {
        let now = self.surroundings.look().await?;
        if now.state.nonce != then.state.nonce {
            let what = "the last rotation of the vault's exit signatures";
            return Ok(Err(WhyNot::Overtaken { what }));
        }
        Ok(match self.surroundings.oracles(&now).await? {
            Ok((set, config)) if set == plan.oracles && config == plan.config => Ok(now),
            Ok(_) => Err(WhyNot::Overtaken { what: "the oracle set" }),
            Err(why) => Err(why),
        })
    }

    fn call(&self, approvals: &Approvals) -> Call {
        let data = calls::keeper_update_exit_signatures(
            self.vault,
            approvals.deadline,
            &approvals.ipfs_hash,
            &approvals.signatures,
        );
        Call::new(self.network.contracts.keeper, data)
    }

    async fn rotate(&mut self) -> Result<Outcome, DutyError> {
        // Before the look: what it finds mined is in the view then.
        if let Some(why) = self.tend().await? {
            return Ok(Outcome::Idle(why));
        }
        let view = self.surroundings.look().await?;
        if (1..=MOST_BEHIND).contains(&self.rotated_in.saturating_sub(view.block.number)) {
            return Ok(Outcome::Watched);
        }
        let plan = match self.plan(&view).await? {
            Ok(plan) => plan,
            Err(why) => return Ok(Outcome::Idle(why)),
        };
        let shares = self.shares(&plan).await?;
        let request = self.request(&view, &plan, shares);
        tracing::info!(
            count = plan.batch.len(),
            "exit signatures are outdated; asking the oracles to approve new ones"
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
        let call = self.call(&approvals);
        self.surroundings.simulate(&now, &call).await?;
        match self.surroundings.send(&plan.keys(), &call).await? {
            Ok(mined) => {
                self.rotated(&mined);
                Ok(Outcome::Acted)
            }
            Err(why) => Ok(Outcome::Idle(why)),
        }
    }

    /// What was sent before comes first, whatever else is outdated.
    async fn tend(&mut self) -> Result<Option<WhyNot>, DutyError> {
        let tended = self.surroundings.tend().await?;
        for mined in &tended.mined {
            self.rotated(mined);
        }
        match tended.reverted.first() {
            Some(&(tx, block)) => Err(DutyError::Reverted { tx, block }),
            None => Ok(tended.blocked),
        }
    }

    fn rotated(&mut self, mined: &Mined) {
        self.shares = None;
        self.rotated_in = self.rotated_in.max(mined.block);
        let count = mined.keys.len();
        if let Some(claims) = self.claims.take() {
            self.count_outdated(claims.agreed.len().saturating_sub(count));
        }
        self.signer.forget(&mined.keys);
        let (validators, symbol) = (Few(&mined.keys), &self.network.wallet_symbol);
        let cost = mined.cost.map(|cost| format!("{} {symbol}", Cost(cost)));
        tracing::info!(count, %validators, tx = %mined.tx, block = mined.block, cost, "exit signatures rotated");
    }

    fn count_outdated(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.metrics.outdated_signatures.set(f64::from(count));
    }

    fn seconds_per_epoch(&self) -> u64 {
        self.network
            .slots_per_epoch
            .saturating_mul(self.network.seconds_per_slot)
    }
}

#[async_trait]
impl<S: RotationSurroundings> Duty for RotateExits<S> {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn idle(&self) -> &'static str {
        "no exit signature is rotated"
    }

    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        self.rotate().await
    }
}
