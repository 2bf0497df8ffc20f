//! Passwords of keystores: how they are made, and what of them counts.

use rand_core::CryptoRng;
use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Draws a password of 20 characters with at least one lower-case letter, upper-case letter, digit and symbol of
/// `!@#$%^&*()_`: about 123 bits.
pub fn generate_password(rng: &mut (impl CryptoRng + ?Sized)) -> SecretString {
    loop {
        let mut password = Zeroizing::new(String::with_capacity(LENGTH));
        while password.len() < LENGTH {
            password.push(char::from(draw(rng)));
        }
        if CLASSES
            .iter()
            .all(|class| password.bytes().any(|byte| class.contains(&byte)))
        {
            return SecretString::from(password.as_str());
        }
    }
}

/// A character of the alphabet, each as likely as any other.
fn draw(rng: &mut (impl CryptoRng + ?Sized)) -> u8 {
    loop {
        let mut byte = [0];
        rng.fill_bytes(&mut byte);
        // Seven bits cover the 73 characters; the rest of them are drawn again.
        let position = usize::from(byte[0] & 0x7f);
        if let Some(character) = CLASSES.iter().copied().flatten().nth(position) {
            return *character;
        }
    }
}

/// The text that a keystore's key is derived from: NFKD, without control characters (EIP-2335, "Password requirements").
///
/// So a line ending that crept into a password file does no harm.
pub(crate) fn normalise(password: &SecretString) -> Zeroizing<String> {
    let text = password.expose_secret();
    let mut normalised = Zeroizing::new(String::with_capacity(text.len().saturating_mul(GROWTH)));
    normalised.extend(text.nfkd().filter(|character| !character.is_control()));
    normalised
}

const LENGTH: usize = 20;
const CLASSES: [&[u8]; 4] = [
    b"abcdefghijklmnopqrstuvwxyz",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"0123456789",
    b"!@#$%^&*()_",
];
/// Room for what NFKD makes of ordinary letters, so that the secret is not copied while the text grows.
const GROWTH: usize = 3;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn generated_passwords_have_every_class_and_differ() {
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let mut seen = HashSet::new();
        let mut used = HashSet::new();
        for _ in 0..2000 {
            let password = generate_password(&mut rng);
            let text = password.expose_secret();
            assert_eq!(text.len(), 20);
            assert!(
                CLASSES
                    .iter()
                    .all(|class| text.bytes().any(|byte| class.contains(&byte))),
                "{text}"
            );
            used.extend(text.bytes());
            seen.insert(text.to_owned());
        }
        assert_eq!(seen.len(), 2000);
        assert_eq!(used.len(), 73);
    }

    #[test]
    fn normalisation_is_that_of_the_eip() {
        let cases = [
            ("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑", "testpassword🔑"),
            ("pass\u{0}\u{1f}\u{7f}\u{80}\u{9f}word\r\n", "password"),
            ("\u{212b}", "A\u{30a}"),
            ("\u{c5}", "A\u{30a}"),
            (" spaces stay ", " spaces stay "),
        ];
        for (typed, expected) in cases {
            assert_eq!(normalise(&SecretString::from(typed)).as_str(), expected);
        }
    }
}
