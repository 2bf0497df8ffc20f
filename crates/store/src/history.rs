//! How far the deposits were read, what proves them, and what the rows are known by.

use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};
use sw_spec::{B256, DepositTree, PublicKeyBytes, hash_pair, merkleize};

/// What is known of all deposits up to a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deposits {
    /// Nothing: a published list, or the original, does not say.
    Unknown,
    /// How many there are, counted from the deposit after the list.
    Count(u64),
    /// Their tree.
    Tree(DepositTree),
}

impl Deposits {
    /// How many there are.
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Unknown => None,
            Self::Count(count) => Some(*count),
            Self::Tree(tree) => Some(tree.count()),
        }
    }
}

/// A block up to which all blocks are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The block.
    pub block: u64,
    /// Its hash, where the deposits were compared with the contract's.
    pub hash: Option<B256>,
    /// The deposits up to it.
    pub deposits: Deposits,
}

/// Rows by their number and a digest that does not depend on their order, so that a change behind our back shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) validators: i64,
    digest: u128,
}

impl Tally {
    pub(crate) fn add(&mut self, key: &PublicKeyBytes, block: i64) {
        self.validators += 1;
        self.digest = self.digest.wrapping_add(row_digest(key, block));
    }

    pub(crate) fn remove(&mut self, key: &PublicKeyBytes, block: i64) {
        self.validators -= 1;
        self.digest = self.digest.wrapping_sub(row_digest(key, block));
    }
}

fn row_digest(key: &PublicKeyBytes, block: i64) -> u128 {
    let (head, tail) = key.0.split_at(32);
    let mut rest = tail.to_vec();
    rest.extend(block.to_be_bytes());
    let digest = hash_pair(B256::from_slice(head), B256::right_padding_from(&rest));
    let [bytes @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest.0;
    u128::from_be_bytes(bytes)
}

/// All that is stored beside the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// How far the rows go.
    pub(crate) scanned: Mark,
    /// How far they are proven, or were taken on trust: what came after may be dropped.
    pub(crate) anchor: Option<Mark>,
    pub(crate) tally: Tally,
}

impl History {
    /// What a database of the original says: every validator up to its highest block.
    pub(crate) fn of_the_original(highest: u64, tally: Tally) -> Self {
        let mark = Mark {
            block: highest,
            hash: None,
            deposits: Deposits::Unknown,
        };
        Self {
            scanned: mark.clone(),
            anchor: Some(mark),
            tally,
        }
    }

    pub(crate) fn load(connection: &Connection, table: &str) -> Result<Option<Self>, rusqlite::Error> {
        connection
            .query_row(&format!("SELECT * FROM {table}"), [], |row| {
                let has_anchor = row.get::<_, Option<i64>>("anchor_block_number")?.is_some();
                let digest: [u8; 16] = row.get("rows_digest")?;
                let history = Self {
                    scanned: mark(row, "")?,
                    anchor: if has_anchor { Some(mark(row, "anchor_")?) } else { None },
                    tally: Tally {
                        validators: row.get("validators")?,
                        digest: u128::from_be_bytes(digest),
                    },
                };
                let seal: [u8; 32] = row.get("seal")?;
                if seal == history.seal() {
                    Ok(history)
                } else {
                    Err(unreadable(row, "seal", "it does not match"))
                }
            })
            .optional()
    }

    pub(crate) fn save(&self, connection: &Connection, table: &str) -> Result<(), rusqlite::Error> {
        connection.execute(&format!("DELETE FROM {table}"), [])?;
        let (block, hash, deposits, tree) = columns(&self.scanned);
        let anchor = self.anchor.as_ref().map(columns);
        let (anchor_block, anchor_hash, anchor_deposits, anchor_tree) = anchor
            .map_or((None, None, None, None), |(block, hash, deposits, tree)| {
                (Some(block), hash, deposits, tree)
            });
        connection.execute(
            &format!("INSERT INTO {table} VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"),
            params![
                block,
                hash,
                deposits,
                tree,
                anchor_block,
                anchor_hash,
                anchor_deposits,
                anchor_tree,
                self.tally.validators,
                self.tally.digest.to_be_bytes(),
                self.seal(),
            ],
        )?;
        Ok(())
    }

    pub(crate) fn create(table: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (\
             block_number INTEGER NOT NULL, block_hash BLOB, deposits INTEGER, tree BLOB, \
             anchor_block_number INTEGER, anchor_block_hash BLOB, anchor_deposits INTEGER, anchor_tree BLOB, \
             validators INTEGER NOT NULL, rows_digest BLOB NOT NULL, seal BLOB NOT NULL);"
        )
    }

    /// One hash over all of it: no flipped bit makes another history.
    fn seal(&self) -> [u8; 32] {
        let mut bytes = self.tally.validators.to_be_bytes().to_vec();
        bytes.extend(self.tally.digest.to_be_bytes());
        for mark in [Some(&self.scanned), self.anchor.as_ref()] {
            let Some(mark) = mark else { continue };
            bytes.extend(mark.block.to_be_bytes());
            bytes.extend(mark.hash.unwrap_or_default());
            bytes.push(u8::from(mark.hash.is_some()));
            match &mark.deposits {
                Deposits::Unknown => bytes.push(0),
                Deposits::Count(count) => {
                    bytes.push(1);
                    bytes.extend(count.to_be_bytes());
                }
                Deposits::Tree(tree) => {
                    bytes.push(2);
                    bytes.extend(tree.to_bytes());
                }
            }
        }
        let chunks: Vec<B256> = bytes.chunks(32).map(B256::right_padding_from).collect();
        merkleize(&chunks).0
    }
}

type Columns = (i64, Option<[u8; 32]>, Option<i64>, Option<Vec<u8>>);

fn columns(mark: &Mark) -> Columns {
    let tree = match &mark.deposits {
        Deposits::Tree(tree) => Some(tree.to_bytes()),
        _ => None,
    };
    (
        // Checked before it came here; a count is below 2^32 or was never one.
        mark.block.cast_signed(),
        mark.hash.map(|hash| hash.0),
        mark.deposits.count().map(u64::cast_signed),
        tree,
    )
}

fn mark(row: &Row<'_>, prefix: &str) -> Result<Mark, rusqlite::Error> {
    let name = |column: &str| format!("{prefix}{column}");
    let tree: Option<Vec<u8>> = row.get(name("tree").as_str())?;
    let deposits: Option<i64> = row.get(name("deposits").as_str())?;
    let hash: Option<[u8; 32]> = row.get(name("block_hash").as_str())?;
    let block: i64 = row.get(name("block_number").as_str())?;
    Ok(Mark {
        block: u64::try_from(block).map_err(|_| unreadable(row, &name("block_number"), "it is below zero"))?,
        hash: hash.map(B256::from),
        deposits: match (tree, deposits) {
            (Some(tree), _) => Deposits::Tree(
                DepositTree::from_bytes(&tree).map_err(|_| unreadable(row, &name("tree"), "it is no deposit tree"))?,
            ),
            (None, Some(count)) => Deposits::Count(count.cast_unsigned()),
            (None, None) => Deposits::Unknown,
        },
    })
}

fn unreadable(row: &Row<'_>, column: &str, why: &str) -> rusqlite::Error {
    let at = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(at, Type::Null, format!("`{column}` of the history: {why}").into())
}
