#![doc = include_str!("../README.md")]

mod checks;
mod duty;
mod error;
mod harvest;
mod harvest_vault;
mod live;
mod metrics;
mod open_ahead;
mod oracles;
mod plan;
mod register;
mod road;
mod service;
mod shares;
mod supervisor;
mod validators;
mod watch;
mod why;

pub use checks::{Check, CheckReport, Finding, Verdict, WALLET_REMEDY, start_up_checks};
pub use duty::{Duty, Outcome};
pub use error::{DutyError, ServiceError};
pub use harvest::{RewardsError, harvest_params};
pub use harvest_vault::HarvestVault;
pub use live::Live;
pub use metrics::{Metrics, bind_metrics};
pub use open_ahead::OpenAhead;
pub use oracles::Oracles;
pub use plan::{NextKeys, affordable, next_keys, unambiguous};
pub use register::{Harvest, Mined, NetworkView, Purpose, RegisterValidators, Registrar, Surroundings, View};
pub use road::{NoRoad, Road, road};
pub use service::{Operator, run};
pub use supervisor::Supervisor;
pub use validators::{NetworkValidators, ScanDeposits};
pub use watch::WatchChain;
pub use why::WhyNot;
