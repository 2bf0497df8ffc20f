//! Eleven oracles of which eight must approve, and every way in which three or four of them fail.

use std::time::{Duration, Instant};

use sw_devnet::{DevnetConfig, oracle::Fault, person::RunningOperator};

use crate::{
    full,
    setup::{PATIENCE, STOP, Setup},
};

const ORACLES: usize = 11;
const NEEDED: usize = 8;

fn eleven() -> DevnetConfig {
    DevnetConfig {
        oracles: ORACLES,
        node_oracle: false,
        replicas: Vec::new(),
        validators_threshold: NEEDED,
        recover_threshold: 5,
        ..DevnetConfig::default()
    }
}

/// Eleven oracles, an operator, and how many of its keys are registered.
struct Scene {
    setup: Setup,
    running: RunningOperator,
    registered: usize,
}

impl Scene {
    async fn start(keys: usize, arguments: &[&str]) -> Self {
        let setup = Setup::ready(eleven(), keys).await;
        setup.devnet.send_eth(setup.wallet.parse().unwrap(), 10).await.unwrap();
        let running = setup.person.start(arguments).unwrap();
        running.says("operator started", PATIENCE).await.unwrap();
        Self {
            setup,
            running,
            registered: 0,
        }
    }

    /// Sets these faults, the first of them on the oracle at `first`, and none on all others.
    fn set_faults(&self, first: usize, faults: &[Fault]) {
        for (place, oracle) in self.setup.devnet.oracles().iter().enumerate() {
            let fault = faults.get((place + ORACLES - first) % ORACLES);
            oracle.set_fault(fault.cloned().unwrap_or_default());
        }
    }

    async fn stake(&self) {
        self.setup.devnet.stake(self.setup.devnet.vault(), 32).await.unwrap();
    }

    /// Waits for the next registration, and returns the transaction.
    async fn next_registered(&mut self) -> sw_devnet::Registered {
        self.registered += 1;
        let mut all = self.setup.registered(self.registered, &self.running).await;
        assert_eq!(all.len(), self.registered, "one stake, one validator");
        all.pop().unwrap()
    }

    /// Stakes for one validator and returns how long it took to register it.
    async fn register(&mut self) -> Duration {
        let start = Instant::now();
        self.stake().await;
        self.next_registered().await;
        start.elapsed()
    }

    /// The addresses of the oracles with a fault.
    fn faulty(&self, first: usize, count: usize) -> Vec<String> {
        let place = |offset| (first + offset) % ORACLES;
        let oracles = self.setup.devnet.oracles();
        (0..count)
            .map(|offset| oracles[place(offset)].address().to_string())
            .collect()
    }
}

#[tokio::test]
async fn any_three_faulty_oracles_of_eleven_do_not_stop_a_registration() {
    let (modes, repeats) = (Fault::modes(), full().unwrap_or(1));
    assert_eq!(modes.len(), 14);
    let mut scene = Scene::start(1 + (modes.len() + 1) * repeats, &[]).await;
    // The first registration of an operator also opens what the later ones find open.
    scene.register().await;
    let mut sound = Vec::new();
    for _ in 0..repeats {
        sound.push(scene.register().await);
    }
    let mut report = vec![line("none", &mut sound, None)];
    let usual = median(&mut sound);
    let mut all = Vec::new();
    for (which, (name, fault)) in modes.iter().enumerate() {
        let mut taken = Vec::new();
        for repeat in 0..repeats {
            let first = (3 * which + 5 * repeat) % ORACLES;
            scene.set_faults(first, &[fault.clone(), fault.clone(), fault.clone()]);
            taken.push(scene.register().await);
            let last = scene.setup.devnet.registered(scene.setup.devnet.vault()).await.unwrap();
            let tx = last.last().unwrap().tx;
            let signers = scene.setup.devnet.approval_signers(tx).await.unwrap();
            assert_eq!(signers.len(), NEEDED);
            for address in scene.faulty(first, 3) {
                let signed = signers.iter().any(|signer| signer.to_string() == address);
                assert!(!signed, "{name}: {address} is among the signers");
            }
        }
        report.push(line(name, &mut taken, Some(usual)));
        all.extend(taken);
    }
    report.push(line("all", &mut all, Some(usual)));
    if full().is_some() {
        report.iter().for_each(|line| println!("{line}"));
    }
    assert_eq!(scene.setup.devnet.proxy().handed_in().len(), scene.registered);
    assert_eq!(scene.running.stop(STOP).await.unwrap().code(), Some(143));
}

#[tokio::test]
async fn four_faulty_oracles_stop_it_without_a_transaction_until_one_heals() {
    let modes = Fault::modes();
    let groups = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 0, 6]];
    let timeouts = ["--oracles-validators-timeout", "2"];
    let mut scene = Scene::start(groups.len() + 1, &timeouts).await;
    scene.register().await;
    for (round, group) in groups.iter().enumerate() {
        let first = 3 * round % ORACLES;
        let faults = group.map(|mode| modes[mode].1.clone());
        scene.set_faults(first, &faults);
        let sent = scene.setup.devnet.proxy().handed_in().len();
        // Other oracles that fail are news, though as many failed before.
        let mark = scene.running.lines();
        scene.stake().await;
        let refused = "the oracles did not approve";
        let said = scene.running.says_since(mark, refused, PATIENCE).await.unwrap();
        assert!(said.contains("7 of the 8 oracles needed approved"), "{said}");
        for (address, mode) in scene.faulty(first, 4).iter().zip(group) {
            let named = format!("oracle {address}: ");
            let said = scene.running.says_since(mark, &named, PATIENCE).await.unwrap();
            let (name, why) = (modes[*mode].0, reason(modes[*mode].0));
            assert!(said.contains(why), "{name}: `{why}` is not in: {said}");
        }
        assert_eq!(scene.setup.devnet.proxy().handed_in().len(), sent, "nothing is sent");
        assert_eq!(scene.setup.count().await, scene.registered);

        scene.set_faults(first, &faults[..3]);
        scene.next_registered().await;
        assert_eq!(scene.setup.devnet.proxy().handed_in().len(), sent + 1);
        scene.set_faults(0, &[]);
    }
    assert_eq!(scene.running.stop(STOP).await.unwrap().code(), Some(143));
}

/// What the log says of an oracle in this mode.
fn reason(mode: &str) -> &'static str {
    match mode {
        "down" => "no answer",
        "slow" | "one byte a second" => "no answer in time",
        "500" => "status 500",
        "400" => "not today",
        "other CID" => "approved other exit signatures",
        "other deadline" => "an approval until",
        "bad signature" | "another's signature" => "a signature of 0x",
        "replayed approval" => "an approval until",
        "high s" => "a signature that the keeper would refuse",
        "truncated JSON" => "an answer that is no approval",
        "endless body" => "an answer that is too long",
        "redirect" => "a redirect, which is not followed",
        other => panic!("a mode without a reason: {other}"),
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn line(name: &str, times: &mut [Duration], usual: Option<Duration>) -> String {
    let median = median(times);
    let extra = usual.map(|usual| format!(", {:+.2} s", median.as_secs_f64() - usual.as_secs_f64()));
    let longest = times.last().unwrap_or(&Duration::ZERO).as_secs_f64();
    format!(
        "{name}: {} registrations, median {:.2} s{}, longest {longest:.2} s",
        times.len(),
        median.as_secs_f64(),
        extra.unwrap_or_default()
    )
}
