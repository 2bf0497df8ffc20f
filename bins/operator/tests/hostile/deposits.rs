//! Nodes that leave out, repeat, change or reorder deposit events.

use std::{path::Path, time::Duration};

use sw_devnet::{
    person::{Person, RunningOperator},
    proxy::{Act, DepositField, ExecutionProxy, Rule, Victim},
};

use crate::setup::{PATIENCE, STOP, Setup, small};

/// Every lie, each about another one of three deposits: the first, the one in the middle, or the last.
fn lies() -> Vec<(String, Act, Victim)> {
    let about = |deposit| Victim {
        deposit,
        field: DepositField::Amount,
    };
    let mut lies = vec![
        ("dropped, the first".to_owned(), Act::DropLog, about(0)),
        ("dropped, the last".to_owned(), Act::DropLog, about(2)),
        ("doubled".to_owned(), Act::DoubleLog, about(1)),
        ("reordered".to_owned(), Act::ReorderLogs, about(1)),
    ];
    for (place, field) in (0_u64..).zip(DepositField::ALL) {
        let victim = Victim {
            deposit: place % 3,
            field,
        };
        lies.push((format!("altered, {field:?}"), Act::AlterLog, victim));
    }
    lies
}

/// Somebody else with the same vault, keys and wallet, who asks these nodes.
fn twin(person: &Person, home: &Path, nodes: &str) -> Person {
    copy(&person.data_dir, home);
    let mut twin = Person {
        data_dir: home.to_owned(),
        ..person.clone()
    };
    for (name, value) in &mut twin.environment {
        match name.as_str() {
            "EXECUTION_ENDPOINTS" => nodes.clone_into(value),
            "DATA_DIR" => *value = home.display().to_string(),
            _ => {}
        }
    }
    twin
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let there = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &there),
            false => drop(std::fs::copy(entry.path(), there).unwrap()),
        }
    }
}

/// An operator that sees the chain through a node that lies.
struct Deceived {
    name: String,
    node: ExecutionProxy,
    running: RunningOperator,
    _home: tempfile::TempDir,
}

#[tokio::test]
async fn a_lie_about_deposits_is_noticed_before_anybody_is_asked() {
    let setup = Setup::ready(small(), 1).await;
    for _ in 0..3 {
        setup.devnet.foreign_deposit().await.unwrap();
    }
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let mut deceived = Vec::new();
    for (name, act, victim) in lies() {
        let node = setup.devnet.add_execution_endpoint().await.unwrap();
        node.set_victim(victim);
        node.push(Rule::everything(act));
        let home = tempfile::tempdir().unwrap();
        let person = twin(&setup.person, home.path(), node.url());
        deceived.push(Deceived {
            name,
            running: person.start(&[]).unwrap(),
            node,
            _home: home,
        });
    }
    for each in &mut deceived {
        let said = each.running.says("logs that cannot be true", PATIENCE).await;
        let said = said.unwrap_or_else(|error| panic!("{}: {error}", each.name));
        let address = each.node.url().trim_start_matches("http://");
        assert!(said.contains(address), "{}: no endpoint in: {said}", each.name);
    }
    // Each has had time to ask by now; none did.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for each in &mut deceived {
        let status = each.running.stop(STOP).await.unwrap();
        assert_eq!(status.code(), Some(143), "{}: {}", each.name, each.running.log());
        assert_eq!(each.node.handed_in(), [], "{}", each.name);
        assert!(
            !each.running.log().contains("asking the oracles"),
            "{}: {}",
            each.name,
            each.running.log()
        );
    }
    for oracle in setup.devnet.oracles() {
        assert_eq!(oracle.requests(), [""; 0]);
    }

    let liar = &deceived[0].node;
    let home = tempfile::tempdir().unwrap();
    let nodes = format!("{},{}", liar.url(), setup.devnet.execution_url());
    let mut running = twin(&setup.person, home.path(), &nodes).start(&[]).unwrap();
    setup.registered(1, &running).await;
    let address = liar.url().trim_start_matches("http://");
    running.says(address, PATIENCE).await.unwrap();
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}
