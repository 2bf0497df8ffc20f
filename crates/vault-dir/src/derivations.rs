//! Keys derived from passwords: each as seldom as possible, side by side, in a bounded part of the machine.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use subtle::ConstantTimeEq;
use sw_keys::{DerivedKey, ExposeSecret, KdfError, KdfParams, SecretString, Stretcher};

/// How much of the machine may be taken to open keystores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The threads.
    pub threads: NonZeroUsize,
    /// The bytes of memory that all of them derive keys in; a single derivation may take what it needs, at most 1 GiB.
    pub memory: u64,
}

impl Default for Opening {
    /// Two threads and half a gibibyte: two derivations of the usual cost.
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN.saturating_add(1),
            memory: 1 << 29,
        }
    }
}

/// A password and what it is stretched with.
pub(crate) type Job<'a> = (&'a KdfParams, &'a SecretString);
pub(crate) type Derived = Result<Arc<DerivedKey>, KdfError>;

/// What has been derived for parameters that several keystores share.
#[derive(Default)]
pub(crate) struct Derivations {
    shared: Mutex<HashMap<KdfParams, Vec<(SecretString, Derived)>>>,
    /// Held while memory is taken, so that two callers do not take twice what one may.
    one_at_a_time: Mutex<()>,
}

impl Derivations {
    /// What was derived before and kept.
    pub(crate) fn kept(&self, (params, password): Job<'_>) -> Option<Derived> {
        let shared = locked(&self.shared);
        let (_, derived) = shared.get(params)?.iter().find(|(known, _)| same(known, password))?;
        Some(derived.clone())
    }

    /// Whether it was derived before. What failed then, for want of memory perhaps, may succeed now.
    pub(crate) fn has(&self, job: Job<'_>) -> bool {
        self.kept(job).is_some_and(|derived| derived.is_ok())
    }

    /// Derives what has not been derived before, each once, and keeps it.
    pub(crate) fn keep<'a>(&self, jobs: impl Iterator<Item = Job<'a>>, opening: Opening) {
        let _alone = locked(&self.one_at_a_time);
        let mut new: HashMap<&KdfParams, Vec<&SecretString>> = HashMap::new();
        for job in jobs {
            let passwords = new.entry(job.0).or_default();
            if passwords.iter().all(|known| !same(known, job.1)) && !self.has(job) {
                passwords.push(job.1);
            }
        }
        let new: Vec<Job<'_>> = new
            .into_iter()
            .flat_map(|(params, passwords)| passwords.into_iter().map(move |password| (params, password)))
            .collect();
        derive_side_by_side(&new, opening, |position, derived| {
            if let Some((params, password)) = new.get(position) {
                let kept = ((*password).clone(), derived.map(Arc::new));
                let mut shared = locked(&self.shared);
                let known = shared.entry((*params).clone()).or_default();
                known.retain(|(known, _)| !same(known, password));
                known.push(kept);
            }
        });
    }

    /// Derives keys that one keystore each can use, hands each on with the position of its job, and forgets it.
    pub(crate) fn each(
        &self,
        jobs: &[Job<'_>],
        opening: Opening,
        done: impl Fn(usize, Result<DerivedKey, KdfError>) + Sync,
    ) {
        let _alone = locked(&self.one_at_a_time);
        derive_side_by_side(jobs, opening, done);
    }
}

fn derive_side_by_side(jobs: &[Job<'_>], opening: Opening, done: impl Fn(usize, Result<DerivedKey, KdfError>) + Sync) {
    let largest = jobs
        .iter()
        .map(|(params, _)| memory_of(params))
        .max()
        .unwrap_or_default();
    let plan = Plan::new(opening, jobs.len(), largest);
    let begin = || Stretcher::new(plan.memory_each);
    in_chunks(
        plan.threads,
        jobs,
        plan.side_by_side,
        begin,
        |stretcher, first, chunk| {
            for (position, derived) in (first..).zip(stretcher.derive(chunk)) {
                done(position, derived);
            }
        },
    );
}

/// How derivations are spread over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    threads: NonZeroUsize,
    side_by_side: NonZeroUsize,
    memory_each: u64,
}

impl Plan {
    fn new(opening: Opening, jobs: usize, largest: u64) -> Self {
        let at_least_one = |count: usize| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let fitting = opening
            .memory
            .checked_div(largest)
            .map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
        let threads = at_least_one(opening.threads.get().min(jobs).min(fitting));
        let side_by_side = at_least_one(
            (fitting / threads)
                .min(jobs.div_ceil(threads.get()))
                .min(MOST_SIDE_BY_SIDE),
        );
        let memory_each = largest.saturating_mul(u64::try_from(side_by_side.get()).unwrap_or(u64::MAX));
        Self {
            threads,
            side_by_side,
            memory_each,
        }
    }
}

/// What a derivation takes, in bytes: 128 * N * r (RFC 7914); PBKDF2 takes next to nothing.
fn memory_of(params: &KdfParams) -> u64 {
    match params {
        KdfParams::Scrypt { n, r, .. } => n.saturating_mul(u64::from(*r)).saturating_mul(128),
        KdfParams::Pbkdf2 { .. } => 0,
    }
}

/// Calls `work` with chunks of `items` and the position of their first, on up to `threads` threads; each thread has a state
/// of its own.
pub(crate) fn in_chunks<I: Sync, S>(
    threads: NonZeroUsize,
    items: &[I],
    chunk: NonZeroUsize,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize, &[I]) + Sync,
) {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = begin();
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(items) = items.chunks(chunk.get()).nth(position) else {
                break;
            };
            work(&mut state, position.saturating_mul(chunk.get()), items);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.get().min(items.len().div_ceil(chunk.get())) {
            // A machine that gives no more threads still has this one.
            if thread::Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
}

/// What the mutexes guard is valid after every statement, so a panic elsewhere does not spoil it.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn same(left: &SecretString, right: &SecretString) -> bool {
    left.expose_secret()
        .as_bytes()
        .ct_eq(right.expose_secret().as_bytes())
        .into()
}

/// What [`Stretcher`] can do on one thread.
const MOST_SIDE_BY_SIDE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: u64 = 1 << 28;

    fn cheap(salt: u8) -> KdfParams {
        KdfParams::Pbkdf2 {
            c: 1,
            dklen: 32,
            salt: vec![salt; 32],
        }
    }

    fn opening(threads: usize, memory: u64) -> Opening {
        Opening {
            threads: NonZeroUsize::new(threads).expect("not zero"),
            memory,
        }
    }

    #[test]
    fn a_shared_key_is_derived_once_for_each_password_and_salt() {
        let derivations = Derivations::default();
        let (one, two) = (SecretString::from("one"), SecretString::from("two"));
        let (first, second) = (cheap(1), cheap(2));
        let kept = |job| derivations.kept(job).map(|derived| derived.expect("derived"));
        assert!(kept((&first, &one)).is_none());
        derivations.keep([(&first, &one); 3].into_iter(), Opening::default());
        let before = kept((&first, &one)).expect("kept");
        derivations.keep(
            [(&first, &one), (&first, &two), (&second, &one)].into_iter(),
            Opening::default(),
        );
        assert!(Arc::ptr_eq(&before, &kept((&first, &one)).expect("kept")), "not again");
        let lists = locked(&derivations.shared);
        assert_eq!((lists[&first].len(), lists[&second].len()), (2, 1));
    }

    #[test]
    fn a_derivation_that_had_no_memory_is_tried_again() {
        let derivations = Derivations::default();
        let (params, password) = (cheap(1), SecretString::from("one"));
        let refused = (password.clone(), Err(KdfError::OutOfMemory { bytes: 1 << 28 }));
        locked(&derivations.shared).insert(params.clone(), vec![refused]);
        let job = (&params, &password);
        assert!(!derivations.has(job));
        derivations.keep([job].into_iter(), Opening::default());
        assert!(derivations.kept(job).is_some_and(|derived| derived.is_ok()));
        assert_eq!(locked(&derivations.shared)[&params].len(), 1);
    }

    #[test]
    fn no_more_memory_is_taken_than_allowed_unless_one_derivation_needs_it() {
        for threads in [1, 2, 3, 16, 64] {
            for memory in [0, USUAL, 3 * USUAL, 8 * USUAL, 9 * USUAL, 64 * USUAL] {
                for jobs in [0, 1, 2, 5, 8, 10_000] {
                    for largest in [0, 1 << 14, USUAL, 4 * USUAL] {
                        let plan = Plan::new(opening(threads, memory), jobs, largest);
                        let taken = plan.memory_each * plan.threads.get() as u64;
                        assert!(
                            taken <= memory.max(largest),
                            "{threads} {memory} {jobs} {largest}: {plan:?}"
                        );
                        assert!(plan.threads.get() <= threads && plan.side_by_side.get() <= 4);
                    }
                }
            }
        }
    }

    #[test]
    fn few_derivations_are_spread_before_they_are_stacked() {
        let plan = |threads, memory, jobs| {
            let plan = Plan::new(opening(threads, memory), jobs, USUAL);
            (plan.threads.get(), plan.side_by_side.get())
        };
        assert_eq!(plan(2, 8 * USUAL, 2), (2, 1));
        assert_eq!(plan(2, 8 * USUAL, 100), (2, 4));
        assert_eq!(plan(2, 5 * USUAL, 100), (2, 2));
        assert_eq!(plan(16, 3 * USUAL, 100), (3, 1));
    }

    #[test]
    fn every_item_is_worked_on_once_with_its_position() {
        let items: Vec<usize> = (0..1001).collect();
        let seen = Mutex::new(Vec::new());
        in_chunks(
            NonZeroUsize::new(4).expect("not zero"),
            &items,
            NonZeroUsize::new(7).expect("not zero"),
            || (),
            |(), first, chunk| {
                assert_eq!(chunk.first(), Some(&first));
                locked(&seen).extend_from_slice(chunk);
            },
        );
        let mut seen = seen.into_inner().expect("sound");
        seen.sort_unstable();
        assert_eq!(seen, items);
    }
}
