//! The record of every transaction, on disk before it is sent.
//!
//! One line for each record: `{"record":{..},"sum":".."}`, where the sum covers the record and the sum of the line before, so
//! that a line cannot be changed or lost unseen. A last line without its end is what a power cut leaves of a record
//! that was never acted on; it is dropped. Any other damage is an error.
//!
//! What can never matter again is left out when the file is written anew, which happens at a start and when it has grown.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use entry::{EntryState, JournalEntry};
use record::Record;

mod compaction;
mod entry;
mod record;

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
    /// The oldest format that a part of the file has.
    version: u32,
    /// The length at which it is written anew.
    compact_at: u64,
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
        let mut file = open_locked(path)?;
        if !existed {
            sync_parent(path).map_err(io("create"))?;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(io("read"))?;
        let mut journal = Self::empty(path.to_owned(), file);
        journal.replay(&text)?;
        if (text.len() as u64) > journal.length {
            journal
                .file
                .set_len(journal.length)
                .and_then(|()| journal.file.sync_data())
                .map_err(io("mend"))?;
        }
        journal.compact_at_start();
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

    /// Records a transaction that is about to be sent. When this returns, it is on disk. One that is there already is
    /// not written again.
    pub(crate) fn intend(&mut self, entry: JournalEntry) -> Result<(), JournalError> {
        if self.entries.iter().rev().any(|known| known.hash == entry.hash) {
            return Ok(());
        }
        self.compact_when_large();
        self.append(Record::from(&entry))
    }

    /// Records what became of a transaction. Returns whether that was not known already; what was is not written again.
    pub(crate) fn learn(&mut self, hash: B256, state: EntryState) -> Result<bool, JournalError> {
        match self.entries.iter().rev().find(|entry| entry.hash == hash) {
            Some(entry) if entry.state != state => self.append(Record::outcome(hash, state)).map(|()| true),
            _ => Ok(false),
        }
    }

    fn empty(path: PathBuf, file: File) -> Self {
        Self {
            path,
            file,
            length: 0,
            last_sum: Sum::default(),
            usable: true,
            version: VERSION,
            compact_at: MOST_GROWTH,
            entries: Vec::new(),
            starts: Vec::new(),
        }
    }

    fn append(&mut self, record: Record) -> Result<(), JournalError> {
        if !self.usable {
            return Err(JournalError::Unusable {
                path: self.path.clone(),
            });
        }
        let (line, sum) = line(&record, &self.last_sum).map_err(|source| self.io("write", source))?;
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
            if let Record::Start { version, .. } = record {
                if version > VERSION {
                    return Err(JournalError::Newer {
                        path: self.path.clone(),
                        version,
                    });
                }
                self.version = self.version.min(version);
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
        let mut journal = Self::empty(PathBuf::from("journal"), file);
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

/// A record as a line, and the sum that the next one goes on from.
fn line(record: &Record, before: &Sum) -> std::io::Result<(String, Sum)> {
    let text = serde_json::to_string(record).map_err(std::io::Error::other)?;
    let sum = Sum::of(before, &text);
    let line = format!("{{\"record\":{text},\"sum\":\"{}\"}}\n", hex::encode(sum.0));
    Ok((line, sum))
}

/// Opens a journal for this process alone.
fn open_locked(path: &Path) -> Result<File, JournalError> {
    let io = |action| {
        move |source| JournalError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    };
    loop {
        let file = options().truncate(false).open(path).map_err(io("open"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::InUse { path: path.to_owned() },
            TryLockError::Error(source) => io("lock")(source),
        })?;
        // Whoever had it may have put a new file in its place between the two calls.
        let (ours, there) = (file.metadata(), std::fs::symlink_metadata(path));
        let (ours, there) = (ours.map_err(io("open"))?, there.map_err(io("open"))?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            return Ok(file);
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .mode(0o600)
        .custom_flags(NO_FOLLOW);
    options
}

/// Makes a new name in a directory last.
fn sync_parent(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Format 2 tells cancellations, the tip and the block at which a transaction was signed. Format 1 is read.
const VERSION: u32 = 2;
/// What a journal may grow by before it is written anew.
const MOST_GROWTH: u64 = 4 << 20;
/// `O_NOFOLLOW`: a journal that is a symbolic link was put there by somebody else.
const NO_FOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

#[cfg(test)]
mod tests;
