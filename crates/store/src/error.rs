//! Why the database could not answer.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::DumpError;

/// Opening, reading or writing the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is not a sound database. It holds nothing that the chain does not, so it can go.
    #[error(
        "the validator database `{path}` is damaged ({finding}): delete it and its `-wal` and `-shm` files, \
         it is rebuilt from the chain"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What the check found.
        finding: String,
    },
    /// Another process held the database for longer than [`ValidatorIndex`](crate::ValidatorIndex) waits.
    #[error("the validator database `{path}` is in use by another process")]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// The directory, its permissions or its free space do not allow the database to be opened or written.
    #[error("the validator database `{path}` cannot be opened or written")]
    Unusable {
        /// The database file.
        path: PathBuf,
        /// What SQLite or the system said.
        #[source]
        source: rusqlite::Error,
    },
    /// A damaged database could not be put out of the way.
    #[error(
        "the validator database `{path}` is damaged and cannot be renamed: delete it, it is rebuilt from the chain"
    )]
    NotRenamed {
        /// The database file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key was to be stored for a block after the checkpoint that came with it.
    #[error("a validator of block {block} cannot be stored under the checkpoint {checkpoint}")]
    AfterCheckpoint {
        /// The validator's block.
        block: u64,
        /// The block everything up to which was said to be known.
        checkpoint: u64,
    },
    /// A block number that SQLite's integers cannot hold.
    #[error("block number {0} is out of range")]
    BlockOutOfRange(u64),
    /// The published list of validators is not one.
    #[error("the list of the network's validators is malformed")]
    Dump(#[from] DumpError),
}

impl StoreError {
    pub(crate) fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path,
                finding: source.to_string(),
            },
            // The file itself, and not its directory, and not the permissions: its header says so.
            Some(ErrorCode::ReadOnly)
                if source
                    .sqlite_error()
                    .is_some_and(|error| error.extended_code == SQLITE_READONLY)
                    && std::fs::OpenOptions::new().write(true).open(&path).is_ok() =>
            {
                Self::Damaged {
                    path,
                    finding: source.to_string(),
                }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            _ => Self::Unusable { path, source },
        }
    }
}

const SQLITE_READONLY: i32 = 8;
