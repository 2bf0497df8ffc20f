//! The soak from its first key to its last harvest.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use alloy_primitives::U64;
use serde_json::json;
use sw_devnet::{
    Devnet, DevnetConfig,
    audit::{Audit, Auditor},
    person::Person,
    proxy::ExecutionProxy,
};

use super::{
    due::{self, Due},
    faults,
    report::Report,
    rotations::Rotations,
    schedule::{self, Event},
};
use crate::{
    Failure,
    chaos::{dice::Dice, operator::Operator, scenario::environment, secrets::Secrets},
};

struct Soak {
    devnet: Devnet,
    second: ExecutionProxy,
    operator: Operator,
    auditor: Auditor,
    dice: Dice,
    due: Due,
    rotations: Rotations,
    /// How many keys there are.
    keys: usize,
    /// The block of slot 0.
    first: u64,
    slot: u64,
    /// What could not happen yet, because what it makes due is due already.
    waiting: Vec<Event>,
    report: Report,
    begun: Instant,
}

pub(super) async fn run(operator: &Path, seed: u64, slots: u64) -> Result<Report, Failure> {
    let home = tempfile::Builder::new().prefix("operator-soak-").tempdir()?;
    let mut dice = Dice::new(seed);
    let schedule = schedule::draw(&mut dice, slots, ORACLES);
    let mut soak = Soak::begin(operator, home.path(), seed, dice, &schedule).await?;
    soak.goes_on(schedule).await?;
    if soak.report.is_clean() {
        soak.come_to_rest().await?;
    }
    soak.end().await
}

impl Soak {
    async fn begin(
        operator: &Path,
        home: &Path,
        seed: u64,
        dice: Dice,
        schedule: &[Vec<Event>],
    ) -> Result<Self, Failure> {
        let devnet = Devnet::start(DevnetConfig {
            oracles: ORACLES,
            validators_threshold: THRESHOLD,
            recover_threshold: THRESHOLD,
            node_oracle: false,
            ..DevnetConfig::default()
        })
        .await?;
        let second = devnet.add_execution_endpoint().await?;
        let mut person = Person::new(operator, home, devnet.vault().to_string(), &devnet);
        let endpoints = format!("{},{}", devnet.execution_url(), second.url());
        person.environment.extend(environment(endpoints));
        person.environment.push(("HARVEST_VAULT".to_owned(), "true".to_owned()));
        let mnemonic = person.init(devnet.network_file()).await?;
        let keys = usize::try_from(paid_for(schedule))? + 1;
        eprintln!("==> {keys} keys for {} slots", schedule.len());
        person.create_keys(&mnemonic, keys).await?;
        let wallet = person.create_wallet(&mnemonic).await?.parse()?;
        devnet.send_eth(wallet, 1000).await?;
        let root = person.validators_root().await?.parse()?;
        devnet.set_deposit_data_root(devnet.vault(), root).await?;
        let vault_dir = person.vault_dir();
        let auditor = Auditor::new(devnet.vault(), wallet, CAP, vault_dir.join("transactions.journal"));
        let secrets = Secrets::of(&vault_dir, &mnemonic)?;
        let operator = Operator::start(person, secrets)?;
        faults::begin(&devnet, &second, seed);
        Ok(Self {
            first: head(&devnet).await?,
            second,
            operator,
            auditor,
            dice,
            due: Due::default(),
            rotations: Rotations::default(),
            keys,
            slot: 0,
            waiting: Vec::new(),
            report: Report {
                seed,
                ..Report::default()
            },
            begun: Instant::now(),
            devnet,
        })
    }

    /// Slot after slot, in real time, until the last one or until something went wrong.
    async fn goes_on(&mut self, schedule: Vec<Vec<Event>>) -> Result<(), Failure> {
        let slots = schedule.len() as u64;
        let mut next = 0;
        while self.slot < slots && self.report.is_clean() {
            self.next_slot().await?;
            self.report.faulty_oracles += faults::of_oracles(&self.devnet, &mut self.dice);
            // What took longer than a slot is made up for.
            for slot in next..=self.slot.min(slots.saturating_sub(1)) {
                let events = schedule.get(usize::try_from(slot)?).cloned().unwrap_or_default();
                self.waiting.extend(events);
            }
            next = self.slot + 1;
            self.happen().await?;
            self.look().await?;
        }
        self.report.slots = self.slot;
        Ok(())
    }

    /// Waits for the next block.
    async fn next_slot(&mut self) -> Result<(), Failure> {
        loop {
            let slot = head(&self.devnet).await?.saturating_sub(self.first);
            if slot > self.slot {
                self.slot = slot;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything that is on the schedule by now and can happen.
    async fn happen(&mut self) -> Result<(), Failure> {
        for event in std::mem::take(&mut self.waiting) {
            let too_early = match event {
                Event::Vote { .. } => !self.due.is_collateralized() || self.due.harvest_is_due(),
                Event::Replace(_) => !self.due.is_collateralized() || self.rotations.is_due(),
                // The vault says when one is registered of each stake.
                Event::Stake(_) => self.due.registration_is_due(),
                Event::Stop(_) => false,
            };
            if too_early {
                self.waiting.push(event);
            } else {
                self.take(event).await?;
            }
        }
        Ok(())
    }

    async fn take(&mut self, event: Event) -> Result<(), Failure> {
        eprintln!(
            "slot {:>5}  {:>4} registered {:>4} harvests {:>4} rotations  {event:?}",
            self.slot, self.report.registered, self.report.harvests, self.report.rotations
        );
        let (devnet, vault) = (&self.devnet, self.devnet.vault());
        match event {
            Event::Stake(validators) => devnet.stake(vault, validators * 32).await?,
            Event::Vote { milliether, mev } => {
                let milli: i128 = 1_000_000_000_000_000;
                devnet
                    .reward(vault, i128::from(milliether) * milli, u128::from(mev) * ETH)
                    .await?;
                self.due.voted(self.slot);
            }
            Event::Replace(place) => {
                self.rotations.replace(devnet, place, self.slot).await?;
                self.report.replaced_oracles += 1;
            }
            Event::Stop(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                self.operator.stop_and_restart(&mut self.auditor).await?;
            }
        }
        Ok(())
    }

    /// Holds the invariants, and asks what became of what is due.
    async fn look(&mut self) -> Result<Audit, Failure> {
        let audit = self.auditor.audit(&self.devnet, &[&self.second]).await?;
        let report = &mut self.report;
        report.registered = audit.registered.len();
        report.transactions = audit.mined;
        report.violations.extend(audit.violations.iter().cloned());
        self.due
            .look(&self.devnet, self.slot, &audit, self.keys, report)
            .await?;
        self.rotations.look(&self.devnet, self.slot, &audit, report).await?;
        self.operator.look(&mut self.auditor).await?;
        report.violations.append(&mut self.operator.violations);
        Ok(audit)
    }

    /// Everybody behaves: what is due is done within a while, and nothing else.
    async fn come_to_rest(&mut self) -> Result<(), Failure> {
        eprintln!("==> all faults off");
        faults::end(&self.devnet, &self.second);
        loop {
            self.next_slot().await?;
            self.happen().await?;
            self.look().await?;
            let is_due = self.due.harvest_is_due() || self.due.registration_is_due() || self.rotations.is_due();
            if !self.report.is_clean() || !is_due && self.waiting.is_empty() {
                break;
            }
        }
        // Nothing more happens in a few further slots.
        for _ in 0..QUIET_SLOTS {
            self.next_slot().await?;
        }
        self.look().await?;
        let wrong = self.auditor.exits(&self.devnet).await?;
        self.report.violations.extend(wrong);
        let vault = self.devnet.vault();
        due::wasted(&self.devnet, vault, &mut self.auditor, &mut self.report).await?;
        self.operator.stop().await?;
        self.report.violations.append(&mut self.operator.violations);
        Ok(())
    }

    async fn end(mut self) -> Result<Report, Failure> {
        self.report.violations.dedup();
        self.report.stops = self.operator.stops;
        self.report.most = self.operator.most;
        self.report.log_lines = self.operator.log_lines + self.operator.lines();
        self.report.faults_struck = faults::struck(&self.devnet, &self.second);
        self.report.seconds = self.begun.elapsed().as_secs();
        if !self.report.is_clean() {
            eprintln!("==> the operator's last lines\n{}", self.operator.last_lines());
        }
        self.devnet.stop().await;
        Ok(self.report)
    }
}

/// How many validators the schedule pays for: stakes, and 32 ETH of MEV for each further one.
fn paid_for(schedule: &[Vec<Event>]) -> u64 {
    let events = schedule.iter().flatten();
    let ether = events.map(|event| match event {
        Event::Stake(validators) => validators * 32,
        Event::Vote { mev, .. } => *mev,
        Event::Replace(_) | Event::Stop(_) => 0,
    });
    ether.sum::<u64>() / 32
}

pub(super) async fn head(devnet: &Devnet) -> Result<u64, Failure> {
    let head: U64 = devnet.chain().rpc().request("eth_blockNumber", json!([])).await?;
    Ok(head.to())
}

const ORACLES: usize = 5;
const THRESHOLD: usize = 3;
const ETH: u128 = 1_000_000_000_000_000_000;
/// In wei, as the environment says.
const CAP: u128 = 10_000_000_000;
const QUIET_SLOTS: u64 = 10;
