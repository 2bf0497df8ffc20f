//! Little to live on: few descriptors, no home, no locale, a user that nobody knows, and a disk that is for others.

use std::process::{Command, ExitStatus};

use crate::{
    ground::Ground,
    setup::PATIENCE,
    traced::{Traced, by_way_of},
};

#[tokio::test]
async fn few_descriptors_no_home_no_name_and_a_read_only_disk_are_enough() {
    let mut ground = Ground::ready(1).await;
    let person = &mut ground.setup.person;
    assert!(person.environment.iter().all(|(name, _)| name != "HOME"));
    person.environment.push(("LANG".to_owned(), "C".to_owned()));
    let home = tempfile::tempdir().unwrap();
    let prefix = if somebody_else("true").is_ok_and(|status| status.success()) {
        format!("ulimit -n 64; exec {SOMEBODY_ELSE}")
    } else {
        // Where users may not make namespaces, the one that runs the tests has to do.
        "ulimit -n 64; exec".to_owned()
    };
    *person = by_way_of(person, &prefix, home.path());
    ground.pay().await;
    let traced = Traced::start(&ground.setup.person, "-e trace=%file");
    ground.setup.registered(1, &traced.running).await;
    traced.running.says("validator registered", PATIENCE).await.unwrap();
    nothing_is_written_elsewhere(&traced.calls(), &ground.setup.person.data_dir.display().to_string());
    ground.kill(traced.running).await;
    ground.go_on("with little to live on").await;
    ground.end("little to live on").await;
}

/// With a data directory of its own, a read-only root does.
fn nothing_is_written_elsewhere(calls: &[String], data_dir: &str) {
    let changing = [
        "O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "unlink", "rename", "link(", "linkat(",
    ];
    let (ours, others): (Vec<_>, Vec<_>) = calls
        .iter()
        .filter(|call| changing.iter().any(|word| call.contains(word)) && !call.starts_with("readlink"))
        .partition(|call| call.contains(data_dir));
    let journal = |call: &&String| call.contains("transactions.journal");
    assert!(ours.iter().any(journal), "{calls:?}");
    // How the shell and `unshare` get there.
    let on_no_disk = |call: &&&String| call.contains("\"/dev/") || call.contains("\"/proc/");
    let others: Vec<_> = others.iter().filter(|call| !on_no_disk(call)).collect();
    assert!(others.is_empty(), "a read-only disk would not do: {others:?}");
}

const SOMEBODY_ELSE: &str = "unshare --user --map-user=65532 --map-group=65532";

fn somebody_else(command: &str) -> std::io::Result<ExitStatus> {
    let mut words = SOMEBODY_ELSE.split(' ');
    Command::new(words.next().unwrap()).args(words).arg(command).status()
}
