//! Handing over the exits, one by one, until all are or somebody stops it.

use std::{future::ready, time::Duration};

use sw_chain_client::{ConsensusClient, ConsensusError, ExitOutcome};
use sw_key_ops::KnownValidator;
use sw_spec::SignedVoluntaryExit;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

use super::report::Fate;
use crate::{
    error::{CliError, Kind},
    ui::Ui,
};

/// SIGINT and SIGTERM, and which of them came first.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    pub(super) caught: Option<Kind>,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, CliError> {
        let listen =
            |kind| signal(kind).map_err(|error| CliError::caused_by(Kind::Failed, "cannot listen for signals", &error));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            caught: None,
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Kind {
        tokio::select! {
            _ = self.interrupt.recv() => Kind::Interrupted,
            _ = self.terminate.recv() => Kind::Terminated,
        }
    }

    /// Whether one has come.
    async fn has_come(&mut self) -> bool {
        if self.caught.is_none() {
            self.caught = tokio::select! {
                biased;
                kind = self.next() => Some(kind),
                () = ready(()) => None,
            };
        }
        self.caught.is_some()
    }
}

/// Hands over all of them, and tells what became of each.
pub(super) async fn all(
    client: &ConsensusClient,
    signed: &[(KnownValidator, SignedVoluntaryExit)],
    signals: &mut Signals,
    ui: &Ui,
) -> Vec<(KnownValidator, Fate)> {
    let mut fates: Vec<(KnownValidator, Fate)> = Vec::new();
    let mut obstacle = None;
    for (validator, exit) in signed {
        if signals.has_come().await {
            obstacle = Some("stopped before it was sent".to_owned());
        }
        let fate = match &obstacle {
            Some(why) => Fate::NotSent(why.clone()),
            None => match one(client, exit, signals, ui).await {
                Some(Ok(outcome)) => outcome.into(),
                Some(Err(error)) => {
                    let why = error.to_string();
                    obstacle = Some(why.clone());
                    Fate::NotSent(why)
                }
                None => Fate::Unknown("stopped while it was being sent".to_owned()),
            },
        };
        if !matches!(fate, Fate::NotSent(_)) {
            ui.say(format_args!("Validator {}: {fate}", validator.index));
        }
        fates.push((*validator, fate));
    }
    fates
}

/// A signal lets this one be finished, for a moment; a second does not.
async fn one(
    client: &ConsensusClient,
    exit: &SignedVoluntaryExit,
    signals: &mut Signals,
    ui: &Ui,
) -> Option<Result<ExitOutcome, ConsensusError>> {
    let mut submission = std::pin::pin!(client.submit_exit(exit));
    let mut patience = Instant::now();
    loop {
        let was_told = signals.caught.is_some();
        tokio::select! {
            biased;
            outcome = &mut submission => return Some(outcome),
            kind = signals.next() => {
                if was_told {
                    return None;
                }
                ui.say("Stopping after this validator; a second signal stops at once.");
                signals.caught = Some(kind);
                patience = Instant::now() + PATIENCE;
            }
            () = sleep_until(patience), if was_told => return None,
        }
    }
}

/// A stop is over within five seconds.
const PATIENCE: Duration = Duration::from_secs(3);
