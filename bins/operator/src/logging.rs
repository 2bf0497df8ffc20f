//! What the running operator says, on standard error.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    error::{CliError, Kind},
    ui::Ui,
};

/// How much is said, and in which form.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArgs {
    /// Least important messages that are shown.
    #[arg(
        long,
        env = "LOG_LEVEL",
        value_enum,
        ignore_case = true,
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(crate) log_level: Level,
    /// Form of the messages.
    #[arg(
        long,
        env = "LOG_FORMAT",
        value_enum,
        ignore_case = true,
        value_name = "FORM",
        default_value = "plain"
    )]
    pub(crate) log_format: Format,
}

/// The original's levels.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Level {
    #[value(alias = "fatal", alias = "critical")]
    Error,
    #[value(alias = "warn")]
    Warning,
    Info,
    Debug,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Format {
    /// Lines for people.
    Plain,
    /// One JSON object a line.
    Json,
}

/// Turns logs on, once in a process.
pub(crate) fn start(args: &LogArgs, verbose: bool, ui: &Ui) -> Result<(), CliError> {
    let level = match args.log_level {
        _ if verbose => "debug",
        Level::Error => "error",
        Level::Warning => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    // Libraries below are chatty at debug, and know URLs that hold credentials.
    let filter = EnvFilter::new(format!(
        "warn,operator={level},{}",
        OURS.map(|name| format!("{name}={level}")).join(",")
    ));
    // When whoever reads the logs is gone, a complaint about it would go to the same place, and panic.
    let registry = tracing_subscriber::registry().with(filter);
    let started = match args.log_format {
        Format::Plain => registry
            .with(
                fmt::layer()
                    .log_internal_errors(false)
                    .with_writer(std::io::stderr)
                    .with_ansi(ui.colors_stderr())
                    .with_target(false),
            )
            .try_init(),
        Format::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .log_internal_errors(false)
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    started.map_err(|error| CliError::caused_by(Kind::Failed, "cannot start the logs", &error))
}

const OURS: [&str; 8] = [
    "sw_registration",
    "sw_chain_client",
    "sw_oracle_client",
    "sw_ipfs",
    "sw_signers",
    "sw_store",
    "sw_vault_dir",
    "sw_key_ops",
];
