//! Numbers of seven bits a byte, as in protocol buffers and in CAR files.

/// A number that does not fit into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VarintOverflow;

/// Reads a number from the front: it and its length, or `None` when more bytes are needed.
pub(crate) fn read_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, VarintOverflow> {
    let mut value = 0u64;
    for (position, &byte) in bytes.iter().take(MAX_LENGTH).enumerate() {
        let (digit, shift) = (u64::from(byte & 0x7f), 7 * position as u32);
        if digit.leading_zeros() < shift && digit != 0 {
            return Err(VarintOverflow);
        }
        value |= digit << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((value, position + 1)));
        }
    }
    if bytes.len() >= MAX_LENGTH {
        Err(VarintOverflow)
    } else {
        Ok(None)
    }
}

/// Appends a number.
pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// 64 bits take ten bytes.
const MAX_LENGTH: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_forms_are_read() {
        assert_eq!(read_varint(&[0x00, 9]), Ok(Some((0, 1))));
        assert_eq!(read_varint(&[0xac, 0x02]), Ok(Some((300, 2))));
        assert_eq!(read_varint(&[0xac]), Ok(None));
        assert_eq!(read_varint(&[]), Ok(None));
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read_varint(&most), Ok(Some((u64::MAX, 10))));
    }

    #[test]
    fn a_number_beyond_64_bits_is_refused() {
        let beyond = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(read_varint(&beyond), Err(VarintOverflow));
        assert_eq!(read_varint(&[0x80; 10]), Err(VarintOverflow));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in any::<u64>(), rest in prop::collection::vec(any::<u8>(), 0..4)) {
            let mut bytes = Vec::new();
            write_varint(value, &mut bytes);
            let length = bytes.len();
            bytes.extend(rest);
            prop_assert_eq!(read_varint(&bytes), Ok(Some((value, length))));
        }

        #[test]
        fn any_bytes_are_a_number_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Ok(Some((_, length))) = read_varint(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
