//! Files as blocks: raw leaves and dag-pb UnixFS nodes, chunked the way `ipfs add` does.
//!
//! Sources: IPLD dag-pb specification (`PBNode`, `PBLink`), UnixFS specification (`Data`, type File).

use cid::Cid;
use multihash::Multihash;
use sha2::{Digest, Sha256};

/// The most content in one block; what `ipfs add` chunks at.
pub const MAX_CHUNK: usize = 256 * 1024;

/// The most children of one node; what `ipfs add` uses.
const MAX_LINKS: usize = 174;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const SHA2_256: u64 = 0x12;

/// How a file becomes blocks, and with it which CID it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// What `ipfs add` does: dag-pb nodes down to the leaves, CIDv0 (`Qm..`).
    DagPb,
    /// What `ipfs add --cid-version 1` does: raw leaves, CIDv1 (`bafk..` for one block, `bafy..` for more).
    RawLeaves,
}

/// A block under its CID.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) cid: Cid,
    pub(super) bytes: Vec<u8>,
    pub(super) links: Vec<Cid>,
    /// What the node itself holds of the file.
    pub(super) content: Vec<u8>,
}

/// Cuts `file` into blocks; the last one is the root.
pub(super) fn blocks(file: &[u8], layout: Layout) -> Vec<Block> {
    let leaves: Vec<Node> = if file.is_empty() {
        vec![leaf(&[], layout)]
    } else {
        file.chunks(MAX_CHUNK).map(|chunk| leaf(chunk, layout)).collect()
    };
    let mut all = Vec::new();
    let mut level = leaves;
    while level.len() > 1 {
        let parents = level
            .chunks(MAX_LINKS)
            .map(|children| parent(children, layout))
            .collect();
        all.extend(level.into_iter().map(|node| node.block));
        level = parents;
    }
    all.extend(level.into_iter().map(|node| node.block));
    all
}

/// The CIDv1 of `bytes` as one raw block.
pub(crate) fn raw_cid(bytes: &[u8]) -> String {
    Cid::new_v1(RAW, sha2_256(bytes)).to_string()
}

struct Node {
    block: Block,
    /// Bytes of the file below this node.
    file_size: u64,
    /// Bytes of all blocks below and including this one.
    total_size: u64,
}

fn leaf(chunk: &[u8], layout: Layout) -> Node {
    let file_size = chunk.len() as u64;
    let (cid, bytes) = match layout {
        Layout::RawLeaves => (Cid::new_v1(RAW, sha2_256(chunk)), chunk.to_vec()),
        Layout::DagPb => dag_pb(&[], &unixfs_file(chunk, file_size, &[]), layout),
    };
    let total_size = bytes.len() as u64;
    let (links, content) = (Vec::new(), chunk.to_vec());
    let block = Block {
        cid,
        bytes,
        links,
        content,
    };
    Node {
        block,
        file_size,
        total_size,
    }
}

fn parent(children: &[Node], layout: Layout) -> Node {
    let file_size = children.iter().map(|child| child.file_size).sum();
    let below: u64 = children.iter().map(|child| child.total_size).sum();
    let sizes: Vec<u64> = children.iter().map(|child| child.file_size).collect();
    let links: Vec<(Cid, u64)> = children
        .iter()
        .map(|child| (child.block.cid, child.total_size))
        .collect();
    let (cid, bytes) = dag_pb(&links, &unixfs_file(&[], file_size, &sizes), layout);
    let total_size = below + bytes.len() as u64;
    let (links, content) = (links.into_iter().map(|(cid, _)| cid).collect(), Vec::new());
    let block = Block {
        cid,
        bytes,
        links,
        content,
    };
    Node {
        block,
        file_size,
        total_size,
    }
}

fn dag_pb(links: &[(Cid, u64)], data: &[u8], layout: Layout) -> (Cid, Vec<u8>) {
    let bytes = pb_node(links, data);
    let digest = sha2_256(&bytes);
    let cid = match layout {
        // Only a digest of another length than 32 bytes has no CIDv0.
        Layout::DagPb => Cid::new_v0(digest).unwrap_or_default(),
        Layout::RawLeaves => Cid::new_v1(DAG_PB, digest),
    };
    (cid, bytes)
}

/// A digest of 32 bytes always fits a multihash of 64.
fn sha2_256(bytes: &[u8]) -> Multihash<64> {
    Multihash::wrap(SHA2_256, &Sha256::digest(bytes)).unwrap_or_default()
}

/// `PBNode`: links (field 2) come before data (field 1), as in every encoder in use.
fn pb_node(links: &[(Cid, u64)], data: &[u8]) -> Vec<u8> {
    let mut node = Vec::new();
    for (cid, total_size) in links {
        let mut link = Vec::new();
        bytes_field(&mut link, 1, &cid.to_bytes());
        bytes_field(&mut link, 2, b"");
        varint_field(&mut link, 3, *total_size);
        bytes_field(&mut node, 2, &link);
    }
    bytes_field(&mut node, 1, data);
    node
}

/// UnixFS `Data`: type File (2), its own bytes, the size of the file, the sizes below each link.
fn unixfs_file(own: &[u8], file_size: u64, block_sizes: &[u64]) -> Vec<u8> {
    let mut data = Vec::new();
    varint_field(&mut data, 1, 2);
    if !own.is_empty() {
        bytes_field(&mut data, 2, own);
    }
    varint_field(&mut data, 3, file_size);
    for size in block_sizes {
        varint_field(&mut data, 4, *size);
    }
    data
}

fn bytes_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint_field(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(file: &[u8], layout: Layout) -> String {
        blocks(file, layout).last().unwrap().cid.to_string()
    }

    #[test]
    fn small_files_get_the_cids_that_ipfs_gives_them() {
        assert_eq!(
            root(b"hello world\n", Layout::DagPb),
            "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
        );
        assert_eq!(
            root(b"", Layout::DagPb),
            "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"
        );
        assert_eq!(
            root(b"hello world", Layout::RawLeaves),
            "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
        );
    }

    #[test]
    fn a_file_of_several_chunks_has_a_root_over_leaves_in_order() {
        let file: Vec<u8> = (0..MAX_CHUNK * 2 + 10).map(|position| (position % 251) as u8).collect();
        for layout in [Layout::DagPb, Layout::RawLeaves] {
            let blocks = blocks(&file, layout);
            assert_eq!(blocks.len(), 4);
            let (root, leaves) = blocks.split_last().unwrap();
            assert_eq!(root.links, leaves.iter().map(|leaf| leaf.cid).collect::<Vec<_>>());
            assert_eq!(
                leaves.iter().flat_map(|leaf| leaf.content.clone()).collect::<Vec<_>>(),
                file
            );
        }
    }
}
