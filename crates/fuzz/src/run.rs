//! One target, many inputs.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::{
    ALLOCATED,
    input::{Material, recipes},
};

/// What a parser made of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is what the parser reads.
    Accepted,
    /// It is not.
    Refused,
}

impl From<bool> for Verdict {
    fn from(accepted: bool) -> Self {
        if accepted { Self::Accepted } else { Self::Refused }
    }
}

/// The most bytes that may be allocated at a time while an input is read: `base`, and `per_byte` for each of its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Whatever the length.
    pub base: usize,
    /// For each byte of the input.
    pub per_byte: usize,
}

type Check = Box<dyn Fn(&[u8]) -> Result<Verdict, String>>;

/// A parser, and what its inputs are made of.
pub struct Target {
    pub(crate) name: &'static str,
    pub(crate) material: Material,
    pub(crate) memory: Memory,
    pub(crate) check: Check,
}

impl Target {
    /// A target. `check` says what is wrong when an input is accepted that must not be.
    pub fn new(
        name: &'static str,
        corpus: Vec<Vec<u8>>,
        tokens: &'static [&'static str],
        check: impl Fn(&[u8]) -> Result<Verdict, String> + 'static,
    ) -> Self {
        Self {
            name,
            material: Material { corpus, tokens },
            memory: Memory {
                base: 64 * 1024,
                per_byte: 64,
            },
            check: Box::new(check),
        }
    }

    /// The same with another bound.
    #[must_use]
    pub fn within(self, memory: Memory) -> Self {
        Self { memory, ..self }
    }

    /// Its real inputs.
    pub fn corpus(&self) -> &[Vec<u8>] {
        &self.material.corpus
    }

    /// Reads one input.
    ///
    /// # Errors
    /// What is wrong with what was accepted.
    pub fn check(&self, input: &[u8]) -> Result<Verdict, String> {
        (self.check)(input)
    }
}

/// What came of the inputs of a target.
#[derive(Debug, Clone)]
pub struct Report {
    /// The target.
    pub target: &'static str,
    /// How many inputs there were.
    pub inputs: u64,
    /// How many of them were accepted.
    pub accepted: u64,
    /// The length of the longest, in bytes.
    pub longest: usize,
    /// The most bytes that were allocated at a time for one of them.
    pub most_memory: usize,
    /// The longest that one of them took.
    pub slowest: Duration,
    /// All of it.
    pub took: Duration,
}

/// An input that a target did not stand.
#[derive(Debug, thiserror::Error)]
#[error("{target}: {reason}\nseed {seed}, shrunk to {} bytes: {}", input.len(), input.escape_ascii())]
pub struct Failure {
    /// The target.
    pub target: &'static str,
    /// What happened.
    pub reason: String,
    /// The seed of the run.
    pub seed: u64,
    /// The input, made as small as it could be.
    pub input: Vec<u8>,
}

/// Reads so many inputs.
///
/// Nothing else may allocate in the process meanwhile, or it counts as the parser's.
///
/// # Errors
/// The first input that panics, takes too much memory or is accepted wrongly. One that does not end ends the process.
pub fn run(target: &Target, inputs: u32, seed: u64) -> Result<Report, Failure> {
    // What is made once in a process is nobody's.
    for input in &target.material.corpus {
        let _ = target.check(input);
    }
    let begun = Instant::now();
    let watch = Watch::begin(target.name, seed);
    let report = Cell::new((0_u64, 0_u64, 0_usize, 0_usize, Duration::ZERO));
    let mut bytes = [0; 32];
    bytes
        .iter_mut()
        .zip(seed.to_le_bytes())
        .for_each(|(byte, part)| *byte = part);
    let config = Config {
        cases: inputs,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let result = runner.run(&recipes(), |recipe| {
        let input = recipe.make(&target.material);
        let (verdict, memory, took) = measured(target, &input, &watch);
        let (count, accepted, longest, most, slowest) = report.get();
        let verdict = verdict.map_err(TestCaseError::fail)?;
        report.set((
            count + 1,
            accepted + u64::from(verdict == Verdict::Accepted),
            longest.max(input.len()),
            most.max(memory),
            slowest.max(took),
        ));
        let bound = target.memory.base + target.memory.per_byte * input.len();
        if memory > bound {
            let length = input.len();
            return Err(TestCaseError::fail(format!(
                "{memory} bytes of memory for an input of {length}, more than {bound}"
            )));
        }
        Ok(())
    });
    drop(watch);
    let (inputs, accepted, longest, most_memory, slowest) = report.get();
    match result {
        Ok(()) => Ok(Report {
            target: target.name,
            inputs,
            accepted,
            longest,
            most_memory,
            slowest,
            took: begun.elapsed(),
        }),
        Err(TestError::Fail(reason, recipe)) => Err(Failure {
            target: target.name,
            reason: reason.message().to_owned(),
            seed,
            input: recipe.make(&target.material),
        }),
        Err(TestError::Abort(reason)) => Err(Failure {
            target: target.name,
            reason: reason.message().to_owned(),
            seed,
            input: Vec::new(),
        }),
    }
}

fn measured(target: &Target, input: &[u8], watch: &Watch) -> (Result<Verdict, String>, usize, Duration) {
    watch.next();
    let begun = Instant::now();
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    let verdict = target.check(input);
    let memory = ALLOCATED.peak_usage().saturating_sub(before);
    (verdict, memory, begun.elapsed())
}

/// Ends the process when one input takes far too long: a loop cannot be ended otherwise.
struct Watch {
    current: Arc<AtomicU64>,
}

impl Watch {
    fn begin(target: &'static str, seed: u64) -> Self {
        let current = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&current);
        thread::spawn(move || {
            let mut last = (0, Instant::now());
            loop {
                thread::sleep(Duration::from_millis(500));
                match watched.load(Ordering::Relaxed) {
                    OVER => return,
                    number if number != last.0 => last = (number, Instant::now()),
                    number if last.1.elapsed() > LONGEST => {
                        #[expect(clippy::print_stderr, reason = "there is nobody left to return it to")]
                        {
                            eprintln!("{target}: input {number} of seed {seed} has not ended after {LONGEST:?}");
                        }
                        std::process::abort();
                    }
                    _ => {}
                }
            }
        });
        Self { current }
    }

    fn next(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.current.store(OVER, Ordering::Relaxed);
    }
}

const OVER: u64 = u64::MAX;
const LONGEST: Duration = Duration::from_secs(30);
