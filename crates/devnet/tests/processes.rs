//! Nothing that the devnet starts outlives it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, test_kill_process};
use sw_devnet::{
    Devnet, DevnetConfig,
    process::{GuardedProcess, ProcessError},
};

/// Says its process id, then stays.
const STAYS: [&str; 2] = ["-c", "echo pid $$; exec sleep 600"];

async fn stays(log: &Path) -> (GuardedProcess, Pid) {
    let shell = Path::new("/bin/sh");
    let said = |line: &str| line.strip_prefix("pid ")?.parse().ok();
    let spawned = GuardedProcess::spawn(shell, STAYS, log, Duration::from_secs(10), said)
        .await
        .unwrap();
    (spawned.0, Pid::from_raw(spawned.1).unwrap())
}

fn assert_ends(process: Pid) {
    let begun = Instant::now();
    while test_kill_process(process).is_ok() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "process {process:?} is still there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_dropped_process_is_killed() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let (process, id) = stays(log.path()).await;
    assert!(test_kill_process(id).is_ok());
    drop(process);
    assert_ends(id);
}

#[tokio::test]
async fn a_process_dies_with_an_owner_that_was_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["owner_of_a_process", "--exact", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = std::io::BufReader::new(owner.stdout.take().unwrap());
    while !said.contains("owns ") {
        said.clear();
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut said).unwrap(), 0);
    }
    let id = said.split("owns ").nth(1).unwrap().trim().parse().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_ends(Pid::from_raw(id).unwrap());
}

/// Does something only when the test above runs it in a process of its own.
#[tokio::test]
async fn owner_of_a_process() {
    if std::env::var_os(OWNER).is_none() {
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let (_process, id) = stays(log.path()).await;
    println!("owns {}", id.as_raw_nonzero());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_process_that_fails_says_what_it_wrote() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let arguments = ["-c", "echo the reason >&2; exit 3"];
    let never = |_: &str| None::<()>;
    let timeout = Duration::from_secs(10);
    match GuardedProcess::spawn(Path::new("/bin/sh"), arguments, log.path(), timeout, never).await {
        Err(ProcessError::NotReady { log, .. }) => assert!(log.contains("the reason"), "{log}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stopped_network_leaves_no_files_and_a_named_directory_keeps_them() {
    let kept = tempfile::tempdir().unwrap();
    let config = DevnetConfig {
        node_oracle: false,
        work_dir: Some(kept.path().to_owned()),
        ..DevnetConfig::default()
    };
    let (named, temporary) = tokio::join!(
        Devnet::start(config),
        Devnet::start(DevnetConfig {
            node_oracle: false,
            ..DevnetConfig::default()
        })
    );
    let (named, temporary) = (named.unwrap(), temporary.unwrap());
    let directory = temporary.work_dir().to_owned();
    assert!(directory.join("network.toml").is_file());
    assert_ne!(named.execution_url(), temporary.execution_url());
    tokio::join!(named.stop(), temporary.stop());
    assert!(!directory.exists());
    assert!(kept.path().join("network.toml").is_file());
}

const OWNER: &str = "DEVNET_TEST_OWNS_A_PROCESS";
