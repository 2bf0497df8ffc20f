//! CAR files, version 1: a header, then blocks, each with its CID and its length in front.

use cid::Cid;

use crate::{
    MAX_BLOCK_BYTES,
    varint::{VarintOverflow, read_varint, write_varint},
};

/// Bytes that are not a CAR file of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CarError {
    /// The bytes do not start as a CAR file does.
    #[error("not a CAR file")]
    NotCar,
    /// A CAR file of another version.
    #[error("a CAR file of another version than 1")]
    Version,
    /// A block without a readable CID or length.
    #[error("a malformed CAR file")]
    Malformed,
    /// A block of more than [`MAX_BLOCK_BYTES`].
    #[error("a CAR file with a block of more than {MAX_BLOCK_BYTES} bytes")]
    LongBlock,
    /// The file ends within a block.
    #[error("a CAR file that is cut short")]
    CutShort,
}

/// Reads a CAR file that arrives in pieces. Nothing of it is believed but where blocks begin and end.
///
/// The roots in the header are not read: the blocks are compared with CIDs that are known otherwise.
#[derive(Debug, Default)]
pub(crate) struct CarReader {
    buffer: Vec<u8>,
    /// How much of the buffer has been read.
    read: usize,
    past_header: bool,
}

impl CarReader {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(piece);
    }

    /// The next block and the CID it claims, or `None` when another piece is needed.
    pub(crate) fn next_block(&mut self) -> Result<Option<(Cid, &[u8])>, CarError> {
        if !self.past_header {
            match self.section(MAX_HEADER_BYTES, CarError::NotCar)? {
                None => return Ok(None),
                Some(start) => check_header(self.buffer.get(start..self.read).unwrap_or_default())?,
            }
            self.past_header = true;
        }
        let Some(start) = self.section(MAX_CID_BYTES + MAX_BLOCK_BYTES, CarError::LongBlock)? else {
            return Ok(None);
        };
        let mut section = self.buffer.get(start..self.read).unwrap_or_default();
        let cid = Cid::read_bytes(&mut section).map_err(|_| CarError::Malformed)?;
        Ok(Some((cid, section)))
    }

    /// Whether the file may end here.
    pub(crate) fn finish(&self) -> Result<(), CarError> {
        match (self.past_header, self.buffer.len() == self.read) {
            (true, true) => Ok(()),
            (true, false) => Err(CarError::CutShort),
            (false, _) => Err(CarError::NotCar),
        }
    }

    /// Passes over a length and as many bytes, and returns where those bytes start.
    fn section(&mut self, limit: usize, too_long: CarError) -> Result<Option<usize>, CarError> {
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let Some((length, prefix)) = read_varint(rest).map_err(|VarintOverflow| CarError::Malformed)? else {
            return Ok(None);
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= limit)
            .ok_or(too_long)?;
        if rest.len() - prefix < length {
            return Ok(None);
        }
        let start = self.read + prefix;
        self.read = start + length;
        Ok(Some(start))
    }
}

/// Source: IPLD, "CARv1": the header is a DAG-CBOR map with the key `version`; "CARv2": the same, with the value 2.
fn check_header(header: &[u8]) -> Result<(), CarError> {
    let key = b"\x67version";
    let value = header
        .windows(key.len() + 1)
        .find_map(|window| window.strip_prefix(key.as_slice()));
    match value {
        Some([1]) => Ok(()),
        Some(_) => Err(CarError::Version),
        None => Err(CarError::NotCar),
    }
}

/// The header of a CAR file with one root.
pub(crate) fn car_header(root: &Cid) -> Vec<u8> {
    let root = root.to_bytes();
    // The CID as DAG-CBOR writes it: tag 42, a byte string that starts with 0.
    let length = root.len() as u8 + 1;
    let mut header = b"\xa2\x65roots\x81\xd8\x2a\x58".to_vec();
    header.extend([length, 0]);
    header.extend(root);
    header.extend(b"\x67version\x01");
    let mut framed = Vec::new();
    write_varint(header.len() as u64, &mut framed);
    framed.extend(header);
    framed
}

/// What stands before a block: the length of CID and block, then the CID.
pub(crate) fn car_block_prefix(cid: &Cid, block: &[u8]) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut prefix = Vec::new();
    write_varint((cid.len() + block.len()) as u64, &mut prefix);
    prefix.extend(cid);
    prefix
}

/// A header names few roots; this is room for about a hundred.
const MAX_HEADER_BYTES: usize = 4_096;
/// Version, codec and hash function take at most 10 bytes each, the length 1, a digest that is understood 64.
const MAX_CID_BYTES: usize = 95;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn car() -> Vec<u8> {
        let cid = Cid::try_from("bafkqac3imvwgy3zao5xxe3de").expect("an identity CID of `hello world`");
        let mut car = car_header(&cid);
        for block in [&b"hello world"[..], b"", &[7; 300]] {
            car.extend(car_block_prefix(&cid, block));
            car.extend(block);
        }
        car
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, CarError> {
        let (mut reader, mut blocks) = (CarReader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece);
            while let Some((_, block)) = reader.next_block()? {
                blocks.push(block.to_vec());
            }
        }
        reader.finish().map(|()| blocks)
    }

    #[test]
    fn what_is_written_is_read_in_one_piece_and_byte_by_byte() {
        let car = car();
        let whole = read(&[&car]).expect("a CAR");
        assert_eq!(whole, [b"hello world".to_vec(), Vec::new(), vec![7; 300]]);
        let bytes: Vec<&[u8]> = car.chunks(1).collect();
        assert_eq!(read(&bytes), Ok(whole));
    }

    #[test]
    fn other_files_are_refused_by_what_they_are() {
        assert_eq!(
            read(&[b"<!DOCTYPE html><html><body>Please wait while we check your browser</body></html>"]),
            Err(CarError::NotCar)
        );
        assert_eq!(read(&[b"{\"oracles\": []}"]), Err(CarError::NotCar));
        assert_eq!(read(&[b""]), Err(CarError::NotCar));
        assert_eq!(read(&[b"\x0a\xa1\x67version\x02"]), Err(CarError::Version));
        assert_eq!(read(&[&[0xff; 20]]), Err(CarError::Malformed));
        let car = car();
        assert_eq!(read(&[&car[..car.len() - 1]]), Err(CarError::CutShort));
        let mut long = car.clone();
        write_varint(3 << 20, &mut long);
        assert_eq!(read(&[&long]), Err(CarError::LongBlock));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_blocks_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400), size in 1usize..50) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let _ = read(&pieces);
        }

        #[test]
        fn a_changed_byte_never_panics(position in 0usize..400, value in any::<u8>()) {
            let mut car = car();
            let position = position % car.len();
            if let Some(byte) = car.get_mut(position) {
                *byte = value;
            }
            let _ = read(&[&car]);
        }
    }
}
