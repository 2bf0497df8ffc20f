//! Deposit data files: what create-keys writes, what is uploaded, and what the tree is built from.

use serde::{
    Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use crate::{DepositEntry, json};

/// The entries of a deposit data file, in the order that counts: an entry's place is the index of its leaf.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DepositDataFile {
    entries: Vec<DepositEntry>,
}

/// Why bytes are not a deposit data file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DepositDataFileError {
    /// The file is far larger than the deposits of any vault.
    #[error("a deposit data file of {0} bytes is refused; at most 268435456 are read")]
    TooLarge(usize),
    /// The bytes are not a JSON list of entries with at least `pubkey` and `signature`.
    #[error("the file is not a list of deposits with `pubkey` and `signature`")]
    Malformed(#[source] serde_json::Error),
}

impl DepositDataFile {
    /// The most bytes [`DepositDataFile::parse`] looks at: more than 300,000 entries.
    pub const MAX_FILE_BYTES: usize = 1 << 28;

    /// Makes a file of entries.
    pub fn new(entries: Vec<DepositEntry>) -> Self {
        Self { entries }
    }

    /// Reads a file of this program, of the original or of a deposit tool. Only `pubkey` and `signature` must be there;
    /// other members are ignored, and so are `null` elements, as when the original merges files.
    ///
    /// # Errors
    /// When the file is no list of deposits.
    pub fn parse(json: &[u8]) -> Result<Self, DepositDataFileError> {
        if json.len() > Self::MAX_FILE_BYTES {
            return Err(DepositDataFileError::TooLarge(json.len()));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let entries = deserializer
            .deserialize_seq(Entries)
            .map_err(|error| DepositDataFileError::Malformed(without_content(error)))?;
        deserializer
            .end()
            .map_err(|error| DepositDataFileError::Malformed(without_content(error)))?;
        Ok(Self { entries })
    }

    /// Writes the file as the original does: one line, members in its order, hexadecimal text without `0x`.
    pub fn to_json(&self) -> String {
        json::to_json(&self.entries)
    }

    /// The entries.
    pub fn entries(&self) -> &[DepositEntry] {
        &self.entries
    }
}

/// What is wrong with the JSON, without what stands there instead: in the wrong file that may be a secret.
pub(crate) fn without_content(error: serde_json::Error) -> serde_json::Error {
    // serde's "invalid type: string \"..\", expected a list of deposits at line 1 column 7".
    match error.to_string().rsplit_once(", expected ") {
        Some((_found, expected)) if error.is_data() => serde_json::Error::custom(format_args!("expected {expected}")),
        _ => error,
    }
}

/// Reads element by element, so that a fault names its place and a file is never held twice.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<DepositEntry>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of deposits")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        let mut index: usize = 0;
        while let Some(element) = elements.next_element::<json::Element<'de>>()? {
            if let json::Element(Some(element)) = element {
                let entry = element
                    .into_entry()
                    .map_err(|member| A::Error::custom(format_args!("`{member}` of element {index} is malformed")))?;
                entries.push(entry);
            }
            index += 1;
        }
        Ok(entries)
    }
}
