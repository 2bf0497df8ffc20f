//! The members that name a key derivation, shared by both file formats.

use serde::{Deserialize, de::Error};

use crate::KdfParams;

/// `kdf.params` of EIP-2335 and `kdfparams` of Web3 Secret Storage.
#[derive(Deserialize)]
pub(crate) struct KdfParamsJson {
    n: Option<u64>,
    r: Option<u32>,
    p: Option<u32>,
    c: Option<u32>,
    prf: Option<String>,
    dklen: u32,
    salt: String,
}

/// Why the members do not name a key derivation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KdfJsonError {
    /// A function other than `scrypt` and `pbkdf2`.
    #[error("the key derivation function `{0}` is not known")]
    UnknownFunction(String),
    /// A pseudo-random function other than `hmac-sha256`.
    #[error("pbkdf2 with `{0}` is not known")]
    UnknownPrf(String),
    /// A parameter the function needs.
    #[error("the key derivation has no `{0}`")]
    Missing(&'static str),
    /// A salt that is not hexadecimal text.
    #[error("the salt is not hexadecimal text")]
    Salt,
}

impl KdfParamsJson {
    pub(crate) fn into_params(self, function: &str) -> Result<KdfParams, KdfJsonError> {
        let salt = hex::decode(&self.salt).map_err(|_| KdfJsonError::Salt)?;
        match function {
            "scrypt" => Ok(KdfParams::Scrypt {
                n: self.n.ok_or(KdfJsonError::Missing("n"))?,
                r: self.r.ok_or(KdfJsonError::Missing("r"))?,
                p: self.p.ok_or(KdfJsonError::Missing("p"))?,
                dklen: self.dklen,
                salt,
            }),
            "pbkdf2" => match self.prf.as_deref() {
                Some("hmac-sha256") => Ok(KdfParams::Pbkdf2 {
                    c: self.c.ok_or(KdfJsonError::Missing("c"))?,
                    dklen: self.dklen,
                    salt,
                }),
                Some(other) => Err(KdfJsonError::UnknownPrf(shown(other))),
                None => Err(KdfJsonError::Missing("prf")),
            },
            other => Err(KdfJsonError::UnknownFunction(shown(other))),
        }
    }
}

/// The `params` object that states `params`, in the order and spacing of the original's files.
pub(crate) fn params_json(params: &KdfParams) -> String {
    match params {
        KdfParams::Scrypt { n, r, p, dklen, salt } => {
            format!(
                r#"{{"dklen": {dklen}, "n": {n}, "r": {r}, "p": {p}, "salt": "{}"}}"#,
                hex::encode(salt)
            )
        }
        KdfParams::Pbkdf2 { c, dklen, salt } => {
            format!(
                r#"{{"dklen": {dklen}, "c": {c}, "prf": "hmac-sha256", "salt": "{}"}}"#,
                hex::encode(salt)
            )
        }
    }
}

/// The name of the function that `params` belong to.
pub(crate) fn function_name(params: &KdfParams) -> &'static str {
    match params {
        KdfParams::Scrypt { .. } => "scrypt",
        KdfParams::Pbkdf2 { .. } => "pbkdf2",
    }
}

/// What is wrong with the JSON, without what stands there instead: in the wrong file that may be a key.
pub(crate) fn without_content(error: serde_json::Error) -> serde_json::Error {
    // serde's "invalid type: string \"..\", expected a string at line 1 column 7".
    match error.to_string().rsplit_once(", expected ") {
        Some((_found, expected)) if error.is_data() => Error::custom(format_args!("expected {expected}")),
        _ => error,
    }
}

/// The start of a foreign text, short enough for an error message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
