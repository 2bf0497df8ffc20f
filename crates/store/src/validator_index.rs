//! The table of validators and the block up to which it is complete.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use sw_spec::{NetworkName, PublicKeyBytes};

use crate::{StoreError, dump::parse_dump};

/// The network's validators with a valid deposit, as far as the chain has been read.
///
/// All rows of one call and its checkpoint are one transaction: after a crash the database is as it was before or after
/// the call.
#[derive(Debug)]
pub struct ValidatorIndex {
    connection: Connection,
    path: PathBuf,
    sql: Statements,
    checkpoint: Option<u64>,
    tally: Tally,
}

impl ValidatorIndex {
    /// Opens the database of a network, and creates it when the file is missing.
    ///
    /// A file of the original operator opens too. It stored no checkpoint: what it had read is taken to end with its
    /// highest block, as it did itself.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the file is not a sound database; it says that it may be deleted.
    pub fn open(path: &Path, network: &NetworkName) -> Result<Self, StoreError> {
        let sqlite = |source| StoreError::from_sqlite(path, source);
        let connection = Connection::open(path).map_err(sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
        check(&connection, path)?;
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
            .and_then(|_mode| connection.pragma_update(None, "synchronous", "normal"))
            .map_err(sqlite)?;
        let sql = Statements::new(network);
        connection.execute_batch(&sql.create).map_err(sqlite)?;
        let (checkpoint, tally) = checkpoint(&connection, &sql).map_err(|fault| fault.at(path))?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            sql,
            checkpoint,
            tally,
        })
    }

    /// The last block whose deposits are known, with all blocks before it; `None` when nothing is known.
    pub fn checkpoint(&self) -> Option<u64> {
        self.checkpoint
    }

    /// Stores validators with the blocks of their first deposits, and that all blocks up to `checkpoint` are known now.
    ///
    /// A validator that is there already stays as it is, and a checkpoint never moves back. Returns how many were new.
    pub fn insert(&mut self, validators: &[(PublicKeyBytes, u64)], checkpoint: u64) -> Result<u64, StoreError> {
        if let Some(&(_, block)) = validators.iter().find(|(_, block)| *block > checkpoint) {
            return Err(StoreError::AfterCheckpoint { block, checkpoint });
        }
        let checkpoint = self.checkpoint.map_or(checkpoint, |known| known.max(checkpoint));
        let stored = i64::try_from(checkpoint).map_err(|_| StoreError::BlockOutOfRange(checkpoint))?;
        let tally = self
            .write(validators, stored)
            .map_err(|source| StoreError::from_sqlite(&self.path, source))?;
        let added = tally.validators.abs_diff(self.tally.validators);
        (self.checkpoint, self.tally) = (Some(checkpoint), tally);
        Ok(added)
    }

    /// Stores a published list of validators, which covers all blocks up to `last_block`. Returns how many were new.
    ///
    /// The caller has verified that the bytes are the ones that were published.
    ///
    /// # Errors
    ///
    /// [`StoreError::Dump`] before anything is stored, when the list is cut short or out of order.
    pub fn import_dump(&mut self, dump: &[u8], last_block: u64) -> Result<u64, StoreError> {
        let validators = parse_dump(dump, last_block)?;
        self.insert(&validators, last_block)
    }

    /// The number of validators stored.
    pub fn count(&self) -> Result<u64, StoreError> {
        self.connection
            .prepare_cached(&self.sql.count)
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .map_err(|source| StoreError::from_sqlite(&self.path, source))
    }

    /// Whether the validator has a valid deposit in a stored block.
    pub fn contains(&self, key: &PublicKeyBytes) -> Result<bool, StoreError> {
        self.connection
            .prepare_cached(&self.sql.contains)
            .and_then(|mut statement| statement.query_row(params![key.to_string()], |_row| Ok(())).optional())
            .map(|row| row.is_some())
            .map_err(|source| StoreError::from_sqlite(&self.path, source))
    }

    /// The number of distinct validators among those stored and those given: the index the next new validator gets.
    ///
    /// `tail` is the keys of the valid deposits in the blocks after the checkpoint, with or without repetitions.
    pub fn count_with(&self, tail: &[PublicKeyBytes]) -> Result<u64, StoreError> {
        let mut count = self.count()?;
        for key in tail.iter().collect::<HashSet<_>>() {
            count += u64::from(!self.contains(key)?);
        }
        Ok(count)
    }

    fn write(&mut self, validators: &[(PublicKeyBytes, u64)], checkpoint: i64) -> Result<Tally, rusqlite::Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut tally = self.tally;
        {
            let mut insert = transaction.prepare_cached(&self.sql.insert)?;
            for (key, block) in validators {
                // Not above the checkpoint, which fits.
                let block = block.cast_signed();
                if insert.execute(params![key.to_string(), block])? == 1 {
                    tally.validators += 1;
                    tally.block_sum = tally.block_sum.wrapping_add(block);
                }
            }
        }
        transaction.execute(&self.sql.forget_checkpoint, [])?;
        transaction.execute(
            &self.sql.save_checkpoint,
            params![checkpoint, tally.validators, tally.block_sum, tally.seal(checkpoint)],
        )?;
        transaction.commit()?;
        Ok(tally)
    }
}

/// What is known of the rows without reading them, so that a change behind our back shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    validators: i64,
    block_sum: i64,
}

impl Tally {
    /// The figures of a checkpoint once more, as text: a flipped bit hits one of the two.
    fn seal(self, checkpoint: i64) -> String {
        format!("{checkpoint}/{}/{}", self.validators, self.block_sum)
    }
}

/// Reads how far the rows go, and refuses rows that are not the ones the checkpoint was written with.
///
/// Rows without a checkpoint, and rows that came after it, are the original's: it stores every validator up to its
/// highest block.
fn checkpoint(connection: &Connection, sql: &Statements) -> Result<(Option<u64>, Tally), Fault> {
    let (tally, highest) = connection.query_row(&sql.tally, [], |row| {
        Ok((
            Tally {
                validators: row.get(0)?,
                block_sum: row.get(1)?,
            },
            row.get::<_, Option<i64>>(2)?,
        ))
    })?;
    let stored = connection
        .query_row(&sql.checkpoint, [], |row| {
            let tally = Tally {
                validators: row.get(1)?,
                block_sum: row.get(2)?,
            };
            Ok((row.get::<_, i64>(0)?, tally, row.get::<_, String>(3)?))
        })
        .optional()?;
    let block = match stored {
        None => highest,
        Some((block, known, seal)) if seal != known.seal(block) => {
            return Err(Fault::Finding(format!(
                "the checkpoint {block} does not match its seal"
            )));
        }
        Some((block, known, _)) if known == tally => Some(block),
        Some((block, known, _)) if known.validators < tally.validators => highest.max(Some(block)),
        Some(_) => {
            return Err(Fault::Finding(
                "validators are missing or were moved to another block".into(),
            ));
        }
    };
    match block.map(u64::try_from).transpose() {
        Ok(block) => Ok((block, tally)),
        Err(_) => Err(Fault::Finding("a block number is below zero".into())),
    }
}

enum Fault {
    Finding(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(source: rusqlite::Error) -> Self {
        Self::Sqlite(source)
    }
}

impl Fault {
    /// Values of another type than the schema's, and columns that are not there, are damage too.
    fn at(self, path: &Path) -> StoreError {
        let finding = match self {
            Self::Finding(finding) => finding,
            Self::Sqlite(source) => match source.sqlite_error_code() {
                None | Some(ErrorCode::Unknown) => source.to_string(),
                Some(_) => return StoreError::from_sqlite(path, source),
            },
        };
        StoreError::Damaged {
            path: path.to_owned(),
            finding,
        }
    }
}

/// The texts that carry the table names. A [`NetworkName`] is `[a-z0-9_]+`, so it can stand in them.
#[derive(Debug)]
struct Statements {
    create: String,
    tally: String,
    checkpoint: String,
    forget_checkpoint: String,
    save_checkpoint: String,
    insert: String,
    count: String,
    contains: String,
}

impl Statements {
    /// The first table is the original's. The second is ours: the original has a `<network>_checkpoints`, in two shapes
    /// depending on its version, for progress of its own.
    fn new(network: &NetworkName) -> Self {
        let validators = format!("\"{network}_network_validators\"");
        let checkpoint = format!("\"{network}_network_validators_checkpoint\"");
        Self {
            create: format!(
                "CREATE TABLE IF NOT EXISTS {validators} \
                 (public_key VARCHAR(98) UNIQUE NOT NULL, block_number INTEGER NOT NULL); \
                 CREATE TABLE IF NOT EXISTS {checkpoint} (block_number INTEGER NOT NULL, validators INTEGER NOT NULL, \
                 block_sum INTEGER NOT NULL, seal VARCHAR(62) NOT NULL);"
            ),
            tally: format!("SELECT COUNT(*), COALESCE(SUM(block_number), 0), MAX(block_number) FROM {validators}"),
            checkpoint: format!("SELECT block_number, validators, block_sum, seal FROM {checkpoint}"),
            forget_checkpoint: format!("DELETE FROM {checkpoint}"),
            save_checkpoint: format!("INSERT INTO {checkpoint} VALUES (?1, ?2, ?3, ?4)"),
            insert: format!(
                "INSERT INTO {validators} (public_key, block_number) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
            ),
            count: format!("SELECT COUNT(*) FROM {validators}"),
            contains: format!("SELECT 1 FROM {validators} WHERE public_key = ?1"),
        }
    }
}

/// Compares the table with its index as well: a wrong row would make a wrong validator index, and a wrong exit.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let finding: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .map_err(|source| StoreError::from_sqlite(path, source))?;
    if finding == "ok" {
        Ok(())
    } else {
        Err(StoreError::Damaged {
            path: path.to_owned(),
            finding,
        })
    }
}

/// The metrics of a second process, or a person with `sqlite3`, may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
