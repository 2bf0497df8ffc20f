//! Deriving many keys on one thread: side by side where the machine can, in memory that is kept from one to the next.

use secrecy::SecretString;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    DerivedKey, KdfError, KdfParams,
    cipher::StretchedKey,
    password,
    scrypt_lanes::{Instructions, LaneMemory, MAX_BLOCK_SIZE, MAX_LANES, OutOfMemory, romix},
};

/// The memory in which one thread derives keys, and how many it derives side by side.
///
/// The memory is taken at the first derivation, kept for the next, and wiped when the value is dropped.
#[derive(Debug)]
pub struct Stretcher {
    /// The most that lanes may take, in bytes. Less than was asked for once the system has refused so much.
    limit: u64,
    instructions: Option<Instructions>,
    memory: LaneMemory,
}

impl Stretcher {
    /// A stretcher that takes at most `memory` bytes, or what a single derivation takes if that is more. Nothing is taken
    /// before the first derivation.
    pub fn new(memory: u64) -> Self {
        Self::with(Instructions::best(), memory)
    }

    fn with(instructions: Option<Instructions>, memory: u64) -> Self {
        Self {
            limit: memory,
            instructions,
            memory: LaneMemory::default(),
        }
    }

    /// How many derivations of the usual cost run side by side, one to four: a caller that has many hands over as many at
    /// once. It is one where the machine has no vectors for more, and falls when the system refuses the memory.
    pub fn lanes(&self) -> usize {
        match self.instructions {
            Some(_) => self.lanes_of(Cost { n: 1 << 18, r: 8 }),
            None => 1,
        }
    }

    /// Derives the key of each password, in order. Those of equal scrypt cost run side by side.
    pub fn derive(&mut self, jobs: &[(&KdfParams, &SecretString)]) -> Vec<Result<DerivedKey, KdfError>> {
        let mut mixing: Vec<_> = jobs
            .iter()
            .map(|(params, password)| self.begin(params, password))
            .collect();
        let mut costs: Vec<_> = mixing.iter().flatten().map(|mix| mix.cost).collect();
        costs.sort_unstable();
        costs.dedup();
        for cost in costs {
            let mut equal: Vec<_> = mixing
                .iter_mut()
                .filter(|mix| mix.as_ref().is_some_and(|mix| mix.cost == cost))
                .collect();
            let mut streams: Vec<_> = equal
                .iter_mut()
                .flat_map(|mix| mix.iter_mut().flat_map(Mix::streams))
                .collect();
            if self.mix(cost, &mut streams).is_err() {
                equal.into_iter().for_each(|mix| *mix = None);
            }
        }
        let finish = |(mix, (params, password)): (Option<Mix>, &(&KdfParams, &SecretString))| match mix {
            Some(mix) => Ok(mix.finish(params, password)),
            None => params.derive(password),
        };
        mixing.into_iter().zip(jobs).map(finish).collect()
    }

    /// The first part of scrypt, for parameters that are fit for lanes.
    fn begin(&self, params: &KdfParams, password: &SecretString) -> Option<Mix> {
        self.instructions?;
        params.check().ok()?;
        let KdfParams::Scrypt { n, r, p, ref salt, .. } = *params else {
            return None;
        };
        let cost = Cost {
            n: usize::try_from(n).ok()?,
            r: usize::try_from(r).ok().filter(|r| *r <= MAX_BLOCK_SIZE)?,
        };
        let streams = usize::try_from(p).ok()?;
        let mut blocks = Zeroizing::new(vec![0; cost.stream_bytes().checked_mul(streams)?]);
        let password = password::normalise(password);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, 1, &mut blocks);
        Some(Mix { cost, blocks })
    }

    /// The middle part: as many side by side as there are, may be, and the system has memory for.
    fn mix(&mut self, cost: Cost, mut streams: &mut [&mut [u8]]) -> Result<(), OutOfMemory> {
        let instructions = self.instructions.ok_or(OutOfMemory)?;
        while !streams.is_empty() {
            let lanes = self.lanes_of(cost);
            // All lanes at once, also for fewer streams: what is not written costs nothing, and moving to more later would.
            if self.memory.reserve(lanes, cost.n, cost.r).is_err() {
                if lanes == 1 {
                    return Err(OutOfMemory);
                }
                self.limit = cost.memory().saturating_mul(lanes as u64 - 1);
                continue;
            }
            let (now, later) = streams.split_at_mut(lanes.min(streams.len()));
            romix(instructions, cost.n, now, &mut self.memory)?;
            streams = later;
        }
        Ok(())
    }

    fn lanes_of(&self, cost: Cost) -> usize {
        let room = self.limit / cost.memory();
        usize::try_from(room).map_or(MAX_LANES, |room| room.clamp(1, MAX_LANES))
    }
}

/// What decides how much memory a lane takes. Only equals run side by side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    n: usize,
    r: usize,
}

impl Cost {
    fn stream_bytes(self) -> usize {
        128 * self.r
    }

    fn memory(self) -> u64 {
        (self.stream_bytes() as u64).saturating_mul(self.n as u64)
    }
}

/// A derivation between its two uses of PBKDF2: `p` blocks to be mixed, independent of each other.
struct Mix {
    cost: Cost,
    blocks: Zeroizing<Vec<u8>>,
}

impl Mix {
    fn streams(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.blocks.chunks_exact_mut(self.cost.stream_bytes())
    }

    /// The last part of scrypt.
    fn finish(&self, params: &KdfParams, password: &SecretString) -> DerivedKey {
        let password = password::normalise(password);
        let mut key = Zeroizing::new([[0; 16]; 2]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &self.blocks, 1, key.as_flattened_mut());
        DerivedKey::new(StretchedKey(key), params.clone())
    }
}

#[cfg(test)]
mod tests;
