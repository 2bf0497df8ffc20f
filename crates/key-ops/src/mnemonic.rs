//! Whether a mnemonic is the one that is meant.

use subtle::ConstantTimeEq;
use sw_keys::{ExposeSecret, Mnemonic, SecretString, ValidatorKeys};
use sw_vault_dir::VaultConfig;

/// A valid mnemonic that is not the one this vault's keys are derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this mnemonic is not the one the vault was initialized with")]
pub struct WrongMnemonic;

/// Checks that `mnemonic` derives the first public key named in `config`.
///
/// # Errors
///
/// [`WrongMnemonic`] when it derives another.
pub fn check_mnemonic(config: &VaultConfig, mnemonic: &Mnemonic) -> Result<(), WrongMnemonic> {
    check_keys(config, &ValidatorKeys::new(&mnemonic.to_seed()))
}

pub(crate) fn check_keys(config: &VaultConfig, keys: &ValidatorKeys) -> Result<(), WrongMnemonic> {
    let first = keys.key(0).public_key().to_bytes();
    config.check_first_public_key(&first).map_err(|_| WrongMnemonic)
}

/// Tells whether `typed` says the words of `mnemonic`: in any case and spacing, quoted, or shortened to four letters.
pub fn same_phrase(mnemonic: &Mnemonic, typed: &SecretString) -> bool {
    Mnemonic::parse(typed.expose_secret()).is_ok_and(|parsed| {
        bool::from(
            parsed
                .expose_phrase()
                .as_bytes()
                .ct_eq(mnemonic.expose_phrase().as_bytes()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

    #[test]
    fn a_phrase_is_recognised_however_it_is_typed() {
        let mnemonic = Mnemonic::parse(PHRASE).expect("valid");
        for typed in [
            PHRASE.to_owned(),
            PHRASE.to_uppercase(),
            format!("\"{PHRASE}\""),
            PHRASE.replace(' ', "  \t"),
            "lega winn than year wave saus wort usef lega winn than yell".to_owned(),
        ] {
            assert!(same_phrase(&mnemonic, &typed.into()));
        }
    }

    #[test]
    fn another_phrase_is_not() {
        let mnemonic = Mnemonic::parse(PHRASE).expect("valid");
        let abandon = format!("{}about", "abandon ".repeat(11));
        for typed in [abandon.as_str(), "legal winner", "", "no words at all"] {
            assert!(!same_phrase(&mnemonic, &typed.into()), "{typed}");
        }
    }
}
