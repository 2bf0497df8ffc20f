//! Verifying a deposit data file on all threads.

use std::{convert::Infallible, num::NonZeroUsize};

use rand_core::CryptoRng;
use sw_deposit_data::{DepositDataFile, VerifyError};
use sw_keys::{SignedRoot, verify_batch};
use sw_spec::{Address, NetworkSpec};

use crate::{
    Progress, Stage, Workers,
    workers::{SharedRng, map_in_parallel},
};

/// Checks every entry against the vault and the network it is for, the signatures on all threads.
///
/// # Errors
/// With all faults of all entries.
pub fn verify_deposit_data(
    file: &DepositDataFile,
    vault: Address,
    network: &NetworkSpec,
    workers: Workers,
    rng: &mut (impl CryptoRng + Send + ?Sized),
    progress: &dyn Progress,
) -> Result<(), VerifyError> {
    let rng = SharedRng::new(rng);
    file.verify_with(vault, network, |claims| {
        let batches: Vec<&[SignedRoot]> = claims.chunks(batch_size(claims.len(), workers.threads())).collect();
        progress.begin(Stage::Signatures, claims.len());
        let verdicts = map_in_parallel(workers.threads(), &batches, |batch| {
            let verdicts = verify_batch(batch, &mut rng.handle());
            batch.iter().for_each(|_| progress.advance(Stage::Signatures));
            Ok::<_, Infallible>(verdicts)
        });
        progress.finish(Stage::Signatures);
        match verdicts {
            Ok(verdicts) => verdicts.concat(),
            Err(never) => match never {},
        }
    })
}

/// Batches of one final exponentiation each, a few for every thread, so that none waits long for the last.
fn batch_size(claims: usize, threads: NonZeroUsize) -> usize {
    let batches = threads.get().saturating_mul(BATCHES_A_THREAD);
    claims.div_ceil(batches).clamp(SMALLEST_BATCH, LARGEST_BATCH)
}

const BATCHES_A_THREAD: usize = 4;
const SMALLEST_BATCH: usize = 32;
const LARGEST_BATCH: usize = 256;

#[cfg(test)]
mod tests {
    use sw_deposit_data::{DepositEntry, Fault};
    use sw_keys::SecretKey;
    use sw_spec::Network;

    use super::*;
    use crate::NoProgress;

    #[test]
    fn bad_signatures_are_found_at_their_places_whatever_the_batch() {
        let (vault, network) = (Address::repeat_byte(0x33), Network::Hoodi.spec());
        let entries = (1..=100_u8).map(|number| {
            let key = SecretKey::from_bytes(&[number; 32]).expect("a key");
            DepositEntry::sign(&key, vault, &network)
        });
        let mut entries: Vec<DepositEntry> = entries.collect();
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let workers = Workers::new(NonZeroUsize::new(3).expect("three"));
        let sound = DepositDataFile::new(entries.clone());
        verify_deposit_data(&sound, vault, &network, workers, &mut rng, &NoProgress).expect("sound");
        let bad = [0, 31, 32, 99];
        for index in bad {
            entries[index].signature = entries[50].signature;
        }
        let error = verify_deposit_data(
            &DepositDataFile::new(entries),
            vault,
            &network,
            workers,
            &mut rng,
            &NoProgress,
        );
        let faults = error.expect_err("bad signatures").faults;
        let found = faults.iter().filter(|found| found.fault == Fault::BadSignature);
        assert_eq!(found.map(|found| found.index).collect::<Vec<_>>(), bad);
        // The stated deposit data roots cover the signatures.
        assert_eq!(faults.len(), 2 * bad.len());
    }

    #[test]
    fn batches_are_neither_tiny_nor_uneven() {
        let size = |claims, threads| batch_size(claims, NonZeroUsize::new(threads).expect("not zero"));
        assert_eq!(size(0, 2), 32);
        assert_eq!(size(1_000, 2), 125);
        assert_eq!(size(10_000, 2), 256);
        assert_eq!(size(10_000, 64), 40);
    }
}
