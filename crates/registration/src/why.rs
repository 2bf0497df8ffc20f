//! Why a duty does nothing, in words for the person who waits.

use std::fmt;

use sw_chain_client::{Step, Waiting};
use sw_spec::{Address, B256, PublicKeyBytes, U256};

use crate::{ForeignDeposit, Purpose};

/// A reason for which a duty does not do what it is for now. It is no error: most of them pass.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyNot {
    /// The vault does not hold the stake of one validator.
    NotEnoughAssets {
        /// What it could stake, in wei of its asset.
        stakeable: U256,
        /// What one validator takes, in the same unit.
        needed: U256,
        /// The asset.
        symbol: String,
    },
    /// The vault's deposit data root is another than that of the file.
    RootNotUploaded {
        /// The root of the file.
        file: B256,
        /// The root on chain; zero when none was ever set.
        chain: B256,
        /// Who may set it.
        manager: Address,
        /// What they must call.
        upload: String,
    },
    /// Every key of the file is used.
    KeysUsedUp {
        /// How many there were.
        keys: usize,
    },
    /// The next key of the file is not among the keystores.
    KeyNotHeld {
        /// The key.
        validator: PublicKeyBytes,
        /// Its position in the file, from 0.
        position: u64,
    },
    /// The next key of the file already has a deposit.
    KeyDeposited {
        /// The key.
        validator: PublicKeyBytes,
        /// Its position in the file, from 0.
        position: u64,
    },
    /// The next key of the file has a valid deposit that pays out to somebody else: it must never be registered.
    Quarantined {
        /// The deposit.
        foreign: Box<ForeignDeposit>,
        /// The key's position in the file, from 0.
        position: u64,
    },
    /// The next key of the file has a deposit signature that is not its own for this vault and network.
    BadDeposit {
        /// The key.
        validator: PublicKeyBytes,
        /// Its position in the file, from 0.
        position: u64,
    },
    /// Gas costs more than the operator is willing to pay.
    GasTooHigh {
        /// The fee per gas now, in wei.
        price: u128,
        /// The limit, in wei.
        limit: u128,
    },
    /// The wallet cannot pay for the transaction.
    WalletTooPoor {
        /// What it is for.
        purpose: Purpose,
        /// The wallet.
        wallet: Address,
        /// Its balance in wei.
        balance: U256,
        /// What it may cost, in wei.
        needed: U256,
        /// What gas is paid in.
        symbol: String,
    },
    /// The vault was never approved by the oracles' rewards, yet its state is too old to register.
    HarvestUnknown {
        /// The vault.
        vault: Address,
    },
    /// The vault can be harvested, and the rewards file does not say what.
    NotInRewards {
        /// The vault.
        vault: Address,
    },
    /// A transaction is on its way.
    TransactionPending {
        /// What it is for.
        purpose: Purpose,
        /// What is known of it, and what is done about it.
        waiting: Box<Waiting>,
    },
    /// The nodes do not take the transaction.
    TransactionRefused {
        /// What it is for.
        purpose: Purpose,
        /// What the last one said.
        message: String,
    },
    /// A transaction that may have done the same is in a block that was not seen yet.
    DoneMeanwhile {
        /// That transaction.
        tx: B256,
        /// Its block.
        block: u64,
    },
    /// An oracle of the config is not one on chain: the set is being changed, or the config is forged.
    OraclesChanging {
        /// What is wrong, as the oracle set says it.
        detail: String,
    },
    /// What the oracles were asked to approve has no use any more, because something changed meanwhile.
    Overtaken {
        /// What changed.
        what: &'static str,
    },
    /// The network's validators are not all known yet.
    ValidatorsNotScanned,
    /// The vault is managed by somebody else.
    OtherRoad {
        /// What its situation is and what to do.
        detail: String,
    },
    /// No exit signature of the vault is outdated.
    UpToDate,
    /// The vault has never had a validator, and so no exit signatures.
    NoValidators,
    /// The last rotation can still be undone.
    RotationNotFinal {
        /// Its block.
        block: u64,
    },
    /// The Keeper counts rotations of the vault, but the node does not show the last one.
    RotationUnknown {
        /// How many it counts.
        count: U256,
        /// From which block on it was searched for.
        from: u64,
    },
    /// Too few oracles can tell which exit signatures are outdated.
    OutdatedUnknown {
        /// How many can, and how many must.
        detail: String,
    },
    /// Of those whose exit signatures are outdated, no key can be used.
    OutdatedNotHeld {
        /// How many they are.
        count: usize,
    },
    /// What the oracles call outdated are not validators of the vault.
    OutdatedNotOurs {
        /// How many they are.
        count: usize,
    },
}

impl WhyNot {
    /// Whether it tells of the same transaction, of which the same has become.
    fn is_about(&self, other: &Waiting) -> bool {
        matches!(self, Self::TransactionPending { waiting, .. } if (waiting.hash, waiting.step) == (other.hash, other.step))
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEnoughAssets {
                stakeable,
                needed,
                symbol,
            } => {
                write!(
                    f,
                    "the vault can stake {} {symbol}, a validator takes {}",
                    Ether(*stakeable),
                    Ether(*needed)
                )
            }
            Self::RootNotUploaded {
                chain, manager, upload, ..
            } if chain.is_zero() => {
                write!(
                    f,
                    "no deposit data root is set for the vault; {manager} must call {upload}"
                )
            }
            Self::RootNotUploaded {
                file,
                chain,
                manager,
                upload,
            } => write!(
                f,
                "the deposit data root on chain is {chain}, that of the file is {file}; {manager} must call {upload}, \
                 or this operator needs the file that was uploaded"
            ),
            Self::KeysUsedUp { keys } => {
                write!(
                    f,
                    "all {keys} keys of the deposit data file are used; create more and upload the new root"
                )
            }
            Self::KeyNotHeld { validator, position } => write!(
                f,
                "the next key {validator} (number {position} of the deposit data file, from 0) is not in the keystores \
                 directory; another operator of this vault may hold it"
            ),
            Self::KeyDeposited { validator, position } => write!(
                f,
                "the next key {validator} (number {position} of the deposit data file, from 0) already has a deposit; \
                 upload a root over unused keys only"
            ),
            Self::Quarantined { foreign, position } => write!(
                f,
                "the next key {} (number {position} of the deposit data file, from 0) must never be registered: transaction \
                 {} in block {} made a valid deposit for it that pays out to {}; upload a root over other keys",
                foreign.validator, foreign.transaction, foreign.block, foreign.withdrawal_credentials
            ),
            Self::BadDeposit { validator, position } => write!(
                f,
                "the next key {validator} (number {position} of the deposit data file, from 0) has a deposit signature that \
                 does not hold for this vault and network; create the file again and upload its root"
            ),
            Self::GasTooHigh { price, limit } => {
                write!(
                    f,
                    "gas costs {} gwei, the limit is {} gwei",
                    GweiOf(*price),
                    GweiOf(*limit)
                )
            }
            Self::WalletTooPoor {
                purpose,
                wallet,
                balance,
                needed,
                symbol,
            } => write!(
                f,
                "the wallet {wallet} holds {} {symbol}, a {} may cost {}; send it some",
                Ether(*balance),
                purpose.noun(),
                Ether(*needed)
            ),
            Self::HarvestUnknown { vault } => {
                write!(
                    f,
                    "the vault {vault} must be harvested first, but the last rewards file does not list it"
                )
            }
            Self::NotInRewards { vault } => write!(f, "the last rewards file does not list the vault {vault}"),
            Self::TransactionPending { purpose, waiting } => pending(f, purpose.noun(), waiting),
            Self::TransactionRefused { purpose, message } => write!(
                f,
                "every execution node refused the {}: {message}; trying again within two slots",
                purpose.noun()
            ),
            Self::DoneMeanwhile { tx, block } => write!(
                f,
                "transaction {tx} in block {block} may have done it already; looking again"
            ),
            Self::OraclesChanging { detail } => write!(f, "the oracle set is not consistent: {detail}"),
            Self::Overtaken { what } => write!(f, "{what} changed while the oracles were asked; trying again"),
            Self::ValidatorsNotScanned => write!(f, "the network's validators are still being read from the chain"),
            Self::OtherRoad { detail } => f.write_str(detail),
            Self::UpToDate => f.write_str("exit signatures are up to date"),
            Self::NoValidators => f.write_str("the vault has had no validator yet"),
            Self::RotationNotFinal { block } => write!(f, "the last rotation, in block {block}, is not final yet"),
            Self::RotationUnknown { count, from } => write!(
                f,
                "the Keeper counts {count} rotations of the vault, but from block {from} on the node does not show the last \
                 one; it may have pruned its logs, and another node is needed"
            ),
            Self::OutdatedUnknown { detail } => f.write_str(detail),
            Self::OutdatedNotHeld { count } => write!(
                f,
                "the exit signatures of {count} {} are outdated, and this operator can use none of the keys",
                validators(*count)
            ),
            Self::OutdatedNotOurs { count } => write!(
                f,
                "the oracles call exit signatures of {count} {} outdated that the vault does not have",
                validators(*count)
            ),
        }
    }
}

fn validators(count: usize) -> &'static str {
    if count == 1 { "validator" } else { "validators" }
}

/// The first few of a list, and how many more there are.
pub(crate) struct Few<'a, T>(pub(crate) &'a [T]);

impl<T: fmt::Display> fmt::Display for Few<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, item) in self.0.iter().take(FEW).enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        match self.0.len().saturating_sub(FEW) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

const FEW: usize = 10;

fn pending(f: &mut fmt::Formatter<'_>, what: &str, waiting: &Waiting) -> fmt::Result {
    let tx = waiting.hash;
    match waiting.step {
        Step::Cancelled => write!(
            f,
            "the {what} on its way has become useless and is being cancelled by {tx}"
        )?,
        Step::Resent => write!(f, "{what} {tx} was not known to any node any more and was sent again")?,
        Step::Replaced => write!(
            f,
            "the {what} on its way offered too little for gas and was replaced by {tx}"
        )?,
        _ => write!(f, "{what} {tx} is sent and not yet mined")?,
    }
    if let Some(blocks) = waiting.blocks.filter(|blocks| *blocks > 0) {
        write!(
            f,
            "; {blocks} {} have passed",
            if blocks == 1 { "block" } else { "blocks" }
        )?;
    }
    match (waiting.step, waiting.asks) {
        (Step::Behind { nonce }, _) => write!(f, "; the wallet's transaction with nonce {nonce} goes first"),
        (Step::AtLimit, Some(asks)) => write!(
            f,
            "; it offers {} gwei for gas, the market asks {}, and replacing it would exceed the limit",
            GweiOf(waiting.offers),
            GweiOf(asks)
        ),
        (_, Some(asks)) => write!(
            f,
            "; it offers up to {} gwei for gas, the market asks {}",
            GweiOf(waiting.offers),
            GweiOf(asks)
        ),
        (_, None) => Ok(()),
    }
}

/// Says a reason at info once, and again only when it becomes another one.
#[derive(Debug, Default)]
pub(crate) struct SaidOnce(Option<std::mem::Discriminant<WhyNot>>, Option<WhyNot>);

impl SaidOnce {
    /// Logs `idle` and why, unless that was the last thing said. An amount that only grows is not a new reason.
    pub(crate) fn say(&mut self, idle: &'static str, why: &WhyNot) {
        let kind = std::mem::discriminant(why);
        let news = match why {
            WhyNot::NotEnoughAssets { .. }
            | WhyNot::GasTooHigh { .. }
            | WhyNot::WalletTooPoor { .. }
            | WhyNot::TransactionRefused { .. }
            | WhyNot::OutdatedUnknown { .. } => self.0 != Some(kind),
            WhyNot::TransactionPending { waiting, .. } => self.1.as_ref().is_none_or(|said| !said.is_about(waiting)),
            _ => self.1.as_ref() != Some(why),
        };
        if news {
            tracing::info!(reason = %why, "{idle}");
        } else {
            tracing::debug!(reason = %why, "{idle}");
        }
        self.0 = Some(kind);
        self.1 = Some(why.clone());
    }

    /// Forgets: the next reason is news again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A text without its digits: a number that moves is not news.
pub(crate) fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// An amount in wei, shown in units of 10^18 with at most four digits behind the point, rounded down.
pub(crate) struct Ether(pub(crate) U256);

impl fmt::Display for Ether {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = U256::from(10).pow(U256::from(18));
        let (whole, rest) = self.0.div_rem(unit);
        let digits: u64 = rest
            .checked_div(U256::from(10).pow(U256::from(14)))
            .unwrap_or_default()
            .saturating_to();
        let fraction = format!("{digits:04}");
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

/// What gas costs, in wei, shown in units of 10^18 with all that a gwei can tell, rounded up.
pub(crate) struct Cost(pub(crate) U256);

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gwei = U256::from(1_000_000_000);
        let (whole, rest) = self.0.div_ceil(gwei).div_rem(gwei);
        let fraction = format!("{:09}", rest.saturating_to::<u64>());
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

/// A price in wei, shown in gwei with at most two digits behind the point.
pub(crate) struct GweiOf(pub(crate) u128);

impl fmt::Display for GweiOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0 / 10_000_000;
        write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_a_person_writes_them() {
        let eth = |text: &str| Ether(U256::from_str_radix(text, 10).expect("decimal")).to_string();
        assert_eq!(eth("32000000000000000000"), "32");
        assert_eq!(eth("11400000000000000000"), "11.4");
        assert_eq!(eth("31999999999999999999"), "31.9999");
        assert_eq!(eth("1"), "0");
        let cost = |wei: u64| Cost(U256::from(wei)).to_string();
        assert_eq!(cost(1_234_567_000_000), "0.000001235", "never less than it is");
        assert_eq!((cost(1), cost(0)), ("0.000000001".to_owned(), "0".to_owned()));
        assert_eq!(cost(2_500_000_000_000_000_000), "2.5");
        assert_eq!(GweiOf(10_500_000_000).to_string(), "10.50");
    }

    #[test]
    fn a_transaction_on_its_way_is_told_with_its_age_its_offer_and_what_is_done() {
        let mut waiting = Waiting::new("register", B256::repeat_byte(1), 7, 6_000_000_000);
        let told = |waiting: &Waiting| {
            let why = WhyNot::TransactionPending {
                purpose: Purpose::Register,
                waiting: Box::new(waiting.clone()),
            };
            why.to_string().replace(&B256::repeat_byte(1).to_string(), "T")
        };
        assert_eq!(told(&waiting), "registration T is sent and not yet mined");
        (waiting.blocks, waiting.asks) = (Some(4), Some(7_500_000_000));
        assert_eq!(
            told(&waiting),
            "registration T is sent and not yet mined; 4 blocks have passed; it offers up to 6.00 gwei for gas, the market \
             asks 7.50"
        );
        waiting.step = Step::AtLimit;
        assert!(told(&waiting).ends_with("the market asks 7.50, and replacing it would exceed the limit"));
        waiting.step = Step::Cancelled;
        assert!(told(&waiting).contains("has become useless and is being cancelled by T; 4 blocks"));
        let mut said = SaidOnce::default();
        let why = |waiting: &Waiting| WhyNot::TransactionPending {
            purpose: Purpose::Register,
            waiting: Box::new(waiting.clone()),
        };
        said.say("idle", &why(&waiting));
        let before = why(&waiting);
        waiting.blocks = Some(5);
        assert!(before.is_about(&waiting), "another block is no news");
        waiting.step = Step::Resent;
        assert!(!before.is_about(&waiting));
    }

    #[test]
    fn a_growing_balance_is_not_news_but_another_reason_is() {
        let poor = |wei: u64| WhyNot::NotEnoughAssets {
            stakeable: U256::from(wei),
            needed: U256::from(32),
            symbol: "ETH".to_owned(),
        };
        let mut said = SaidOnce::default();
        said.say("idle", &poor(1));
        assert_eq!(said.0, Some(std::mem::discriminant(&poor(2))));
        said.say("idle", &WhyNot::ValidatorsNotScanned);
        assert_eq!(said.1, Some(WhyNot::ValidatorsNotScanned));
        said.clear();
        assert!(said.0.is_none());
    }
}
