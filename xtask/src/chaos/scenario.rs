//! The scenario from its first key to its last registration.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    time::{Duration, Instant},
};

use alloy_primitives::FixedBytes;
use sw_devnet::{
    Devnet, DevnetConfig,
    audit::{Audit, Auditor, Violation},
    person::Person,
    proxy::{Act, Chance, Rule},
};

use super::{
    Arguments,
    dice::Dice,
    operator::Operator,
    report::Report,
    secrets::{KeyFiles, Secrets},
    steps::{Area, Rulebook, Step, World},
    trap::Trap,
};
use crate::Failure;

/// A scenario that is under way.
struct Scenario<'a> {
    arguments: &'a Arguments,
    world: World,
    dice: Dice,
    key_files: KeyFiles,
    report: Report,
    begun: Instant,
    /// What is out of order, and after which step it is put right.
    wrong: BTreeMap<Area, usize>,
    last_steps: VecDeque<String>,
    /// When the vault last registered a validator.
    progress: Instant,
}

pub(super) async fn run(operator: &Path, seed: u64, arguments: &Arguments) -> Result<Report, Failure> {
    let home = tempfile::Builder::new().prefix("operator-chaos-").tempdir()?;
    let mut scenario = Scenario::begin(operator, home.path(), seed, arguments).await?;
    if scenario.goes_on().await? {
        scenario.come_to_rest().await?;
    }
    Ok(scenario.end().await)
}

impl<'a> Scenario<'a> {
    async fn begin(operator: &Path, home: &Path, seed: u64, arguments: &'a Arguments) -> Result<Self, Failure> {
        let config = DevnetConfig {
            oracles: ORACLES,
            validators_threshold: THRESHOLD,
            recover_threshold: THRESHOLD,
            node_oracle: false,
            // Two epochs make a block final.
            slots_per_epoch: arguments.deepest_reorg / 2 + 1,
            ..DevnetConfig::default()
        };
        let devnet = Devnet::start(config).await?;
        let second = devnet.add_execution_endpoint().await?;
        devnet.proxy().rules().seed(seed);
        second.rules().seed(!seed);
        let mut person = Person::new(operator, home, devnet.vault().to_string(), &devnet);
        let endpoints = format!("{},{}", devnet.execution_url(), second.url());
        person.environment.extend(environment(endpoints));
        let mnemonic = person.init(devnet.network_file()).await?;
        // Rewards pay for some more, and what a reorganisation moves may be paid for twice.
        let keys = arguments.registrations + arguments.registrations / 10 + 20;
        person.create_keys(&mnemonic, keys).await?;
        let wallet = person.create_wallet(&mnemonic).await?.parse()?;
        devnet.send_eth(wallet, 1000).await?;
        let root = person.validators_root().await?.parse()?;
        devnet.set_deposit_data_root(devnet.vault(), root).await?;
        let vault_dir = person.vault_dir();
        let auditor = Auditor::new(devnet.vault(), wallet, CAP, vault_dir.join("transactions.journal"));
        let key_files = KeyFiles::of(&vault_dir)?;
        let secrets = Secrets::of(&vault_dir, &mnemonic)?;
        let keys = public_keys(&vault_dir)?;
        let world = World {
            operator: Operator::start(person, secrets)?,
            auditor,
            devnet,
            second,
            trap: Trap::set().await?,
            keys,
            registered: 0,
            batch_limit: 10,
        };
        Ok(Self {
            arguments,
            world,
            dice: Dice::new(seed),
            key_files,
            report: Report {
                seed,
                ..Report::default()
            },
            begun: Instant::now(),
            wrong: BTreeMap::new(),
            last_steps: VecDeque::new(),
            progress: Instant::now(),
        })
    }

    /// Step after step until everything is registered; `false` if something was seen that must not be.
    async fn goes_on(&mut self) -> Result<bool, Failure> {
        if let Some(percent) = self.arguments.lost_replies {
            self.lose_replies(percent).await?;
        }
        loop {
            let mut audit = self.look().await?;
            if !self.report.violations.is_empty() {
                return Ok(false);
            }
            let done = self.report.registered >= self.arguments.registrations;
            if done && self.world.operator.kills >= self.arguments.required_kills() {
                return Ok(true);
            }
            let time_is_up = |seconds: u64| self.begun.elapsed().as_secs() >= seconds;
            if self.arguments.seconds.is_some_and(time_is_up) {
                return Ok(true);
            }
            let standing_still = audit.affordable > 0 && self.progress.elapsed() > STANDS_STILL;
            if standing_still && !self.moves_again().await? {
                return Ok(false);
            }
            audit.affordable += self.pay(&audit).await;
            if self.arguments.lost_replies.is_none() {
                self.step(done, &audit).await?;
            } else {
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        }
    }

    /// One validator in each transaction, and no reply to some of them.
    async fn lose_replies(&mut self, percent: u32) -> Result<(), Failure> {
        self.world.batch_limit = 1;
        self.world.announce().await?;
        for proxy in [self.world.devnet.proxy(), &self.world.second] {
            proxy.push(Rule {
                method: Some("eth_sendRawTransaction".to_owned()),
                chance: Chance::OneIn((100 / percent).max(1)),
                act: Act::LoseReply,
            });
        }
        Ok(())
    }

    /// Somebody stakes whenever the vault has nothing left, so that there is always something to do; returns for how many.
    async fn pay(&mut self, audit: &Audit) -> u64 {
        let validators = self.dice.between(1, 10);
        let missing = self.missing(audit);
        if audit.affordable > 0 || missing == 0 {
            return 0;
        }
        self.try_step(&Step::Stake(validators.min(missing))).await;
        validators.min(missing)
    }

    /// Validators that nobody has paid for yet.
    fn missing(&self, audit: &Audit) -> u64 {
        let wanted = self.arguments.registrations as u64;
        wanted.saturating_sub(audit.affordable.saturating_add(audit.registered.len() as u64))
    }

    async fn step(&mut self, all_registered: bool, audit: &Audit) -> Result<(), Failure> {
        let rules = Rulebook {
            tolerated: (ORACLES - THRESHOLD) as u64,
            deepest_reorg: self.arguments.deepest_reorg,
        };
        let drawn = Step::draw(&mut self.dice, &rules, self.world.devnet.proxy());
        let lasts = usize::try_from(self.dice.between(1, 5))?;
        let pause = self.dice.milliseconds(100, 2500);
        let step = match drawn {
            // Nothing but kills is missing.
            _ if all_registered => Step::Kill,
            // The chain is young, or everything is paid for.
            Step::Reorg(depth, _) if self.begun.elapsed().as_secs() < depth + 10 => Step::Nothing,
            Step::Stake(validators) => match self.missing(audit) {
                0 => Step::Nothing,
                missing => Step::Stake(validators.min(missing)),
            },
            step => step,
        };
        self.report.steps += 1;
        let now = self.report.steps;
        if let Some(area) = step.area() {
            // One thing at a time goes wrong in an area: one of two endpoints is honest.
            self.put_right(area).await;
            self.wrong.insert(area, now + lasts);
        }
        self.try_step(&step).await;
        let over: Vec<Area> = self
            .wrong
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(area, _)| *area)
            .collect();
        for area in over {
            self.put_right(area).await;
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// A step that the devnet itself cannot take, such as a stake at a fee that nobody pays, is left out.
    async fn try_step(&mut self, step: &Step) {
        let mut text = format!(
            "{:>5} s {:>4} registered  {step}",
            self.begun.elapsed().as_secs(),
            self.report.registered
        );
        if let Err(failure) = self.world.apply(step, &mut self.dice).await {
            text = format!("{text} -- left out: {failure}");
        }
        eprintln!("{text}");
        self.last_steps.push_back(text);
        if self.last_steps.len() > SHOWN_STEPS {
            self.last_steps.pop_front();
        }
    }

    async fn put_right(&mut self, area: Area) {
        self.wrong.remove(&area);
        if let Err(failure) = self.world.undo(area).await {
            eprintln!("         {area:?} could not be put right yet: {failure}");
            self.wrong.insert(area, self.report.steps + 1);
        }
    }

    /// Everybody behaves, and within a while something is registered (I8).
    async fn moves_again(&mut self) -> Result<bool, Failure> {
        eprintln!(
            "         nothing was registered for {} s: all faults off",
            STANDS_STILL.as_secs()
        );
        for area in Area::ALL {
            self.put_right(area).await;
        }
        let (then, since) = (self.report.registered, Instant::now());
        while since.elapsed() < COMES_TO_REST {
            self.look().await?;
            if !self.report.violations.is_empty() {
                return Ok(false);
            }
            if self.report.registered > then {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.violated(
            "I8",
            "nothing is registered although nobody is at fault any more".to_owned(),
        );
        Ok(false)
    }

    /// All faults off: what is paid for gets registered (I8), and no transaction waits for ever (I4).
    async fn come_to_rest(&mut self) -> Result<(), Failure> {
        eprintln!("==> all faults off");
        for area in Area::ALL {
            self.put_right(area).await;
        }
        let audit = self.look().await?;
        let missing = self.missing(&audit);
        if missing > 0 {
            self.try_step(&Step::Stake(missing)).await;
        }
        while self.world.operator.kills < self.arguments.required_kills() {
            self.try_step(&Step::Kill).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let since = Instant::now();
        loop {
            let audit = self.look().await?;
            let keys_left = audit.registered.len() < self.world.keys.len();
            self.report.lost = if keys_left { audit.affordable } else { 0 };
            if self.report.lost == 0 || !self.report.violations.is_empty() {
                break;
            }
            if since.elapsed() > COMES_TO_REST {
                self.violated(
                    "I8",
                    format!("{} validators are paid for and not registered", self.report.lost),
                );
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let wrong = self.world.auditor.exits(&self.world.devnet).await?;
        self.report.violations.extend(wrong);
        self.world.operator.stop_and_restart(&mut self.world.auditor).await?;
        self.look().await?;
        if self.arguments.lost_replies.is_some() && self.report.transactions != self.report.registered as u64 {
            let what = format!(
                "{} transactions for {} validators",
                self.report.transactions, self.report.registered
            );
            self.violated("I1", what);
        }
        Ok(())
    }

    /// Holds all invariants against what is there now.
    async fn look(&mut self) -> Result<Audit, Failure> {
        let world = &mut self.world;
        let audit = world.auditor.audit(&world.devnet, &[&world.second]).await?;
        if audit.registered.len() != self.report.registered {
            self.progress = Instant::now();
        }
        self.world.registered = audit.registered.len();
        self.report.registered = audit.registered.len();
        self.report.duplicates = self.report.duplicates.max(audit.duplicates);
        self.report.transactions = audit.mined;
        self.report.violations.extend(audit.violations.iter().cloned());
        self.key_files.look(&mut self.report.violations);
        let operator = &mut self.world.operator;
        operator.look(&mut self.world.auditor).await?;
        self.report.violations.append(&mut operator.violations);
        if self.world.trap.visits() > 0 {
            self.violated("I5", "somebody who is no oracle was asked".to_owned());
        }
        Ok(audit)
    }

    fn violated(&mut self, invariant: &'static str, what: String) {
        self.report.violations.push(Violation::new(invariant, what));
    }

    async fn end(mut self) -> Report {
        let (devnet, second) = (&self.world.devnet, &self.world.second);
        self.report.violations.dedup();
        self.report.kills = self.world.operator.kills;
        self.report.stops = self.world.operator.stops;
        self.report.second_instances_refused = self.world.operator.refused;
        self.report.log_lines = self.world.operator.log_lines;
        self.report.most = self.world.operator.most;
        self.report.sends = devnet.proxy().handed_in().len() + second.handed_in().len();
        self.report.faults_struck = devnet.proxy().rules().struck() + second.rules().struck();
        self.report.requests_to_oracles = devnet.oracles().iter().map(|oracle| oracle.requests().len()).sum();
        self.report.seconds = self.begun.elapsed().as_secs();
        if !self.report.violations.is_empty() {
            eprintln!("==> the last steps of seed {}", self.report.seed);
            for step in &self.last_steps {
                eprintln!("{step}");
            }
            eprintln!("==> the operator's last lines\n{}", self.world.operator.last_lines());
            for violation in &self.report.violations {
                eprintln!("==> {violation}");
            }
        }
        self.world.devnet.stop().await;
        self.report
    }
}

/// An operator that is told to be quick, since slots are a second long.
pub(crate) fn environment(endpoints: String) -> Vec<(String, String)> {
    let seconds = [
        ("EXECUTION_TIMEOUT", "3"),
        ("CONSENSUS_TIMEOUT", "3"),
        ("IPFS_TIMEOUT", "3"),
        ("ORACLES_VALIDATORS_TIMEOUT", "5"),
        ("EXECUTION_TRANSACTION_TIMEOUT", "20"),
        ("MAX_FEE_PER_GAS_GWEI", "10"),
    ];
    let mut variables: Vec<(String, String)> = seconds
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    variables.push(("EXECUTION_ENDPOINTS".to_owned(), endpoints));
    variables
}

fn public_keys(vault_dir: &Path) -> Result<Vec<FixedBytes<48>>, Failure> {
    let text = std::fs::read(vault_dir.join("deposit_data.json"))?;
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&text)?;
    let key = |entry: &serde_json::Value| entry.get("pubkey")?.as_str()?.parse().ok();
    entries
        .iter()
        .map(|entry| key(entry).ok_or_else(|| "an entry of the deposit data has no key".into()))
        .collect()
}

const ORACLES: usize = 5;
const THRESHOLD: usize = 3;
/// In wei, as the environment says.
const CAP: u128 = 10_000_000_000;
const STANDS_STILL: Duration = Duration::from_secs(180);
const COMES_TO_REST: Duration = Duration::from_secs(180);
const SHOWN_STEPS: usize = 40;
