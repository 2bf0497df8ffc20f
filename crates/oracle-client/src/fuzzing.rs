//! Entrances for the fuzzer: what otherwise needs a socket to be reached.

use std::collections::BTreeSet;

use alloy_primitives::Address;

use crate::{AnswerFault, ApprovalSubject, Eip712Domain, Vote, answer, exchange};

/// Turns the body of an answer into the vote of `oracle`.
///
/// # Errors
/// When it does not count.
pub fn vote(
    body: &[u8],
    oracle: Address,
    subject: &impl ApprovalSubject,
    domain: &Eip712Domain,
) -> Result<Vote, AnswerFault> {
    answer::vote(body, oracle, subject, domain)
}

/// Reads a list of outdated exit signatures: how far the oracle has come, and the indexes.
///
/// # Errors
/// When it is none.
pub fn outdated(body: &[u8]) -> Result<(Option<u64>, BTreeSet<u64>), AnswerFault> {
    answer::list(body).map(|list| (list.synced_to, list.indexes))
}

/// What an error shows of an oracle's own words.
pub fn shown(text: &[u8]) -> String {
    exchange::one_line(text)
}
