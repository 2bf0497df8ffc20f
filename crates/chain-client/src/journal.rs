//! The record of every transaction, on disk before it is sent.
//!
//! One line for each record: `{"record":{..},"sum":".."}`, where the sum covers the record and the sum of the line before, so
//! that a line cannot be changed or lost unseen. A last line without its end is what a power cut leaves of a record
//! that was never acted on; it is dropped. Any other damage is an error.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sw_spec::PublicKeyBytes;

use record::Record;

mod record;

/// What is known of a journalled transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryState {
    /// It was about to be handed out; whether it was is not known.
    Intended,
    /// A node took it, or knew it.
    Sent,
    /// Every node refused it.
    Rejected,
    /// It is in a block.
    Mined {
        /// The block.
        block: u64,
        /// Whether it did what it was sent for.
        success: bool,
    },
    /// Another transaction of this journal took its nonce.
    Replaced,
}

/// A journalled transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// What it is for: `register`, `harvest`, `rotate`.
    pub kind: String,
    /// The validators it is about.
    pub keys: Vec<PublicKeyBytes>,
    /// The wallet.
    pub from: Address,
    /// The chain.
    pub chain_id: u64,
    /// The wallet's nonce.
    pub nonce: u64,
    /// Its hash.
    pub hash: B256,
    /// The most it pays for a unit of gas, in wei.
    pub max_fee_per_gas: u128,
    /// The signed transaction; dropped from memory once it is in a block.
    pub raw: Bytes,
    /// What is known of it.
    pub state: EntryState,
}

/// A journal that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be opened, read, written or flushed.
    #[error("cannot {action} the transaction journal `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A line is not what was written.
    #[error("line {line} of the transaction journal `{}` is damaged", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file was written by a later release.
    #[error("the transaction journal `{}` has format {version}, which this release does not know", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// Another process has it open.
    #[error("the transaction journal `{}` is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// An earlier write failed half-way, and what it left could not be taken back.
    #[error("the transaction journal `{}` cannot be used before a restart, since a write to it failed", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
}

/// The transactions of the hot wallet, written to disk before they are sent.
///
/// Its methods block: they write and flush a file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    last_sum: Sum,
    usable: bool,
    entries: Vec<JournalEntry>,
    starts: Vec<Start>,
}

/// From which nonce on the journal accounts for a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Start {
    address: Address,
    chain_id: u64,
    nonce: u64,
}

impl Journal {
    /// Opens the journal and keeps others from opening it; creates it, for its owner only, if there is none.
    ///
    /// # Errors
    /// When the file is in use, damaged, a symbolic link, or cannot be read and written.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |action| {
            move |source| JournalError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        let existed = path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NO_FOLLOW)
            .open(path)
            .map_err(io("open"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::InUse { path: path.to_owned() },
            TryLockError::Error(source) => io("lock")(source),
        })?;
        if !existed && let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(io("create"))?;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io("read"))?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            length: 0,
            last_sum: Sum::default(),
            usable: true,
            entries: Vec::new(),
            starts: Vec::new(),
        };
        journal.replay(&text)?;
        if (text.len() as u64) > journal.length {
            journal
                .file
                .set_len(journal.length)
                .and_then(|()| journal.file.sync_data())
                .map_err(io("mend"))?;
        }
        Ok(journal)
    }

    /// Every transaction it knows, oldest first.
    pub fn entries(&self) -> &[JournalEntry] {
        &self.entries
    }

    /// From which nonce on it accounts for a wallet.
    pub(crate) fn start(&self, address: Address, chain_id: u64) -> Option<u64> {
        let ours = |start: &&Start| start.address == address && start.chain_id == chain_id;
        self.starts.iter().rev().find(ours).map(|start| start.nonce)
    }

    /// From now on accounts for a wallet from this nonce on.
    pub(crate) fn adopt(&mut self, address: Address, chain_id: u64, nonce: u64) -> Result<(), JournalError> {
        self.append(Record::Start {
            version: VERSION,
            address,
            chain_id,
            nonce,
        })
    }

    /// Records a transaction that is about to be sent. When this returns, it is on disk.
    pub(crate) fn intend(&mut self, entry: JournalEntry) -> Result<(), JournalError> {
        self.append(Record::from(entry))
    }

    /// Records what became of a transaction. Returns whether that was not known already; what was is not written again.
    pub(crate) fn learn(&mut self, hash: B256, state: EntryState) -> Result<bool, JournalError> {
        match self.entries.iter().rev().find(|entry| entry.hash == hash) {
            Some(entry) if entry.state != state => self.append(Record::outcome(hash, state)).map(|()| true),
            _ => Ok(false),
        }
    }

    fn append(&mut self, record: Record) -> Result<(), JournalError> {
        if !self.usable {
            return Err(JournalError::Unusable {
                path: self.path.clone(),
            });
        }
        let text = serde_json::to_string(&record).map_err(std::io::Error::other);
        let text = text.map_err(|source| self.io("write", source))?;
        let sum = Sum::of(&self.last_sum, &text);
        let line = format!("{{\"record\":{text},\"sum\":\"{}\"}}\n", hex::encode(sum.0));
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(line.as_bytes()))
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            self.usable = self.file.set_len(self.length).is_ok() && self.file.sync_data().is_ok();
            return Err(self.io("write", source));
        }
        self.length += line.len() as u64;
        self.last_sum = sum;
        self.apply(record);
        Ok(())
    }

    fn replay(&mut self, text: &[u8]) -> Result<(), JournalError> {
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let corrupt = || JournalError::Corrupt {
                path: self.path.clone(),
                line: index + 1,
            };
            let parsed: Line<'_> = serde_json::from_slice(line).map_err(|_| corrupt())?;
            let sum = Sum::of(&self.last_sum, parsed.record.get());
            if hex::encode(sum.0) != parsed.sum {
                return Err(corrupt());
            }
            let record: Record = serde_json::from_str(parsed.record.get()).map_err(|_| corrupt())?;
            if let Record::Start { version, .. } = record
                && version > VERSION
            {
                return Err(JournalError::Newer {
                    path: self.path.clone(),
                    version,
                });
            }
            self.last_sum = sum;
            self.length += line.len() as u64 + 1;
            self.apply(record);
        }
        Ok(())
    }

    /// Reads text as the lines of a journal; `file` is not touched.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of_text(text: &[u8], file: File) -> Result<Self, JournalError> {
        let mut journal = Self {
            path: PathBuf::from("journal"),
            file,
            length: 0,
            last_sum: Sum::default(),
            usable: true,
            entries: Vec::new(),
            starts: Vec::new(),
        };
        journal.replay(text).map(|()| journal)
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Start {
                address,
                chain_id,
                nonce,
                ..
            } => self.starts.push(Start {
                address,
                chain_id,
                nonce,
            }),
            Record::Intent(intent) => self.entries.push(intent.into()),
            Record::Outcome { hash, state } => {
                if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.hash == hash) {
                    entry.state = state.into();
                    if matches!(entry.state, EntryState::Mined { .. }) {
                        entry.raw = Bytes::new();
                    }
                }
            }
        }
    }

    fn io(&self, action: &'static str, source: std::io::Error) -> JournalError {
        JournalError::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// The lines of a journal with these records, one a line, whatever they are.
#[cfg(feature = "fuzzing")]
pub(crate) fn sealed(records: &str) -> String {
    let mut last = Sum::default();
    let line = |record: &str| {
        last = Sum::of(&last, record);
        format!("{{\"record\":{record},\"sum\":\"{}\"}}\n", hex::encode(last.0))
    };
    records.lines().map(line).collect()
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    record: &'a RawValue,
    sum: String,
}

/// The first half of a Keccak-256 digest over the sum before and the record.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Sum([u8; 16]);

impl Sum {
    fn of(before: &Self, record: &str) -> Self {
        let digest = keccak256([&before.0, record.as_bytes()].concat());
        Self(digest.0.first_chunk().copied().unwrap_or_default())
    }
}

const VERSION: u32 = 1;
/// `O_NOFOLLOW`: a journal that is a symbolic link was put there by somebody else.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

#[cfg(test)]
mod tests;
