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

    /// Threads for work in which each needs the memory of one scrypt derivation.
    pub(crate) fn scrypt_threads(self) -> NonZeroUsize {
        let fitting = self.memory.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes / SCRYPT_BYTES).unwrap_or(usize::MAX)
        });
        NonZeroUsize::new(self.threads.get().min(fitting)).unwrap_or(NonZeroUsize::MIN)
    }
}

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
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        while !failed.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(position) else { break };
            let result = work(item);
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
    fn memory_bounds_the_scrypt_threads_but_one_always_runs() {
        let workers = Workers::new(threads(8));
        assert_eq!(workers.scrypt_threads(), threads(8));
        assert_eq!(workers.with_memory(3 * SCRYPT_BYTES).scrypt_threads(), threads(3));
        assert_eq!(workers.with_memory(1).scrypt_threads(), threads(1));
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
