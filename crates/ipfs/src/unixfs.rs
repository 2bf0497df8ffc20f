//! The blocks that files are made of: raw bytes, and dag-pb nodes that hold a UnixFS file.

use std::fmt;

use cid::Cid;

use crate::protobuf::{Fields, MalformedMessage, Value, packed};

/// The multicodec of blocks that are the content itself.
pub(crate) const RAW: u64 = 0x55;
/// The multicodec of dag-pb, which is also that of every CIDv0.
pub(crate) const DAG_PB: u64 = 0x70;

/// What a UnixFS node says it is, when it is not a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeKind {
    /// A directory, whole or one of its shards.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Metadata, or a number without a meaning.
    Other(u64),
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("a directory"),
            Self::Symlink => f.write_str("a symbolic link"),
            Self::Other(kind) => write!(f, "of UnixFS type {kind}"),
        }
    }
}

/// A verified block that is not part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The block is not a dag-pb node.
    #[error("not a dag-pb node")]
    NotDagPb,
    /// The node's data is not UnixFS.
    #[error("a dag-pb node without UnixFS data")]
    NotUnixFs,
    /// The node is something else than a file.
    #[error("not a file but {0}")]
    NotAFile(NodeKind),
    /// The sizes of the parts do not belong to the links, or do not add up.
    #[error("a file node whose sizes do not add up")]
    Sizes,
}

impl From<MalformedMessage> for NodeError {
    fn from(MalformedMessage: MalformedMessage) -> Self {
        Self::NotDagPb
    }
}

/// A part of a file: its own bytes, then those of its parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileNode<'a> {
    pub(crate) data: &'a [u8],
    /// Each part with the length it must have.
    pub(crate) parts: Vec<(Cid, u64)>,
    /// The length of all of it.
    pub(crate) size: u64,
}

impl<'a> FileNode<'a> {
    /// A block of the raw codec.
    pub(crate) fn raw(block: &'a [u8]) -> Self {
        Self {
            data: block,
            parts: Vec::new(),
            size: block.len() as u64,
        }
    }

    /// A dag-pb block with a UnixFS file in it.
    pub(crate) fn dag_pb(block: &'a [u8]) -> Result<Self, NodeError> {
        let (links, data) = pb_node(block)?;
        let file = UnixFs::parse(data.ok_or(NodeError::NotUnixFs)?)?;
        if links.len() != file.block_sizes.len() {
            return Err(NodeError::Sizes);
        }
        let own = file.data.len() as u64;
        let size = file
            .block_sizes
            .iter()
            .try_fold(own, |sum, size| sum.checked_add(*size))
            .ok_or(NodeError::Sizes)?;
        if file.file_size.is_some_and(|stated| stated != size) {
            return Err(NodeError::Sizes);
        }
        Ok(Self {
            data: file.data,
            parts: links.into_iter().zip(file.block_sizes).collect(),
            size,
        })
    }
}

/// The links and the data of a dag-pb node.
///
/// Source: IPLD, "DAG-PB": `PBNode { Data = 1, Links = 2 }`, `PBLink { Hash = 1, Name = 2, Tsize = 3 }`.
fn pb_node(block: &[u8]) -> Result<(Vec<Cid>, Option<&[u8]>), NodeError> {
    let (mut links, mut data) = (Vec::new(), None);
    for field in Fields::of(block) {
        match field? {
            (1, Value::Bytes(bytes)) if data.is_none() => data = Some(bytes),
            (2, Value::Bytes(link)) => links.push(pb_link(link)?),
            _ => return Err(NodeError::NotDagPb),
        }
    }
    Ok((links, data))
}

fn pb_link(link: &[u8]) -> Result<Cid, NodeError> {
    let mut target = None;
    for field in Fields::of(link) {
        match field? {
            (1, Value::Bytes(mut bytes)) if target.is_none() => {
                let cid = Cid::read_bytes(&mut bytes).map_err(|_| NodeError::NotDagPb)?;
                target = bytes.is_empty().then_some(cid);
            }
            (2, Value::Bytes(_)) | (3, Value::Number(_)) => {}
            _ => return Err(NodeError::NotDagPb),
        }
    }
    target.ok_or(NodeError::NotDagPb)
}

/// The data of a UnixFS node that is a file.
struct UnixFs<'a> {
    data: &'a [u8],
    file_size: Option<u64>,
    block_sizes: Vec<u64>,
}

impl<'a> UnixFs<'a> {
    /// Source: IPFS specifications, "UnixFS": `Data { Type = 1, Data = 2, filesize = 3, blocksizes = 4, .. }`.
    fn parse(message: &'a [u8]) -> Result<Self, NodeError> {
        let mut kind = None;
        let mut file = Self {
            data: &[],
            file_size: None,
            block_sizes: Vec::new(),
        };
        for field in Fields::of(message) {
            match field.map_err(|MalformedMessage| NodeError::NotUnixFs)? {
                (1, Value::Number(number)) => kind = Some(number),
                (2, Value::Bytes(bytes)) => file.data = bytes,
                (3, Value::Number(size)) => file.file_size = Some(size),
                (4, Value::Number(size)) => file.block_sizes.push(size),
                (4, Value::Bytes(sizes)) => file
                    .block_sizes
                    .extend(packed(sizes).map_err(|_| NodeError::NotUnixFs)?),
                (1..=4, _) => return Err(NodeError::NotUnixFs),
                // The hash type and width of directories, the mode and time of files.
                _ => {}
            }
        }
        match kind {
            // Raw and File: the first is how leaves were written before they were raw blocks.
            Some(0 | 2) => Ok(file),
            Some(1 | 5) => Err(NodeError::NotAFile(NodeKind::Directory)),
            Some(4) => Err(NodeError::NotAFile(NodeKind::Symlink)),
            Some(other) => Err(NodeError::NotAFile(NodeKind::Other(other))),
            None => Err(NodeError::NotUnixFs),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The block of `hello world` as added with CIDv0: `Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD`.
    const HELLO: &[u8] = b"\x0a\x11\x08\x02\x12\x0bhello world\x18\x0b";

    #[test]
    fn a_file_of_one_block_is_its_data() {
        let node = FileNode::dag_pb(HELLO).expect("a file");
        assert_eq!((node.data, node.parts.len(), node.size), (&b"hello world"[..], 0, 11));
    }

    #[test]
    fn a_directory_a_wrong_size_and_a_size_without_a_link_are_refused() {
        let with = |unixfs: &[u8]| {
            let mut block = vec![0x0a, unixfs.len() as u8];
            block.extend(unixfs);
            FileNode::dag_pb(&block).map(|_| ()).expect_err("refused")
        };
        assert_eq!(with(b"\x08\x01"), NodeError::NotAFile(NodeKind::Directory));
        assert_eq!(with(b"\x08\x04\x12\x01x"), NodeError::NotAFile(NodeKind::Symlink));
        assert_eq!(with(b"\x08\x02\x12\x01x\x18\x02"), NodeError::Sizes);
        assert_eq!(with(b"\x08\x02\x12\x01x\x20\x02"), NodeError::Sizes);
        assert_eq!(with(b"\x12\x01x"), NodeError::NotUnixFs);
        assert_eq!(FileNode::dag_pb(b"<html>").map(|_| ()), Err(NodeError::NotDagPb));
        assert_eq!(FileNode::dag_pb(b"").map(|_| ()), Err(NodeError::NotUnixFs));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_node_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = FileNode::dag_pb(&bytes);
        }

        #[test]
        fn a_changed_byte_never_panics(position in 0..HELLO.len(), value in any::<u8>()) {
            let mut block = HELLO.to_vec();
            if let Some(byte) = block.get_mut(position) {
                *byte = value;
            }
            let _ = FileNode::dag_pb(&block);
        }
    }
}
