//! How much of the machine the work may take, and the threads that take it.

use std::{
    convert::Infallible,
    num::NonZeroUsize,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use rand_core::{CryptoRng, Rng, TryCryptoRng, TryRng};

/// The threads and the memory that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    threads: NonZeroUsize,
    memory: Option<u64>,
}

impl Workers {
    /// As many threads, and no limit on memory.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self { threads, memory: None }
    }

    /// Limits the scrypt derivations that run at the same time to those that fit into `bytes`; one always may.
    pub fn with_memory(self, bytes: u64) -> Self {
        Self {
            memory: Some(bytes),
            ..self
        }
    }

    pub(crate) fn threads(self) -> NonZeroUsize {
        self.threads
    }

    /// How `jobs` scrypt derivations are spread: side by side on each thread when memory allows, else fewer at a time, and
    /// at last on fewer threads.
    pub(crate) fn scrypt_plan(self, jobs: usize) -> ScryptPlan {
        let fitting = self.memory.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes / SCRYPT_BYTES).unwrap_or(usize::MAX)
        });
        let threads = self.threads.get().min(fitting).min(jobs).max(1);
        let each = (fitting / threads).min(jobs.div_ceil(threads));
        let side_by_side = MOST_LANES.into_iter().find(|lanes| lanes.get() <= each);
        let side_by_side = side_by_side.unwrap_or(NonZeroUsize::MIN);
        ScryptPlan {
            threads: NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN),
            side_by_side,
            memory: SCRYPT_BYTES.saturating_mul(u64::try_from(side_by_side.get()).unwrap_or(u64::MAX)),
        }
    }
}

/// How many derivations run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScryptPlan {
    pub(crate) threads: NonZeroUsize,
    /// On each thread.
    pub(crate) side_by_side: NonZeroUsize,
    /// Bytes for each thread.
    pub(crate) memory: u64,
}

/// What a [`sw_keys::Stretcher`] derives side by side, the most first.
const MOST_LANES: [NonZeroUsize; 2] = [NonZeroUsize::MIN.saturating_add(3), NonZeroUsize::MIN.saturating_add(1)];

/// What one derivation of a new keystore takes: 128 * N * r bytes (RFC 7914) with N = 2^18 and r = 8.
const SCRYPT_BYTES: u64 = 128 * (1 << 18) * 8;

/// Calls `work` with each of `items` on up to `threads` threads; the results are in the order of the items.
///
/// After the first error no further item is begun. Of several errors the one of the lowest item is returned.
pub(crate) fn map_in_parallel<I, T, E, F>(threads: NonZeroUsize, items: &[I], work: F) -> Result<Vec<T>, E>
where
    I: Sync,
    T: Send,
    E: Send,
    F: Fn(&I) -> Result<T, E> + Sync,
{
    map_in_parallel_with(threads, items, || (), |(), item| work(item))
}

/// Like [`map_in_parallel`], with a tool that each thread makes once and keeps.
pub(crate) fn map_in_parallel_with<I, S, T, E, M, F>(
    threads: NonZeroUsize,
    items: &[I],
    tool: M,
    work: F,
) -> Result<Vec<T>, E>
where
    I: Sync,
    T: Send,
    E: Send,
    M: Fn() -> S + Sync,
    F: Fn(&mut S, &I) -> Result<T, E> + Sync,
{
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        let mut tool = tool();
        while !failed.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(position) else { break };
            let result = work(&mut tool, item);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            lock(&done).push((position, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.get().min(items.len()) {
            // A machine that gives no more threads still has this one.
            if thread::Builder::new().spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
    let mut results = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

/// One source of randomness for all threads: each draw is taken under a lock, so none is given out twice.
pub(crate) struct SharedRng<'a, R: ?Sized>(Mutex<&'a mut R>);

impl<'a, R: CryptoRng + Send + ?Sized> SharedRng<'a, R> {
    pub(crate) fn new(rng: &'a mut R) -> Self {
        Self(Mutex::new(rng))
    }

    pub(crate) fn handle(&self) -> impl CryptoRng + '_ {
        RngHandle(self)
    }
}

struct RngHandle<'a, 'b, R: ?Sized>(&'a SharedRng<'b, R>);

impl<R: CryptoRng + Send + ?Sized> TryRng for RngHandle<'_, '_, R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(lock(&self.0.0).next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(lock(&self.0.0).next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        lock(&self.0.0).fill_bytes(bytes);
        Ok(())
    }
}

impl<R: CryptoRng + Send + ?Sized> TryCryptoRng for RngHandle<'_, '_, R> {}

/// A panic elsewhere ends the scope anyway; what the lock guards stays usable until then.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).expect("not zero")
    }

    #[test]
    fn results_come_in_order_however_many_threads_there_are() {
        for count in [0, 1, 7, 100] {
            let items: Vec<usize> = (0..count).collect();
            let squares = map_in_parallel(threads(4), &items, |item| Ok::<_, ()>(item * item));
            assert_eq!(squares, Ok(items.iter().map(|item| item * item).collect()));
        }
    }

    #[test]
    fn the_first_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let items: Vec<usize> = (0..10_000).collect();
        let result = map_in_parallel(threads(2), &items, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 3 { Err(*item) } else { Ok(()) }
        });
        assert_eq!(result, Err(3));
        assert!(begun.into_inner() < 10_000);
    }

    #[test]
    fn memory_bounds_the_derivations_at_a_time_but_one_always_runs() {
        let workers = Workers::new(threads(8));
        let plan = |memory: Option<u64>, jobs| {
            let workers = memory.map_or(workers, |times| workers.with_memory(times * SCRYPT_BYTES));
            let plan = workers.scrypt_plan(jobs);
            assert_eq!(plan.memory, plan.side_by_side.get() as u64 * SCRYPT_BYTES);
            (plan.threads.get(), plan.side_by_side.get())
        };
        assert_eq!(plan(None, 100), (8, 4));
        assert_eq!(plan(Some(32), 100), (8, 4));
        assert_eq!(plan(Some(31), 100), (8, 2));
        assert_eq!(plan(Some(15), 100), (8, 1));
        assert_eq!(plan(Some(3), 100), (3, 1));
        assert_eq!(plan(Some(0), 100), (1, 1));
        // All threads have work before one of them has twice as much.
        assert_eq!(plan(None, 8), (8, 1));
        assert_eq!(plan(None, 20), (8, 2));
        assert_eq!(plan(None, 3), (3, 1));
        assert_eq!(plan(None, 0), (1, 1));
        assert_eq!(workers.with_memory(1).threads(), threads(8));
    }

    #[test]
    fn threads_never_draw_the_same_bytes() {
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let shared = SharedRng::new(&mut rng);
        let mut drawn =
            map_in_parallel(threads(4), &[(); 1000], |()| Ok::<_, ()>(shared.handle().next_u64())).expect("no error");
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 1000);
    }
}
