//! An entrance for the fuzzer, past the database.

use sw_spec::PublicKeyBytes;

use crate::{DumpError, dump};

/// Reads a published list of validators.
///
/// # Errors
/// When it is none.
pub fn dump(bytes: &[u8], last_block: u64) -> Result<Vec<(PublicKeyBytes, u64)>, DumpError> {
    dump::parse_dump(bytes, last_block)
}
