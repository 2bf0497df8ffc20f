//! Memory and descriptors of a process, as /proc has them.

use std::{
    fs,
    time::{Duration, Instant},
};

use sw_devnet::audit::Violation;

/// What one process took so far.
///
/// A keystore takes 256 MiB for the second in which it is opened. What grows is the least that a process had in each half
/// minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vitals {
    window: Instant,
    windows: u32,
    least: Option<(u64, u64)>,
    /// The least of the first half minute after the start-up.
    warm: Option<(u64, u64)>,
}

/// The most that any process took.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Most {
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: u64,
    /// Beyond what the process had when it was warm.
    pub(crate) growth_kib: u64,
    pub(crate) more_descriptors: u64,
    /// The least of the first half minute in which any process was warm, and of the last one.
    pub(crate) first_and_last: Option<((u64, u64), (u64, u64))>,
}

impl Vitals {
    pub(crate) fn new() -> Self {
        Self {
            window: Instant::now(),
            windows: 0,
            least: None,
            warm: None,
        }
    }

    /// Looks at the process, and reports what is too much (I12).
    pub(crate) fn look(&mut self, pid: u32, most: &mut Most, violations: &mut Vec<Violation>) {
        let Some((rss, descriptors)) = read(pid) else { return };
        most.rss_kib = most.rss_kib.max(rss);
        most.descriptors = most.descriptors.max(descriptors);
        let least = self.least.map_or((rss, descriptors), |(least_rss, least_descriptors)| {
            (least_rss.min(rss), least_descriptors.min(descriptors))
        });
        self.least = Some(least);
        if self.window.elapsed() >= WINDOW {
            self.end_of_window(least, most);
        }
        let limits = [
            ("KiB of memory", most.rss_kib, MOST_RSS_KIB),
            ("descriptors", most.descriptors, MOST_DESCRIPTORS),
            (
                "KiB of memory more than when it was warm",
                most.growth_kib,
                MOST_GROWTH_KIB,
            ),
            (
                "descriptors more than when it was warm",
                most.more_descriptors,
                MOST_MORE_DESCRIPTORS,
            ),
        ];
        for (what, seen, limit) in limits {
            if seen > limit {
                violations.push(Violation::new("I12", format!("{seen} {what}, the limit is {limit}")));
            }
        }
    }

    fn end_of_window(&mut self, least: (u64, u64), most: &mut Most) {
        self.window = Instant::now();
        self.windows += 1;
        self.least = None;
        if self.windows > 1 {
            let (first, _) = most.first_and_last.unwrap_or((least, least));
            most.first_and_last = Some((first, least));
            let (warm_rss, warm_descriptors) = *self.warm.get_or_insert(least);
            most.growth_kib = most.growth_kib.max(least.0.saturating_sub(warm_rss));
            most.more_descriptors = most.more_descriptors.max(least.1.saturating_sub(warm_descriptors));
        }
    }
}

/// Resident memory in KiB, and open descriptors: 0 where the system does not tell.
fn read(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let rss = rss.trim().trim_end_matches("kB").trim().parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    Some((rss, descriptors as u64))
}

const WINDOW: Duration = Duration::from_secs(30);
/// A keystore that is opened, and half as much again for all else.
const MOST_RSS_KIB: u64 = 384 << 10;
const MOST_GROWTH_KIB: u64 = 24 << 10;
/// What a shell allows that is told to be stingy.
const MOST_DESCRIPTORS: u64 = 64;
const MOST_MORE_DESCRIPTORS: u64 = 16;
