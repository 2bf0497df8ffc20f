//! Progress bars, in the form `Creating validator keys: [####################] 10/10`.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::termios::tcgetwinsize;
use sw_key_ops::{Progress, Stage};

use super::{Ui, write_stderr};

/// A bar for each stage on a terminal; elsewhere its label, and a line now and then when it takes long.
pub(crate) struct Bars {
    drawn: bool,
    verbose: bool,
    bar: Mutex<Option<Bar>>,
}

struct Bar {
    label: &'static str,
    done: usize,
    /// 0 when nobody knows.
    total: usize,
    columns: usize,
    /// The length of what is on the line now.
    length: usize,
    began: Instant,
    last: Instant,
    /// How much was done when that was last said in a line of its own.
    said: usize,
}

impl Ui {
    /// The bars of one command.
    pub(crate) fn bars(&self) -> Bars {
        Bars {
            drawn: self.stderr_is_terminal && !self.dumb,
            verbose: self.verbose,
            bar: Mutex::new(None),
        }
    }
}

impl Bars {
    fn bar(&self) -> MutexGuard<'_, Option<Bar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn begin(&self, stage: Stage, total: usize) {
        let now = Instant::now();
        let size = tcgetwinsize(io::stderr()).ok().filter(|size| size.ws_col > 0);
        let mut bar = Bar {
            label: label(stage),
            done: 0,
            total,
            columns: size.map_or(80, |size| usize::from(size.ws_col)),
            length: 0,
            began: now,
            last: now,
            said: 0,
        };
        if self.drawn {
            bar.draw("");
        } else {
            write_stderr(format_args!("{}\n", bar.label));
        }
        *self.bar() = Some(bar);
    }

    fn advance(&self, _stage: Stage) {
        if let Some(bar) = self.bar().as_mut() {
            bar.done += 1;
            if self.drawn && bar.last.elapsed() >= REDRAW {
                bar.last = Instant::now();
                bar.draw(&pace(bar.done, bar.total, bar.began.elapsed()));
            } else if !self.drawn && is_worth_a_line(bar, Instant::now()) {
                (bar.last, bar.said) = (Instant::now(), bar.done);
                let pace = pace(bar.done, bar.total, bar.began.elapsed());
                write_stderr(format_args!("{} {}{pace}\n", bar.label, count(bar.done, bar.total)));
            }
        }
    }

    fn finish(&self, _stage: Stage) {
        if let Some(mut bar) = self.bar().take() {
            if self.drawn {
                bar.draw("");
                write_stderr(format_args!("\n"));
            }
            if self.verbose {
                let took = bar.began.elapsed().as_secs_f64();
                write_stderr(format_args!("{} took {took:.1} s for {}\n", bar.label, bar.done));
            }
        }
    }
}

impl Bar {
    /// Writes over what was drawn before. `pace` is left out where it does not fit.
    fn draw(&mut self, pace: &str) {
        let mut line = line(self.label, self.done, self.total, self.columns);
        if line.len() + pace.len() < self.columns {
            line.push_str(pace);
        }
        if line.len() < self.length {
            write_stderr(format_args!("\r{:1$}", "", self.length));
        }
        write_stderr(format_args!("\r{line}"));
        self.length = line.len();
    }
}

/// An error is not said in the middle of a bar.
impl Drop for Bars {
    fn drop(&mut self) {
        if self.drawn && self.bar().is_some() {
            write_stderr(format_args!("\n"));
        }
    }
}

fn label(stage: Stage) -> &'static str {
    match stage {
        Stage::Signatures => "Checking deposit signatures",
        Stage::Keys => "Creating validator keys:",
        Stage::DepositData => "Generating deposit data JSON",
        Stage::Keystores => "Exporting validator keystores",
        Stage::Searching => "Searching for validator keys",
        Stage::Registrations => "Reading registrations from the chain",
        Stage::Opening => "Opening keystores",
        _ => "Working",
    }
}

/// The label, the bar and the count. What does not fit would be drawn anew on every line below, so the bar is shortened
/// first, and then the label.
fn line(label: &str, done: usize, total: usize, columns: usize) -> String {
    let count = count(done, total);
    let others = label.len() + " [] /".len() + 2 * total.to_string().len() + 1;
    let cells = columns.saturating_sub(others).min(36);
    if total == 0 || cells == 0 {
        let label: String = label.chars().take(columns.saturating_sub(count.len() + 2)).collect();
        return format!("{} {count}", label.trim_end());
    }
    let full = (cells * done).checked_div(total).map_or(cells, |full| full.min(cells));
    format!("{label} [{}{}] {count}", "#".repeat(full), "-".repeat(cells - full))
}

fn count(done: usize, total: usize) -> String {
    match total {
        0 => done.to_string(),
        _ => format!("{done}/{total}"),
    }
}

/// How fast it goes and how long it will take, for what takes longer than a second.
fn pace(done: usize, total: usize, elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(1) || done == 0 {
        return String::new();
    }
    let rate = done as f64 / elapsed.as_secs_f64();
    let digits = if rate < 10.0 { 1 } else { 0 };
    let left = total.saturating_sub(done) as f64 / rate;
    match (total, left.ceil() as u64) {
        (0, _) | (_, 0) => format!(", {rate:.digits$}/s"),
        (_, seconds @ ..=99) => format!(", {rate:.digits$}/s, {seconds} s left"),
        (_, seconds @ ..=5999) => format!(", {rate:.digits$}/s, {} min left", seconds.div_ceil(60)),
        (_, seconds) => format!(", {rate:.digits$}/s, {:.1} h left", seconds as f64 / 3600.0),
    }
}

/// Where lines stay: after ten seconds, one for each tenth or every ten seconds. The last is left to what follows.
fn is_worth_a_line(bar: &Bar, now: Instant) -> bool {
    let is_tenth = bar.total > 0 && bar.done - bar.said >= bar.total.div_ceil(10);
    let lasts = now.duration_since(bar.began) >= PLAIN_LINES && bar.done != bar.total;
    lasts && (is_tenth || now.duration_since(bar.last) >= PLAIN_LINES)
}

const REDRAW: Duration = Duration::from_millis(50);
const PLAIN_LINES: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up() {
        let label = label(Stage::Keys);
        assert_eq!(line(label, 0, 10, 38), "Creating validator keys: [----] 0/10");
        assert_eq!(line(label, 5, 10, 38), "Creating validator keys: [##--] 5/10");
        assert_eq!(line(label, 10, 10, 38), "Creating validator keys: [####] 10/10");
    }

    #[test]
    fn a_bar_fits_a_narrow_terminal() {
        for (columns, stage, total) in [20, 30, 40, 50, 80, 200].into_iter().flat_map(|columns| {
            [Stage::Keystores, Stage::Registrations, Stage::Searching]
                .into_iter()
                .flat_map(move |stage| [0, 7, 1000, 1_000_000].map(|total| (columns, stage, total)))
        }) {
            let line = line(label(stage), total, total, columns);
            assert!(line.len() < columns, "{columns}: {line}");
            assert!(line.ends_with(&count(total, total)), "{columns}: {line}");
            assert!(line.matches('#').count() <= 36);
        }
        let line = line(label(Stage::Registrations), 10, 100, 40);
        assert_eq!(line, "Reading registrations from the c 10/100");
    }

    #[test]
    fn rate_and_remaining_time_are_told_after_a_second() {
        let pace = |done, total, millis| pace(done, total, Duration::from_millis(millis));
        assert_eq!(pace(5, 10, 999), "");
        assert_eq!(pace(0, 10, 5000), "");
        assert_eq!(pace(5, 10, 2000), ", 2.5/s, 2 s left");
        assert_eq!(pace(100, 10_000, 1000), ", 100/s, 99 s left");
        assert_eq!(pace(100, 10_100, 1000), ", 100/s, 2 min left");
        assert_eq!(pace(1, 10_001, 1000), ", 1.0/s, 2.8 h left");
        assert_eq!(pace(300, 0, 2000), ", 150/s");
        assert_eq!(pace(10, 10, 2000), ", 5.0/s");
    }

    #[test]
    fn what_nobody_can_count_beforehand_has_no_bar() {
        assert_eq!(line("Searching validator keys", 7, 0, 80), "Searching validator keys 7");
    }

    #[test]
    fn lines_that_stay_are_few() {
        let began = Instant::now();
        let worth = |done, said, total, seconds, since| {
            let now = began + Duration::from_secs(seconds);
            let bar = Bar {
                label: "",
                done,
                total,
                columns: 80,
                length: 0,
                began,
                last: now - Duration::from_secs(since),
                said,
            };
            is_worth_a_line(&bar, now)
        };
        assert!(!worth(99, 0, 100, 9, 9) && !worth(100, 90, 100, 20, 10));
        assert!(!worth(59, 50, 100, 12, 2) && worth(60, 50, 100, 12, 2));
        assert!(worth(51, 50, 1000, 20, 10) && worth(1, 0, 0, 20, 10));
        assert!(!worth(500, 0, 0, 19, 9));
    }
}
