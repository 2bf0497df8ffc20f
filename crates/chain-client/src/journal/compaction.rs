//! Writing the journal anew, without what can never matter again.
//!
//! Of every nonce that was used, the transaction that used it stays, so that the journal still accounts for all nonces.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use alloy_primitives::{Address, Bytes};
use tracing::warn;

use super::{
    EntryState, Journal, JournalEntry, MOST_GROWTH, Start, Sum, VERSION, line, options, record::Record, sync_parent,
};

/// How many refused transactions of one nonce are kept: a node that refused one may have passed it on all the same.
const MOST_REJECTED: usize = 64;

impl Journal {
    /// Brings the file to this release's format, and makes it smaller if that is worth the trouble.
    pub(super) fn compact_at_start(&mut self) {
        if self.version < VERSION || self.length >= WORTH_THE_TROUBLE {
            self.compact();
        }
    }

    pub(super) fn compact_when_large(&mut self) {
        if self.length >= self.compact_at {
            self.compact();
        }
    }

    /// If it fails, the file is what it was.
    fn compact(&mut self) {
        let entries = essential(&self.entries, &self.starts);
        if entries != self.entries || self.version < VERSION {
            match self.rewritten(&entries) {
                Ok((file, length, last_sum)) => {
                    // The new file is locked; with the old one goes its lock.
                    self.file = file;
                    (self.length, self.last_sum) = (length, last_sum);
                    (self.entries, self.starts) = (entries, latest(&self.starts));
                    self.version = VERSION;
                    // Otherwise the name may be that of the old file after a power cut, without what is added now.
                    self.usable = sync_parent(&self.path).is_ok();
                }
                Err(error) => {
                    warn!(path = %self.path.display(), %error, "the transaction journal could not be made smaller");
                }
            }
        }
        self.compact_at = self.length.saturating_add(MOST_GROWTH);
    }

    fn rewritten(&self, entries: &[JournalEntry]) -> std::io::Result<(File, u64, Sum)> {
        let mut text = String::new();
        let mut sum = Sum::default();
        let mut add = |record: &Record| -> std::io::Result<()> {
            let (line, next) = line(record, &sum)?;
            text.push_str(&line);
            sum = next;
            Ok(())
        };
        for start in latest(&self.starts) {
            add(&Record::from(start))?;
        }
        for entry in entries {
            add(&Record::from(entry))?;
            if entry.state != EntryState::Intended {
                add(&Record::outcome(entry.hash, entry.state))?;
            }
        }
        let new = self.beside();
        let written = || -> std::io::Result<File> {
            let mut file = options().truncate(true).open(&new)?;
            file.try_lock().map_err(std::io::Error::other)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            Ok(file)
        };
        let file = written().inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })?;
        Ok((file, text.len() as u64, sum))
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        name.into()
    }
}

/// The last start of each wallet and chain: only that one counts.
fn latest(starts: &[Start]) -> Vec<Start> {
    let counts = |(at, start): &(usize, &Start)| {
        let same = |later: &Start| (later.address, later.chain_id) == (start.address, start.chain_id);
        !starts.iter().skip(at + 1).any(same)
    };
    starts
        .iter()
        .enumerate()
        .filter(counts)
        .map(|(_, start)| *start)
        .collect()
}

/// An entry and its position.
type Placed<'a> = (usize, &'a JournalEntry);

/// What may still matter, in the same order.
fn essential(entries: &[JournalEntry], starts: &[Start]) -> Vec<JournalEntry> {
    let mut families: BTreeMap<(Address, u64, u64), Vec<Placed<'_>>> = BTreeMap::new();
    let mut heads: BTreeMap<(Address, u64), u64> = BTreeMap::new();
    for (position, entry) in entries.iter().enumerate() {
        let (from, chain_id) = (entry.from, entry.chain_id);
        let family = families.entry((from, chain_id, entry.nonce)).or_default();
        family.push((position, entry));
        if let EntryState::Mined { block, .. } = entry.state {
            let head = heads.entry((from, chain_id)).or_default();
            *head = block.max(*head);
        }
    }
    let starts = latest(starts);
    let mut kept = Vec::new();
    for ((from, chain_id, nonce), family) in families {
        let ours = |start: &&Start| (start.address, start.chain_id) == (from, chain_id);
        if starts.iter().find(ours).is_some_and(|start| nonce < start.nonce) {
            continue;
        }
        let head = heads.get(&(from, chain_id)).copied().unwrap_or_default();
        if let Some((position, winner)) = family.iter().find(|(_, entry)| entry.is_settled(head)) {
            let mut winner = (*winner).clone();
            winner.raw = Bytes::new();
            kept.push((*position, winner));
            continue;
        }
        let refused = |(_, entry): &Placed<'_>| entry.state == EntryState::Rejected;
        let mut superfluous = family
            .iter()
            .copied()
            .filter(refused)
            .count()
            .saturating_sub(MOST_REJECTED);
        for (position, entry) in family {
            if superfluous > 0 && refused(&(position, entry)) {
                superfluous -= 1;
            } else {
                kept.push((position, entry.clone()));
            }
        }
    }
    kept.sort_unstable_by_key(|(position, _)| *position);
    kept.into_iter().map(|(_, entry)| entry).collect()
}

/// A journal below this size is left as it is at a start.
const WORTH_THE_TROUBLE: u64 = 64 << 10;
