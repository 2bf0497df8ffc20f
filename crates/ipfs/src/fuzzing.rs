//! Entrances for the fuzzer: what otherwise needs a gateway to be reached.

use cid::Cid;

use crate::{Limits, assembly::Progress, car::CarReader, gateway::Download, unixfs::FileNode};

/// Puts together the file `root` from a CAR that comes in pieces of `size` bytes, as from a gateway.
pub fn file_of_car(car: &[u8], size: usize, root: Cid, limits: Limits) -> Option<Vec<u8>> {
    let (mut reader, mut download) = (CarReader::default(), Download::new(root, limits));
    for piece in car.chunks(size.max(1)) {
        reader.push(piece);
        while let Some((cid, block)) = reader.next_block().ok()? {
            if download.offer(&cid, block).ok()? == Progress::Complete {
                return Some(download.assembly.into_parts().0);
            }
        }
    }
    reader.finish().ok()?;
    None
}

/// Puts together the file `root` from one block that is said to be it.
pub fn file_of_block(block: &[u8], root: Cid, limits: Limits) -> Option<Vec<u8>> {
    let mut download = Download::new(root, limits);
    match download.offer(&root, block).ok()? {
        Progress::Complete => Some(download.assembly.into_parts().0),
        Progress::Needs(_) => None,
    }
}

/// Reads a dag-pb block: the length of its data, the number of its parts and the length of the whole.
pub fn node(block: &[u8]) -> Option<(usize, usize, u64)> {
    let node = FileNode::dag_pb(block).ok()?;
    Some((node.data.len(), node.parts.len(), node.size))
}
