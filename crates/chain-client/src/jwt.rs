//! Tokens for execution nodes that want to know who asks (Engine API, authentication).

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// The secret that a node's operator and its clients share: 32 bytes.
#[derive(Clone)]
pub struct JwtSecret(Zeroizing<[u8; 32]>);

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret")
    }
}

/// A text that is not the secret of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a JWT secret is 32 bytes in hexadecimal, 64 digits")]
pub struct InvalidJwtSecret;

impl FromStr for JwtSecret {
    type Err = InvalidJwtSecret;

    /// Hexadecimal text as nodes write it to `jwt.hex`: with or without `0x`, and with white space around it.
    fn from_str(text: &str) -> Result<Self, InvalidJwtSecret> {
        let text = text.trim();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut secret = Self(Zeroizing::default());
        hex::decode_to_slice(digits, secret.0.as_mut_slice()).map_err(|_| {
            secret.0.zeroize();
            InvalidJwtSecret
        })?;
        Ok(secret)
    }
}

impl JwtSecret {
    /// A token that says it was made at this Unix time: HS256 (RFC 7515), good for a minute.
    ///
    /// Nodes take one whose `iat` is at most a minute from their clock; `exp` keeps it from being of use to whoever
    /// comes by it later.
    pub(crate) fn token(&self, now: u64) -> Zeroizing<String> {
        let claims = format!(r#"{{"iat":{now},"exp":{}}}"#, now.saturating_add(LIFETIME));
        let mut token = Zeroizing::new(format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims)));
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) {
            mac.update(token.as_bytes());
            let signature = mac.finalize().into_bytes();
            token.push('.');
            URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        }
        token
    }
}

/// `{"typ":"JWT","alg":"HS256"}`
const HEADER: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
/// Seconds.
const LIFETIME: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0x7365637265747365637265747365637265747365637265747365637265747365";

    /// Computed with Python's `hmac`, `hashlib` and `base64`.
    #[test]
    fn a_token_is_what_another_implementation_makes() {
        let secret: JwtSecret = SECRET.parse().expect("a secret");
        assert_eq!(
            secret.token(1_700_000_000).as_str(),
            "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDA2MH0.fzPlGrNbdHaEU9FTUswwI1XxH79jL8iedfUpoe-2Ow0"
        );
    }

    #[test]
    fn a_secret_is_32_bytes_of_hexadecimal_text_and_is_not_shown() {
        let digits = &SECRET[2..];
        for text in [
            digits.to_owned(),
            format!(" {SECRET}\r\n"),
            SECRET.to_uppercase().replace("0X", "0x"),
        ] {
            let secret: JwtSecret = text.parse().expect("a secret");
            assert_eq!(secret.token(7), SECRET.parse::<JwtSecret>().expect("a secret").token(7));
            assert_eq!(format!("{secret:?}"), "JwtSecret");
        }
        for text in [
            "",
            "0x",
            "12",
            &digits[2..],
            &format!("{digits}00"),
            &digits.replace('7', "g"),
            "0x0x",
        ] {
            assert_eq!(text.parse::<JwtSecret>().err(), Some(InvalidJwtSecret), "{text}");
        }
    }
}
