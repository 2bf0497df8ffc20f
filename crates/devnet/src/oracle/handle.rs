//! One oracle as tests see it: what it was asked, and what it is told to do wrong.

use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::Address;
use tokio::sync::mpsc;

use super::{
    fault::{Approval, Fault},
    key::OracleKey,
    record::{Record, RecoveredExit},
};
use crate::door::Door;

/// An oracle as tests see it.
#[derive(Debug, Clone)]
pub struct OracleHandle {
    address: Address,
    public_key: String,
    endpoints: Vec<String>,
    record: Arc<Record>,
    control: Control,
}

/// How a fault reaches an oracle.
#[derive(Debug, Clone)]
pub(super) enum Control {
    Task {
        fault: Arc<Mutex<Fault>>,
        doors: Vec<Arc<Door>>,
    },
    Process(mpsc::UnboundedSender<Fault>),
}

impl OracleHandle {
    pub(super) fn new(key: &OracleKey, endpoints: Vec<String>, record: Arc<Record>, control: Control) -> Self {
        Self {
            address: key.address(),
            public_key: key.public_key(),
            endpoints,
            record,
            control,
        }
    }

    /// The address the Keeper knows it by.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its public key as in the protocol config.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Its replicas.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The bodies of the registrations it was asked to approve, also of those it refused.
    pub fn requests(&self) -> Vec<String> {
        self.record.read(|record| record.requests.clone())
    }

    /// The bodies of the rotations it was asked to approve, also of those it refused.
    pub fn rotations(&self) -> Vec<String> {
        self.record.read(|record| record.rotations.clone())
    }

    /// What it approved, registrations and rotations.
    pub fn approvals(&self) -> Vec<Approval> {
        self.record.read(|record| record.approvals.clone())
    }

    /// The reasons it gave for its refusals.
    pub fn refusals(&self) -> Vec<String> {
        self.record.read(|record| record.refusals.clone())
    }

    /// The exit signatures it recovered.
    pub fn recovered_exits(&self) -> Vec<RecoveredExit> {
        self.record.read(|record| record.exits.clone())
    }

    /// Makes it misbehave from the next request on. The Node oracle knows `None`, `Down`, `Refuse`, `Outdated` and
    /// `SyncedTo`, a moment later.
    pub fn set_fault(&self, fault: Fault) {
        match &self.control {
            Control::Task { fault: current, doors } => {
                doors.iter().for_each(|door| door.set_closed(fault == Fault::Down));
                *current.lock().unwrap_or_else(PoisonError::into_inner) = fault;
            }
            // The process is gone only when the whole set is.
            Control::Process(faults) => drop(faults.send(fault)),
        }
    }

    /// Closes or opens one of its endpoints, by its place among [`OracleHandle::endpoints`]. The Node oracle has only
    /// one: use [`Fault::Down`] there.
    pub fn set_endpoint_down(&self, endpoint: usize, down: bool) {
        if let Control::Task { doors, .. } = &self.control
            && let Some(door) = doors.get(endpoint)
        {
            door.set_closed(down);
        }
    }
}
