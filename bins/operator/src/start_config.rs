//! What `start` was told, by flags, environment and the vault's directory, checked once.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use sw_chain_client::JwtSecret;
use sw_spec::{Address, Network, NetworkSpec, RedactedUrl};
use sw_vault_dir::{Opening, VaultDir};

use crate::{
    commands::start::{Args, FileArgs, MetricsArgs, TimeoutArgs},
    config::{load_vault, network_from_path, only_one, second_name},
    error::{CliError, Kind},
    keystores::KeystoresAt,
    places::Place,
    ui::Ui,
};

/// The network, when it is not the one that `init` wrote down.
#[derive(Debug, clap::Args)]
pub(crate) struct NetworkChoice {
    /// Network of the vault: mainnet, hoodi or gnosis [default: as told to `init`].
    #[arg(long, env = "NETWORK", value_name = "NAME")]
    pub(crate) network: Option<Network>,
    /// File that describes a network of your own [default: as told to `init`].
    #[arg(long, env = "NETWORK_CONFIG", value_name = "FILE")]
    pub(crate) network_config: Option<PathBuf>,
}

impl NetworkChoice {
    /// The network that was named, or else that of the vault.
    pub(crate) fn resolve(&self, directory: &VaultDir) -> Result<NetworkSpec, CliError> {
        only_one(self.network, self.network_config.as_deref())?;
        match (self.network, &self.network_config) {
            (Some(network), _) => Ok(network.spec()),
            (None, Some(path)) => network_from_path(path),
            (None, None) => Ok(load_vault(directory)?.1),
        }
    }
}

/// Everything `start` needs to know before it opens anything.
pub(crate) struct StartConfig {
    pub(crate) vault: Address,
    pub(crate) directory: VaultDir,
    pub(crate) network: NetworkSpec,
    pub(crate) execution_endpoints: Vec<RedactedUrl>,
    pub(crate) jwt_secret: Option<JwtSecret>,
    pub(crate) execution_quorum: NonZeroUsize,
    pub(crate) consensus_endpoints: Vec<RedactedUrl>,
    pub(crate) gateways: Vec<RedactedUrl>,
    pub(crate) files: Files,
    /// In wei.
    pub(crate) max_fee_per_gas: u128,
    pub(crate) harvest_vault: bool,
    pub(crate) adopt_wallet: bool,
    pub(crate) verify_keystores: bool,
    pub(crate) opening: Opening,
    pub(crate) metrics: MetricsConfig,
    pub(crate) timeouts: Timeouts,
}

pub(crate) struct Files {
    pub(crate) database: PathBuf,
    pub(crate) deposit_data: PathBuf,
    pub(crate) keystores: KeystoresAt,
    pub(crate) wallet: PathBuf,
    pub(crate) wallet_password: PathBuf,
}

pub(crate) struct MetricsConfig {
    pub(crate) address: Option<SocketAddr>,
    pub(crate) prefix: String,
}

pub(crate) struct Timeouts {
    pub(crate) execution: Duration,
    pub(crate) consensus: Duration,
    pub(crate) ipfs: Duration,
    pub(crate) oracle: Duration,
    pub(crate) transaction: Duration,
}

impl StartConfig {
    /// Puts the pieces together, asking for the vault if need be.
    pub(crate) fn resolve(args: Args, ui: &Ui) -> Result<Self, CliError> {
        refuse_if_registering_is_off()?;
        let (vault, directory) = args.vault.resolve("Enter your vault address", ui)?;
        let network = args.network.resolve(&directory)?;
        let max_fee_gwei = args.max_fee_per_gas_gwei.unwrap_or(network.max_fee_per_gas_gwei);
        let jwt_secret = args.jwt.resolve()?;
        refuse_too_high_a_quorum(args.execution_quorum, &args.execution_endpoints)?;
        let files = files(args.files, &directory)?;
        Ok(Self {
            vault,
            directory,
            network,
            execution_endpoints: args.execution_endpoints,
            jwt_secret,
            execution_quorum: args.execution_quorum,
            consensus_endpoints: args.consensus_endpoints,
            gateways: args.ipfs_fetch_endpoints,
            files,
            max_fee_per_gas: u128::from(max_fee_gwei).saturating_mul(1_000_000_000),
            harvest_vault: args.harvest_vault,
            adopt_wallet: args.adopt_wallet,
            verify_keystores: args.verify_keystores,
            opening: args.opening.resolve()?,
            metrics: metrics(args.metrics)?,
            timeouts: timeouts(&args.timeouts),
        })
    }
}

/// Who turned registering off in the original must not find validators registered here. Its code reads the first name, its
/// example names the second.
fn refuse_if_registering_is_off() -> Result<(), CliError> {
    for name in ["DISABLE_VALIDATORS_REGISTRATION", "DISABLE_VALIDATOR_REGISTRATIONS"] {
        let Some(value) = second_name(name) else { continue };
        let off = ["0", "false", "f", "no", "n", "off"];
        if !value
            .to_str()
            .is_some_and(|value| off.contains(&value.to_lowercase().as_str()))
        {
            return Err(CliError::new(
                Kind::Usage,
                format_args!("{name} is set, and this version always registers validators"),
            )
            .hint(format_args!("unset {name} to have validators registered")));
        }
    }
    Ok(())
}

/// A node that is named twice cannot confirm itself.
fn refuse_too_high_a_quorum(quorum: NonZeroUsize, endpoints: &[RedactedUrl]) -> Result<(), CliError> {
    let nodes: BTreeSet<&str> = endpoints.iter().map(|url| url.expose_url().as_str()).collect();
    if quorum.get() <= nodes.len() {
        return Ok(());
    }
    Err(CliError::new(
        Kind::Usage,
        format_args!(
            "{quorum} execution nodes cannot agree: `--execution-endpoints` names {}",
            nodes.len()
        ),
    )
    .hint("name more nodes, best of different providers, or lower `--execution-quorum`"))
}

fn files(given: FileArgs, directory: &VaultDir) -> Result<Files, CliError> {
    let keystores = given.keystores.resolve(Some(directory))?;
    let wallet = given
        .hot_wallet_file
        .or_else(|| second_name("WALLET_FILE").map(PathBuf::from));
    let wallet = WALLET.find(wallet, directory.wallet(), "create-wallet")?;
    let wallet_password = given
        .hot_wallet_password_file
        .or_else(|| second_name("WALLET_PASSWORD_FILE").map(PathBuf::from))
        .unwrap_or_else(|| password_in(wallet.parent().unwrap_or(&wallet), directory.wallet_password()));
    Ok(Files {
        database: match given.database_dir {
            Some(path) => DATABASE.given(path)?.join("operator.db"),
            None => directory.database(),
        },
        deposit_data: DEPOSIT_DATA.find(given.deposit_data_file, directory.deposit_data(), "create-keys")?,
        keystores,
        wallet_password: WALLET_PASSWORD.given(wallet_password)?,
        wallet,
    })
}

/// A password lies beside what it opens, or else where the original looks for it: in the vault's directory.
fn password_in(directory: &Path, otherwise: PathBuf) -> PathBuf {
    let beside = directory.join("password.txt");
    if beside.exists() || !otherwise.exists() {
        beside
    } else {
        otherwise
    }
}

fn metrics(args: MetricsArgs) -> Result<MetricsConfig, CliError> {
    let address = if args.enable_metrics {
        Some(metrics_address(&args.metrics_host, args.metrics_port)?)
    } else {
        None
    };
    Ok(MetricsConfig {
        address,
        prefix: args.metrics_prefix,
    })
}

fn metrics_address(host: &str, port: u16) -> Result<SocketAddr, CliError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let resolved = (host, port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next());
    resolved.ok_or_else(|| {
        CliError::new(Kind::Usage, format_args!("`{host}` is no address to serve metrics on"))
            .hint("give `--metrics-host` an address of this machine, such as 127.0.0.1 or 0.0.0.0")
    })
}

fn timeouts(args: &TimeoutArgs) -> Timeouts {
    let seconds = |count: u64| Duration::from_secs(count.max(1));
    Timeouts {
        execution: seconds(args.execution_timeout),
        consensus: seconds(args.consensus_timeout),
        ipfs: seconds(args.ipfs_timeout),
        oracle: seconds(args.oracles_validators_timeout),
        transaction: seconds(args.execution_transaction_timeout),
    }
}

const DEPOSIT_DATA: Place = Place {
    what: "deposit data",
    flag: "--deposit-data-file",
};
const WALLET: Place = Place {
    what: "hot wallet",
    flag: "--hot-wallet-file",
};
const WALLET_PASSWORD: Place = Place {
    what: "password of the hot wallet",
    flag: "--hot-wallet-password-file",
};
const DATABASE: Place = Place {
    what: "database directory",
    flag: "--database-dir",
};
