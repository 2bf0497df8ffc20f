//! CARv1: a header that names the root, then every block once, depth first.

use cid::Cid;

use super::unixfs::varint;

/// Writes the header; sections are added with [`section`].
pub(super) fn header(root: &Cid) -> Vec<u8> {
    // dag-cbor of {"roots": [CID], "version": 1}; a CID is tag 42 over a byte string that starts with a zero byte.
    let cid = root.to_bytes();
    let mut cbor = vec![0xa2, 0x65];
    cbor.extend_from_slice(b"roots");
    cbor.extend_from_slice(&[0x81, 0xd8, 0x2a, 0x58, cid.len() as u8 + 1, 0x00]);
    cbor.extend_from_slice(&cid);
    cbor.push(0x67);
    cbor.extend_from_slice(b"version");
    cbor.push(0x01);
    let mut car = Vec::new();
    varint(&mut car, cbor.len() as u64);
    car.extend_from_slice(&cbor);
    car
}

/// Appends one block.
pub(super) fn section(car: &mut Vec<u8>, cid: &Cid, bytes: &[u8]) {
    let cid = cid.to_bytes();
    varint(car, (cid.len() + bytes.len()) as u64);
    car.extend_from_slice(&cid);
    car.extend_from_slice(bytes);
}
