//! A vault of five validators, three oracles, and a chain that does what a test tells it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use k256::elliptic_curve::sec1::ToEncodedPoint;
use rand_core::{CryptoRng, UnwrapErr};
use sw_chain_client::{BeaconValidator, BlockRef, Call, ExitSignaturesUpdate, RotationState};
use sw_keys::SecretKey;
use sw_oracle_client::{
    ApprovalError, ApprovalSubject, Approvals, OnChainOracles, OracleSet, Outdated, OutdatedAnswer, ProtocolConfig,
    RotationRequest, Standing,
};
use sw_registration::{
    DutyError, Metrics, Mined, Outcome, RotateExits, RotationSurroundings, RotationView, Rotator, Tended, WhyNot,
};
use sw_signers::{LocalSigner, OpenKey};
use sw_spec::{
    Address, B256, Epoch, Gwei, Network, NetworkSpec, PublicKeyBytes, U256, ValidatorStatus, WithdrawalCredentials,
    address,
};
use sw_testkit::{array, fixture};

pub(crate) const VAULT: Address = address!("3320ad928c20187602a2B2C04EeAa813fA899468");
pub(crate) const WALLET: Address = address!("58A57ed9d8d624cBD12e2C467D34787555bB1b25");
/// Secret keys of the oracles.
pub(crate) const ORACLE_SECRETS: [[u8; 32]; 3] = [[1; 32], [2; 32], [3; 32]];
/// The index of the first validator.
pub(crate) const FIRST: u64 = 100;
/// The time of the block at the start.
pub(crate) const NOW: u64 = 1_700_000_000;
pub(crate) const EPOCH: u64 = 32 * 12;
pub(crate) const ETH: u128 = 1_000_000_000_000_000_000;

/// What the duty sees, and what it did. Shared with the test.
pub(crate) struct World {
    pub(crate) state: RotationState,
    pub(crate) block: u64,
    pub(crate) timestamp: u64,
    pub(crate) last: Option<ExitSignaturesUpdate>,
    pub(crate) searches: usize,
    pub(crate) finalized: u64,
    pub(crate) set: Result<(Arc<OracleSet>, String), WhyNot>,
    /// For each oracle, to which block it is synced and what it calls outdated.
    pub(crate) claims: Vec<Option<(Option<u64>, Vec<u64>)>>,
    pub(crate) asked: usize,
    pub(crate) validators: Vec<BeaconValidator>,
    pub(crate) gas_price: Result<u128, WhyNot>,
    pub(crate) tended: Tended,
    /// Whether what is sent takes longer than a tick waits.
    pub(crate) slow: bool,
    pub(crate) oracles_refuse: bool,
    /// Runs while the oracles are asked to approve.
    pub(crate) meanwhile: fn(&mut World),
    pub(crate) requests: Vec<RotationRequest>,
    pub(crate) simulated: usize,
    pub(crate) sent: Vec<(Vec<PublicKeyBytes>, Call)>,
}

impl World {
    /// Every oracle says the same.
    pub(crate) fn all_claim(&mut self, synced_to: Option<u64>, indexes: &[u64]) {
        self.claims = vec![Some((synced_to, indexes.to_vec())); 3];
    }

    /// The Keeper has rotated once more, in this block.
    pub(crate) fn rotated(&mut self, block: u64) {
        self.last = Some(ExitSignaturesUpdate {
            caller: WALLET,
            nonce: self.state.nonce,
            ipfs_hash: "QmExit".to_owned(),
            block,
        });
        self.state.nonce += U256::from(1);
        self.block = self.block.max(block);
    }
}

#[derive(Clone)]
pub(crate) struct Fake(pub(crate) Arc<Mutex<World>>);

pub(crate) fn network() -> NetworkSpec {
    Network::Mainnet.spec()
}

/// The oracles with known secret keys: two of the three must approve, and can recover an exit; two validators make a batch.
pub(crate) fn oracle_set(endpoint: &str) -> OracleSet {
    let oracles = ORACLE_SECRETS.map(|secret| {
        let key = k256::SecretKey::from_slice(&secret).unwrap().public_key();
        let key = hex::encode_prefixed(&key.to_encoded_point(false).as_bytes()[1..]);
        format!(r#"{{"public_key":"{key}","endpoints":["{endpoint}"]}}"#)
    });
    let config = format!(
        r#"{{"oracles":[{}],"exit_signature_recover_threshold":2,"signature_validity_period":3600,
        "validators_approval_batch_limit":3,"validators_exit_rotation_batch_limit":2}}"#,
        oracles.join(",")
    );
    let config = ProtocolConfig::parse(config.as_bytes()).unwrap();
    let is_oracle = config
        .oracle_addresses()
        .into_iter()
        .map(|oracle| (oracle, true))
        .collect();
    let on_chain = OnChainOracles {
        is_oracle,
        validators_min_oracles: 2,
        rewards_min_oracles: 1,
    };
    OracleSet::new(config, &on_chain).unwrap()
}

#[async_trait]
impl RotationSurroundings for Fake {
    type Pin = ();

    async fn look(&mut self) -> Result<RotationView<()>, DutyError> {
        let world = self.0.lock().unwrap();
        let block = BlockRef {
            number: world.block,
            hash: B256::repeat_byte(9),
            timestamp: world.timestamp,
            base_fee_per_gas: 7,
        };
        let state = world.state.clone();
        Ok(RotationView { pin: (), block, state })
    }
    async fn last_rotation(&mut self, _view: &RotationView<()>) -> Result<Option<ExitSignaturesUpdate>, DutyError> {
        let mut world = self.0.lock().unwrap();
        world.searches += 1;
        Ok(world.last.clone())
    }
    async fn finalized(&mut self) -> Result<u64, DutyError> {
        Ok(self.0.lock().unwrap().finalized)
    }
    async fn oracles(
        &mut self,
        _view: &RotationView<()>,
    ) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError> {
        Ok(self.0.lock().unwrap().set.clone())
    }
    async fn outdated(&mut self, set: &OracleSet, _updated: Option<u64>) -> Outdated {
        let mut world = self.0.lock().unwrap();
        world.asked += 1;
        let answers = set.oracles().iter().zip(&world.claims).map(|(oracle, claim)| {
            let standing = match claim.clone() {
                Some((synced_to, indexes)) => Standing::Answered {
                    synced_to,
                    indexes: indexes.into_iter().collect(),
                },
                None => Standing::NoAnswer,
            };
            Arc::new(OutdatedAnswer {
                oracle: oracle.address(),
                standing,
                failures: Vec::new(),
            })
        });
        Outdated {
            answers: answers.collect(),
        }
    }
    async fn validators(&mut self, indexes: &[u64]) -> Result<Vec<BeaconValidator>, DutyError> {
        let world = self.0.lock().unwrap();
        let asked = |validator: &&BeaconValidator| indexes.contains(&validator.index);
        // In another order than they are asked for.
        Ok(world.validators.iter().rev().filter(asked).cloned().collect())
    }
    async fn gas_price(&mut self, _view: &RotationView<()>) -> Result<Result<u128, WhyNot>, DutyError> {
        Ok(self.0.lock().unwrap().gas_price.clone())
    }
    fn wallet(&self) -> Address {
        WALLET
    }
    async fn tend(&mut self) -> Result<Tended, DutyError> {
        let mut world = self.0.lock().unwrap();
        let tended = world.tended.clone();
        world.tended.mined.clear();
        world.tended.reverted.clear();
        Ok(tended)
    }
    async fn approve(&mut self, set: &OracleSet, request: &RotationRequest) -> Result<Approvals, ApprovalError> {
        request.check(set).expect("a whole request");
        let mut world = self.0.lock().unwrap();
        world.requests.push(request.clone());
        let meanwhile = world.meanwhile;
        meanwhile(&mut world);
        if world.oracles_refuse {
            return Err(ApprovalError::NotEnough {
                what: "rotation",
                needed: 2,
                best: 0,
                outcomes: Vec::new(),
            });
        }
        Ok(Approvals {
            ipfs_hash: "QmExit".to_owned(),
            deadline: request.deadline,
            signatures: vec![7; 130],
            signers: Vec::new(),
            outcomes: Vec::new(),
        })
    }
    async fn simulate(&mut self, _view: &RotationView<()>, _call: &Call) -> Result<(), DutyError> {
        self.0.lock().unwrap().simulated += 1;
        Ok(())
    }
    async fn send(&mut self, keys: &[PublicKeyBytes], call: &Call) -> Result<Result<Mined, WhyNot>, DutyError> {
        let mut world = self.0.lock().unwrap();
        world.sent.push((keys.to_vec(), call.clone()));
        if world.slow {
            return Ok(Err(WhyNot::ValidatorsNotScanned));
        }
        let block = world.block + 1;
        world.rotated(block);
        Ok(Ok(mined(keys, block)))
    }
}

pub(crate) fn mined(keys: &[PublicKeyBytes], block: u64) -> Mined {
    Mined {
        tx: B256::repeat_byte(1),
        block,
        keys: keys.to_vec(),
        cost: None,
    }
}

/// The five secret keys of the vectors, as an opened directory.
struct VectorKeys {
    keys: Vec<(PublicKeyBytes, [u8; 32])>,
    /// Those that do not open.
    stuck: Vec<PublicKeyBytes>,
    opened: Arc<Mutex<Vec<PublicKeyBytes>>>,
}

impl OpenKey for VectorKeys {
    fn contains(&self, public_key: &PublicKeyBytes) -> bool {
        self.keys.iter().any(|(key, _)| key == public_key)
    }
    fn len(&self) -> usize {
        self.keys.len()
    }
    fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, Box<dyn std::error::Error + Send + Sync>> {
        self.opened.lock().unwrap().push(*public_key);
        let held = |(key, _): &&(PublicKeyBytes, [u8; 32])| key == public_key && !self.stuck.contains(key);
        let (_, secret) = self.keys.iter().find(held).ok_or("stuck")?;
        Ok(SecretKey::from_bytes(secret)?)
    }
}

fn random() -> Box<dyn CryptoRng + Send> {
    Box::new(UnwrapErr(getrandom::SysRng))
}

/// A duty, its world, and the keys of the vault's validators.
pub(crate) struct Ground {
    pub(crate) duty: RotateExits<Fake>,
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) keys: Vec<PublicKeyBytes>,
    /// The keys that were opened, each time.
    pub(crate) opened: Arc<Mutex<Vec<PublicKeyBytes>>>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Ground {
    /// Every key is held, and no signature is outdated.
    pub(crate) fn ready() -> Self {
        Self::with(&[0, 1, 2, 3, 4], &[])
    }

    /// Holds these of the vault's five keys, of which some do not open.
    pub(crate) fn with(held: &[usize], stuck: &[usize]) -> Self {
        let vectors = fixture("original-v1.json");
        let all = vectors["keys"].as_array().unwrap().iter();
        let all: Vec<(PublicKeyBytes, [u8; 32])> = all
            .map(|key| (PublicKeyBytes(array(&key["pk"])), array(&key["sk"])))
            .collect();
        let keys: Vec<PublicKeyBytes> = all.iter().map(|(key, _)| *key).collect();
        let world = World {
            state: RotationState {
                nonce: U256::ZERO,
                is_collateralized: true,
                validators_min_oracles: 2,
                rewards_min_oracles: 1,
                wallet_balance: U256::from(ETH),
            },
            block: 1_000,
            timestamp: NOW,
            last: None,
            searches: 0,
            finalized: 900,
            set: Ok((Arc::new(oracle_set("http://127.0.0.1:1")), "Qm1".to_owned())),
            claims: vec![Some((None, Vec::new())); 3],
            asked: 0,
            validators: keys
                .iter()
                .zip(FIRST..)
                .map(|(key, index)| validator(*key, index))
                .collect(),
            gas_price: Ok(2_000_000_000),
            tended: Tended::default(),
            slow: false,
            oracles_refuse: false,
            meanwhile: |_| {},
            requests: Vec::new(),
            simulated: 0,
            sent: Vec::new(),
        };
        let world = Arc::new(Mutex::new(world));
        let (opened, metrics) = (Arc::default(), Arc::new(Metrics::new("sw_operator", "mainnet", "0")));
        let rotator = Rotator {
            vault: VAULT,
            network: network(),
            signer: Arc::new(LocalSigner::new(VectorKeys {
                keys: held.iter().map(|at| all[*at]).collect(),
                stuck: stuck.iter().map(|at| keys[*at]).collect(),
                opened: Arc::clone(&opened),
            })),
            metrics: Arc::clone(&metrics),
            random,
        };
        Self {
            duty: RotateExits::new(Fake(Arc::clone(&world)), rotator),
            world,
            keys,
            opened,
            metrics,
        }
    }

    /// Changes the world.
    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    pub(crate) async fn tick(&mut self) -> Result<Outcome, DutyError> {
        use sw_registration::Duty;
        self.duty.tick().await
    }

    /// A tick that does nothing, and why.
    pub(crate) async fn idle(&mut self) -> WhyNot {
        match self.tick().await {
            Ok(Outcome::Idle(why)) => why,
            other => panic!("not idle: {other:?}"),
        }
    }

    /// How often the oracles were asked what is outdated, and to approve; and how many transactions were sent.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let world = self.world.lock().unwrap();
        (world.asked, world.requests.len(), world.sent.len())
    }

    pub(crate) fn gauge(&self) -> String {
        let text = self.metrics.render();
        let gauge = "sw_operator_outdated_signatures{network=\"mainnet\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(gauge));
        line.expect("the gauge").to_owned()
    }
}

/// A validator of the vault at work.
pub(crate) fn validator(public_key: PublicKeyBytes, index: u64) -> BeaconValidator {
    BeaconValidator {
        index,
        public_key,
        balance: Gwei(32_000_000_000),
        effective_balance: Gwei(32_000_000_000),
        status: ValidatorStatus::ActiveOngoing,
        slashed: false,
        withdrawal_credentials: WithdrawalCredentials::execution(VAULT).0,
        activation_epoch: Epoch(1),
        exit_epoch: Epoch(u64::MAX),
        withdrawable_epoch: Epoch(u64::MAX),
    }
}
