//! The published list of a network's validators.

use sw_spec::PublicKeyBytes;

/// The bytes of one record: a 4-byte big-endian block number and a 48-byte public key.
///
/// Source: the original operator's reader of its network-validators file.
pub const DUMP_RECORD_LENGTH: usize = 4 + PublicKeyBytes::LENGTH;

/// Bytes that are not a list of validators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The list is empty, or its end is missing.
    #[error("{length} bytes are not a whole number of {DUMP_RECORD_LENGTH}-byte records, or none")]
    Length {
        /// The length of the list in bytes.
        length: usize,
    },
    /// The records are not in the order of the chain.
    #[error("record {record} is of block {block}, after one of block {previous}")]
    Descending {
        /// Counted from 0.
        record: usize,
        /// Its block.
        block: u64,
        /// The block of the record before.
        previous: u64,
    },
    /// A record of a block that the list is said not to cover.
    #[error("record {record} is of block {block}, but the list ends with block {last_block}")]
    PastTheEnd {
        /// Counted from 0.
        record: usize,
        /// Its block.
        block: u64,
        /// The last block that the list covers.
        last_block: u64,
    },
}

/// Checks all of the list before a row is written.
pub(crate) fn parse_dump(bytes: &[u8], last_block: u64) -> Result<Vec<(PublicKeyBytes, u64)>, DumpError> {
    let (records, rest) = bytes.as_chunks::<DUMP_RECORD_LENGTH>();
    if records.is_empty() || !rest.is_empty() {
        return Err(DumpError::Length { length: bytes.len() });
    }
    let mut validators = Vec::with_capacity(records.len());
    let mut previous = 0;
    for (record, bytes) in records.iter().enumerate() {
        let [b0, b1, b2, b3, key @ ..] = *bytes;
        let block = u64::from(u32::from_be_bytes([b0, b1, b2, b3]));
        if block < previous {
            return Err(DumpError::Descending {
                record,
                block,
                previous,
            });
        }
        if block > last_block {
            return Err(DumpError::PastTheEnd {
                record,
                block,
                last_block,
            });
        }
        previous = block;
        validators.push((PublicKeyBytes(key), block));
    }
    Ok(validators)
}
