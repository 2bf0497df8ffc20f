//! Lines of the log that say the same again are counted, and told in one line now and then.
//!
//! A line is the same when it comes from the same place in the program and differs in numbers at most. The first is always
//! told at once. What follows it within a minute is held back; when the minute is over, or something new is said, the
//! latest of them is told with their number, and the next span is eight times as long, up to an hour. A line that has not
//! come for ten minutes is news again: nobody must take what works for a while for what was mended for good.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Level, Metadata, callsite::Identifier};
use tracing_subscriber::fmt::MakeWriter;

/// Where the lines of the log go.
#[derive(Clone)]
pub(crate) struct Folder {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    fold: Fold,
    out: Box<dyn Write + Send>,
}

impl Folder {
    pub(crate) fn new(out: impl Write + Send + 'static, form: Form) -> Self {
        let fold = Fold {
            form,
            kinds: HashMap::new(),
            running: None,
        };
        Self {
            shared: Arc::new(Mutex::new(Shared {
                fold,
                out: Box::new(out),
            })),
        }
    }

    /// Tells what was held back long enough.
    pub(crate) fn tell_due(&self) {
        let mut shared = self.shared();
        let due = shared.fold.due(Instant::now());
        shared.write(&due);
    }

    /// Tells all that was held back: there is nothing to come.
    pub(crate) fn tell_all(&self) {
        let mut shared = self.shared();
        let held = shared.fold.all();
        shared.write(&held);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// When whoever reads the log is gone, there is nobody to complain to.
    fn write(&mut self, lines: &[String]) {
        for line in lines {
            let _ = self.out.write_all(line.as_bytes());
        }
    }
}

impl<'a> MakeWriter<'a> for Folder {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            folder: self,
            origin: None,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line {
            folder: self,
            origin: Some((metadata.callsite(), *metadata.level())),
        }
    }
}

/// Takes one line of the log.
pub(crate) struct Line<'a> {
    folder: &'a Folder,
    origin: Option<(Identifier, Level)>,
}

impl Write for Line<'_> {
    /// The formatter hands over a whole event at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = self.folder.shared();
        match (&self.origin, str::from_utf8(bytes)) {
            // Who asks for more than the usual wants to see everything.
            (Some((callsite, level)), Ok(line)) if *level <= Level::INFO => {
                let lines = shared.fold.take(callsite, *level, line, Instant::now());
                shared.write(&lines);
            }
            _ => shared.out.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.folder.shared().out.flush()
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Json,
}

/// Where a line comes from, and what it says apart from numbers.
type Kind = (Identifier, String);

struct Fold {
    form: Form,
    kinds: HashMap<Kind, Said>,
    /// The kind of the latest line, if that was held back.
    running: Option<Kind>,
}

struct Said {
    since: Instant,
    span: Duration,
    /// When it was last said, told or not.
    last: Instant,
    /// How many may still be told as they are.
    left: u32,
    held: u64,
    latest: String,
}

impl Fold {
    /// Takes a line, and returns what is to be told now.
    fn take(&mut self, callsite: &Identifier, level: Level, line: &str, now: Instant) -> Vec<String> {
        let mut lines = self.due(now);
        let kind = (callsite.clone(), without_numbers(line));
        if let Some(said) = self.kinds.get_mut(&kind) {
            said.last = now;
            if let Some(left) = said.left.checked_sub(1) {
                said.left = left;
            } else {
                said.held += 1;
                line.clone_into(&mut said.latest);
                self.running = Some(kind);
                return lines;
            }
        } else {
            self.make_room(&mut lines);
            let said = Said {
                since: now,
                span: SHORTEST,
                last: now,
                left: if level == Level::INFO { MORE_NEWS } else { 0 },
                held: 0,
                latest: String::new(),
            };
            self.kinds.insert(kind, said);
        }
        // Something else is said: what ran until now has come to an end.
        if let Some(said) = self.running.take().and_then(|kind| self.kinds.get_mut(&kind)) {
            lines.extend(said.tell(self.form, now));
        }
        lines.push(line.to_owned());
        lines
    }

    /// What was held back for as long as it may be. A kind that did not come again is news the next time.
    fn due(&mut self, now: Instant) -> Vec<String> {
        let (form, mut lines) = (self.form, Vec::new());
        self.kinds.retain(|_, said| {
            let is_quiet = now.duration_since(said.last) >= QUIET;
            if is_quiet || now.duration_since(said.since) >= said.span {
                lines.extend(said.tell(form, now));
            }
            !is_quiet
        });
        // Each begins with its time.
        lines.sort();
        lines
    }

    fn all(&mut self) -> Vec<String> {
        let form = self.form;
        self.running = None;
        let mut lines: Vec<String> = self
            .kinds
            .drain()
            .filter_map(|(_, mut said)| {
                let since = said.since;
                said.tell(form, since)
            })
            .collect();
        lines.sort();
        lines
    }

    /// Forgets the oldest kind when there are too many.
    fn make_room(&mut self, lines: &mut Vec<String>) {
        if self.kinds.len() < MOST_KINDS {
            return;
        }
        let oldest = self.kinds.iter().min_by_key(|(_, said)| said.since);
        if let Some(kind) = oldest.map(|(kind, _)| kind.clone())
            && let Some(mut said) = self.kinds.remove(&kind)
        {
            let since = said.since;
            lines.extend(said.tell(self.form, since));
        }
    }
}

impl Said {
    /// The latest of the lines that were held back, with their number; a longer span begins.
    fn tell(&mut self, form: Form, now: Instant) -> Option<String> {
        let held = std::mem::take(&mut self.held);
        if held == 0 {
            return None;
        }
        self.since = now;
        self.span = self.span.saturating_mul(8).min(LONGEST);
        let line = std::mem::take(&mut self.latest);
        if held == 1 {
            return Some(line);
        }
        let text = line.trim_end_matches('\n');
        Some(match (form, text.strip_suffix('}')) {
            (Form::Json, Some(members)) => format!("{members},\"repeated\":{held}}}\n"),
            _ => format!("{text} (repeated {held} times)\n"),
        })
    }
}

/// A line without its decimal numbers, so also without its time. Hexadecimal names, such as hashes, and the hosts and ports of
/// URLs stay: they say what it is about.
fn without_numbers(line: &str) -> String {
    let mut shape = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let host = rest.find("://").map(|at| at + "://".len());
        if let Some(host) = host.filter(|host| *host <= start) {
            let (before, named) = rest.split_at(host);
            let end = named.find(|letter: char| !(letter.is_ascii_alphanumeric() || ".:-_[]@".contains(letter)));
            let (name, after) = named.split_at(end.unwrap_or(named.len()));
            shape.push_str(before);
            shape.push_str(name);
            rest = after;
            continue;
        }
        let (before, number) = rest.split_at(start);
        shape.push_str(before);
        let is_name = number.starts_with("0x");
        let end = number.find(|letter: char| match is_name {
            true => !letter.is_ascii_alphanumeric(),
            false => !letter.is_ascii_digit(),
        });
        let (number, after) = number.split_at(end.unwrap_or(number.len()));
        shape.push_str(if is_name { number } else { "0" });
        rest = after;
    }
    shape.push_str(rest);
    shape
}

const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);
const QUIET: Duration = Duration::from_secs(600);
/// News that no failure is: the fourth of a kind in a minute is the first that is held back.
const MORE_NEWS: u32 = 2;
/// The operator has less than a hundred places that say something; keys and hashes multiply them.
const MOST_KINDS: usize = 512;

#[cfg(test)]
mod tests;
