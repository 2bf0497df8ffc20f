//! Why content could not be had.

use std::fmt;

use cid::Cid;
use sw_spec::RedactedUrl;

use crate::{CarError, NodeError};

/// Content could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// There is nobody to ask.
    #[error("no IPFS gateway to fetch `{cid}` from")]
    NoGateway {
        /// What was asked for.
        cid: Cid,
    },
    /// No gateway gave all blocks of the content. What some gave is shown with each.
    #[error("no IPFS gateway served `{cid}`: {}", Listed(failures))]
    Unavailable {
        /// What was asked for.
        cid: Cid,
        /// One entry for each gateway, in the order they were asked.
        failures: Vec<GatewayFailure>,
    },
    /// The content is what its CID names, and cannot be used: no gateway can help.
    #[error("the IPFS content `{cid}` cannot be used")]
    Content {
        /// What was asked for.
        cid: Cid,
        /// What is wrong with it.
        #[source]
        source: ContentError,
    },
}

impl FetchError {
    /// Whether the same fetch may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Why one gateway did not serve the content.
#[derive(Debug)]
pub struct GatewayFailure {
    /// The gateway.
    pub gateway: RedactedUrl,
    /// Each way it was asked in, with what came of it.
    pub faults: Vec<(Way, GatewayFault)>,
}

impl fmt::Display for GatewayFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.gateway)?;
        for (position, (way, fault)) in self.faults.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{way}: {fault}")?;
        }
        f.write_str(")")
    }
}

/// A way of asking a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All blocks in one CAR file.
    Car,
    /// One block at a time.
    Blocks,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Car => "as a CAR",
            Self::Blocks => "by block",
        })
    }
}

/// What a gateway did wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayFault {
    /// No connection.
    #[error("unreachable: {}", Innermost(.0))]
    Unreachable(reqwest::Error),
    /// No complete answer in time.
    #[error("timed out")]
    TimedOut,
    /// An HTTP status that is not success.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The answer broke off.
    #[error("the answer broke off: {}", Innermost(.0))]
    Interrupted(reqwest::Error),
    /// The answer is longer than what was asked for can be.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// The answer has more blocks than the content may be made of.
    #[error("the answer has more than {limit} blocks")]
    TooManyBlocks {
        /// The most that are kept.
        limit: usize,
    },
    /// The answer is not a CAR file.
    #[error("{0}")]
    Car(CarError),
    /// The answer holds a block under the CID of another.
    #[error("a block that is not `{cid}`")]
    WrongBlock {
        /// The CID the block was sent under.
        cid: Cid,
    },
    /// The answer ended without a block of the content.
    #[error("the block `{cid}` is missing")]
    MissingBlock {
        /// The first block that is missing.
        cid: Cid,
    },
}

/// Verified content that cannot be read as a file within the limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The CID is not made with SHA-256.
    #[error("the block `{cid}` is named by a hash function other than SHA-256")]
    UnsupportedHash {
        /// The block.
        cid: Cid,
    },
    /// The block is neither raw bytes nor dag-pb.
    #[error("the block `{cid}` is of codec {codec:#x}, neither raw nor dag-pb")]
    UnsupportedCodec {
        /// The block.
        cid: Cid,
        /// Its multicodec.
        codec: u64,
    },
    /// A block is not part of a file.
    #[error("the block `{cid}` is not part of a file")]
    Node {
        /// The block.
        cid: Cid,
        /// What it is.
        #[source]
        source: NodeError,
    },
    /// More bytes than allowed.
    #[error("longer than {limit} bytes")]
    TooLarge {
        /// The most bytes allowed.
        limit: usize,
    },
    /// More levels of blocks than allowed.
    #[error("made of more than {limit} levels of blocks")]
    TooDeep {
        /// The greatest depth allowed.
        limit: usize,
    },
    /// More blocks than allowed.
    #[error("made of more than {limit} blocks")]
    TooManyBlocks {
        /// The most blocks allowed.
        limit: usize,
    },
}

/// The last cause, which says what happened; those before it say that a request failed.
struct Innermost<'a>(&'a reqwest::Error);

impl fmt::Display for Innermost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause: &dyn std::error::Error = self.0;
        while let Some(source) = cause.source() {
            cause = source;
        }
        write!(f, "{cause}")
    }
}

struct Listed<'a>(&'a [GatewayFailure]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, failure) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{failure}")?;
        }
        Ok(())
    }
}
