//! What happens, one step after the other.

use std::fmt;

use alloy_primitives::{B256, FixedBytes};
use serde_json::json;
use sw_devnet::{
    Devnet, Dropped, Node,
    audit::Auditor,
    oracle::Fault,
    proxy::{ExecutionProxy, Rule},
};

use super::{dice::Dice, faults, operator::Operator, trap::Trap};
use crate::Failure;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Nothing,
    Stake(u64),
    Oracles(Vec<Fault>),
    Execution(Endpoint, Rule),
    ExecutionGone(Endpoint),
    Logs(Rule),
    Gateway(Rule),
    GatewayGone,
    Consensus(Rule),
    ConsensusGone,
    Syncing,
    Reorg(u64, Dropped),
    BaseFee(u64),
    ForeignDeposit,
    InvalidDeposit,
    InvalidDepositOfOurs(u64),
    Reward,
    BatchLimit(u64),
    Stranger,
    Kill,
    Stop,
    Second,
}

/// One of the two execution endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    First,
    Second,
}

/// What a step has put out of order, and what puts it right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Area {
    Oracles,
    Execution,
    Gateway,
    Consensus,
    BaseFee,
    Config,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Step {
    /// Draws a step. Oracles up to `tolerated` are faulty most of the time, and sometimes more.
    pub(super) fn draw(dice: &mut Dice, rules: &Rulebook, first: &ExecutionProxy) -> Self {
        let endpoint = if dice.below(3) == 0 {
            Endpoint::Second
        } else {
            Endpoint::First
        };
        match dice.below(40) {
            0..=5 => Self::Stake(dice.between(1, 10)),
            6..=9 => {
                let too_many = u64::from(dice.below(5) == 0);
                let many = dice.between(1, rules.tolerated + too_many);
                Self::Oracles((0..many).map(|_| faults::of_oracle(dice)).collect())
            }
            10..=14 => Self::Execution(endpoint, faults::of_node(dice)),
            15 => Self::ExecutionGone(endpoint),
            16..=17 => Self::Logs(faults::of_logs(dice, first, 30)),
            18 => Self::Gateway(faults::of_server(dice)),
            19 => Self::GatewayGone,
            20 => Self::Consensus(faults::of_server(dice)),
            21 => Self::ConsensusGone,
            22 => Self::Syncing,
            23..=24 => {
                let depth = dice.between(1, rules.deepest_reorg);
                let gone = dice.below(2) == 0;
                Self::Reorg(depth, if gone { Dropped::Gone } else { Dropped::BackInPool })
            }
            25..=26 => Self::BaseFee(dice.between(1, 30)),
            27 => Self::ForeignDeposit,
            28 => Self::InvalidDeposit,
            29 => Self::InvalidDepositOfOurs(dice.below(1 << 32)),
            30 => Self::Reward,
            31 => Self::BatchLimit(dice.between(1, 10)),
            32 => Self::Stranger,
            33..=35 => Self::Kill,
            36..=37 => Self::Stop,
            38 => Self::Second,
            _ => Self::Nothing,
        }
    }

    /// What it puts out of order.
    pub(super) fn area(&self) -> Option<Area> {
        Some(match self {
            Self::Oracles(_) => Area::Oracles,
            Self::Execution(..) | Self::ExecutionGone(_) | Self::Logs(_) => Area::Execution,
            Self::Gateway(_) | Self::GatewayGone => Area::Gateway,
            Self::Consensus(_) | Self::ConsensusGone | Self::Syncing => Area::Consensus,
            Self::BaseFee(_) => Area::BaseFee,
            Self::Stranger => Area::Config,
            _ => return None,
        })
    }
}

/// How far a scenario goes.
pub(super) struct Rulebook {
    /// Oracles that may be faulty while the rest can still approve.
    pub(super) tolerated: u64,
    /// Not as deep as what the devnet calls final.
    pub(super) deepest_reorg: u64,
}

/// Everything that a step may touch.
pub(super) struct World {
    pub(super) devnet: Devnet,
    pub(super) second: ExecutionProxy,
    pub(super) operator: Operator,
    pub(super) auditor: Auditor,
    pub(super) trap: Trap,
    /// Keys of the deposit data file, in its order.
    pub(super) keys: Vec<FixedBytes<48>>,
    /// How many of these are registered.
    pub(super) registered: usize,
    pub(super) batch_limit: u64,
}

impl World {
    pub(super) async fn apply(&mut self, step: &Step, dice: &mut Dice) -> Result<(), Failure> {
        // Drawn in every step: what happens on the machine has no say in the steps after this one.
        let place = dice.below(1 << 32);
        let (devnet, vault) = (&self.devnet, self.devnet.vault());
        match step {
            Step::Nothing => {}
            Step::Stake(validators) => devnet.stake(vault, validators * 32).await?,
            Step::Oracles(faults) => {
                let oracles = devnet.oracles();
                for (number, fault) in (place..).zip(faults) {
                    let at = usize::try_from(number)? % oracles.len().max(1);
                    if let Some(oracle) = oracles.get(at) {
                        oracle.set_fault(fault.clone());
                    }
                }
            }
            Step::Execution(endpoint, rule) => self.endpoint(*endpoint).push(rule.clone()),
            Step::ExecutionGone(endpoint) => self.endpoint(*endpoint).set_down(true),
            Step::Logs(rule) => devnet.proxy().push(rule.clone()),
            Step::Gateway(rule) => devnet.gateway().rules().push(rule.clone()),
            Step::GatewayGone => devnet.gateway().set_down(true),
            Step::Consensus(rule) => devnet.beacon().rules().push(rule.clone()),
            Step::ConsensusGone => devnet.beacon().set_down(true),
            Step::Syncing => {
                devnet.set_syncing(Node::Consensus, true);
                devnet.set_syncing(Node::Execution, true);
            }
            Step::Reorg(depth, dropped) => devnet.reorg_with(*depth, *dropped).await?,
            Step::BaseFee(gwei) => devnet.set_base_fee(u128::from(*gwei) * 1_000_000_000).await,
            Step::ForeignDeposit => drop(devnet.foreign_deposit().await?),
            Step::InvalidDeposit => drop(devnet.invalid_deposit().await?),
            Step::InvalidDepositOfOurs(at) => {
                let at = usize::try_from(*at)? % self.keys.len().max(1);
                if let Some(key) = self.keys.get(at) {
                    let signature = FixedBytes([0xab; 96]);
                    let credentials = B256::with_last_byte(1);
                    devnet
                        .chain()
                        .deposit(key, credentials, &signature, 1_000_000_000)
                        .await?;
                }
            }
            // A vault without validators has nothing to earn with.
            Step::Reward if self.registered == 0 => {}
            Step::Reward => {
                let tenth = 100_000_000_000_000_000;
                devnet.reward(vault, tenth, 0).await?;
            }
            Step::BatchLimit(limit) => {
                self.batch_limit = *limit;
                self.announce().await?;
            }
            Step::Stranger => {
                let mut forged = devnet.protocol_config();
                if let Some(oracle) = forged.pointer_mut("/oracles/0") {
                    *oracle = json!({"public_key": STRANGER, "endpoints": [self.trap.url()]});
                }
                devnet.update_config(&forged).await?;
            }
            Step::Kill => self.operator.kill_and_restart(&mut self.auditor).await?,
            Step::Stop => self.operator.stop_and_restart(&mut self.auditor).await?,
            Step::Second => self.operator.start_second().await?,
        }
        Ok(())
    }

    /// Puts one area in order again.
    pub(super) async fn undo(&mut self, area: Area) -> Result<(), Failure> {
        let devnet = &self.devnet;
        match area {
            Area::Oracles => devnet.oracles().iter().for_each(|oracle| oracle.set_fault(Fault::None)),
            Area::Execution => {
                for proxy in [devnet.proxy(), &self.second] {
                    proxy.clear();
                    proxy.set_down(false);
                }
            }
            Area::Gateway => {
                devnet.gateway().rules().clear();
                devnet.gateway().set_down(false);
            }
            Area::Consensus => {
                devnet.beacon().rules().clear();
                devnet.beacon().set_down(false);
                devnet.set_syncing(Node::Consensus, false);
                devnet.set_syncing(Node::Execution, false);
            }
            Area::BaseFee => devnet.release_base_fee().await,
            Area::Config => self.announce().await?,
        }
        Ok(())
    }

    /// The true oracles, with the batch limit of the day.
    pub(super) async fn announce(&self) -> Result<(), Failure> {
        let mut config = self.devnet.protocol_config();
        if let Some(limit) = config.get_mut("validators_approval_batch_limit") {
            *limit = json!(self.batch_limit);
        }
        self.devnet.update_config(&config).await?;
        Ok(())
    }

    fn endpoint(&self, endpoint: Endpoint) -> &ExecutionProxy {
        match endpoint {
            Endpoint::First => self.devnet.proxy(),
            Endpoint::Second => &self.second,
        }
    }
}

impl Area {
    pub(super) const ALL: [Self; 6] = [
        Self::Oracles,
        Self::Execution,
        Self::Gateway,
        Self::Consensus,
        Self::BaseFee,
        Self::Config,
    ];
}

/// The secp256k1 point of 2: nobody's key here.
const STRANGER: &str = "0xc6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee51ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a";
