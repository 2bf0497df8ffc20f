//! What came of a soak.

use serde_json::{Value, json};
use sw_devnet::audit::Violation;

use crate::{Failure, chaos::vitals::Most};

/// Counts, and what must not be.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) slots: u64,
    pub(super) registered: usize,
    /// Harvests that changed something, each of another vote.
    pub(super) harvests: usize,
    /// Votes on rewards.
    pub(super) votes: usize,
    /// Validators whose exit signatures were rotated, each time.
    pub(super) rotations: usize,
    pub(super) replaced_oracles: usize,
    pub(super) stops: u32,
    pub(super) transactions: u64,
    pub(super) faults_struck: u64,
    /// Oracles that were faulty, each for a slot.
    pub(super) faulty_oracles: u64,
    pub(super) log_lines: usize,
    /// What was due and did not happen.
    pub(super) missed: Vec<String>,
    /// What happened more than once, or was not due.
    pub(super) twice: Vec<String>,
    pub(super) violations: Vec<Violation>,
    pub(super) most: Most,
    pub(super) seconds: u64,
}

impl Report {
    pub(super) fn json(&self) -> Value {
        let violations: Vec<String> = self.violations.iter().map(Violation::to_string).collect();
        let growth = i128::from(self.most.growth_kib);
        let (first, last) = self.most.first_and_last.unwrap_or_default();
        json!({
            "seed": self.seed,
            "slots": self.slots,
            "registered": self.registered,
            "harvests": self.harvests,
            "votes": self.votes,
            "rotations": self.rotations,
            "replaced_oracles": self.replaced_oracles,
            "stops": self.stops,
            "missed": self.missed,
            "twice": self.twice,
            "violations": violations,
            "transactions": self.transactions,
            "faults_struck": self.faults_struck,
            "faulty_oracles": self.faulty_oracles,
            "log_lines": self.log_lines,
            "rss_kib": [first.0, last.0],
            "rss_growth_mib": growth / 1024,
            "descriptors": [first.1, last.1],
            "seconds": self.seconds,
        })
    }

    pub(super) fn text(&self) -> String {
        let Value::Object(members) = self.json() else {
            return String::new();
        };
        let line = |(name, value): (&String, &Value)| format!("{name:<18} {value}");
        members.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn is_clean(&self) -> bool {
        self.missed.is_empty() && self.twice.is_empty() && self.violations.is_empty()
    }

    /// A run in which a duty had nothing to do, or nothing failed, shows nothing.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if !self.is_clean() {
            return Err(format!("the soak of seed {} went wrong", self.seed).into());
        }
        let counts = [
            ("validator was registered", self.registered as u64),
            ("vote was harvested", self.harvests as u64),
            ("exit signature was rotated", self.rotations as u64),
            ("stop was made", self.stops.into()),
            ("call failed", self.faults_struck),
            ("oracle was faulty", self.faulty_oracles),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            None => Ok(()),
            Some((what, _)) => Err(format!("the soak of seed {} shows nothing: no {what}", self.seed).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_fault_or_without_work_for_a_duty_is_no_success() {
        let full = || Report {
            registered: 1,
            harvests: 1,
            rotations: 1,
            stops: 1,
            faults_struck: 1,
            faulty_oracles: 1,
            ..Report::default()
        };
        assert!(full().verdict().is_ok());
        for empty in [
            Report {
                faults_struck: 0,
                ..full()
            },
            Report { rotations: 0, ..full() },
            Report {
                registered: 0,
                ..full()
            },
        ] {
            assert!(empty.verdict().is_err());
        }
        let wrong = Report {
            twice: vec!["a harvest".to_owned()],
            ..full()
        };
        assert!(wrong.verdict().is_err());
    }
}
