//! Counting votes, apart from how they came in.

use alloy_primitives::Address;

/// An oracle's approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Who approves.
    pub oracle: Address,
    /// Where the oracles keep the exit signatures.
    pub ipfs_hash: String,
    /// Until when.
    pub deadline: u64,
    /// The signature of both, and of what was asked for.
    pub signature: [u8; 65],
}

/// Enough votes for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// Where the oracles keep the exit signatures.
    pub ipfs_hash: String,
    /// Until when the approval is valid.
    pub deadline: u64,
    /// The oracles whose signatures are used, ascending.
    pub signers: Vec<Address>,
    /// Their signatures in that order, 65 bytes each, as the Keeper takes them.
    pub signatures: Vec<u8>,
}

/// Looks for the largest group of oracles that vote for the same content and deadline, the first on a tie.
///
/// # Errors
/// When the group is smaller than `needed`, its size.
pub fn tally(votes: &[Vote], needed: usize) -> Result<Quorum, usize> {
    // The Keeper wants signers that ascend, so that none counts twice.
    let group_of = |vote: &Vote| {
        let mut group = votes.iter().filter(|other| agree(other, vote)).collect::<Vec<_>>();
        group.sort_by_key(|vote| vote.oracle);
        group.dedup_by_key(|vote| vote.oracle);
        group
    };
    let mut largest = Vec::new();
    for vote in votes {
        let group = group_of(vote);
        if group.len() > largest.len() {
            largest = group;
        }
    }
    let Some(first) = largest.first().filter(|_| largest.len() >= needed) else {
        return Err(largest.len());
    };
    let (ipfs_hash, deadline) = (first.ipfs_hash.clone(), first.deadline);
    // And it takes exactly `needed` signatures.
    largest.truncate(needed);
    Ok(Quorum {
        ipfs_hash,
        deadline,
        signers: largest.iter().map(|vote| vote.oracle).collect(),
        signatures: largest.iter().flat_map(|vote| vote.signature).collect(),
    })
}

fn agree(one: &Vote, other: &Vote) -> bool {
    (&one.ipfs_hash, one.deadline) == (&other.ipfs_hash, other.deadline)
}
