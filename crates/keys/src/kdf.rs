//! Stretching a password into a key: scrypt and PBKDF2, with foreign parameters bounded before any work is done.

use std::fmt;

use rand_core::CryptoRng;
use secrecy::SecretString;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{cipher::StretchedKey, password};

/// How a password becomes a key: the function and its cost.
///
/// The fields are public so that a keystore's costs can be shown; they are checked when used, so that no value of them
/// takes more than a gibibyte or about twenty seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KdfParams {
    /// scrypt (RFC 7914).
    Scrypt {
        /// The cost: a power of two.
        n: u64,
        /// The block size.
        r: u32,
        /// The parallelism.
        p: u32,
        /// The length of the key; 32 is the only one accepted.
        dklen: u32,
        /// The salt.
        salt: Vec<u8>,
    },
    /// PBKDF2 with HMAC-SHA-256 (RFC 8018).
    Pbkdf2 {
        /// The number of iterations.
        c: u32,
        /// The length of the key; 32 is the only one accepted.
        dklen: u32,
        /// The salt.
        salt: Vec<u8>,
    },
}

/// Parameters that are refused before a password is stretched with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KdfError {
    /// scrypt's cost is not a power of two, or another parameter is zero or absurd.
    #[error("scrypt cannot work with n = {n}, r = {r}, p = {p}")]
    Unusable {
        /// The cost.
        n: u64,
        /// The block size.
        r: u32,
        /// The parallelism.
        p: u32,
    },
    /// scrypt would take more than a gibibyte of memory.
    #[error("scrypt with n = {n}, r = {r} takes more than 1 GiB of memory")]
    TooMuchMemory {
        /// The cost.
        n: u64,
        /// The block size.
        r: u32,
    },
    /// The system refused the memory that scrypt takes.
    #[error("the system has no {bytes} bytes of memory for scrypt")]
    OutOfMemory {
        /// What one derivation takes.
        bytes: usize,
    },
    /// The work would take minutes or more.
    #[error("the key derivation asks for more work than any known wallet does")]
    TooMuchWork,
    /// PBKDF2 with no iteration at all.
    #[error("pbkdf2 needs at least one iteration")]
    NoIterations,
    /// A key of another length than 32 bytes.
    #[error("the derived key must have 32 bytes, not {0}")]
    KeyLength(u32),
    /// A salt of absurd length.
    #[error("the salt has {0} bytes; at most 1024 are accepted")]
    SaltTooLong(usize),
}

impl KdfParams {
    /// The cost of EIP-2335's example and of every staking tool (n = 2^18, r = 8, p = 1) with a fresh 32-byte salt.
    pub fn scrypt(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::Scrypt {
            n: 1 << 18,
            r: 8,
            p: 1,
            dklen: KEY_LENGTH,
            salt: fresh_salt(rng),
        }
    }

    /// PBKDF2 with EIP-2335's 2^18 iterations and a fresh 32-byte salt: twenty times cheaper, for the owner and for a
    /// guesser alike.
    pub fn pbkdf2(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self::Pbkdf2 {
            c: 1 << 18,
            dklen: KEY_LENGTH,
            salt: fresh_salt(rng),
        }
    }

    /// Checks that the parameters can be worked with, at a bounded price.
    ///
    /// # Errors
    /// With the parameter at fault.
    pub fn check(&self) -> Result<(), KdfError> {
        let (dklen, salt) = match self {
            Self::Scrypt { dklen, salt, .. } | Self::Pbkdf2 { dklen, salt, .. } => (*dklen, salt),
        };
        if dklen != KEY_LENGTH {
            return Err(KdfError::KeyLength(dklen));
        }
        if salt.len() > MAX_SALT {
            return Err(KdfError::SaltTooLong(salt.len()));
        }
        match *self {
            Self::Scrypt { n, r, p, .. } => check_scrypt(n, r, p),
            Self::Pbkdf2 { c: 0, .. } => Err(KdfError::NoIterations),
            Self::Pbkdf2 { c, .. } if c > MAX_ITERATIONS => Err(KdfError::TooMuchWork),
            Self::Pbkdf2 { .. } => Ok(()),
        }
    }

    /// Derives the key of an EIP-2335 keystore from its password, which is normalised as the EIP says.
    ///
    /// With scrypt's usual cost this takes most of a second and 256 MiB; a program that opens or writes many keystores
    /// with the same password and parameters keeps the result.
    ///
    /// # Errors
    /// When [`KdfParams::check`] fails, or the system refuses the memory.
    pub fn derive(&self, password: &SecretString) -> Result<DerivedKey, KdfError> {
        let key = self.stretch(password::normalise(password).as_bytes())?;
        Ok(DerivedKey::new(key, self.clone()))
    }

    /// Derives a key from a password's bytes as they are.
    pub(crate) fn stretch(&self, password: &[u8]) -> Result<StretchedKey, KdfError> {
        self.check()?;
        let mut key = Zeroizing::new([[0; 16]; 2]);
        match self {
            Self::Scrypt { n, r, p, salt, .. } => {
                let unusable = KdfError::Unusable { n: *n, r: *r, p: *p };
                let log_n = u8::try_from(n.ilog2()).map_err(|_| unusable)?;
                let params = scrypt::Params::new(log_n, *r, *p).map_err(|_| unusable)?;
                check_memory(*n, *r)?;
                scrypt::scrypt(password, salt, &params, key.as_flattened_mut()).map_err(|_| unusable)?;
            }
            Self::Pbkdf2 { c, salt, .. } => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, *c, key.as_flattened_mut()),
        }
        Ok(StretchedKey(key))
    }
}

fn check_scrypt(n: u64, r: u32, p: u32) -> Result<(), KdfError> {
    let in_range = (1..=MAX_BLOCK_SIZE).contains(&r) && (1..=MAX_PARALLELISM).contains(&p);
    if n < 2 || !n.is_power_of_two() || !in_range {
        return Err(KdfError::Unusable { n, r, p });
    }
    let memory = n.checked_mul(128).and_then(|blocks| blocks.checked_mul(u64::from(r)));
    let memory = memory
        .filter(|bytes| *bytes <= MAX_MEMORY)
        .ok_or(KdfError::TooMuchMemory { n, r })?;
    if memory.saturating_mul(u64::from(p)) > MAX_MEMORY_PASSES {
        return Err(KdfError::TooMuchWork);
    }
    Ok(())
}

/// scrypt takes its memory in a way that ends the program where there is none: asked for and given back here first.
fn check_memory(n: u64, r: u32) -> Result<(), KdfError> {
    let bytes = usize::try_from(n.saturating_mul(128).saturating_mul(u64::from(r))).unwrap_or(usize::MAX);
    let mut memory = Vec::<u8>::new();
    let refused = memory.try_reserve_exact(bytes).is_err();
    // Without a use of it, the compiler takes it for granted that there is memory.
    std::hint::black_box(&mut memory);
    if refused {
        return Err(KdfError::OutOfMemory { bytes });
    }
    Ok(())
}

fn fresh_salt(rng: &mut (impl CryptoRng + ?Sized)) -> Vec<u8> {
    let mut salt = vec![0; 32];
    rng.fill_bytes(&mut salt);
    salt
}

/// A key derived from a password for keystores with one set of parameters.
///
/// A value of its own, so that one derivation can serve a batch: each keystore still gets its own initialisation vector.
/// It is wiped when dropped, and must not outlive the run that derived it.
pub struct DerivedKey {
    key: StretchedKey,
    params: KdfParams,
}

impl DerivedKey {
    pub(crate) fn new(key: StretchedKey, params: KdfParams) -> Self {
        Self { key, params }
    }

    /// What it was derived with.
    pub fn params(&self) -> &KdfParams {
        &self.params
    }

    pub(crate) fn stretched(&self) -> &StretchedKey {
        &self.key
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKey")
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// What both file formats need: half encrypts, half authenticates.
const KEY_LENGTH: u32 = 32;
/// Four times the usual scrypt.
const MAX_MEMORY: u64 = 1 << 30;
/// Thirty-two times the usual work.
const MAX_MEMORY_PASSES: u64 = 1 << 33;
/// The usual 8, many times over. The bound on `n * r` does not hold the `p * r` blocks that scrypt takes besides.
const MAX_BLOCK_SIZE: u32 = 1 << 10;
/// Wallets with r = 1 use p = 8.
const MAX_PARALLELISM: u32 = 16;
/// 256 times the usual number: about ten seconds.
const MAX_ITERATIONS: u32 = 1 << 26;
const MAX_SALT: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn scrypt(n: u64, r: u32, p: u32) -> KdfParams {
        KdfParams::Scrypt {
            n,
            r,
            p,
            dklen: 32,
            salt: vec![0; 32],
        }
    }

    #[test]
    fn foreign_costs_are_refused_before_any_work() {
        let started = Instant::now();
        let password = SecretString::from("password");
        for (params, expected) in [
            (scrypt(1 << 40, 8, 1), KdfError::TooMuchMemory { n: 1 << 40, r: 8 }),
            (
                scrypt(1 << 63, 1 << 10, 1),
                KdfError::TooMuchMemory { n: 1 << 63, r: 1 << 10 },
            ),
            // 1 GiB for n blocks of 512 MiB, and 4 GiB for the eight that are mixed.
            (scrypt(2, 1 << 22, 8), KdfError::Unusable { n: 2, r: 1 << 22, p: 8 }),
            (scrypt(1 << 20, 16, 1), KdfError::TooMuchMemory { n: 1 << 20, r: 16 }),
            (scrypt(1 << 20, 8, 16), KdfError::TooMuchWork),
            (
                scrypt(1 << 18, 8, 17),
                KdfError::Unusable {
                    n: 1 << 18,
                    r: 8,
                    p: 17,
                },
            ),
            (
                scrypt((1 << 18) + 1, 8, 1),
                KdfError::Unusable {
                    n: (1 << 18) + 1,
                    r: 8,
                    p: 1,
                },
            ),
            (scrypt(0, 8, 1), KdfError::Unusable { n: 0, r: 8, p: 1 }),
            (scrypt(1, 8, 1), KdfError::Unusable { n: 1, r: 8, p: 1 }),
            (scrypt(2, 0, 1), KdfError::Unusable { n: 2, r: 0, p: 1 }),
            (scrypt(2, 1, 0), KdfError::Unusable { n: 2, r: 1, p: 0 }),
            (
                KdfParams::Pbkdf2 {
                    c: 0,
                    dklen: 32,
                    salt: Vec::new(),
                },
                KdfError::NoIterations,
            ),
            (
                KdfParams::Pbkdf2 {
                    c: u32::MAX,
                    dklen: 32,
                    salt: Vec::new(),
                },
                KdfError::TooMuchWork,
            ),
            (
                KdfParams::Pbkdf2 {
                    c: 1,
                    dklen: 64,
                    salt: Vec::new(),
                },
                KdfError::KeyLength(64),
            ),
            (
                KdfParams::Pbkdf2 {
                    c: 1,
                    dklen: 32,
                    salt: vec![0; 1025],
                },
                KdfError::SaltTooLong(1025),
            ),
        ] {
            assert_eq!(params.derive(&password).err(), Some(expected), "{params:?}");
        }
        assert!(
            started.elapsed() < Duration::from_millis(100),
            "{:?}",
            started.elapsed()
        );
    }

    #[test]
    fn every_allowed_cost_is_one_that_scrypt_takes() {
        for log_n in 1..=22 {
            for r in [1, 2, 8, 1 << 10] {
                for p in [1, 8, 16] {
                    if check_scrypt(1 << log_n, r, p).is_ok() {
                        scrypt::Params::new(log_n, r, p).expect("within scrypt's own limits");
                    }
                }
            }
        }
    }

    #[test]
    fn a_derived_key_does_not_print_itself() {
        let params = KdfParams::Pbkdf2 {
            c: 1,
            dklen: 32,
            salt: vec![7; 4],
        };
        let key = params.derive(&SecretString::from("password")).expect("derived");
        assert_eq!(
            format!("{key:?}"),
            "DerivedKey { params: Pbkdf2 { c: 1, dklen: 32, salt: [7, 7, 7, 7] }, .. }"
        );
    }
}
