//! What `recover` asks and says.

use std::{collections::BTreeSet, fmt::Display, num::NonZeroU32};

use sw_key_ops::{FoundKey, RestoreError, Restored, SearchOutcome};
use sw_spec::{Address, PublicKeyBytes};
use sw_vault_dir::{BatchError, LockError, VaultDir};

use super::chain::Registered;
use crate::{
    config::ChosenNetwork,
    error::{CliError, Kind},
    ui::{Question, Ui},
};

pub(super) const MNEMONIC: &str = "Enter the mnemonic for generating the validator keys";
pub(super) const VAULT: Question<'_> = Question {
    text: "Enter your vault address",
    flag: "`--vault`",
    default: None,
};
pub(super) const EXECUTION: Question<'_> = Question {
    text: "Enter comma separated list of API endpoints for execution nodes",
    flag: "`--execution-endpoints`",
    default: None,
};
pub(super) const CONSENSUS: Question<'_> = Question {
    text: "Enter comma separated list of API endpoints for consensus nodes",
    flag: "`--consensus-endpoints`",
    default: None,
};

/// Says what the chain knows, or that there is nothing to recover.
pub(super) fn announce(
    registered: &Registered,
    staying: &BTreeSet<PublicKeyBytes>,
    vault: Address,
    network: &ChosenNetwork,
    ui: &Ui,
) -> Result<(), CliError> {
    let ((from, to), network) = (registered.blocks, &network.spec.name);
    let all = registered.keys.len();
    if all == 0 {
        return Err(CliError::new(
            Kind::Failed,
            format_args!("vault {vault} on {network} has no registered validators in blocks {from} to {to}"),
        )
        .hint("name the right vault with `--vault` and its network with `--network`")
        .hint("if it has validators, the execution node does not give their events: name another in `--execution-endpoints`"));
    }
    let exited = all - staying.len();
    if staying.is_empty() {
        return Err(CliError::new(
            Kind::Failed,
            format_args!("all {all} validators of vault {vault} on {network} have exited: no key is needed any more"),
        ));
    }
    if exited > 0 {
        ui.say(format_args!(
            "{exited} of {all} validators have exited and are left out."
        ));
    }
    Ok(())
}

/// Has the person agree to what will be done.
pub(super) fn confirm(staying: &BTreeSet<PublicKeyBytes>, directory: &VaultDir, ui: &Ui) -> Result<(), CliError> {
    let count = staying.len();
    agreed(&format!("Found {count} validators. Recover their keystores?"), ui)?;
    let keystores = directory.keystores();
    if keystores.exists() {
        let shown = keystores.display();
        agreed(
            &format!("`{shown}` exists: it will be kept as `{shown}.bak-<n>`, and the new one takes its place. Go on?"),
            ui,
        )?;
    }
    Ok(())
}

fn agreed(text: &str, ui: &Ui) -> Result<(), CliError> {
    let question = Question {
        text,
        flag: "`--no-confirm`",
        default: Some("yes"),
    };
    let yes = ui.answer(None, question, |answer| match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("answer yes or no"),
    })?;
    if yes {
        Ok(())
    } else {
        Err(CliError::new(Kind::Failed, "declined; nothing was changed"))
    }
}

/// A consensus node that knows every key it is asked about is wrong, or there is more to search than was allowed.
pub(super) fn all_in_use(max_gap: NonZeroU32) -> CliError {
    CliError::new(
        Kind::Failed,
        format_args!(
            "the consensus node knows more than {max_gap} keys of this mnemonic that the vault has not registered"
        ),
    )
    .cause("no unused key to restore was found; nothing was changed")
    .hint(go_on(max_gap))
}

/// The search ended without a key. That proves nothing against the mnemonic.
pub(super) fn none_found(outcome: &SearchOutcome, wanted: usize, max_gap: NonZeroU32) -> CliError {
    CliError::new(Kind::Failed, searched(outcome, 0, wanted))
        .cause("nothing was written, and nothing that was there before was touched")
        .hint(go_on(max_gap))
        .hint("the vault's keys may be of another mnemonic of yours, or the vault may be another one")
}

/// Some validators are without a keystore still.
pub(super) fn some_missing(
    outcome: &SearchOutcome,
    found: usize,
    missing: &[PublicKeyBytes],
    max_gap: NonZeroU32,
) -> CliError {
    CliError::new(
        Kind::PartlyDone,
        searched(outcome, found, found.saturating_add(missing.len())),
    )
    .cause(format_args!(
        "the keys that were found are restored; missing: {}",
        listed(missing)
    ))
    .hint(go_on(max_gap))
    .hint("they may be of another mnemonic of yours: recover them into another `--data-dir`")
}

fn searched(outcome: &SearchOutcome, found: usize, wanted: usize) -> String {
    format!(
        "searched indices 0 to {}, found {found} of {wanted} keys; the mnemonic is not disproved: the others may lie at \
         higher indices",
        outcome.last_index
    )
}

fn go_on(max_gap: NonZeroU32) -> String {
    format!("search further with `--max-gap {}`", max_gap.get().saturating_mul(10))
}

/// Keys that have signed lately are on some machine.
pub(super) fn at_work(live: &[FoundKey], found: usize) -> CliError {
    let keys: Vec<_> = live.iter().map(|key| key.public_key).collect();
    CliError::new(
        Kind::Unsafe,
        format_args!(
            "{} of the {found} keys have been at work in the last two epochs: they are loaded in a validator client \
             somewhere, and two that sign with the same key are slashed",
            live.len()
        ),
    )
    .cause(format_args!("at work: {}", listed(&keys)))
    .hint(
        "for this operator service, which signs exits and never attests, it is normal that the validators run: \
         `--allow-live-keys` restores them, as long as the new keystores are not loaded into a second validator client",
    )
    .hint("to move the validators to this machine, first stop the validator client that has them, and wait two epochs")
}

/// A node that keeps no track cannot say that nobody is at work.
pub(super) fn liveness_unknown(cause: impl Display) -> CliError {
    CliError::new(
        Kind::Unsafe,
        "it cannot be told whether the keys are at work on another machine, and two that sign with the same key are slashed",
    )
    .cause(cause)
    .hint("have the consensus node track liveness (Teku: `--beacon-liveness-tracking-enabled`), or name another node")
    .hint("`--allow-live-keys` restores the keys all the same; do not load them into a second validator client")
}

/// Says where everything from before is.
pub(super) fn kept(restored: &Restored, ui: &Ui) {
    let replaced = &restored.replaced;
    for (what, kept) in [
        ("The keystores that were there before are", &replaced.previous_keystores),
        (
            "The deposit data that was there before is",
            &replaced.previous_deposit_data,
        ),
        ("The configuration that was there before is", &replaced.previous_config),
    ] {
        if let Some(path) = kept {
            ui.say(format_args!("{what} kept as `{}`.", path.display()));
        }
    }
    match restored.left_behind {
        Some(0) => {}
        Some(count) => ui.warn(format_args!(
            "{count} of them are of keys that were not restored, exited or not registered yet, and are in use no more: \
             copy back what is needed, or restore unused keys with `--restore-deposit-data`"
        )),
        None => ui.warn("not all of them could be read: whether each of their keys is restored is not known"),
    }
}

/// The vault's directory is in use, or cannot be.
pub(super) fn locked(error: &LockError) -> CliError {
    match error {
        LockError::Held { .. } => CliError::from_error(Kind::Unsafe, error)
            .hint("stop the operator, or wait for the other command to end, then run this again"),
        _ => CliError::from_error(Kind::Failed, error)
            .hint("the data directory must be writable; `--data-dir` names another"),
    }
}

/// Nothing was restored.
pub(super) fn refused(error: &RestoreError) -> CliError {
    match error {
        RestoreError::OtherMnemonic(_) => CliError::from_error(Kind::Secret, error).hint(
            "its keys are not put aside: use the mnemonic of this directory, or recover into another `--data-dir`",
        ),
        RestoreError::OtherNetwork { .. } | RestoreError::OtherNetworkFile { .. } => {
            CliError::from_error(Kind::Unsafe, error)
                .hint("name the network of this directory, or recover into another `--data-dir`")
        }
        RestoreError::Batch(BatchError::NotMoved { .. }) => CliError::from_error(Kind::PartlyDone, error),
        _ => CliError::from_error(Kind::Failed, error).hint("nothing was changed; mend the cause and run this again"),
    }
}

fn listed(keys: &[impl Display]) -> String {
    let shown: Vec<_> = keys.iter().take(MOST_LISTED).map(ToString::to_string).collect();
    match keys.len().saturating_sub(MOST_LISTED) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

const MOST_LISTED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_ended_says_nothing_against_the_mnemonic() {
        let key = PublicKeyBytes([7; 48]);
        let outcome = sw_key_ops::search(
            &sw_key_ops::Search {
                mnemonic: &sw_keys::Mnemonic::from_entropy(sw_keys::Language::Czech, &[1; 32]).expect("32 bytes"),
                public_keys: &BTreeSet::from([key]),
                max_gap: NonZeroU32::MIN,
                workers: sw_key_ops::Workers::new(std::num::NonZeroUsize::MIN),
            },
            &sw_key_ops::NoProgress,
        );
        for said in [
            none_found(&outcome, 1, NonZeroU32::MIN),
            some_missing(&outcome, 3, &[key], NonZeroU32::MIN),
        ] {
            let said = format!("{said:?}").to_lowercase();
            for word in ["wrong", "incorrect", "invalid", "mistyped"] {
                assert!(!said.contains(word), "{said}");
            }
            assert!(
                said.contains("not disproved") && said.contains("--max-gap 10"),
                "{said}"
            );
        }
    }
}
