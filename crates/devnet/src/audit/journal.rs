//! The journal, as lines of JSON that anybody can read.

use std::{io::ErrorKind, path::Path};

use alloy::{
    consensus::{Transaction, TxEnvelope, transaction::SignerRecoverable},
    eips::eip2718::Decodable2718,
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde::Deserialize;

use super::{AuditError, Violation};

/// A transaction as it was written down before it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Intent {
    /// What it is for.
    pub kind: String,
    /// The wallet's nonce.
    pub nonce: u64,
    /// Its hash.
    pub hash: B256,
    /// The signed transaction.
    pub raw: Bytes,
}

#[derive(Deserialize)]
struct Line {
    record: Record,
}

#[derive(Deserialize)]
struct Record {
    intent: Option<Intent>,
}

/// The intents of a journal, oldest first; none if there is no journal. A last line without an end does not count.
pub(super) fn read(path: &Path) -> Result<Vec<Intent>, AuditError> {
    let failed = |source| AuditError::Files {
        path: path.to_owned(),
        source,
    };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let whole = text
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"));
    let mut intents = Vec::new();
    for line in whole {
        let line: Line = serde_json::from_slice(line).map_err(|error| failed(error.into()))?;
        intents.extend(line.record.intent);
    }
    Ok(intents)
}

impl Intent {
    /// The signed bytes are what the record says of them, of this wallet, and below the cap. Of a transaction that was in a
    /// block for long they may be gone.
    pub(super) fn judge(&self, wallet: Address, cap: u128, violations: &mut Vec<Violation>) {
        if self.raw.is_empty() {
            return;
        }
        let signed = TxEnvelope::decode_2718(&mut self.raw.as_ref());
        let is_that = |signed: TxEnvelope| {
            keccak256(&self.raw) == self.hash
                && signed.nonce() == self.nonce
                && signed.recover_signer().ok() == Some(wallet)
        };
        if !signed.is_ok_and(is_that) {
            let what = format!("the journal's transaction {} is another one", self.hash);
            violations.push(Violation::new("I2", what));
        }
        judge_fee(self.hash, &self.raw, cap, violations);
    }
}

/// No signed transaction may pay more than the cap.
pub(super) fn judge_fee(hash: B256, raw: &Bytes, cap: u128, violations: &mut Vec<Violation>) {
    let signed = TxEnvelope::decode_2718(&mut raw.as_ref());
    let fee = signed.map_or(0, |signed| signed.max_fee_per_gas());
    if fee > cap {
        let what = format!("transaction {hash} may pay {fee} wei, the cap is {cap}");
        violations.push(Violation::new("I3", what));
    }
}
