//! The operator under test, and what it says.

use std::time::Duration;

use sw_devnet::{
    audit::{Auditor, Violation},
    person::{Person, RunningOperator},
};

use super::{
    secrets::Secrets,
    vitals::{Most, Vitals},
};
use crate::Failure;

pub(crate) struct Operator {
    person: Person,
    secrets: Secrets,
    running: RunningOperator,
    vitals: Vitals,
    /// Bytes of its log in which secrets were looked for.
    looked: usize,
    pub(crate) most: Most,
    pub(crate) kills: u32,
    pub(crate) stops: u32,
    pub(crate) refused: u32,
    pub(crate) log_lines: usize,
    pub(crate) violations: Vec<Violation>,
}

impl Operator {
    pub(crate) fn start(person: Person, secrets: Secrets) -> Result<Self, Failure> {
        Ok(Self {
            running: person.start(&[])?,
            person,
            secrets,
            vitals: Vitals::new(),
            looked: 0,
            most: Most::default(),
            kills: 0,
            stops: 0,
            refused: 0,
            log_lines: 0,
            violations: Vec::new(),
        })
    }

    /// How many lines it has said since it was started last.
    pub(crate) fn lines(&self) -> usize {
        self.running.lines()
    }

    /// The end of what it said.
    pub(crate) fn last_lines(&self) -> String {
        let log = self.running.log();
        let lines: Vec<&str> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(60)..)
            .unwrap_or_default()
            .join("\n")
    }

    pub(crate) async fn kill_and_restart(&mut self, auditor: &mut Auditor) -> Result<(), Failure> {
        self.running.kill().await?;
        self.kills += 1;
        self.restart(auditor)
    }

    /// SIGTERM must be obeyed within five seconds (I11).
    pub(crate) async fn stop_and_restart(&mut self, auditor: &mut Auditor) -> Result<(), Failure> {
        self.stop().await?;
        self.restart(auditor)
    }

    /// SIGTERM, as before; it is not started again.
    pub(crate) async fn stop(&mut self) -> Result<(), Failure> {
        match self.running.stop(STOP).await {
            // A signal that comes before the program looks for signals ends it too.
            Ok(status) if status.code() == Some(STOPPED) || status.code().is_none() => {}
            Ok(status) => self.violated("I11", format!("SIGTERM ended it with {status}")),
            Err(deaf) => {
                self.violated("I11", deaf.to_string());
                self.running.kill().await?;
            }
        }
        self.stops += 1;
        self.look_at_log();
        Ok(())
    }

    fn restart(&mut self, auditor: &mut Auditor) -> Result<(), Failure> {
        auditor.remember()?;
        self.look_at_log();
        self.log_lines += self.running.log().lines().count();
        self.running = self.person.start(&[])?;
        self.vitals = Vitals::new();
        self.looked = 0;
        Ok(())
    }

    /// A second one on the same directory is refused.
    pub(crate) async fn start_second(&mut self) -> Result<(), Failure> {
        // The first takes its lock when it starts.
        let _ = self.running.says("keystores found", STOP).await;
        let mut second = self.person.start(&[])?;
        match second.ends(STOP).await {
            Ok(status) if status.code() == Some(REFUSED) => self.refused += 1,
            Ok(status) => self.violated(
                "D9",
                format!("a second operator ended with {status}:\n{}", second.log()),
            ),
            Err(_) => self.violated("D9", format!("a second operator runs:\n{}", second.log())),
        }
        Ok(())
    }

    /// Looks at the process and at what it said; starts another when it has ended by itself.
    pub(crate) async fn look(&mut self, auditor: &mut Auditor) -> Result<(), Failure> {
        self.look_at_log();
        if let Some(pid) = self.running.id() {
            self.vitals.look(pid, &mut self.most, &mut self.violations);
        }
        if let Ok(status) = self.running.ends(Duration::from_millis(1)).await {
            let said = self.last_lines();
            self.violated("I8", format!("it ended by itself with {status}:\n{said}"));
            self.restart(auditor)?;
        }
        Ok(())
    }

    fn look_at_log(&mut self) {
        let log = self.running.log();
        let news = log.get(self.looked..).unwrap_or_default();
        self.secrets.look(news, &mut self.violations);
        self.looked = log.len();
    }

    fn violated(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation::new(invariant, what));
    }
}

const STOP: Duration = Duration::from_secs(5);
/// 128 + SIGTERM.
const STOPPED: i32 = 143;
/// Refused for safety.
const REFUSED: i32 = 6;
