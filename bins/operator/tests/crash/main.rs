//! Commands that make keys are killed, and their disk fails, at every call that touches it; then they are simply run again.
//!
//! The state is judged by a reader that shares nothing with the program: file names, JSON and the keys of the fixtures.
//! `cargo xtask crash` runs all of it; without CRASH_FULL a part of the calls is taken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod disk;
mod judge;
mod power_cut;
mod report;
mod scenario;
mod strace;
mod sweep;

use std::{fs, os::unix::process::ExitStatusExt, time::Duration};

use report::Report;
use scenario::{
    CREATE_KEYS, CREATE_KEYS_WITH_OWN_PASSWORDS, CREATE_WALLET, INIT, RECOVER, SCENARIOS, SURROUNDINGS, Scenario,
    Surroundings,
};
use strace::{Call, Fault};
use sw_devnet::{Devnet, DevnetConfig, Past};
use sw_testkit::{fixture, text};
use sweep::{Sweep, full, in_parallel, thinned};

/// Kills a command before each call that touches the disk, and runs it again.
fn killed_at_every_call(scenario: &'static Scenario) {
    let sweep = Sweep::begin(scenario);
    let calls = sweep.calls();
    let report = in_parallel(&thinned(&calls), |call| {
        let vault = sweep.vault();
        let ended = scenario.run_with(&vault, Some(&Fault::kill(call)));
        // Which of its calls a program with a network makes first is not always the same.
        let is_killed = ended.status.signal() == Some(9);
        assert!(is_killed || scenario.name == "recover", "not killed at {call:?}");
        let mut report = Report::default();
        report.rerun(&vault, &format!("killed at {call:?}"));
        report
    });
    sweep.end("killed at every call", report);
}

/// Kills a command at moments spread over its run.
fn killed_at_any_moment(scenario: &'static Scenario) {
    let sweep = Sweep::begin(scenario);
    let moments: u32 = if full() { 200 } else { 8 };
    let duration = sweep.duration();
    let moments: Vec<Duration> = (0..moments).map(|number| duration * number / moments).collect();
    let report = in_parallel(&moments, |moment| {
        let vault = sweep.vault();
        scenario.run_for(&vault, *moment);
        let mut report = Report::default();
        report.rerun(&vault, &format!("killed after {moment:?}"));
        report
    });
    sweep.end("killed at any moment", report);
}

/// Has each call that writes fail, with each reason that a disk has; the reason is named, and what was there is as it was.
fn refused_by_the_disk(scenario: &'static Scenario) {
    let sweep = Sweep::begin(scenario);
    let mut calls = sweep.calls();
    // How often the first thread writes to wake another is not always the same either, and must not fail.
    calls.retain(|call| scenario.name != "recover" || call.name != "write");
    let all = ["ENOSPC", "EIO"];
    let mut faults: Vec<(Call, &'static str)> = Vec::new();
    for (position, call) in thinned(&calls).into_iter().enumerate() {
        // At reduced counts the reasons take turns.
        let reasons: &[&'static str] = if full() {
            &all
        } else {
            &all[position % 2..=position % 2]
        };
        faults.extend(reasons.iter().map(|reason| (call.clone(), *reason)));
        let rare = match call.name.as_str() {
            "write" => Some("EDQUOT"),
            "mkdir" | "linkat" | "rename" => Some("EROFS"),
            "openat" => Some("EMFILE"),
            _ => None,
        };
        faults.extend(
            rare.filter(|_| full() || position % 5 == 0)
                .map(|reason| (call, reason)),
        );
    }
    let report = in_parallel(&faults, |(call, reason)| {
        let vault = sweep.vault();
        let before = disk::tree(&vault.root);
        let ended = scenario.run_with(&vault, Some(&Fault::error(call, reason)));
        let what = format!("{reason} at {call:?}");
        let mut report = Report::default();
        report.refused(&vault, &before, &ended, reason, &what);
        report.rerun(&vault, &what);
        report
    });
    sweep.end("refused by the disk", report);
}

/// Nothing is created that others could open, and nothing that is there is written over.
fn audited(scenario: &'static Scenario) {
    let sweep = Sweep::begin(scenario);
    let mut audited = 0;
    for call in sweep.calls() {
        let loose = |mode: u32| mode & 0o077 != 0;
        match call.name.as_str() {
            "openat" | "mkdir" | "mkdirat" | "chmod" | "fchmod" | "fchmodat" => {
                let mode = call.mode();
                assert!(!mode.is_some_and(loose), "{call:?}");
                assert!(mode.is_some() || !call.creates(), "{call:?}");
                assert!(!call.arguments.contains("O_TRUNC"), "{call:?}");
                let is_new = !call.name.starts_with("open") || call.arguments.contains("O_EXCL");
                assert!(is_new || call.path().ends_with(".lock"), "{call:?}");
                audited += 1;
            }
            "truncate" | "ftruncate" | "creat" => panic!("{call:?}"),
            _ => {}
        }
    }
    assert!(audited >= 3, "{audited}");
}

fn serialised() -> std::sync::MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn create_keys_killed_at_a_call_is_simply_run_again() {
    let _one = serialised();
    killed_at_every_call(&CREATE_KEYS);
}

#[test]
fn create_wallet_killed_at_a_call_is_simply_run_again() {
    let _one = serialised();
    killed_at_every_call(&CREATE_WALLET);
}

#[test]
fn init_killed_at_a_call_is_simply_run_again() {
    let _one = serialised();
    killed_at_every_call(&INIT);
}

#[test]
fn commands_killed_at_any_moment_are_simply_run_again() {
    let _one = serialised();
    for scenario in SCENARIOS {
        killed_at_any_moment(scenario);
    }
}

#[test]
fn create_keys_on_a_failing_disk_names_the_fault_and_changes_nothing_old() {
    let _one = serialised();
    refused_by_the_disk(&CREATE_KEYS);
}

#[test]
fn create_wallet_on_a_failing_disk_names_the_fault_and_changes_nothing_old() {
    let _one = serialised();
    refused_by_the_disk(&CREATE_WALLET);
}

#[test]
fn init_on_a_failing_disk_names_the_fault_and_changes_nothing_old() {
    let _one = serialised();
    refused_by_the_disk(&INIT);
}

#[test]
fn nothing_is_ever_created_for_others_or_written_over() {
    let _one = serialised();
    for scenario in SCENARIOS {
        audited(scenario);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn recover_killed_or_on_a_failing_disk_keeps_what_was_there_and_is_simply_run_again() {
    let config = DevnetConfig {
        oracles: 2,
        node_oracle: false,
        validators_threshold: 2,
        recover_threshold: 2,
        ..DevnetConfig::default()
    };
    let devnet = Devnet::start(config).await.unwrap();
    let vault = devnet.chain().create_past_vault().await.unwrap();
    let figures = fixture("original-v1.json");
    let keys = [0, 2].map(|index| {
        let key = text(&figures["deposit_data"]["mainnet"][index]["pubkey"]);
        format!("0x{key}").parse().unwrap()
    });
    devnet.chain().remember(vault, Past::V1, &keys).await.unwrap();
    let network_file = devnet.network_file().to_owned();
    let network = fs::read_to_string(&network_file).unwrap();
    let network = network.lines().find_map(|line| line.strip_prefix("name = \""));
    let surroundings = Surroundings {
        vault: format!("{vault:#x}"),
        network: network.unwrap().trim_end_matches('"').to_owned(),
        network_file,
        execution: devnet.execution_url().to_owned(),
        consensus: devnet.consensus_url().to_owned(),
    };
    assert!(SURROUNDINGS.set(surroundings).is_ok());
    let sweeps = || {
        let _one = serialised();
        killed_at_every_call(&RECOVER);
        killed_at_any_moment(&RECOVER);
        refused_by_the_disk(&RECOVER);
        audited(&RECOVER);
    };
    tokio::task::spawn_blocking(sweeps).await.unwrap();
    devnet.stop().await;
}

#[test]
fn what_a_power_cut_leaves_is_finished_or_undone_by_the_next_run() {
    let _one = serialised();
    power_cut::every_state(&CREATE_KEYS);
    power_cut::every_state(&CREATE_KEYS_WITH_OWN_PASSWORDS);
    power_cut::every_state(&CREATE_WALLET);
}

/// The judge must see what it is there to see.
#[test]
fn the_judge_finds_what_is_wrong() {
    let _one = serialised();
    let sweep = Sweep::begin(&CREATE_KEYS);
    type Spoil = fn(&scenario::Vault);
    let spoil: [(&str, Spoil); 6] = [
        ("lost", |vault| fs::remove_file(&vault.keystores()[0]).unwrap()),
        ("duplicate", |vault| {
            let one = &vault.keystores()[0];
            fs::copy(one, one.with_file_name("keystore-again.json")).unwrap();
        }),
        ("torn", |vault| {
            let one = &vault.keystores()[0];
            let bytes = fs::read(one).unwrap();
            fs::write(one, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("leftovers", |vault| {
            fs::create_dir(vault.root.join(".new-keys")).unwrap()
        }),
        ("leftovers", |vault| {
            fs::write(vault.root.join("keystores/.operator-x.tmp"), "").unwrap();
        }),
        ("open", |vault| {
            let loose = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(&vault.keystores()[0], loose).unwrap();
        }),
    ];
    for (fault, spoil) in spoil {
        let vault = sweep.vault();
        assert!(CREATE_KEYS.run(&vault).status.success());
        let found = judge::judge(&vault);
        assert!(found.is_sound(), "{found:?}");
        spoil(&vault);
        let found = judge::judge(&vault);
        assert!(found.count(fault) > 0, "{fault}: {found:?}");
    }
}
