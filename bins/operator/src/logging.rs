//! What the running operator says, on standard error.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sw_key_ops::{Progress, Stage};
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt};

use crate::{
    error::{CliError, Kind},
    ui::Ui,
};
use fold::{Folder, Form};

mod fold;

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

/// Turns logs on, once in a process. Lines that say the same again are counted.
pub(crate) fn start(args: &LogArgs, verbose: bool, ui: &Ui) -> Result<Logs, CliError> {
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
    let form = match args.log_format {
        Format::Plain => Form::Plain,
        Format::Json => Form::Json,
    };
    let folder = Folder::new(std::io::stderr(), form);
    tracing_subscriber::registry()
        .with(filter)
        .with(layer(form, folder.clone(), ui.colors_stderr()))
        .try_init()
        .map_err(|error| CliError::caused_by(Kind::Failed, "cannot start the logs", &error))?;
    Ok(Logs(folder))
}

/// Writes each event as one line.
fn layer<S>(form: Form, folder: Folder, colors: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // When whoever reads the logs is gone, a complaint about it would go to the same place, and panic.
    let layer = fmt::layer().log_internal_errors(false);
    match form {
        Form::Plain => layer.with_writer(folder).with_ansi(colors).with_target(false).boxed(),
        Form::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(folder)
            .boxed(),
    }
}

/// The running log. What it held back is told when this is dropped.
pub(crate) struct Logs(Folder);

impl Logs {
    /// Tells, now and then, how often a line was repeated, also while nothing else is said. Never ends.
    pub(crate) fn tell_repetitions(&self) -> impl Future<Output = ()> + Send + use<> {
        let folder = self.0.clone();
        async move {
            loop {
                tokio::time::sleep(TELL_EVERY).await;
                folder.tell_due();
            }
        }
    }

    /// Tells all that was held back, before an end that drops nothing.
    pub(crate) fn teller(&self) -> impl Fn() + Send + use<> {
        let folder = self.0.clone();
        move || folder.tell_all()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.0.tell_all();
    }
}

/// Tells the log now and then how far the work has come.
#[derive(Default)]
pub(crate) struct LoggedProgress(Mutex<Option<Run>>);

struct Run {
    total: usize,
    done: usize,
    began: Instant,
    told: Instant,
}

impl Progress for LoggedProgress {
    fn begin(&self, _stage: Stage, total: usize) {
        let now = Instant::now();
        let run = Run {
            total,
            done: 0,
            began: now,
            told: now,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
    }

    fn advance(&self, _stage: Stage) {
        let mut run = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = run.as_mut() else { return };
        run.done = run.done.saturating_add(1);
        if run.told.elapsed() >= TELL_EVERY {
            run.told = Instant::now();
            let left = u32::try_from(run.total.saturating_sub(run.done)).unwrap_or(u32::MAX);
            let each = run.began.elapsed() / u32::try_from(run.done).unwrap_or(u32::MAX);
            let seconds_left = each.saturating_mul(left).as_secs();
            tracing::info!(
                done = run.done,
                total = run.total,
                seconds_left,
                "keystores are being opened"
            );
        }
    }

    fn finish(&self, _stage: Stage) {}
}

const TELL_EVERY: Duration = Duration::from_secs(10);

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
