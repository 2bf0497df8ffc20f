//! Entrances for the fuzzer: what otherwise needs a socket to be reached.

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

/// What an error shows of an oracle's own words.
pub fn shown(text: &[u8]) -> String {
    exchange::one_line(text)
}
