//! A short run of `cargo xtask chaos`.

use std::process::Command;

use serde_json::{Value, json};

#[test]
fn a_short_random_scenario_holds_every_invariant() {
    let run = ["run", "--quiet", "--package", "xtask", "--", "chaos", "--json"];
    let scenario = ["--seed", "4", "--registrations", "20", "--kills", "2"];
    let short = ["--seconds", "25", "--deepest-reorg", "6"];
    let ended = Command::new(env!("CARGO"))
        .args(run)
        .args(scenario)
        .args(short)
        .args(["--operator", env!("CARGO_BIN_EXE_operator")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let clean = ["duplicates", "lost"].map(|count| report[count].as_u64());
    assert_eq!(clean, [Some(0); 2], "{report}");
    assert_eq!(report["invariant_violations"], json!([]), "{said}");
    assert!(
        report["registered"].as_u64() >= Some(20) && report["kills"].as_u64() >= Some(2),
        "{report}"
    );
}
