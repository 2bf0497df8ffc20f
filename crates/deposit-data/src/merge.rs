//! Putting the files of several operators of one vault together.

use std::collections::HashMap;

use serde::{
    Deserializer,
    de::{Error, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use sw_spec::{ForkVersion, PublicKeyBytes, WithdrawalCredentials};

use crate::{DepositDataFile, file::without_content};

/// Why files cannot be merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A file is not a JSON list.
    #[error("file {file} of those to merge is not a list of deposits")]
    NotAList {
        /// Its place among the files, from 0.
        file: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// The files are larger together than what can be read again.
    #[error("the merged file would have {0} bytes; at most {max} are read", max = DepositDataFile::MAX_FILE_BYTES)]
    TooLarge(usize),
}

/// Merges deposit data files in turns, so that every operator gets validators: the first element of each file in the order
/// given, then the second of each, and so on. Files may differ in length.
///
/// Elements keep all their members, those that nobody here knows among them, and the members' order; `null` elements take
/// their turn and are left out, as in the original. Nothing is compared: that is for [`merge_conflicts`]. The result stands
/// on one line, spaced as the original writes it.
///
/// # Errors
/// When a file is no list, or the files are too large together.
pub fn merge(files: &[impl AsRef<[u8]>]) -> Result<String, MergeError> {
    let size = files
        .iter()
        .map(|file| file.as_ref().len())
        .fold(0, usize::saturating_add);
    if size > DepositDataFile::MAX_FILE_BYTES {
        return Err(MergeError::TooLarge(size));
    }
    let lists = files
        .iter()
        .enumerate()
        .map(|(file, json)| {
            elements(json.as_ref()).map_err(|source| MergeError::NotAList {
                file,
                source: without_content(source),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    let turns = (0..longest).flat_map(|turn| lists.iter().filter_map(move |list| list.get(turn)));
    let mut merged = String::with_capacity(size);
    merged.push('[');
    for element in turns.map(|element| element.get()).filter(|json| *json != "null") {
        if merged.len() > 1 {
            merged.push_str(", ");
        }
        push_spaced(&mut merged, element);
    }
    merged.push(']');
    if merged.len() > DepositDataFile::MAX_FILE_BYTES {
        return Err(MergeError::TooLarge(merged.len()));
    }
    Ok(merged)
}

/// Where an entry stands: in which of several files, and where in it, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: usize,
    /// The entry.
    pub entry: usize,
}

/// Two entries that should not stand in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeConflict {
    /// The entry that is met first.
    pub first: Place,
    /// The one that does not go with it.
    pub second: Place,
    /// What is between them.
    pub clash: Clash,
}

/// Why two entries do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Clash {
    /// The same validator: its key would be two leaves, and the second can never be registered.
    #[error("both are of the validator {0}")]
    SameValidator(PublicKeyBytes),
    /// They are for two vaults.
    #[error("their withdrawal credentials differ: {} and {}", .0.0, .1.0)]
    OtherVault(WithdrawalCredentials, WithdrawalCredentials),
    /// They are for two networks.
    #[error("their fork versions differ: {0} and {1}")]
    OtherNetwork(ForkVersion, ForkVersion),
}

/// Looks for entries that should not be merged: one validator twice, in the same file or in two, and files made for different
/// vaults or networks, of which the first entry that differs is named for each file.
pub fn merge_conflicts(files: &[DepositDataFile]) -> Vec<MergeConflict> {
    let mut conflicts = Vec::new();
    let mut seen: HashMap<PublicKeyBytes, Place> = HashMap::new();
    let mut vault = Agreement::default();
    let mut network = Agreement::default();
    for (file, entries) in files.iter().enumerate() {
        for (entry, deposit) in entries.entries().iter().enumerate() {
            let place = Place { file, entry };
            let mut clash = |first, clash| {
                conflicts.push(MergeConflict {
                    first,
                    second: place,
                    clash,
                });
            };
            let first = *seen.entry(deposit.public_key).or_insert(place);
            if first != place {
                clash(first, Clash::SameValidator(deposit.public_key));
            }
            if let Some((first, agreed, stated)) = vault.differs(deposit.withdrawal_credentials, place) {
                clash(first, Clash::OtherVault(agreed, stated));
            }
            if let Some((first, agreed, stated)) = network.differs(deposit.fork_version, place) {
                clash(first, Clash::OtherNetwork(agreed, stated));
            }
        }
    }
    conflicts
}

/// What the first entry that states a value stated, and the last file that was found to state another.
struct Agreement<T> {
    first: Option<(Place, T)>,
    differing: Option<usize>,
}

impl<T> Default for Agreement<T> {
    fn default() -> Self {
        Self {
            first: None,
            differing: None,
        }
    }
}

impl<T: Copy + PartialEq> Agreement<T> {
    /// The first place and its value, and this one, when the two differ for the first time in a file.
    fn differs(&mut self, stated: Option<T>, place: Place) -> Option<(Place, T, T)> {
        let stated = stated?;
        let (first, agreed) = *self.first.get_or_insert((place, stated));
        if agreed == stated || self.differing == Some(place.file) {
            return None;
        }
        self.differing = Some(place.file);
        Some((first, agreed, stated))
    }
}

fn elements(json: &[u8]) -> Result<Vec<&RawValue>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let elements = deserializer.deserialize_seq(Elements)?;
    deserializer.end()?;
    Ok(elements)
}

/// A list of anything, but not of more elements than a vault could have: the list of an element's text takes more memory
/// than the shortest elements themselves.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of deposits")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MOST_ELEMENTS {
                return Err(A::Error::custom(format_args!("more than {MOST_ELEMENTS} deposits")));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

/// Copies valid JSON with a space after each colon and comma and none elsewhere; what stands in strings is left as it is.
fn push_spaced(out: &mut String, json: &str) {
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if in_string {
            out.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            ':' | ',' => out.extend([character, ' ']),
            other => {
                out.push(other);
                in_string = other == '"';
            }
        }
    }
}

const MOST_ELEMENTS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_taken_in_order_and_null_takes_one() {
        let merged = merge(&["[1, 4, 6]", "[null, 5]", "[]", "[3]"]).expect("lists");
        assert_eq!(merged, "[1, 3, 4, 5, 6]");
        assert_eq!(merge(&["[null]", "[]"]).expect("lists"), "[]");
    }

    #[test]
    fn elements_keep_what_nobody_knows_and_lose_their_layout_only() {
        let pretty =
            "[\n  {\n    \"b\": [ 1,2 ],\t\"a\" : \"x, y: \\\"z\\\\\",\r\n \"big\": 1e400, \"é\": {}\n  }\n]\n";
        let compact = r#"[{"z":null,"z":-0.10,"":"\u00e9 : "}]"#;
        assert_eq!(
            merge(&[pretty, compact]).expect("lists"),
            r#"[{"b": [1, 2], "a": "x, y: \"z\\", "big": 1e400, "é": {}}, {"z": null, "z": -0.10, "": "\u00e9 : "}]"#
        );
    }

    #[test]
    fn what_is_no_list_is_named_by_its_place() {
        for (bad, cause) in [
            ("{}", "expected a list of deposits"),
            ("", "EOF"),
            ("[1,]", "trailing comma"),
            ("[1] [2]", "trailing characters"),
            ("[\"\u{1}\"]", "control character"),
        ] {
            let error = merge(&["[]", bad]).expect_err("refused");
            assert!(matches!(error, MergeError::NotAList { file: 1, .. }), "{error:?}");
            let said = std::error::Error::source(&error).expect("a cause").to_string();
            assert!(said.contains(cause), "{bad}: {said}");
        }
        assert!(merge(&[b"[\"\xff\"]"]).is_err(), "not UTF-8");
    }

    #[test]
    fn hostile_files_are_refused_before_they_take_memory() {
        let many = format!("[{}1]", "1,".repeat(MOST_ELEMENTS));
        let error = merge(&[&many]).expect_err("too many");
        let said = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(said.starts_with("more than 1048576 deposits"), "{said}");
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(merge(&[&deep]).expect("no recursion"), deep);
        let half = vec![b' '; DepositDataFile::MAX_FILE_BYTES / 2 + 1];
        assert!(matches!(merge(&[&half, &half]), Err(MergeError::TooLarge(_))));
    }
}
