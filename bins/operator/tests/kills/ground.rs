//! One network on which an operator dies again and again.

use std::{io::Write, time::Instant};

use sw_devnet::{
    audit::{Audit, Auditor},
    person::RunningOperator,
};
use tokio::time::Duration;

use crate::setup::{PATIENCE, STOP, Setup, small};

/// Whether all counts are as large as the issue asks for.
pub(crate) fn full() -> bool {
    std::env::var_os("KILLS_FULL").is_some_and(|value| !value.is_empty())
}

/// A small count for every run of the tests, a large one for `cargo xtask kills`.
pub(crate) fn count(small: u32, large: u32) -> u32 {
    if full() { large } else { small }
}

/// The `number`th of moments that are spread evenly, and in no order, over a span.
pub(crate) fn moment(number: u32, span: Duration) -> Duration {
    let golden = 0.618_033_988_749_894_9_f64;
    span.mul_f64((f64::from(number) * golden).fract())
}

pub(crate) struct Ground {
    pub(crate) setup: Setup,
    auditor: Auditor,
    begun: Instant,
    /// Validators that were paid for.
    pub(crate) paid: usize,
    pub(crate) kills: u32,
    pub(crate) stops: u32,
    duplicates: usize,
    violations: Vec<String>,
}

impl Ground {
    /// A network, and an operator with so many keys and enough gas for all of them.
    pub(crate) async fn ready(keys: usize) -> Self {
        let setup = Setup::ready(small(), keys).await;
        setup.devnet.send_eth(setup.wallet.parse().unwrap(), 100).await.unwrap();
        let auditor = Auditor::new(
            setup.devnet.vault(),
            setup.wallet.parse().unwrap(),
            10_000_000_000,
            setup.person.vault_dir().join("transactions.journal"),
        );
        Self {
            setup,
            auditor,
            begun: Instant::now(),
            paid: 0,
            kills: 0,
            stops: 0,
            duplicates: 0,
            violations: Vec::new(),
        }
    }

    /// Somebody pays for another validator.
    pub(crate) async fn pay(&mut self) {
        self.setup.devnet.stake(self.setup.devnet.vault(), 32).await.unwrap();
        self.paid += 1;
    }

    /// Somebody pays for another validator if all before are registered.
    pub(crate) async fn pay_when_done(&mut self) {
        if self.setup.count().await >= self.paid {
            self.pay().await;
        }
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self, mut running: RunningOperator) {
        running.kill().await.unwrap();
        self.auditor.remember().unwrap();
        self.kills += 1;
    }

    /// SIGTERM, which must be obeyed at once.
    pub(crate) async fn stop(&mut self, running: &mut RunningOperator) {
        let status = running.stop(STOP).await;
        let status = status.unwrap_or_else(|deaf| panic!("{deaf}; it said:\n{}", running.log()));
        assert_eq!(status.code(), Some(143), "{}", running.log());
        self.auditor.remember().unwrap();
        self.stops += 1;
    }

    /// What the chain and the journal say now.
    pub(crate) async fn audit(&mut self, after: &str) -> Audit {
        let audit = self.auditor.audit(&self.setup.devnet, &[]).await.unwrap();
        self.duplicates = self.duplicates.max(audit.duplicates);
        let violations = audit.violations.iter();
        self.violations
            .extend(violations.map(|violation| format!("{after}: {violation}")));
        audit
    }

    /// How long a registration takes from the start of the process on, and a bit more.
    pub(crate) async fn span(&mut self) -> Duration {
        self.pay().await;
        let begun = Instant::now();
        let mut running = self.setup.person.start(&[]).unwrap();
        running.says("validator registered", PATIENCE).await.unwrap();
        let span = begun.elapsed().mul_f64(1.2);
        self.stop(&mut running).await;
        span
    }

    /// A run that nobody disturbs registers what is paid for, and nothing else.
    pub(crate) async fn go_on(&mut self, after: &str) {
        let mut running = self.setup.person.start(&[]).unwrap();
        running.says("operator started", PATIENCE).await.unwrap();
        self.setup.registered(self.paid, &running).await;
        self.stop(&mut running).await;
        let audit = self.audit(after).await;
        assert_eq!(audit.registered.len(), self.paid, "{after}");
    }

    /// How many transactions are written down.
    pub(crate) fn written(&mut self) -> usize {
        self.auditor.remember().unwrap().len()
    }

    /// How many transactions of the wallet are in the chain.
    pub(crate) async fn mined(&mut self) -> u64 {
        self.audit("at the end").await.mined
    }

    /// Prints the counts as `cargo xtask kills` adds them up, and fails if anything was wrong.
    pub(crate) async fn end(mut self, what: &str) {
        let registered = self.audit("at the end").await.registered.len();
        let lost = self.paid.saturating_sub(registered);
        let counts = serde_json::json!({
            "what": what,
            "kills": self.kills,
            "stops": self.stops,
            "registered": registered,
            "duplicates": self.duplicates,
            "lost": lost,
            "violations": self.violations.len(),
            "seconds": self.begun.elapsed().as_secs(),
        });
        // Past the capture of the test harness: the task reads it.
        let _ = writeln!(std::io::stderr(), "\nkills: {counts}");
        assert!(self.violations.is_empty(), "{what}:\n{}", self.violations.join("\n"));
        assert_eq!((registered, self.duplicates), (self.paid, 0), "{what}");
    }
}
