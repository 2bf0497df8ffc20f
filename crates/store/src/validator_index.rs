//! The table of validators, and how much of it is proven.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use sw_spec::{B256, DepositTree, NetworkName, PublicKeyBytes};

use crate::{
    Deposits, Mark, StoreError,
    dump::parse_dump,
    history::{History, Tally},
};

/// The network's validators with a valid deposit, as far as the chain has been read.
///
/// All rows of one call and what is known of them are one transaction: after a crash the database is as it was before
/// or after the call.
#[derive(Debug)]
pub struct ValidatorIndex {
    connection: Connection,
    path: PathBuf,
    network: NetworkName,
    sql: Statements,
    history: Option<History>,
    is_verified: bool,
}

/// A database that was not sound, and was put out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub kept: PathBuf,
    /// What was wrong with it.
    pub finding: String,
}

impl ValidatorIndex {
    /// Opens the database of a network, and creates it when the file is missing. All of its rows are verified.
    ///
    /// A file of the original operator opens too. What it had read is taken to end with its highest block, as it did
    /// itself; what it added after us is read again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the file is not a sound database of ours or the original's; it says that it may be
    /// deleted.
    pub fn open(path: &Path, network: &NetworkName) -> Result<Self, StoreError> {
        let mut index = Self::connect(path, network)?;
        index.verify_rows()?;
        Ok(index)
    }

    /// The same without the rows, which take long to verify when there are millions: nothing is called proven, and nothing
    /// is written, before [`ValidatorIndex::verify_or_rebuild`].
    ///
    /// A file that is damaged, or is something else, is renamed and a new one begun: it holds nothing that the chain does
    /// not. Returns what was set aside.
    ///
    /// # Errors
    ///
    /// The directory, or a sound file, cannot be used.
    pub fn open_or_rebuild(path: &Path, network: &NetworkName) -> Result<(Self, Option<SetAside>), StoreError> {
        match Self::connect(path, network) {
            Err(StoreError::Damaged { finding, .. }) => {
                let kept = set_aside(path)?;
                Ok((Self::open(path, network)?, Some(SetAside { kept, finding })))
            }
            opened => opened.map(|index| (index, None)),
        }
    }

    /// Verifies the rows, if that was not done yet: those that are there are those that were written, and the table and its
    /// index have the same. A file in which they are not is renamed and a new one begun. Returns what was set aside.
    ///
    /// # Errors
    ///
    /// As [`ValidatorIndex::open_or_rebuild`].
    pub fn verify_or_rebuild(&mut self) -> Result<Option<SetAside>, StoreError> {
        match self.verify_rows() {
            Err(StoreError::Damaged { finding, .. }) => {
                // The file is let go of before it is renamed.
                self.connection =
                    Connection::open_in_memory().map_err(|source| StoreError::from_sqlite(&self.path, source))?;
                let kept = set_aside(&self.path)?;
                let (path, network) = (self.path.clone(), self.network.clone());
                *self = Self::open(&path, &network)?;
                Ok(Some(SetAside { kept, finding }))
            }
            verified => verified.map(|()| None),
        }
    }

    fn connect(path: &Path, network: &NetworkName) -> Result<Self, StoreError> {
        let sqlite = |source| StoreError::from_sqlite(path, source);
        let mut connection = Connection::open(path).map_err(sqlite)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
        check_owner(&connection).map_err(|fault| fault.at(path))?;
        connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0))
            .and_then(|_mode| connection.pragma_update(None, "synchronous", "normal"))
            .map_err(sqlite)?;
        let sql = Statements::new(network);
        // A file that cannot be written shows now, and not after hours of reading the chain.
        let found = in_transaction(&mut connection, |transaction| {
            transaction.execute_batch(&sql.create)?;
            let history = History::load(transaction, &sql.history)?;
            let is_empty = !transaction.prepare(&sql.rows)?.exists([])?;
            Ok((history, is_empty))
        });
        let (history, is_empty) = found.map_err(|fault| fault.at(path))?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            network: network.clone(),
            sql,
            is_verified: history.is_none() && is_empty,
            history,
        })
    }

    fn verify_rows(&mut self) -> Result<(), StoreError> {
        if self.is_verified {
            return Ok(());
        }
        let (path, sql, connection) = (&self.path, &self.sql, &mut self.connection);
        self.history = check_rows(connection)
            .and_then(|()| load(connection, sql))
            .map_err(|fault| fault.at(path))?;
        self.is_verified = true;
        Ok(())
    }

    /// The last block whose deposits are known, with all blocks before it; `None` when nothing is known.
    pub fn checkpoint(&self) -> Option<u64> {
        self.scanned().map(|mark| mark.block)
    }

    /// How far the deposits are known, and what is known of them there.
    pub fn scanned(&self) -> Option<&Mark> {
        self.history.as_ref().map(|history| &history.scanned)
    }

    /// How far they are proven, or were taken on trust from a published list or the original.
    pub fn anchor(&self) -> Option<&Mark> {
        self.history.as_ref()?.anchor.as_ref()
    }

    /// The checkpoint and the tree of all deposits up to it, when they were compared with the contract's there: only then
    /// may anything be decided on what is stored. Nothing is before the rows are verified.
    pub fn proven(&self) -> Option<(u64, &DepositTree)> {
        let scanned = self.scanned()?;
        match &scanned.deposits {
            Deposits::Tree(tree) if self.is_verified && self.anchor() == Some(scanned) => Some((scanned.block, tree)),
            _ => None,
        }
    }

    /// Stores validators with the blocks of their first deposits, and that all blocks up to `checkpoint` are known now,
    /// with these deposits, which nothing proves yet.
    ///
    /// A validator that is there already stays as it is. What lies behind the checkpoint is known and not stored again.
    /// Returns how many were new.
    pub fn insert(
        &mut self,
        validators: &[(PublicKeyBytes, u64)],
        checkpoint: u64,
        deposits: Deposits,
    ) -> Result<u64, StoreError> {
        let scanned = Mark {
            block: checkpoint,
            hash: None,
            deposits,
        };
        self.write(validators, scanned, self.anchor().cloned())
    }

    /// The same for deposits whose tree is the contract's at the block of the checkpoint, whose hash is `hash`: all that
    /// is stored is proven then.
    pub fn insert_proven(
        &mut self,
        validators: &[(PublicKeyBytes, u64)],
        checkpoint: u64,
        hash: B256,
        tree: DepositTree,
    ) -> Result<u64, StoreError> {
        let scanned = Mark {
            block: checkpoint,
            hash: Some(hash),
            deposits: Deposits::Tree(tree),
        };
        self.write(validators, scanned.clone(), Some(scanned))
    }

    /// Stores a published list of validators, which covers all blocks up to `last_block`. Returns how many were new.
    ///
    /// The caller has verified that the bytes are the ones that were published: they are taken on trust.
    ///
    /// # Errors
    ///
    /// [`StoreError::Dump`] before anything is stored, when the list is cut short or out of order.
    pub fn import_dump(&mut self, dump: &[u8], last_block: u64) -> Result<u64, StoreError> {
        let validators = parse_dump(dump, last_block)?;
        let mark = Mark {
            block: last_block,
            hash: None,
            deposits: Deposits::Unknown,
        };
        self.write(&validators, mark.clone(), Some(mark))
    }

    /// Forgets what came after [`ValidatorIndex::anchor`]: it turned out to be wrong. Without an anchor that is all.
    /// Returns how many validators went.
    pub fn drop_unproven(&mut self) -> Result<u64, StoreError> {
        let anchor = self.anchor().cloned();
        self.drop_to(anchor)
    }

    /// Forgets everything. Returns how many validators went.
    pub fn clear(&mut self) -> Result<u64, StoreError> {
        self.drop_to(None)
    }

    /// The number of validators stored.
    pub fn count(&self) -> Result<u64, StoreError> {
        // Counting millions of rows for each decision takes longer than the rest of it.
        if let Some(history) = self.history.as_ref().filter(|_| self.is_verified) {
            return Ok(history.tally.validators.unsigned_abs());
        }
        self.connection
            .prepare_cached(&self.sql.count)
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .map_err(|source| StoreError::from_sqlite(&self.path, source))
    }

    /// Whether the validator has a valid deposit in a stored block.
    pub fn contains(&self, key: &PublicKeyBytes) -> Result<bool, StoreError> {
        Ok(self.block_of(key)?.is_some())
    }

    /// The block of the validator's first valid deposit.
    pub fn block_of(&self, key: &PublicKeyBytes) -> Result<Option<u64>, StoreError> {
        self.connection
            .prepare_cached(&self.sql.block_of)
            .and_then(|mut statement| {
                statement
                    .query_row(params![key.to_string()], |row| row.get::<_, i64>(0))
                    .optional()
            })
            .map(|block| block.map(i64::unsigned_abs))
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

    fn write(
        &mut self,
        validators: &[(PublicKeyBytes, u64)],
        scanned: Mark,
        anchor: Option<Mark>,
    ) -> Result<u64, StoreError> {
        self.verify_rows()?;
        let checkpoint = scanned.block;
        if let Some(&(_, block)) = validators.iter().find(|(_, block)| *block > checkpoint) {
            return Err(StoreError::AfterCheckpoint { block, checkpoint });
        }
        if i64::try_from(checkpoint).is_err() {
            return Err(StoreError::BlockOutOfRange(checkpoint));
        }
        if self.checkpoint().is_some_and(|known| known > checkpoint) {
            return Ok(0);
        }
        let before = self.history.as_ref().map(|history| history.tally).unwrap_or_default();
        let (path, sql) = (&self.path, &self.sql);
        let written = in_transaction(&mut self.connection, |transaction| {
            let mut tally = before;
            let mut insert = transaction.prepare_cached(&sql.insert)?;
            for (key, block) in validators {
                // Not above the checkpoint, which fits.
                let block = block.cast_signed();
                if insert.execute(params![key.to_string(), block])? == 1 {
                    tally.add(key, block);
                }
            }
            let history = History { scanned, anchor, tally };
            history.save(transaction, &sql.history)?;
            Ok(history)
        });
        let history = written.map_err(|fault| fault.at(path))?;
        let added = history.tally.validators.abs_diff(before.validators);
        self.history = Some(history);
        Ok(added)
    }

    fn drop_to(&mut self, anchor: Option<Mark>) -> Result<u64, StoreError> {
        self.verify_rows()?;
        let Some(history) = &self.history else { return Ok(0) };
        let (path, sql, before) = (&self.path, &self.sql, history.tally);
        let kept = in_transaction(&mut self.connection, |transaction| {
            let Some(mark) = anchor else {
                transaction.execute(&sql.forget_rows_after, [-1])?;
                transaction.execute(&sql.forget_history, [])?;
                return Ok(None);
            };
            let mut tally = before;
            let kept = mark.block.cast_signed();
            let mut after = transaction.prepare(&sql.rows_after)?;
            let mut rows = after.query([kept])?;
            while let Some(row) = rows.next()? {
                let (key, block) = validator(row)?;
                tally.remove(&key, block);
            }
            transaction.execute(&sql.forget_rows_after, [kept])?;
            let history = History {
                scanned: mark.clone(),
                anchor: Some(mark),
                tally,
            };
            history.save(transaction, &sql.history)?;
            Ok(Some(history))
        });
        self.history = kept.map_err(|fault| fault.at(path))?;
        let left = self.history.as_ref().map_or(0, |history| history.tally.validators);
        Ok(before.validators.abs_diff(left))
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// Reads what is known of the rows, and refuses rows that are not the ones it was written with.
///
/// Rows without it are the original's. Rows that came after it are, too: they go, because they are read again with proof.
fn load(connection: &mut Connection, sql: &Statements) -> Result<Option<History>, Fault> {
    in_transaction(connection, |transaction| {
        let stored = History::load(transaction, &sql.history)?;
        let last = stored.as_ref().map(|history| history.scanned.block.cast_signed());
        let (mut tally, mut highest, mut foreign) = (Tally::default(), None, false);
        let mut rows = transaction.prepare(&sql.rows)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let (key, block) = validator(row)?;
            if last.is_some_and(|last| block > last) {
                foreign = true;
            } else {
                tally.add(&key, block);
                highest = highest.max(Some(block));
            }
        }
        let history = match stored {
            Some(history) if history.tally != tally => {
                return Err(Fault::Finding(
                    "validators are missing, or are not those that were stored".into(),
                ));
            }
            Some(history) => Some(history),
            None => highest.map(|highest| History::of_the_original(highest.unsigned_abs(), tally)),
        };
        if let Some(last) = last.filter(|_| foreign) {
            transaction.execute(&sql.forget_rows_after, [last])?;
        }
        if let (None, Some(history)) = (last, &history) {
            history.save(transaction, &sql.history)?;
        }
        Ok(history)
    })
}

fn validator(row: &rusqlite::Row<'_>) -> Result<(PublicKeyBytes, i64), Fault> {
    let (key, block): (String, i64) = (row.get(0)?, row.get(1)?);
    let key = key.parse().map_err(|_| Fault::Finding("a public key is none".into()))?;
    if block < 0 {
        return Err(Fault::Finding("a block number is below zero".into()));
    }
    Ok((key, block))
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
    history: String,
    insert: String,
    count: String,
    block_of: String,
    rows: String,
    rows_after: String,
    forget_rows_after: String,
    forget_history: String,
}

impl Statements {
    /// The first table is the original's. The second is ours: the original has a `<network>_checkpoints`, in two shapes
    /// depending on its version, for progress of its own.
    fn new(network: &NetworkName) -> Self {
        let validators = format!("\"{network}{VALIDATORS}\"");
        let history = format!("\"{network}_deposit_history\"");
        Self {
            create: format!(
                "CREATE TABLE IF NOT EXISTS {validators} \
                 (public_key VARCHAR(98) UNIQUE NOT NULL, block_number INTEGER NOT NULL); {}",
                History::create(&history)
            ),
            insert: format!(
                "INSERT INTO {validators} (public_key, block_number) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
            ),
            count: format!("SELECT COUNT(*) FROM {validators}"),
            block_of: format!("SELECT block_number FROM {validators} WHERE public_key = ?1"),
            rows: format!("SELECT public_key, block_number FROM {validators}"),
            rows_after: format!("SELECT public_key, block_number FROM {validators} WHERE block_number > ?1"),
            forget_rows_after: format!("DELETE FROM {validators} WHERE block_number > ?1"),
            forget_history: format!("DELETE FROM {history}"),
            history,
        }
    }
}

/// Compares the table with its index as well: a wrong row would make a wrong validator index, and a wrong exit.
fn check_rows(connection: &Connection) -> Result<(), Fault> {
    sound(connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?)
}

fn sound(finding: String) -> Result<(), Fault> {
    if finding == "ok" {
        Ok(())
    } else {
        Err(Fault::Finding(finding))
    }
}

/// Looks at the list of tables alone, before the first write: a damaged file is kept as it was found.
fn check_owner(connection: &Connection) -> Result<(), Fault> {
    sound(connection.query_row("PRAGMA integrity_check(sqlite_schema)", [], |row| row.get(0))?)?;
    let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let tables = tables.query_map([], |row| row.get::<_, String>(0))?;
    let tables: Vec<String> = tables.collect::<Result<_, _>>()?;
    if tables.is_empty() || tables.iter().any(|table| table.ends_with(VALIDATORS)) {
        Ok(())
    } else {
        Err(Fault::Finding("it is the database of another program".into()))
    }
}

/// Renames a database and the two files that belong to it, and returns its new name.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    rename(path).map_err(|source| StoreError::NotRenamed {
        path: path.to_owned(),
        source,
    })
}

fn rename(path: &Path) -> std::io::Result<PathBuf> {
    let named = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut kept = named(path, ".damaged");
    for number in 2..=MOST_KEPT {
        if !kept.exists() {
            break;
        }
        kept = named(path, &format!(".damaged-{number}"));
    }
    for ending in ["-wal", "-shm"] {
        let beside = named(path, ending);
        if beside.exists() {
            std::fs::rename(beside, named(&kept, ending))?;
        }
    }
    std::fs::rename(path, &kept)?;
    Ok(kept)
}

const VALIDATORS: &str = "_network_validators";
/// The last place is taken again: a disk that damages files must not be filled with them.
const MOST_KEPT: u32 = 9;
/// The metrics of a second process, or a person with `sqlite3`, may hold the file for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
