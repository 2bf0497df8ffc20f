//! Putting a file together from verified blocks, as far as they are there.

use std::collections::HashSet;

use cid::Cid;

use crate::{
    ContentError, Limits,
    block::{Blocks, is_verifiable},
    unixfs::{DAG_PB, FileNode, RAW},
};

/// Content whose every block has been compared with the CID it was asked by.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedBytes {
    cid: Cid,
    bytes: Vec<u8>,
}

impl VerifiedBytes {
    pub(crate) fn new(cid: Cid, bytes: Vec<u8>) -> Self {
        Self { cid, bytes }
    }

    /// What the content was asked by.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The content, without copying it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl AsRef<[u8]> for VerifiedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for VerifiedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifiedBytes({}, {} bytes)", self.cid, self.bytes.len())
    }
}

/// How far an [`Assembly`] came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Complete,
    /// This block is needed next.
    Needs(Cid),
}

/// A file being put together, depth first. It stops where a block is missing and goes on from there.
#[derive(Debug)]
pub(crate) struct Assembly {
    limits: Limits,
    /// The parts still to come, the next one last.
    pending: Vec<Part>,
    visited: usize,
    content: Vec<u8>,
    used: Vec<Cid>,
    used_digests: HashSet<Vec<u8>>,
}

#[derive(Debug)]
struct Part {
    cid: Cid,
    depth: usize,
    /// The length its parent says it has.
    size: Option<u64>,
}

impl Assembly {
    pub(crate) fn new(root: Cid, limits: Limits) -> Self {
        let root = Part {
            cid: root,
            depth: 0,
            size: None,
        };
        Self {
            limits,
            pending: vec![root],
            visited: 0,
            content: Vec::new(),
            used: Vec::new(),
            used_digests: HashSet::new(),
        }
    }

    /// Goes on for as long as there are blocks.
    ///
    /// # Errors
    ///
    /// The blocks are the right ones, so whatever is wrong with them is wrong with the content.
    pub(crate) fn advance(&mut self, blocks: &Blocks) -> Result<Progress, ContentError> {
        while let Some(part) = self.pending.last() {
            let cid = part.cid;
            if !is_verifiable(&cid) {
                return Err(ContentError::UnsupportedHash { cid });
            }
            let Some(block) = blocks.get(&cid) else {
                return Ok(Progress::Needs(cid));
            };
            if let Some(part) = self.pending.pop() {
                self.take(&part, block)?;
            }
        }
        Ok(Progress::Complete)
    }

    fn take(&mut self, part: &Part, block: &[u8]) -> Result<(), ContentError> {
        let node = match part.cid.codec() {
            RAW => FileNode::raw(block),
            DAG_PB => FileNode::dag_pb(block).map_err(|source| ContentError::Node { cid: part.cid, source })?,
            codec => return Err(ContentError::UnsupportedCodec { cid: part.cid, codec }),
        };
        if part.size.is_some_and(|size| size != node.size) {
            return Err(ContentError::Node {
                cid: part.cid,
                source: crate::NodeError::Sizes,
            });
        }
        // The sizes of all parts add up to the root's, so from here on the content stays within the limit.
        if node.size > self.limits.bytes as u64 {
            return Err(ContentError::TooLarge {
                limit: self.limits.bytes,
            });
        }
        if !node.parts.is_empty() && part.depth >= self.limits.depth {
            return Err(ContentError::TooDeep {
                limit: self.limits.depth,
            });
        }
        self.visited += 1;
        if self.visited + self.pending.len() + node.parts.len() > self.limits.blocks {
            return Err(ContentError::TooManyBlocks {
                limit: self.limits.blocks,
            });
        }
        self.content.extend_from_slice(node.data);
        if self.used_digests.insert(part.cid.hash().digest().to_vec()) {
            self.used.push(part.cid);
        }
        let depth = part.depth + 1;
        self.pending
            .extend(node.parts.into_iter().rev().map(|(cid, size)| Part {
                cid,
                depth,
                size: Some(size),
            }));
        Ok(())
    }

    /// Whether a block is part of what has been put together.
    pub(crate) fn uses(&self, digest: &[u8]) -> bool {
        self.used_digests.contains(digest)
    }

    /// The content, and the CIDs of its blocks, each once, in the order they were needed.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<Cid>) {
        (self.content, self.used)
    }
}
