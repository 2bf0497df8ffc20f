//! What a person may be shown while keys are made.

/// A part of the work that counts keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Deriving the keys from the mnemonic.
    Keys,
    /// Signing a deposit with each.
    DepositData,
    /// Encrypting each, and opening the result again.
    Keystores,
    /// Looking for the indices of known public keys. How many will be tried may not be known: the total is 0 then.
    Searching,
    /// Opening keystores that are there.
    Opening,
}

/// Is told how far the work has come, from any of its threads.
pub trait Progress: Sync {
    /// A stage of `total` keys begins; stages follow each other.
    fn begin(&self, stage: Stage, total: usize);
    /// One more key of the stage is done.
    fn advance(&self, stage: Stage);
    /// The stage is complete. A stage that fails is never finished.
    fn finish(&self, stage: Stage);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _stage: Stage, _total: usize) {}
    fn advance(&self, _stage: Stage) {}
    fn finish(&self, _stage: Stage) {}
}
