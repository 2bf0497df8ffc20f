//! The deposit data and the keys behind it.

use std::sync::Arc;

use async_trait::async_trait;
use sw_keys::verify_batch;

use super::{Check, Finding, Verdict};
use crate::Operator;

/// Every entry of the deposit data file is for this vault and network, and validly signed.
///
/// Ten thousand signatures take six seconds: those of a large file are checked when their turn comes, before the oracles are
/// asked. `operator deposit-data verify` checks all.
pub(super) struct DepositData;

#[async_trait]
impl Check for DepositData {
    fn name(&self) -> &'static str {
        "deposit-data"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        let (file, vault, network) = (
            Arc::clone(&operator.deposit_data),
            operator.vault,
            operator.network.clone(),
        );
        let random = operator.random;
        let verified = tokio::task::spawn_blocking(move || {
            file.verify_with(vault, &network, |claims| {
                if claims.len() > MOST_SIGNATURES {
                    vec![true; claims.len()]
                } else {
                    verify_batch(claims, &mut *random())
                }
            })
        });
        let verified = verified.await;
        let remedy =
            "create the file again with `operator create-keys` for this vault and network, and upload its root";
        match verified {
            Ok(Ok(())) => Verdict::Passed(format!("{} keys, root {}", operator.tree.len(), operator.tree.root())),
            Ok(Err(error)) => Verdict::Failed(Finding::new(error, remedy)),
            Err(_) => Verdict::Failed(Finding::new("the verification was cut short", "report this as a bug")),
        }
    }
}

/// About half a second's worth.
const MOST_SIGNATURES: usize = 1_000;

/// The signer holds the keys of the file.
pub(super) struct Keystores;

#[async_trait]
impl Check for Keystores {
    fn name(&self) -> &'static str {
        "keystores"
    }

    async fn run(&self, operator: &Operator) -> Verdict {
        let tree = &operator.tree;
        let keys = (0..tree.len()).filter_map(|position| tree.public_key(position));
        let missing: Vec<_> = keys.filter(|key| !operator.signer.holds(key)).collect();
        let Some(first) = missing.first() else {
            return Verdict::Passed(format!("all {} keys of the deposit data are here", tree.len()));
        };
        if missing.len() == tree.len() {
            return Verdict::Failed(Finding::new(
                format_args!(
                    "none of the {} keys of the deposit data is among the {} keystores",
                    tree.len(),
                    operator.signer.key_count()
                ),
                "point `--keystores-dir` at the keystores of this vault, or `--deposit-data-file` at their file",
            ));
        }
        Verdict::Warning(Finding::new(
            format_args!(
                "{} of {} keys of the deposit data are not here, the first is {first}",
                missing.len(),
                tree.len()
            ),
            "registration stops at the first missing key; another operator of this vault may hold it",
        ))
    }
}
