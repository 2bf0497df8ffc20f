//! A short run of `cargo xtask soak`.

use std::process::Command;

use serde_json::{Value, json};

#[test]
fn what_is_due_happens_once_while_a_tenth_of_all_calls_fails() {
    let ended = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "xtask", "--", "soak", "--json"])
        .args(["--seed", "5", "--slots", "40"])
        .args(["--operator", env!("CARGO_BIN_EXE_operator")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    for none in ["missed", "twice", "violations"] {
        assert_eq!(report[none], json!([]), "{said}");
    }
    let some = ["registered", "harvests", "rotations", "stops", "faults_struck"];
    assert!(some.iter().all(|count| report[count].as_u64() > Some(0)), "{report}");
    assert_eq!(report["harvests"], report["votes"], "{report}");
}
