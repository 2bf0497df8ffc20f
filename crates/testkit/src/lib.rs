//! Loads the test vectors of `fixtures/`, and answers as no server should. For tests only: a missing or malformed vector is a
//! panic.
#![expect(clippy::panic, reason = "a broken fixture must fail the test that reads it")]

pub mod hostile;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The path of a file under `fixtures/`.
pub fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// The text of a file under `fixtures/`.
pub fn fixture_text(name: &str) -> String {
    let path = fixture_path(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of an indented JSON file under `fixtures/` as Python's `json.dumps` writes it: on one line, with `, ` and `: `
/// between members. What a program writes in that form can be looked for in it.
pub fn fixture_on_one_line(name: &str) -> String {
    let text = fixture_text(name);
    let mut line = String::with_capacity(text.len());
    for part in text.lines().map(str::trim_start) {
        line.push_str(part);
        if part.ends_with(',') {
            line.push(' ');
        }
    }
    line
}

/// A JSON file under `fixtures/`.
pub fn fixture(name: &str) -> Value {
    serde_json::from_str(&fixture_text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The bytes of a hexadecimal string in a fixture, with or without `0x`.
pub fn bytes(value: &Value) -> Vec<u8> {
    let text = text(value);
    hex::decode(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// The bytes of a hexadecimal string in a fixture as an array.
pub fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value)
        .try_into()
        .unwrap_or_else(|bytes: Vec<u8>| panic!("{} bytes, not {N}", bytes.len()))
}

/// A string in a fixture.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}

/// A list in a fixture.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}
