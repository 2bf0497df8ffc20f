//! The vault, the wallet and the oracles.

use async_trait::async_trait;
use sw_chain_client::{ExecutionError, SendError};

use super::{
    Check, Finding, Verdict,
    nodes::{unreadable, unreadable_contracts},
};
use crate::{Operator, road::road, supervisor::error_chain, why::Ether};

/// The address is a vault of this network that this operator can register for.
pub(super) struct VaultRoad;

#[async_trait]
impl Check for VaultRoad {
    fn name(&self) -> &'static str {
        "vault"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        let (vault, network) = (operator.vault, &operator.network);
        let not_a_vault = || {
            Verdict::Failed(Finding::new(
                format_args!("{vault} is not a StakeWise vault on {}", network.name),
                "compare `--vault` and `--network` with the vault's page",
            ))
        };
        let snapshot = match operator.execution.head().await {
            Ok(snapshot) => snapshot,
            Err(error) => return unreadable("the newest block", &error),
        };
        let state = match snapshot.vault(vault, network).await {
            Ok(state) if state.in_registry => state,
            Ok(_) | Err(ExecutionError::NotAVault { .. }) => return not_a_vault(),
            Err(error) => return unreadable_contracts("the vault", &error),
        };
        match road(&state, network) {
            Ok(road) => Verdict::Passed(format!("version {}, {road}", state.version)),
            Err(error) => Verdict::Warning(Finding::new(error, "the operator looks again at every block")),
        }
    }
}

/// The wallet can pay, and its journal accounts for everything it sent.
pub(super) struct Wallet;

#[async_trait]
impl Check for Wallet {
    fn name(&self) -> &'static str {
        "wallet"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        let address = operator.wallet.address();
        if operator.adopt_wallet
            && let Err(error) = operator.wallet.adopt().await
        {
            return unusable(error);
        }
        match operator.wallet.reconcile().await {
            Ok(open) => {
                for entry in open {
                    tracing::info!(tx = %entry.hash, kind = entry.kind, "a transaction of an earlier run is still open");
                }
            }
            Err(error) => return unusable(error),
        }
        let network = &operator.network;
        let balance = match operator.execution.head().await {
            Ok(snapshot) => match snapshot.balance(address).await {
                Ok(balance) => balance,
                Err(error) => return unreadable("the wallet's balance", &error),
            },
            Err(error) => return unreadable("the newest block", &error),
        };
        let shown = format!("{address} holds {} {}", Ether(balance), network.wallet_symbol);
        if balance < network.wallet_min_balance {
            let remedy = format!(
                "send the wallet at least {} {}",
                Ether(network.wallet_min_balance),
                network.wallet_symbol
            );
            return Verdict::Warning(Finding::new(shown, remedy));
        }
        Verdict::Passed(shown)
    }
}

fn unusable(error: SendError) -> Verdict {
    match error {
        SendError::Execution(_) => unreadable("the wallet's transactions", &error),
        SendError::NotSettled { .. } => Verdict::Waiting(Finding::new(
            error,
            "wait until it is in a block; if another program uses this wallet, stop it",
        )),
        SendError::AnotherOperator { .. } => Verdict::Refused(Finding::new(error_chain(&error), WALLET_REMEDY)),
        error => Verdict::Failed(Finding::new(
            error_chain(&error),
            "make room on the disk and let this user write to the vault's directory; nothing is sent unrecorded",
        )),
    }
}

/// Two operators on one wallet could register the same keys; one transaction sent by hand looks the same from here.
pub const WALLET_REMEDY: &str = "stop the other program, or give this operator a wallet of its own with `operator create-wallet`; \
    if it was you and nothing else uses the wallet any more, start once with `--adopt-wallet`";

/// The oracles' config can be fetched and agrees with the chain.
pub(super) struct OracleConfig;

#[async_trait]
impl Check for OracleConfig {
    fn name(&self) -> &'static str {
        "oracle-config"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        let snapshot = match operator.execution.head().await {
            Ok(snapshot) => snapshot,
            Err(error) => return unreadable("the newest block", &error),
        };
        let (vault, network, wallet) = (operator.vault, &operator.network, operator.wallet.address());
        let version = match snapshot.vault(vault, network).await {
            Ok(state) => state.version,
            Err(error) => return unreadable_contracts("the vault", &error),
        };
        let state = match snapshot.registration(vault, version, network, wallet).await {
            Ok(state) => state,
            Err(error) => return unreadable_contracts("the Keeper", &error),
        };
        let later = "no share leaves before this is settled; it is looked at again before every registration";
        match operator
            .oracles
            .load(&snapshot, state.validators_min_oracles, state.rewards_min_oracles)
            .await
        {
            Ok(Ok((set, cid))) => Verdict::Passed(format!(
                "{} oracles, {} must approve, {cid}",
                set.oracles().len(),
                set.approvals_needed()
            )),
            Ok(Err(why)) => Verdict::Warning(Finding::new(why, later)),
            Err(error) => Verdict::Warning(Finding::new(error_chain(&error), later)),
        }
    }
}
