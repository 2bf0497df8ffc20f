//! The registration duty over a world made of values: what it does when it should, and what it leaves when it should not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that panics has failed"
)]

mod harvests;
mod opening;
mod v1;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use k256::elliptic_curve::sec1::ToEncodedPoint;
use rand_core::{CryptoRng, UnwrapErr};
use sw_chain_client::{
    BlockRef, Call, Fees, HarvestParams, I160, Offer, RegistrationState, U160, VaultState, Waiting, calls,
};
use sw_deposit_data::{DepositDataFile, ValidatorsTree};
use sw_keys::{PublicKey, SecretKey, Signature};
use sw_oracle_client::{
    ApprovalError, ApprovalRequest, ApprovalSubject, Approvals, OnChainOracles, OracleSet, ProtocolConfig,
};
use sw_registration::{
    Duty, DutyError, ForeignDeposit, Harvest, Metrics, Mined, NetworkView, Outcome, Purpose, RegisterValidators,
    Registrar, Surroundings, Tended, View, WhyNot,
};
use sw_shamir_exit::{ShareIndex, recover_signature};
use sw_signers::{LocalSigner, OpenKey};
use sw_spec::{Address, B256, Network, NetworkSpec, PublicKeyBytes, U256, address};
use sw_testkit::{array, fixture};

const VAULT: Address = address!("3320ad928c20187602a2B2C04EeAa813fA899468");
const WALLET: Address = address!("58A57ed9d8d624cBD12e2C467D34787555bB1b25");
/// Secret keys of the two oracles.
const ORACLE_SECRETS: [[u8; 32]; 2] = [[1; 32], [2; 32]];
const ETH: u128 = 1_000_000_000_000_000_000;

/// What the duty sees, and what it did. Shared with the test.
struct World {
    state: RegistrationState,
    vault: VaultState,
    harvest: Option<Harvest>,
    no_gateway: bool,
    next_index: u64,
    /// What the wallet says of what was sent before, and whether a harvest was still wanted.
    tended: Tended,
    wanted: Option<bool>,
    /// Whether what is sent takes longer than a tick waits.
    slow: bool,
    deposited: Vec<PublicKeyBytes>,
    quarantined: Vec<ForeignDeposit>,
    gas_price: u128,
    gas_limit_reached: bool,
    oracles_refuse: bool,
    /// Runs while the oracles are asked.
    meanwhile: Change,
    requests: Vec<ApprovalRequest>,
    simulated: usize,
    sent: Vec<(Vec<PublicKeyBytes>, Call)>,
}

/// Something that happens to the world.
type Change = fn(&mut World);
/// Whether a reason is the right one.
type Expected = fn(&WhyNot) -> bool;

#[derive(Clone)]
struct Fake(Arc<Mutex<World>>);

fn network() -> NetworkSpec {
    Network::Mainnet.spec()
}

/// Two oracles with known secret keys.
fn oracle_set() -> OracleSet {
    let [first, second] = ORACLE_SECRETS.map(|secret| {
        let key = k256::SecretKey::from_slice(&secret).unwrap().public_key();
        hex::encode_prefixed(&key.to_encoded_point(false).as_bytes()[1..])
    });
    let config = format!(
        r#"{{"oracles":[{{"public_key":"{first}","endpoints":["http://127.0.0.1:1"]}},
        {{"public_key":"{second}","endpoints":["http://127.0.0.1:2"]}}],
        "exit_signature_recover_threshold":2,"signature_validity_period":3600,"validators_approval_batch_limit":3,
        "validators_exit_rotation_batch_limit":3}}"#
    );
    let config = ProtocolConfig::parse(config.as_bytes()).unwrap();
    let is_oracle = config
        .oracle_addresses()
        .into_iter()
        .map(|oracle| (oracle, true))
        .collect();
    OracleSet::new(
        config,
        &OnChainOracles {
            is_oracle,
            validators_min_oracles: 2,
            rewards_min_oracles: 1,
        },
    )
    .unwrap()
}

#[async_trait]
impl Surroundings for Fake {
    type Pin = ();

    async fn look(&mut self) -> Result<View<()>, DutyError> {
        let world = self.0.lock().unwrap();
        let block = BlockRef {
            number: 9,
            hash: B256::repeat_byte(9),
            timestamp: 1_700_000_000,
            base_fee_per_gas: 7,
        };
        Ok(View {
            pin: (),
            block,
            vault: world.vault.clone(),
            state: world.state.clone(),
        })
    }
    async fn harvest(&mut self, _view: &View<()>) -> Result<Option<Harvest>, DutyError> {
        let world = self.0.lock().unwrap();
        if world.no_gateway {
            return Err(DutyError::Interrupted);
        }
        Ok(world.harvest.clone())
    }
    async fn validators(
        &mut self,
        _view: &View<()>,
        keys: &[PublicKeyBytes],
    ) -> Result<Result<NetworkView, WhyNot>, DutyError> {
        let world = self.0.lock().unwrap();
        let deposited = keys
            .iter()
            .filter(|key| world.deposited.contains(key))
            .copied()
            .collect();
        Ok(Ok(NetworkView {
            next_index: world.next_index,
            deposited,
            quarantined: world.quarantined.clone(),
        }))
    }
    async fn oracles(&mut self, _view: &View<()>) -> Result<Result<(Arc<OracleSet>, String), WhyNot>, DutyError> {
        Ok(Ok((Arc::new(oracle_set()), "Qm1".to_owned())))
    }
    async fn gas_price(&mut self, _view: &View<()>) -> Result<Result<u128, WhyNot>, DutyError> {
        let world = self.0.lock().unwrap();
        let (price, limit) = (world.gas_price, world.gas_price);
        Ok(if world.gas_limit_reached {
            Err(WhyNot::GasTooHigh { price, limit })
        } else {
            Ok(price)
        })
    }
    fn wallet(&self) -> Address {
        WALLET
    }
    async fn tend(&mut self, purpose: Purpose, useful: bool) -> Result<Tended, DutyError> {
        let mut world = self.0.lock().unwrap();
        if purpose == Purpose::Harvest {
            world.wanted = Some(useful);
        }
        let tended = world.tended.clone();
        world.tended.mined.clear();
        world.tended.reverted.clear();
        Ok(tended)
    }
    async fn approve(&mut self, set: &OracleSet, request: &ApprovalRequest) -> Result<Approvals, ApprovalError> {
        request.check(set).expect("a whole request");
        let mut world = self.0.lock().unwrap();
        world.requests.push(request.clone());
        let meanwhile = world.meanwhile;
        meanwhile(&mut world);
        if world.oracles_refuse {
            return Err(ApprovalError::NotEnough {
                what: request.name(),
                needed: 2,
                best: 0,
                outcomes: Vec::new(),
            });
        }
        let (ipfs_hash, deadline, signatures) = ("QmExit".to_owned(), request.deadline, vec![7; 130]);
        Ok(Approvals {
            ipfs_hash,
            deadline,
            signatures,
            signers: Vec::new(),
            outcomes: Vec::new(),
        })
    }
    async fn offer(&mut self, _view: &View<()>, _call: &Call) -> Result<Result<Offer, WhyNot>, DutyError> {
        let price = self.0.lock().unwrap().gas_price;
        Ok(Ok(Offer::new(
            100_000,
            Fees {
                base_fee: price,
                max_fee_per_gas: price,
                max_priority_fee_per_gas: 1,
            },
        )))
    }
    async fn simulate(&mut self, _view: &View<()>, _call: &Call) -> Result<(), DutyError> {
        self.0.lock().unwrap().simulated += 1;
        Ok(())
    }
    async fn send(
        &mut self,
        purpose: Purpose,
        keys: &[PublicKeyBytes],
        call: &Call,
    ) -> Result<Result<Mined, WhyNot>, DutyError> {
        assert_eq!(purpose == Purpose::Harvest, keys.is_empty());
        let mut world = self.0.lock().unwrap();
        world.sent.push((keys.to_vec(), call.clone()));
        if world.slow {
            return Ok(Err(on_its_way()));
        }
        let keys = keys.to_vec();
        Ok(Ok(Mined {
            tx: B256::repeat_byte(1),
            block: 10,
            keys,
            cost: None,
        }))
    }
}

fn on_its_way() -> WhyNot {
    WhyNot::TransactionPending {
        purpose: Purpose::Register,
        waiting: Box::new(Waiting::new("register", B256::repeat_byte(1), 0, 1)),
    }
}

/// The five secret keys of the vectors, as an opened directory.
struct VectorKeys {
    keys: Vec<(PublicKeyBytes, [u8; 32])>,
    /// One that does not open.
    stuck: Option<PublicKeyBytes>,
    opened: Opened,
}

/// The keys that were opened, each time.
type Opened = Arc<Mutex<Vec<PublicKeyBytes>>>;

impl OpenKey for VectorKeys {
    fn contains(&self, public_key: &PublicKeyBytes) -> bool {
        self.keys.iter().any(|(key, _)| key == public_key)
    }
    fn len(&self) -> usize {
        self.keys.len()
    }
    fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, Box<dyn std::error::Error + Send + Sync>> {
        self.opened.lock().unwrap().push(*public_key);
        let held = |(key, _): &&(PublicKeyBytes, [u8; 32])| key == public_key && self.stuck != Some(*key);
        let (_, secret) = self.keys.iter().find(held).ok_or("stuck")?;
        Ok(SecretKey::from_bytes(secret)?)
    }
}

fn random() -> Box<dyn CryptoRng + Send> {
    Box::new(UnwrapErr(getrandom::SysRng))
}

fn duty() -> (RegisterValidators<Fake>, Arc<Mutex<World>>, Arc<ValidatorsTree>) {
    let (duty, world, tree, _) = duty_with(None);
    (duty, world, tree)
}

fn duty_of(file: &DepositDataFile) -> (RegisterValidators<Fake>, Arc<Mutex<World>>, Arc<ValidatorsTree>) {
    let (duty, world, tree, _) = duty_over(file, None);
    (duty, world, tree)
}

fn duty_with(stuck: Option<usize>) -> (RegisterValidators<Fake>, Arc<Mutex<World>>, Arc<ValidatorsTree>, Opened) {
    let vectors = fixture("original-v1.json");
    let file = DepositDataFile::parse(vectors["deposit_data"]["mainnet"].to_string().as_bytes()).unwrap();
    duty_over(&file, stuck)
}

fn duty_over(
    file: &DepositDataFile,
    stuck: Option<usize>,
) -> (RegisterValidators<Fake>, Arc<Mutex<World>>, Arc<ValidatorsTree>, Opened) {
    let vectors = fixture("original-v1.json");
    let tree = Arc::new(ValidatorsTree::new(VAULT, file).unwrap());
    let keys = vectors["keys"].as_array().unwrap();
    let keys: Vec<_> = keys
        .iter()
        .map(|key| (PublicKeyBytes(array(&key["pk"])), array(&key["sk"])))
        .collect();
    let world = World {
        state: RegistrationState {
            deposit_root: B256::repeat_byte(0xaa),
            deposit_count: 100,
            deposit_data_root: tree.root(),
            deposit_data_index: 1,
            deposit_data_manager: Address::repeat_byte(2),
            can_harvest: false,
            harvest_required: false,
            collateralized: true,
            validators_min_oracles: 2,
            rewards_min_oracles: 1,
            rewards_root: B256::ZERO,
            withdrawable_assets: U256::from(70 * ETH),
            total_assets: U256::from(70 * ETH),
            wallet_balance: U256::from(ETH),
        },
        vault: VaultState {
            version: 5,
            admin: Address::repeat_byte(1),
            validators_manager: Some(network().contracts.deposit_data_registry),
            has_manager_nonce: true,
            mev_escrow: network().contracts.shared_mev_escrow,
            in_registry: true,
        },
        harvest: None,
        no_gateway: false,
        next_index: 123,
        tended: Tended::default(),
        wanted: None,
        slow: false,
        deposited: Vec::new(),
        quarantined: Vec::new(),
        gas_price: 2_000_000_000,
        gas_limit_reached: false,
        oracles_refuse: false,
        meanwhile: |_| {},
        requests: Vec::new(),
        simulated: 0,
        sent: Vec::new(),
    };
    let world = Arc::new(Mutex::new(world));
    let opened = Opened::default();
    let registrar = Registrar {
        vault: VAULT,
        network: network(),
        tree: Arc::clone(&tree),
        signer: Arc::new(LocalSigner::new(VectorKeys {
            stuck: stuck.map(|at| keys[at].0),
            keys,
            opened: Arc::clone(&opened),
        })),
        metrics: Arc::new(Metrics::new("sw_operator", "mainnet", "0")),
        random,
    };
    (
        RegisterValidators::new(Fake(Arc::clone(&world)), registrar),
        world,
        tree,
        opened,
    )
}

fn idle(outcome: Result<Outcome, DutyError>) -> WhyNot {
    match outcome {
        Ok(Outcome::Idle(why)) => why,
        other => panic!("not idle: {other:?}"),
    }
}

#[tokio::test]
async fn what_the_vault_can_pay_for_is_registered_with_shares_that_recover_each_exit() {
    let (mut duty, world, tree) = duty();
    assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
    let world = world.lock().unwrap();
    let keys: Vec<_> = [1, 2].map(|position| tree.public_key(position).unwrap()).to_vec();
    let request = &world.requests[0];
    assert_eq!(
        (&request.public_keys, request.validator_index, request.deadline),
        (&keys, 123, 1_700_003_600)
    );
    assert_eq!(request.validators_registry_root, B256::repeat_byte(0xaa));
    let shards = request.exit_signature_shards.iter().zip(&keys).zip(123..);
    for ((sealed, key), index) in shards {
        let opened = sealed
            .iter()
            .zip(ORACLE_SECRETS)
            .enumerate()
            .map(|(position, (share, secret))| {
                (ShareIndex::of_position(position).unwrap(), share.open(&secret).unwrap())
            });
        let exit = recover_signature(&opened.collect::<Vec<_>>()).unwrap();
        let (exit, key) = (Signature::try_from(&exit).unwrap(), PublicKey::try_from(key).unwrap());
        assert!(exit.verify(&network().exit_signing_root(index), &key));
    }
    assert_eq!((world.simulated, world.sent.len()), (1, 1));
    let (sent_keys, call) = &world.sent[0];
    assert_eq!(
        (sent_keys, call.to, call.value),
        (&keys, network().contracts.deposit_data_registry, U256::ZERO)
    );
    assert_eq!(call.data[..4], [0xe4, 0xc3, 0x25, 0xeb], "registerValidators");
}

#[tokio::test]
async fn one_key_goes_by_the_single_proof_and_a_due_harvest_goes_first() {
    let (mut duty, world, _) = duty();
    let params = HarvestParams {
        rewards_root: B256::repeat_byte(3),
        reward: I160::try_from(5).unwrap(),
        unlocked_mev_reward: U160::from(0),
        proof: Vec::new(),
    };
    {
        let mut world = world.lock().unwrap();
        world.state.withdrawable_assets = U256::from(31 * ETH);
        world.state.can_harvest = true;
        world.harvest = Some(Harvest {
            params: params.clone(),
            withdrawable_assets: U256::from(32 * ETH),
        });
    }
    assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
    let world = world.lock().unwrap();
    let data = &world.sent[0].1.data;
    assert_eq!(data[..4], [0xac, 0x96, 0x50, 0xd8], "multicall");
    let update = calls::registry_update_vault_state(VAULT, &params);
    let at = data
        .windows(update.len())
        .position(|window| window == update.as_ref())
        .expect("updateVaultState inside");
    let register = data
        .windows(4)
        .position(|window| window == [0xa0, 0x33, 0x01, 0xc6])
        .expect("registerValidator inside");
    assert!(at < register);
}

/// A vault as version 1 has it: it answers neither `validatorsManager()` nor `validatorsManagerNonce()`.
#[tokio::test]
async fn every_reason_not_to_register_is_told_and_no_oracle_is_asked() {
    let cases: [(&str, Change, Expected); 10] = [
        (
            "poor vault",
            |world| world.state.withdrawable_assets = U256::from(31 * ETH),
            |why| matches!(why, WhyNot::NotEnoughAssets { .. }),
        ),
        (
            "root",
            |world| world.state.deposit_data_root = B256::ZERO,
            |why| matches!(why, WhyNot::RootNotUploaded { chain: B256::ZERO, .. }),
        ),
        (
            "used up",
            |world| world.state.deposit_data_index = 5,
            |why| matches!(why, WhyNot::KeysUsedUp { keys: 5 }),
        ),
        (
            "gas money",
            |world| world.state.wallet_balance = U256::from(ETH / 1000),
            |why| matches!(why, WhyNot::WalletTooPoor { .. }),
        ),
        (
            "harvest",
            |world| {
                world.state.can_harvest = true;
                world.state.harvest_required = true;
            },
            |why| matches!(why, WhyNot::HarvestUnknown { .. }),
        ),
        (
            "pending",
            |world| world.tended.blocked = Some(on_its_way()),
            |why| matches!(why, WhyNot::TransactionPending { .. }),
        ),
        (
            "manager",
            |world| world.vault.validators_manager = Some(Address::repeat_byte(5)),
            |why| matches!(why, WhyNot::OtherRoad { .. }),
        ),
        (
            "no manager on v5",
            |world| world.vault.validators_manager = Some(Address::ZERO),
            |why| matches!(why, WhyNot::OtherRoad { .. }),
        ),
        (
            "front-run",
            |world| {
                let vectors = fixture("original-v1.json");
                world.deposited = vec![PublicKeyBytes(array(&vectors["keys"][1]["pk"]))];
            },
            |why| matches!(why, WhyNot::KeyDeposited { position: 1, .. }),
        ),
        (
            "front-run by a stranger",
            |world| {
                let vectors = fixture("original-v1.json");
                let foreign = ForeignDeposit {
                    validator: PublicKeyBytes(array(&vectors["keys"][1]["pk"])),
                    withdrawal_credentials: B256::repeat_byte(0xee),
                    block: 8,
                    transaction: B256::repeat_byte(0xdd),
                };
                world.deposited = vec![foreign.validator];
                world.quarantined = vec![foreign];
            },
            |why| {
                let text = why.to_string();
                let named = [0xee, 0xdd].map(|byte| text.contains(&B256::repeat_byte(byte).to_string()));
                matches!(why, WhyNot::Quarantined { position: 1, .. })
                    && named == [true, true]
                    && text.contains("block 8")
            },
        ),
    ];
    for (name, change, expected) in cases {
        let (mut duty, world, _) = duty();
        change(&mut world.lock().unwrap());
        let why = idle(duty.tick().await);
        assert!(expected(&why), "{name}: {why}");
        let world = world.lock().unwrap();
        assert!(world.requests.is_empty() && world.sent.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_zero_manager_before_pectra_means_the_registry() {
    let (mut duty, world, _) = duty();
    {
        let mut world = world.lock().unwrap();
        world.vault = VaultState {
            version: 3,
            validators_manager: None,
            has_manager_nonce: false,
            ..world.vault.clone()
        };
    }
    assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
}

#[tokio::test]
async fn what_moved_while_the_oracles_were_asked_is_not_sent_and_the_next_tick_registers() {
    let moves: [(&str, Change); 7] = [
        ("deposit root", |world| {
            world.state.deposit_root = B256::repeat_byte(0xbb)
        }),
        ("next index", |world| world.next_index += 1),
        ("deposit data index", |world| world.state.deposit_data_index += 1),
        ("manager", |world| {
            world.vault.validators_manager = Some(Address::repeat_byte(5))
        }),
        ("version", |world| world.vault.version = 1),
        ("rewards", |world| world.state.can_harvest = true),
        ("a stranger's deposit", |world| {
            let vectors = fixture("original-v1.json");
            world.quarantined = vec![ForeignDeposit {
                validator: PublicKeyBytes(array(&vectors["keys"][1]["pk"])),
                withdrawal_credentials: B256::ZERO,
                block: 8,
                transaction: B256::ZERO,
            }];
        }),
    ];
    for (name, change) in moves {
        let (mut duty, world, _) = duty();
        world.lock().unwrap().meanwhile = change;
        let why = idle(duty.tick().await);
        assert!(matches!(why, WhyNot::Overtaken { .. }), "{name}: {why}");
        {
            let mut world = world.lock().unwrap();
            assert!(world.sent.is_empty() && world.simulated == 0, "{name}");
            world.meanwhile = |_| {};
            world.quarantined.clear();
            world.vault.validators_manager = Some(network().contracts.deposit_data_registry);
        }
        assert_eq!(duty.tick().await.unwrap(), Outcome::Acted, "{name}");
        let world = world.lock().unwrap();
        let last = world.requests.last().unwrap();
        assert_eq!(
            (last.validators_registry_root, last.validator_index),
            (world.state.deposit_root, world.next_index)
        );
    }
}

#[tokio::test]
async fn oracles_that_refuse_because_the_chain_moved_are_no_failure_and_others_are() {
    let (mut duty, world, _) = duty();
    {
        let mut world = world.lock().unwrap();
        world.oracles_refuse = true;
        world.meanwhile = |world| world.state.deposit_root = B256::repeat_byte(0xbb);
    }
    assert!(matches!(idle(duty.tick().await), WhyNot::Overtaken { .. }));
    let error = duty.tick().await.expect_err("nothing moved this time");
    assert!(matches!(error, DutyError::Approvals(_)), "{error}");
    world.lock().unwrap().oracles_refuse = false;
    assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
}

#[tokio::test]
async fn shares_are_sent_again_only_for_the_same_keys_indices_and_oracles() {
    let (mut duty, world, _) = duty();
    {
        let mut world = world.lock().unwrap();
        world.oracles_refuse = true;
        world.meanwhile = |_| {};
    }
    let _ = duty.tick().await;
    world.lock().unwrap().state.deposit_root = B256::repeat_byte(0xbb);
    let _ = duty.tick().await;
    world.lock().unwrap().next_index += 1;
    let _ = duty.tick().await;
    let world = world.lock().unwrap();
    let shards = |at: usize| &world.requests[at].public_key_shards;
    assert_eq!(shards(0), shards(1), "a moved root leaves the exits as they are");
    assert_ne!(shards(1), shards(2), "another index is another exit");
}

#[tokio::test]
async fn a_registration_that_takes_long_is_tended_at_every_tick_and_told_when_it_is_mined() {
    let (mut duty, world, tree) = duty();
    world.lock().unwrap().slow = true;
    assert_eq!(idle(duty.tick().await), on_its_way());
    world.lock().unwrap().tended.blocked = Some(on_its_way());
    // Nothing about the vault keeps it from looking after what is out.
    world.lock().unwrap().vault.validators_manager = Some(Address::repeat_byte(5));
    assert_eq!(idle(duty.tick().await), on_its_way());
    {
        let mut world = world.lock().unwrap();
        assert_eq!((world.requests.len(), world.sent.len()), (1, 1));
        let keys = vec![tree.public_key(1).unwrap(), tree.public_key(2).unwrap()];
        let tx = B256::repeat_byte(1);
        world.tended = Tended {
            mined: vec![Mined {
                tx,
                block: 12,
                keys,
                cost: None,
            }],
            ..Tended::default()
        };
        world.state.deposit_data_index = 5;
    }
    assert!(matches!(idle(duty.tick().await), WhyNot::OtherRoad { .. }));
    world.lock().unwrap().tended.reverted = vec![(B256::repeat_byte(2), 13)];
    let error = duty.tick().await.expect_err("a failure that a person should hear of");
    assert!(matches!(error, DutyError::Reverted { block: 13, .. }), "{error}");
}

#[tokio::test]
async fn an_unreachable_rewards_file_holds_up_only_what_the_vault_refuses_without_it() {
    let (mut duty, world, _) = duty();
    {
        let mut world = world.lock().unwrap();
        world.no_gateway = true;
        world.state.can_harvest = true;
        world.state.harvest_required = true;
    }
    assert!(duty.tick().await.is_err(), "the vault would revert");
    world.lock().unwrap().state.harvest_required = false;
    assert_eq!(duty.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(
        world.lock().unwrap().sent[0].1.data[..4],
        [0xe4, 0xc3, 0x25, 0xeb],
        "no update beside it"
    );
}

/// A start does not look at every signature of a large file.
#[tokio::test]
async fn a_deposit_that_is_not_validly_signed_is_never_registered_and_ends_the_run_before_it() {
    for (spoilt, registered) in [(1, 0), (2, 1), (3, 2)] {
        let vectors = fixture("original-v1.json");
        let mut entries = vectors["deposit_data"]["mainnet"].clone();
        entries[spoilt]["signature"] = entries[0]["signature"].clone();
        let file = DepositDataFile::parse(entries.to_string().as_bytes()).unwrap();
        let (mut duty, world, tree) = duty_of(&file);
        world.lock().unwrap().state.withdrawable_assets = U256::from(100 * ETH);
        let outcome = duty.tick().await;
        let world = world.lock().unwrap();
        if registered == 0 {
            let validator = tree.public_key(spoilt).unwrap();
            assert_eq!(idle(outcome), WhyNot::BadDeposit { validator, position: 1 });
            assert!(world.requests.is_empty());
        } else {
            assert_eq!((outcome.unwrap(), world.sent[0].0.len()), (Outcome::Acted, registered));
        }
    }
}
