//! `operator start`.

use std::{num::NonZeroUsize, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{ArgAction, builder::BoolishValueParser};
use sw_registration::{Metrics, bind_metrics};
use sw_spec::RedactedUrl;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{EndpointParser, VaultArgs},
    error::{CliError, Kind},
    jwt::JwtArgs,
    keystores::{KeystoreArgs, OpeningArgs},
    logging::{self, LogArgs, Logs},
    start_config::{NetworkChoice, StartConfig},
    ui::Ui,
    wiring,
};

/// Run the operator: register validators whenever the vault can pay for them.
///
/// Stops on SIGINT or SIGTERM (exit code 130 or 143), at any moment without harm: what was sent is in the journal.
#[derive(Debug, clap::Args)]
#[command(mut_arg("vault", |vault| vault.env("VAULT")))]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    #[command(flatten)]
    pub(crate) network: NetworkChoice,
    /// Execution nodes, comma-separated, first choice first.
    #[arg(
        long,
        env = "EXECUTION_ENDPOINTS",
        value_name = "URLS",
        value_delimiter = ',',
        value_parser = EndpointParser,
        default_value = "http://localhost:8545",
        hide_env_values = true
    )]
    pub(crate) execution_endpoints: Vec<RedactedUrl>,
    #[command(flatten)]
    pub(crate) jwt: JwtArgs,
    /// Execution nodes that must agree on what money depends on: balances, roots, simulations, receipts.
    #[arg(long, env = "EXECUTION_QUORUM", value_name = "N", default_value = "1", value_parser = parse_quorum)]
    pub(crate) execution_quorum: NonZeroUsize,
    /// Consensus nodes, comma-separated, first choice first.
    #[arg(
        long,
        env = "CONSENSUS_ENDPOINTS",
        value_name = "URLS",
        value_delimiter = ',',
        value_parser = EndpointParser,
        default_value = "http://localhost:5052",
        hide_env_values = true
    )]
    pub(crate) consensus_endpoints: Vec<RedactedUrl>,
    /// IPFS gateways, comma-separated, first choice first. What they serve is checked against its CID.
    #[arg(
        long,
        env = "IPFS_FETCH_ENDPOINTS",
        value_name = "URLS",
        value_delimiter = ',',
        value_parser = EndpointParser,
        default_value = "https://stakewise.myfilebase.com,https://stakewise-ipfs.quicknode-ipfs.com,https://ipfs.io",
        hide_env_values = true
    )]
    pub(crate) ipfs_fetch_endpoints: Vec<RedactedUrl>,
    /// Never sign a transaction that may pay more for gas, in gwei [default: 10; 2 on Gnosis].
    #[arg(long, env = "MAX_FEE_PER_GAS_GWEI", value_name = "GWEI", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) max_fee_per_gas_gwei: Option<u64>,
    /// Update the vault's state whenever its rewards allow it, and not only with a registration.
    #[arg(long, env = "HARVEST_VAULT", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) harvest_vault: bool,
    /// Take over a wallet that something else has sent from. Only if nothing else sends from it any more.
    #[arg(long)]
    pub(crate) adopt_wallet: bool,
    /// Open every keystore before anything else, and do not start unless all of them open.
    #[arg(long, env = "VERIFY_KEYSTORES", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) verify_keystores: bool,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) timeouts: TimeoutArgs,
}

/// Files that are not where `init`, `create-keys` and `create-wallet` put them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileArgs {
    /// Directory of the database [default: the vault's directory].
    #[arg(long, env = "DATABASE_DIR", value_name = "DIR")]
    pub(crate) database_dir: Option<PathBuf>,
    /// Deposit data [default: deposit_data.json in the vault's directory].
    #[arg(long, env = "DEPOSIT_DATA_FILE", value_name = "FILE")]
    pub(crate) deposit_data_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) keystores: KeystoreArgs,
    /// Hot wallet, also WALLET_FILE [default: wallet/wallet.json in the vault's directory].
    #[arg(long, visible_alias = "wallet-file", env = "HOT_WALLET_FILE", value_name = "FILE")]
    pub(crate) hot_wallet_file: Option<PathBuf>,
    /// Password of the hot wallet, also WALLET_PASSWORD_FILE [default: password.txt beside the wallet, or else in the
    /// vault's wallet directory].
    #[arg(
        long,
        visible_alias = "wallet-password-file",
        env = "HOT_WALLET_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub(crate) hot_wallet_password_file: Option<PathBuf>,
}

/// The Prometheus endpoint.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricsArgs {
    /// Serve metrics at http://HOST:PORT/metrics.
    #[arg(long, env = "ENABLE_METRICS", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) enable_metrics: bool,
    /// Address to serve metrics on.
    #[arg(long, env = "METRICS_HOST", value_name = "HOST", default_value = "127.0.0.1")]
    pub(crate) metrics_host: String,
    /// Port to serve metrics on.
    #[arg(long, env = "METRICS_PORT", value_name = "PORT", default_value_t = 9100)]
    pub(crate) metrics_port: u16,
    /// What every metric's name begins with.
    #[arg(long, env = "METRICS_PREFIX", value_name = "PREFIX", default_value = "sw_operator")]
    pub(crate) metrics_prefix: String,
}

/// How long to wait for others, in seconds.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Timeouts, in seconds")]
pub(crate) struct TimeoutArgs {
    /// One request to an execution node.
    #[arg(long, env = "EXECUTION_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    pub(crate) execution_timeout: u64,
    /// A transaction, until it is looked at again at the next block.
    #[arg(
        long,
        env = "EXECUTION_TRANSACTION_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 300
    )]
    pub(crate) execution_transaction_timeout: u64,
    /// One request to a consensus node.
    #[arg(long, env = "CONSENSUS_TIMEOUT", value_name = "SECONDS", default_value_t = 60)]
    pub(crate) consensus_timeout: u64,
    /// One request to an IPFS gateway.
    #[arg(long, env = "IPFS_TIMEOUT", value_name = "SECONDS", default_value_t = 60)]
    pub(crate) ipfs_timeout: u64,
    /// One request to an oracle.
    #[arg(
        long,
        env = "ORACLES_VALIDATORS_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 10
    )]
    pub(crate) oracles_validators_timeout: u64,
}

fn parse_quorum(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse()
        .map_err(|_| "expected how many nodes must agree, 1 or more")
}

pub(crate) fn run(args: Args, verbose: bool, ui: &Ui) -> Result<ExitCode, CliError> {
    let logs = logging::start(&args.log, verbose, ui)?;
    let config = StartConfig::resolve(args, ui)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::caused_by(Kind::Failed, "cannot start", &error))?;
    let ended = runtime.block_on(serve(config, &logs));
    // A computation on another thread, such as opening a keystore, has nothing to finish.
    runtime.shutdown_background();
    ended
}

async fn serve(config: StartConfig, logs: &Logs) -> Result<ExitCode, CliError> {
    let stop = CancellationToken::new();
    let mut background = JoinSet::new();
    background.spawn(logs.tell_repetitions());
    let stopped_by = Arc::new(std::sync::OnceLock::new());
    for (kind, code) in [(SignalKind::interrupt(), 130), (SignalKind::terminate(), 143)] {
        let mut signals =
            signal(kind).map_err(|error| CliError::caused_by(Kind::Failed, "cannot listen for signals", &error))?;
        let (stop, stopped_by, tell_all) = (stop.clone(), Arc::clone(&stopped_by), logs.teller());
        background.spawn(async move {
            while signals.recv().await.is_some() {
                if stop.is_cancelled() {
                    tell_all();
                    std::process::exit(code.into());
                }
                tracing::info!("stopping; a second signal stops at once");
                stopped_by.get_or_init(|| code);
                stop.cancel();
            }
        });
    }
    let metrics = Arc::new(Metrics::new(
        &config.metrics.prefix,
        config.network.name.as_str(),
        env!("CARGO_PKG_VERSION"),
    ));
    if let Some(address) = config.metrics.address {
        let rendered = Arc::clone(&metrics);
        match bind_metrics(address, move || rendered.render()).await {
            Ok((address, server)) => {
                tracing::info!(%address, "metrics are served");
                background.spawn(async move {
                    // The listener is bound; an error of one connection does not end it.
                    let _ = server.await;
                });
            }
            Err(error) => tracing::warn!(
                %address,
                %error,
                "metrics cannot be served, going on without; node_exporter uses 9100 by default: set --metrics-port"
            ),
        }
    }
    let code = || ExitCode::from(stopped_by.get().copied().unwrap_or_default());
    let (operator, _lock) = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(code()),
        assembled = wiring::assemble(config, metrics) => assembled?,
    };
    sw_registration::run(operator, stop)
        .await
        .map_err(|error| wiring::service_error(&error))?;
    Ok(code())
}
