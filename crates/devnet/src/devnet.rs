//! The whole network: started together, stopped together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, FixedBytes, U256, fixed_bytes, keccak256};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::{
    Deployment, DevnetConfig, DevnetError, Node, Registered, VaultKind,
    anvil::{Anvil, AnvilConfig},
    beacon::{BeaconConfig, BeaconNode},
    chain::Chain,
    contracts::Artifacts,
    http::loopback_client,
    ipfs::{Gateway, GatewayHandle},
    network::network_file,
    oracle::{BeforeReply, NodeRuntime, OracleHandle, OracleKey, OracleSet, OracleSetConfig},
    proxy::ExecutionProxy,
    rewards::Ledger,
    rpc::Rpc,
    toolchain::{Toolchain, default_cache},
};

/// A running network. Dropping it ends all of it.
#[derive(Debug)]
pub struct Devnet {
    deployment: Deployment,
    vault: Address,
    proxy: ExecutionProxy,
    beacon: BeaconNode,
    gateway: Gateway,
    oracles: OracleSet,
    /// Held while an oracle is replaced.
    replacing: Mutex<()>,
    ledger: Mutex<Ledger>,
    chain: Arc<Chain>,
    anvil: Anvil,
    network_file: PathBuf,
    work_dir: PathBuf,
    _temporary: Option<TempDir>,
}

impl Devnet {
    /// Starts a network with one vault whose manager is the DepositDataRegistry.
    ///
    /// The first start installs npm packages and compiles contracts, which takes half a minute.
    ///
    /// # Errors
    ///
    /// A tool is missing, or a part of the network does not start.
    pub async fn start(config: DevnetConfig) -> Result<Self, DevnetError> {
        let toolchain = Toolchain::prepare(&config.cache_dir.clone().unwrap_or_else(default_cache)).await?;
        let artifacts = Artifacts::compile(&toolchain).await?;
        let (work_dir, temporary) = work_dir(config.work_dir.as_deref())?;

        let anvil_config = AnvilConfig {
            chain_id: CHAIN_ID,
            block_time: config.seconds_per_slot,
            slots_per_epoch: config.slots_per_epoch,
        };
        let anvil = Anvil::start(&toolchain.anvil()?, &anvil_config, &work_dir.join("anvil.log")).await;
        let anvil = anvil.map_err(DevnetError::Anvil)?;
        let client = loopback_client(REQUEST_TIMEOUT)?;
        let proxy = ExecutionProxy::start(client.clone(), anvil.url().to_owned()).await?;
        let chain = Chain::deploy(Rpc::new(client, anvil.url()), artifacts, GENESIS_FORK_VERSION).await?;
        let gateway = Gateway::start().await?;
        let beacon = BeaconNode::start(beacon_config(&config, &chain), chain.rpc().clone()).await?;

        let deployment = describe(&config, &chain, beacon.url(), gateway.handle().url());
        let keys: Vec<OracleKey> = (0..config.oracles).map(OracleKey::of_devnet).collect();
        let oracles = OracleSet::start(OracleSetConfig {
            deployment: deployment.clone(),
            keys: keys.clone(),
            replicas: config.replicas,
            node: config.node_oracle.then(|| NodeRuntime {
                toolchain,
                directory: work_dir.clone(),
            }),
        })
        .await?;
        let announced = oracles.protocol_config();
        let cid = gateway.handle().put(announced.to_string().as_bytes());
        oracles.know_config(&cid, &announced);
        let addresses: Vec<Address> = keys.iter().map(OracleKey::address).collect();
        let threshold = deployment.validators_threshold;
        let (oracles_added, config_announced, vault) = tokio::join!(
            chain.add_oracles(&addresses, threshold, threshold),
            chain.update_config(&cid),
            chain.create_vault(chain.addresses().deposit_data_registry),
        );
        oracles_added?;
        config_announced?;
        let vault = vault?;
        let mut ledger = Ledger::default();
        ledger.add_vault(vault);

        let network = work_dir.join("network.toml");
        write(&network, network_file(&deployment).as_bytes())?;
        write(
            &work_dir.join("deployment.json"),
            json!(deployment).to_string().as_bytes(),
        )?;
        Ok(Self {
            deployment,
            vault,
            proxy,
            beacon,
            gateway,
            oracles,
            replacing: Mutex::default(),
            ledger: Mutex::new(ledger),
            chain: Arc::new(chain),
            anvil,
            network_file: network,
            work_dir,
            _temporary: temporary,
        })
    }

    /// Ends all of it, and waits until the execution node is gone.
    pub async fn stop(self) {
        self.anvil.stop().await;
    }

    /// What was deployed, and where the network itself listens: without the proxy.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The execution endpoint for the operator.
    pub fn execution_url(&self) -> &str {
        self.proxy.url()
    }

    /// The consensus endpoint for the operator.
    pub fn consensus_url(&self) -> &str {
        self.beacon.url()
    }

    /// The IPFS gateway for the operator.
    pub fn ipfs_url(&self) -> &str {
        self.gateway.handle().url()
    }

    /// The network file for the operator's `--network-config`.
    pub fn network_file(&self) -> &Path {
        &self.network_file
    }

    /// Where the network file and logs are.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// The vault that the network was started with.
    pub fn vault(&self) -> Address {
        self.vault
    }

    /// The admin of all vaults, who also manages their deposit data; the execution node signs for it.
    pub fn admin(&self) -> Address {
        self.chain.accounts().vault_admin
    }

    /// The chain, for what has no method here and for closures that outlive a borrow of this.
    pub fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// The gateway's content, and its faults.
    pub fn gateway(&self) -> &GatewayHandle {
        self.gateway.handle()
    }

    /// The proxy in front of the execution node, and its faults.
    pub fn proxy(&self) -> &ExecutionProxy {
        &self.proxy
    }

    /// A further execution endpoint of the same node, with faults of its own. It ends when it is dropped.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn add_execution_endpoint(&self) -> Result<ExecutionProxy, DevnetError> {
        Ok(self.proxy.beside().await?)
    }

    /// The Beacon API, and its faults.
    pub fn beacon(&self) -> &BeaconNode {
        &self.beacon
    }

    /// The present oracles in the order of the config. The Node oracle is the last, until it is replaced.
    pub fn oracles(&self) -> Vec<OracleHandle> {
        self.oracles.handles()
    }

    /// The Node oracle's address, if there is one.
    pub fn node_oracle_address(&self) -> Option<Address> {
        self.oracles.node_address()
    }

    /// The oracles that were replaced, for what they were asked and did.
    pub fn retired_oracles(&self) -> Vec<OracleHandle> {
        self.oracles.retired()
    }

    pub(crate) fn oracle_keys(&self) -> Vec<OracleKey> {
        self.oracles.keys()
    }

    /// Puts a new oracle in Rust, with a new key, in the place of another: the Keeper takes the new one and drops the
    /// other, the new config is announced, and all oracles follow it. The one before is down. Returns the address of
    /// the new one.
    ///
    /// # Errors
    ///
    /// There is no such place, or the node fails.
    pub async fn replace_oracle(&self, position: usize) -> Result<Address, DevnetError> {
        let _guard = self.replacing.lock().await;
        let newcomer = self.oracles.newcomer(position).await?;
        let before = self.oracles.keys();
        let before = before.get(position).map(OracleKey::address).unwrap_or_default();
        let config = self.oracles.protocol_config_with(&newcomer);
        let cid = self.gateway().put(config.to_string().as_bytes());
        self.oracles.know_config(&cid, &config);
        let address = newcomer.address();
        self.chain.replace_oracle(before, address, &cid).await?;
        self.oracles.seat(newcomer);
        Ok(address)
    }

    /// The moment after the oracles' checks and before their answers.
    pub fn before_reply(&self) -> &BeforeReply {
        self.oracles.before_reply()
    }

    /// Runs `hook` once for each distinct request, after the oracles have checked it and before they answer.
    pub fn hook_before_reply<F>(&self, hook: impl Fn(Arc<str>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.before_reply().set(hook);
    }

    /// The config of the present oracles, to be changed and announced with [`Devnet::update_config`].
    pub fn protocol_config(&self) -> Value {
        self.oracles.protocol_config()
    }

    /// Puts a config on IPFS and announces it; returns its CID.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn update_config(&self, config: &Value) -> Result<String, DevnetError> {
        let cid = self.gateway().put(config.to_string().as_bytes());
        self.oracles.know_config(&cid, config);
        self.chain.update_config(&cid).await?;
        Ok(cid)
    }

    /// Makes a node say that it is still syncing, or no longer.
    pub fn set_syncing(&self, node: Node, syncing: bool) {
        let progress = json!({"startingBlock": "0x0", "currentBlock": "0x1", "highestBlock": "0x3e8"});
        match node {
            Node::Execution => self.proxy.answer("eth_syncing", syncing.then_some(progress)),
            Node::Consensus => self.beacon.set_syncing(syncing),
        }
    }

    /// Makes the execution endpoint claim another chain id, or the true one again.
    pub fn set_claimed_chain_id(&self, chain_id: Option<u64>) {
        self.proxy
            .answer("eth_chainId", chain_id.map(|chain_id| json!(format!("{chain_id:#x}"))));
    }

    /// Creates another vault.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn create_vault(&self, kind: VaultKind) -> Result<Address, DevnetError> {
        let vault = match kind {
            VaultKind::DepositData => self.chain.create_vault(self.deployment.deposit_data_registry).await?,
            VaultKind::Managed(manager) => self.chain.create_vault(manager).await?,
            VaultKind::Unmanaged => self.chain.create_vault(Address::ZERO).await?,
            VaultKind::OwnEscrow => self.chain.create_own_escrow_vault().await?,
            VaultKind::V1 => self.chain.create_v1_vault().await?,
        };
        let mut ledger = self.ledger.lock().await;
        match kind {
            VaultKind::OwnEscrow => ledger.add_vault_with_own_escrow(vault),
            _ => ledger.add_vault(vault),
        }
        Ok(vault)
    }

    /// Stakes in a vault.
    ///
    /// # Errors
    ///
    /// The vault waits for a harvest, or the node fails.
    pub async fn stake(&self, vault: Address, eth: u64) -> Result<(), DevnetError> {
        Ok(self.chain.stake(vault, wei(eth)).await?)
    }

    /// Gives Ether away.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn send_eth(&self, to: Address, eth: u64) -> Result<(), DevnetError> {
        self.send_wei(to, wei(eth)).await
    }

    /// Gives Wei away.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn send_wei(&self, to: Address, wei: U256) -> Result<(), DevnetError> {
        Ok(self.chain.send_wei(to, wei).await?)
    }

    /// Upgrades a vault of version 1 to version 2, as its admin.
    ///
    /// # Errors
    ///
    /// It is no vault of version 1, or the node fails.
    pub async fn upgrade_v1_vault(&self, vault: Address) -> Result<(), DevnetError> {
        Ok(self.chain.upgrade_v1_vault(vault).await?)
    }

    /// Uploads a deposit data root, as whoever may: to a vault of version 1 itself, else to the DepositDataRegistry.
    ///
    /// # Errors
    ///
    /// It is the root that is there, or the node fails.
    pub async fn set_deposit_data_root(&self, vault: Address, root: B256) -> Result<(), DevnetError> {
        Ok(self.chain.set_deposit_data_root(vault, root).await?)
    }

    /// Lets a vault earn, in wei, its MEV in the escrow that it has: the oracles sign a new rewards root, and its file is on IPFS. After one, a vault with
    /// validators may harvest; after two, it must.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn reward(&self, vault: Address, consensus: i128, unlocked_mev: u128) -> Result<(), DevnetError> {
        let mut ledger = self.ledger.lock().await;
        let mut next = ledger.clone();
        next.earn(vault, consensus, unlocked_mev);
        self.chain.pay_mev(vault, unlocked_mev).await?;
        self.chain
            .update_rewards(&next, &self.oracles.keys(), |file| self.gateway().put(file))
            .await?;
        *ledger = next;
        Ok(())
    }

    /// Somebody else deposits 32 ETH for a validator of their own: the deposit root and the next index move.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn foreign_deposit(&self) -> Result<FixedBytes<48>, DevnetError> {
        Ok(self.chain.foreign_deposit().await?)
    }

    /// Somebody else deposits with an invalid signature: the deposit root moves, the next index does not.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn invalid_deposit(&self) -> Result<FixedBytes<48>, DevnetError> {
        Ok(self.chain.invalid_deposit().await?)
    }

    /// The validators a vault has registered, in order, as its events say.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn registered(&self, vault: Address) -> Result<Vec<Registered>, DevnetError> {
        Ok(self.chain.registered(vault).await?)
    }

    /// Waits until a vault has registered `count` validators, however long that takes.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn wait_registered(&self, vault: Address, count: usize) -> Result<Vec<Registered>, DevnetError> {
        loop {
            let registered = self.registered(vault).await?;
            if registered.len() >= count {
                return Ok(registered);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Who signed the approval in a registration, recovered from the mined calldata.
    ///
    /// # Errors
    ///
    /// The transaction is no registration, or the node fails.
    pub async fn approval_signers(&self, tx: B256) -> Result<Vec<Address>, DevnetError> {
        Ok(self.chain.approval_signers(tx).await?)
    }
}

fn beacon_config(config: &DevnetConfig, chain: &Chain) -> BeaconConfig {
    BeaconConfig {
        chain_id: CHAIN_ID,
        genesis_time: chain.genesis_time(),
        slots_per_epoch: config.slots_per_epoch,
        seconds_per_slot: config.seconds_per_slot,
        genesis_validators_root: genesis_validators_root(),
        genesis_fork_version: GENESIS_FORK_VERSION,
        capella_fork_version: CAPELLA_FORK_VERSION,
        capella_epoch: CAPELLA_EPOCH,
        deneb_fork_version: DENEB_FORK_VERSION,
        electra_fork_version: ELECTRA_FORK_VERSION,
        shard_committee_period: config.shard_committee_period,
        max_seed_lookahead: config.max_seed_lookahead,
        min_validator_withdrawability_delay: WITHDRAWABILITY_DELAY,
        epochs_per_slashings_vector: SLASHINGS_VECTOR,
        deposit_contract: chain.addresses().deposit_contract,
        deploy_block: chain.deploy_block(),
    }
}

fn describe(config: &DevnetConfig, chain: &Chain, consensus_url: &str, ipfs_url: &str) -> Deployment {
    let addresses = chain.addresses();
    Deployment {
        chain_id: CHAIN_ID,
        execution_url: chain.rpc().url().to_owned(),
        consensus_url: consensus_url.to_owned(),
        ipfs_url: ipfs_url.to_owned(),
        genesis_time: chain.genesis_time(),
        slots_per_epoch: config.slots_per_epoch,
        seconds_per_slot: config.seconds_per_slot,
        genesis_validators_root: genesis_validators_root(),
        genesis_fork_version: GENESIS_FORK_VERSION,
        capella_fork_version: CAPELLA_FORK_VERSION,
        capella_epoch: CAPELLA_EPOCH,
        keeper: addresses.keeper,
        deposit_contract: addresses.deposit_contract,
        deposit_data_registry: addresses.deposit_data_registry,
        vaults_registry: addresses.vaults_registry,
        shared_mev_escrow: addresses.shared_mev_escrow,
        multicall: addresses.multicall,
        deploy_block: chain.deploy_block(),
        validators_threshold: config.validators_threshold.min(config.oracles),
        recover_threshold: config.recover_threshold.min(config.oracles),
        signature_validity_period: config.signature_validity_period,
        validators_approval_batch_limit: config.batch_limit,
        validators_exit_rotation_batch_limit: config.rotation_batch_limit,
    }
}

fn genesis_validators_root() -> B256 {
    keccak256("sw-devnet genesis validators")
}

fn wei(eth: u64) -> U256 {
    U256::from(eth) * U256::from(10).pow(U256::from(18))
}

fn work_dir(wanted: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), DevnetError> {
    match wanted {
        Some(path) => {
            std::fs::create_dir_all(path).map_err(|source| DevnetError::Files {
                path: path.to_owned(),
                source,
            })?;
            Ok((path.to_owned(), None))
        }
        None => {
            let temporary = tempfile::Builder::new().prefix("devnet-").tempdir();
            let temporary = temporary.map_err(|source| DevnetError::Files {
                path: std::env::temp_dir(),
                source,
            })?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), DevnetError> {
    std::fs::write(path, content).map_err(|source| DevnetError::Files {
        path: path.to_owned(),
        source,
    })
}

/// An id that no public chain has.
const CHAIN_ID: u64 = 7_357_001;
const GENESIS_FORK_VERSION: FixedBytes<4> = fixed_bytes!("10735701");
const CAPELLA_FORK_VERSION: FixedBytes<4> = fixed_bytes!("40735701");
const CAPELLA_EPOCH: u64 = 0;
const DENEB_FORK_VERSION: FixedBytes<4> = fixed_bytes!("50735701");
const ELECTRA_FORK_VERSION: FixedBytes<4> = fixed_bytes!("60735701");
/// Epochs; 256 and 8,192 on mainnet.
const WITHDRAWABILITY_DELAY: u64 = 2;
const SLASHINGS_VECTOR: u64 = 8;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);
