//! Progress bars, in the form `Creating validator keys: [####################] 10/10`.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::termios::tcgetwinsize;
use sw_key_ops::{Progress, Stage};

use super::{Ui, write_stderr};

/// A bar for each stage on a terminal; elsewhere only the label of each.
pub(crate) struct Bars {
    drawn: bool,
    bar: Mutex<Option<Bar>>,
}

struct Bar {
    label: &'static str,
    done: usize,
    total: usize,
    cells: usize,
    last: Instant,
}

impl Ui {
    /// The bars of one command.
    pub(crate) fn bars(&self) -> Bars {
        Bars {
            drawn: self.stderr_is_terminal && !self.dumb,
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
        let label = label(stage);
        if !self.drawn {
            write_stderr(format_args!("{label}\n"));
            return;
        }
        let columns = tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col));
        let bar = Bar {
            label,
            done: 0,
            total,
            cells: cells(columns, label, total),
            last: Instant::now(),
        };
        bar.draw();
        *self.bar() = Some(bar);
    }

    fn advance(&self, _stage: Stage) {
        if let Some(bar) = self.bar().as_mut() {
            bar.done += 1;
            if bar.last.elapsed() >= REDRAW {
                bar.last = Instant::now();
                bar.draw();
            }
        }
    }

    fn finish(&self, _stage: Stage) {
        if let Some(bar) = self.bar().take() {
            bar.draw();
            write_stderr(format_args!("\n"));
        }
    }
}

impl Bar {
    fn draw(&self) {
        write_stderr(format_args!(
            "\r{}",
            line(self.label, self.done, self.total, self.cells)
        ));
    }
}

/// An error is not said in the middle of a bar.
impl Drop for Bars {
    fn drop(&mut self) {
        if self.bar().is_some() {
            write_stderr(format_args!("\n"));
        }
    }
}

fn label(stage: Stage) -> &'static str {
    match stage {
        Stage::Keys => "Creating validator keys:",
        Stage::DepositData => "Generating deposit data JSON",
        Stage::Keystores => "Exporting validator keystores",
        Stage::Searching => "Searching for validator keys",
        Stage::Registrations => "Reading registrations from the chain",
        _ => "Working",
    }
}

/// A bar that does not fit its line would be drawn anew on every line below.
fn cells(columns: usize, label: &str, total: usize) -> usize {
    let others = label.len() + " [] /".len() + 2 * total.to_string().len() + 1;
    columns.saturating_sub(others).min(36)
}

fn line(label: &str, done: usize, total: usize, cells: usize) -> String {
    let full = (cells * done).checked_div(total).map_or(cells, |full| full.min(cells));
    format!(
        "{label} [{}{}] {done}/{total}",
        "#".repeat(full),
        "-".repeat(cells - full)
    )
}

const REDRAW: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up() {
        let label = label(Stage::Keys);
        assert_eq!(line(label, 0, 10, 4), "Creating validator keys: [----] 0/10");
        assert_eq!(line(label, 5, 10, 4), "Creating validator keys: [##--] 5/10");
        assert_eq!(line(label, 10, 10, 4), "Creating validator keys: [####] 10/10");
    }

    #[test]
    fn a_bar_fits_a_narrow_terminal() {
        for columns in [0, 20, 40, 80, 200] {
            let cells = cells(columns, label(Stage::Keystores), 1000);
            let length = line(label(Stage::Keystores), 1000, 1000, cells).len();
            assert!(length < columns || cells == 0, "{columns}");
            assert!(cells <= 36);
        }
    }
}
