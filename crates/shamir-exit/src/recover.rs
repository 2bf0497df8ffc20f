//! Putting shares together again.

use sw_spec::{PublicKeyBytes, SignatureBytes};

use crate::{
    ShareIndex,
    curve::{G1, G2},
    polynomial::weights_at_zero,
};

/// Why shares cannot be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// No share was given.
    #[error("there are no shares to recover from")]
    NoShares,
    /// Two shares claim the same index.
    #[error("share {0} is given twice")]
    Repeated(ShareIndex),
    /// A share is not a point of its group.
    #[error("share {0} is not a point on the curve")]
    Malformed(ShareIndex),
}

/// Recovers a signature from shares of it.
///
/// The result is the signature when at least the threshold of honest shares is given. From fewer, or with a false one
/// among them, it is a point that verifies against nothing: verify it.
///
/// # Errors
/// No shares, an index twice, or a share that is not a point of the signature group.
pub fn recover_signature(shares: &[(ShareIndex, SignatureBytes)]) -> Result<SignatureBytes, RecoverError> {
    let points = decompressed(shares, G2::decompress)?;
    let weights = weights_at_zero(&distinct(shares)?);
    let terms = points.iter().zip(&weights).map(|(point, weight)| point.times(weight));
    Ok(terms.fold(G2::INFINITY, |sum, term| sum.plus(&term)).compress())
}

/// Recovers a public key from shares of it, under the same conditions as [`recover_signature`].
///
/// # Errors
/// No shares, an index twice, or a share that is not a point of the public key group.
pub fn recover_public_key(shares: &[(ShareIndex, PublicKeyBytes)]) -> Result<PublicKeyBytes, RecoverError> {
    let points = decompressed(shares, G1::decompress)?;
    let weights = weights_at_zero(&distinct(shares)?);
    let terms = points.iter().zip(&weights).map(|(point, weight)| point.times(weight));
    Ok(terms.fold(G1::INFINITY, |sum, term| sum.plus(&term)).compress())
}

fn distinct<T>(shares: &[(ShareIndex, T)]) -> Result<Vec<ShareIndex>, RecoverError> {
    let mut indexes = Vec::with_capacity(shares.len());
    for (index, _) in shares {
        if indexes.contains(index) {
            return Err(RecoverError::Repeated(*index));
        }
        indexes.push(*index);
    }
    if indexes.is_empty() {
        Err(RecoverError::NoShares)
    } else {
        Ok(indexes)
    }
}

fn decompressed<T, P>(
    shares: &[(ShareIndex, T)],
    decompress: impl Fn(&T) -> Option<P>,
) -> Result<Vec<P>, RecoverError> {
    shares
        .iter()
        .map(|(index, bytes)| decompress(bytes).ok_or(RecoverError::Malformed(*index)))
        .collect()
}
