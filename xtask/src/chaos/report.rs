//! What came of a scenario.

use serde_json::{Value, json};
use sw_devnet::audit::Violation;

use super::{Arguments, vitals::Most};
use crate::Failure;

/// Counts, and what must not be.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) registered: usize,
    pub(super) duplicates: usize,
    /// Validators that the vault can pay for and that are not registered.
    pub(super) lost: u64,
    pub(super) kills: u32,
    pub(super) stops: u32,
    pub(super) second_instances_refused: u32,
    pub(super) steps: usize,
    pub(super) transactions: u64,
    pub(super) sends: usize,
    pub(super) requests_to_oracles: usize,
    pub(super) faults_struck: u64,
    pub(super) log_lines: usize,
    pub(super) most: Most,
    pub(super) seconds: u64,
    pub(super) violations: Vec<Violation>,
}

impl Report {
    pub(super) fn json(&self) -> Value {
        let violations: Vec<String> = self.violations.iter().map(Violation::to_string).collect();
        json!({
            "seed": self.seed,
            "registered": self.registered,
            "duplicates": self.duplicates,
            "lost": self.lost,
            "kills": self.kills,
            "invariant_violations": violations,
            "stops": self.stops,
            "second_instances_refused": self.second_instances_refused,
            "steps": self.steps,
            "transactions": self.transactions,
            "sends": self.sends,
            "requests_to_oracles": self.requests_to_oracles,
            "faults_struck": self.faults_struck,
            "log_lines": self.log_lines,
            "rss_kib": self.most.rss_kib,
            "rss_growth_kib": self.most.growth_kib,
            "descriptors": self.most.descriptors,
            "descriptors_growth": self.most.more_descriptors,
            "seconds": self.seconds,
        })
    }

    pub(super) fn text(&self) -> String {
        let Value::Object(members) = self.json() else {
            return String::new();
        };
        let line = |(name, value): (&String, &Value)| format!("{name:<26} {value}");
        members.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Everything that was paid for is registered, once, and nothing was seen that must not be.
    pub(super) fn verdict(&self, arguments: &Arguments) -> Result<(), Failure> {
        let complete = self.registered >= arguments.registrations && self.kills >= arguments.required_kills();
        if complete && self.duplicates == 0 && self.lost == 0 && self.violations.is_empty() {
            return Ok(());
        }
        Err(format!("the scenario of seed {} went wrong", self.seed).into())
    }
}
