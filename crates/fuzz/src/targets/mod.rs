//! The parsers.
#![expect(
    clippy::indexing_slicing,
    reason = "a corpus is made of fixtures, and a part that is missing must be seen"
)]

use crate::Target;

mod abi;
mod content;
mod files;
mod nodes;
mod oracles;
mod typed;
mod urls;

type Make = fn() -> Target;

const ALL: &[(&str, Make)] = &[
    ("keystore", files::keystore),
    ("wallet", files::wallet),
    ("config", files::config),
    ("deposit-data", files::deposit_data),
    ("network", files::network),
    ("env-file", files::env_file),
    ("journal", files::journal),
    ("journal-records", files::journal_records),
    ("dump", files::dump),
    ("mnemonic", typed::mnemonic),
    ("phrase-entry", typed::phrase_entry),
    ("rpc-body", nodes::body),
    ("rpc-block", nodes::block),
    ("rpc-receipt", nodes::receipt),
    ("rpc-logs", nodes::logs),
    ("rpc-fee-history", nodes::fee_history),
    ("rpc-error", nodes::error),
    ("beacon", nodes::beacon),
    ("beacon-refusal", nodes::refusal),
    ("abi-events", abi::events),
    ("abi-multicall", abi::multicall),
    ("abi-results", abi::results),
    ("revert", abi::revert),
    ("oracle-answer", oracles::answer),
    ("oracle-outdated", oracles::outdated),
    ("oracle-words", oracles::words),
    ("protocol-config", oracles::protocol_config),
    ("rewards", oracles::rewards),
    ("cid", content::cid),
    ("car", content::car),
    ("block", content::block),
    ("node", content::node),
    ("url", urls::url),
    ("node-words", urls::words),
];

/// The names of all targets.
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut index = 0;
    while index < ALL.len() {
        names[index] = ALL[index].0;
        index += 1;
    }
    names
};

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    let target = ALL.iter().find(|(other, _)| *other == name).map(|(_, make)| make())?;
    let of_a_node = ["rpc-", "abi-", "beacon"].iter().any(|start| name.starts_with(start));
    Some(if of_a_node {
        target.within(nodes::MEMORY)
    } else {
        target
    })
}
