//! How much one fetch may take.

/// The largest block that is read, in bytes.
///
/// Source: the IPFS specifications keep blocks to 2 MiB, and Bitswap transfers none that is larger.
pub const MAX_BLOCK_BYTES: usize = 2 * 1024 * 1024;

/// The bounds of one fetch. They hold for what a gateway sends as well as for what verified content claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The length of the content.
    pub bytes: usize,
    /// How far a block may be from the root: a file of one block has depth 0.
    pub depth: usize,
    /// How many blocks the content may be made of, each counted as often as it appears.
    pub blocks: usize,
}

impl Limits {
    /// A JSON document: an oracle config, a rewards file.
    pub const DOCUMENT: Self = Self {
        bytes: 32 * 1024 * 1024,
        depth: 4,
        blocks: 4_096,
    };

    /// The published list of a network's validators: 52 bytes for each of at most ten million.
    pub const VALIDATORS_DUMP: Self = Self {
        bytes: 520_000_000,
        depth: 6,
        blocks: 65_536,
    };

    /// What the blocks of such content may take on the wire: links, lengths and CIDs come on top of the content.
    pub(crate) fn wire_bytes(self) -> usize {
        let overhead = self.blocks.saturating_mul(256);
        self.bytes
            .saturating_add(self.bytes / 8)
            .saturating_add(overhead)
            .saturating_add(64 * 1024)
    }
}
