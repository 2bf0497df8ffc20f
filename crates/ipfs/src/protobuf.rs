//! The wire format of protocol buffers, as far as dag-pb and UnixFS use it.

use crate::varint::read_varint;

/// Bytes that are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a protocol buffers message")]
pub(crate) struct MalformedMessage;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// 4 or 8 fixed bytes, which nothing here reads.
    Fixed,
}

/// The fields of a message in their order; ends after the first malformed one.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn number(&mut self) -> Result<u64, MalformedMessage> {
        let (value, length) = read_varint(self.rest).ok().flatten().ok_or(MalformedMessage)?;
        self.take(length)?;
        Ok(value)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedMessage> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(MalformedMessage)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Source: protobuf.dev, "Encoding": the low three bits of the tag say how the value is written.
    fn field(&mut self) -> Result<(u64, Value<'a>), MalformedMessage> {
        let tag = self.number()?;
        let value = match tag & 0b111 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| MalformedMessage)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(MalformedMessage),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), MalformedMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The numbers of a packed repeated field.
pub(crate) fn packed(mut bytes: &[u8]) -> Result<Vec<u64>, MalformedMessage> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        let (value, length) = read_varint(bytes).ok().flatten().ok_or(MalformedMessage)?;
        bytes = bytes.get(length..).ok_or(MalformedMessage)?;
        numbers.push(value);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_in_order() {
        // Field 1 = 150, field 2 = "testing" (the examples of the format's documentation), field 3 fixed.
        let message = [&[0x08, 0x96, 0x01, 0x12, 7][..], b"testing", &[0x1d, 1, 2, 3, 4]].concat();
        let fields: Result<Vec<_>, _> = Fields::of(&message).collect();
        assert_eq!(
            fields,
            Ok(vec![
                (1, Value::Number(150)),
                (2, Value::Bytes(b"testing")),
                (3, Value::Fixed)
            ])
        );
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_once() {
        let mut fields = Fields::of(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]);
        assert_eq!(fields.next(), Some(Err(MalformedMessage)));
        assert_eq!(fields.next(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
            let _ = packed(&bytes);
        }
    }
}
