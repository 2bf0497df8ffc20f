//! The JSON of a deposit data file: the staking-deposit-cli's members, in its order and spacing.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

use alloy_primitives::B256;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use sw_spec::{ForkVersion, Gwei, PublicKeyBytes, SignatureBytes, WithdrawalCredentials};

use crate::DepositEntry;

/// An element of the list: an object, or `null`. A struct alone would be read from a list of its members as well.
pub(crate) struct Element<'a>(pub(crate) Option<EntryJson<'a>>);

impl<'de> Deserialize<'de> for Element<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a deposit")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        EntryJson::deserialize(MapAccessDeserializer::new(members)).map(|entry| Element(Some(entry)))
    }
}

/// An entry as it is read: hexadecimal text in either case, with or without `0x`.
#[derive(Deserialize)]
pub(crate) struct EntryJson<'a> {
    pubkey: PublicKeyBytes,
    #[serde(borrow, default)]
    withdrawal_credentials: Option<Cow<'a, str>>,
    #[serde(default)]
    amount: Option<u64>,
    signature: SignatureBytes,
    #[serde(borrow, default)]
    deposit_message_root: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    deposit_data_root: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    fork_version: Option<Cow<'a, str>>,
    #[serde(default)]
    network_name: Option<String>,
    #[serde(default)]
    deposit_cli_version: Option<String>,
}

impl EntryJson<'_> {
    /// # Errors
    /// With the name of a member that is not hexadecimal text of the right length.
    pub(crate) fn into_entry(self) -> Result<DepositEntry, &'static str> {
        Ok(DepositEntry {
            public_key: self.pubkey,
            withdrawal_credentials: word("withdrawal_credentials", self.withdrawal_credentials)?
                .map(WithdrawalCredentials),
            amount: self.amount.map(Gwei),
            signature: self.signature,
            deposit_message_root: word("deposit_message_root", self.deposit_message_root)?,
            deposit_data_root: word("deposit_data_root", self.deposit_data_root)?,
            fork_version: match self.fork_version {
                Some(text) => Some(text.parse::<ForkVersion>().map_err(|_| "fork_version")?),
                None => None,
            },
            network_name: self.network_name,
            deposit_cli_version: self.deposit_cli_version,
        })
    }
}

fn word(member: &'static str, text: Option<Cow<'_, str>>) -> Result<Option<B256>, &'static str> {
    match text {
        Some(text) => hex::decode_to_array(text.as_bytes())
            .map(|bytes| Some(B256::new(bytes)))
            .map_err(|_| member),
        None => Ok(None),
    }
}

/// Writes entries as the original does: one line, a space after each colon and comma. What an entry does not state is left
/// out.
pub(crate) fn to_json(entries: &[DepositEntry]) -> String {
    let mut json = String::with_capacity(2 + entries.len() * ENTRY_LENGTH);
    json.push('[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            json.push_str(", ");
        }
        write_entry(&mut json, entry);
    }
    json.push(']');
    json
}

fn write_entry(json: &mut String, entry: &DepositEntry) {
    json.push_str(r#"{"pubkey": "#);
    push_hex(json, entry.public_key.as_bytes());
    if let Some(credentials) = entry.withdrawal_credentials {
        json.push_str(r#", "withdrawal_credentials": "#);
        push_hex(json, credentials.0.as_slice());
    }
    if let Some(amount) = entry.amount {
        // Writing to a string cannot fail.
        let _ = write!(json, r#", "amount": {}"#, amount.0);
    }
    json.push_str(r#", "signature": "#);
    push_hex(json, entry.signature.as_bytes());
    for (member, root) in [
        ("deposit_message_root", entry.deposit_message_root),
        ("deposit_data_root", entry.deposit_data_root),
    ] {
        if let Some(root) = root {
            let _ = write!(json, r#", "{member}": "#);
            push_hex(json, root.as_slice());
        }
    }
    if let Some(fork_version) = entry.fork_version {
        json.push_str(r#", "fork_version": "#);
        push_hex(json, &fork_version.0);
    }
    for (member, text) in [
        ("network_name", &entry.network_name),
        ("deposit_cli_version", &entry.deposit_cli_version),
    ] {
        if let Some(text) = text {
            let _ = write!(json, r#", "{member}": {}"#, serde_json::Value::from(text.as_str()));
        }
    }
    json.push('}');
}

fn push_hex(json: &mut String, bytes: &[u8]) {
    json.push('"');
    json.push_str(&hex::encode(bytes));
    json.push('"');
}

/// What an entry of the original takes, and a little more.
const ENTRY_LENGTH: usize = 800;
