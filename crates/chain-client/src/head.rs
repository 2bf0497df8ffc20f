//! The block that a decision is made at, and who confirms it.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use alloy_primitives::U64;
use tokio::time::Instant;
use tracing::warn;

use crate::{
    BlockRef, EndpointFault, ExecutionClient, ExecutionError, Snapshot,
    endpoints::{Endpoint, Failed},
    execution::{Inner, block},
    quorum::{Answer, Said, ask_all, groups},
    rpc::Node,
};

impl ExecutionClient {
    /// Takes the latest block of the first endpoint that is healthy, and pins all reads of a decision to it.
    ///
    /// An endpoint whose latest block is older than one that was given out before is passed over while another has come
    /// further; a few blocks are the difference between healthy nodes.
    ///
    /// With a quorum, the block is the latest that so many endpoints have alike. What the snapshot then says of accounts
    /// and contracts is confirmed by as many of them; logs are the word of one.
    ///
    /// # Errors
    /// When no endpoint answers within the retry budget with a head that is neither still syncing, nor behind a block that
    /// is final or the consensus chain; [`ExecutionError::NoQuorum`] when too few agree.
    pub async fn head(&self) -> Result<Snapshot, ExecutionError> {
        let inner = &self.inner;
        let (endpoint, witnesses, block) = if inner.quorum() > 1 {
            self.agreed_head().await?
        } else {
            let (endpoint, block) = self.first_head().await?;
            (endpoint, Vec::new(), block)
        };
        inner.newest.fetch_max(block.number, Ordering::Relaxed);
        Ok(Snapshot::new(Arc::clone(inner), endpoint, witnesses, block))
    }

    /// From now on uses no endpoint whose latest block is more than `tolerance` older than this Unix time, which is that of
    /// the consensus chain's head. An execution node that lost its consensus node stays where it is.
    pub fn expect_head_at(&self, time: u64, tolerance: Duration) {
        self.inner.consensus_time.store(time, Ordering::Relaxed);
        self.inner
            .consensus_tolerance
            .store(tolerance.as_secs(), Ordering::Relaxed);
    }

    async fn first_head(&self) -> Result<(Arc<Endpoint<Node>>, BlockRef), ExecutionError> {
        let inner = &self.inner;
        let laggard: Mutex<Option<(Arc<Endpoint<Node>>, BlockRef)>> = Mutex::default();
        let is_alone = inner.endpoints.all().len() == 1;
        let first = inner.first_answer(|endpoint| {
            let laggard = &laggard;
            async move {
                let block = inner.sound_head(&endpoint.client).await?;
                if let Err(fault) = inner.check_not_lagging(block.number)
                    && !is_alone
                {
                    let mut best = laggard.lock().unwrap_or_else(PoisonError::into_inner);
                    if best.as_ref().is_none_or(|(_, best)| best.number < block.number) {
                        *best = Some((endpoint, block));
                    }
                    return Err(fault.into());
                }
                Ok((endpoint, block))
            }
        });
        let first = first.await;
        let laggard = laggard.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (first, laggard) {
            (Err(ExecutionError::Unavailable(_)), Some((endpoint, block))) => {
                inner.go_back_to(block.number);
                endpoint.succeeded();
                Ok((endpoint, block))
            }
            (first, _) => first,
        }
    }

    /// Looks for a block that enough endpoints have, until the budget of time is used up.
    async fn agreed_head(&self) -> Result<Agreed, ExecutionError> {
        let inner = &self.inner;
        let deadline = Instant::now() + inner.retry_budget();
        loop {
            let found = self.look_for_agreement().await;
            let is_late = Instant::now() + BETWEEN_LOOKS >= deadline;
            match found {
                Ok(found) if inner.check_not_lagging(found.2.number).is_ok() => return Ok(found),
                Ok(found) if is_late => {
                    inner.go_back_to(found.2.number);
                    return Ok(found);
                }
                Err(error) if is_late => return Err(error),
                _ => tokio::time::sleep(BETWEEN_LOOKS).await,
            }
        }
    }

    async fn look_for_agreement(&self) -> Result<Agreed, ExecutionError> {
        let (inner, needed) = (&self.inner, self.inner.quorum());
        let rested = inner.endpoints.all().iter().filter(|endpoint| endpoint.is_rested());
        let mut heads = ask_all(rested, needed, |endpoint| async move {
            Ok(inner.sound_head(&endpoint.client).await?)
        })
        .await;
        let mut numbers: Vec<u64> = heads.answers.iter().filter_map(number).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let Some(reached) = needed.checked_sub(1).and_then(|place| numbers.get(place)).copied() else {
            heads.failures = inner.endpoints.failures();
            let each = groups(&heads.answers, |_, _| false);
            return Err(heads.disagreement(&each, needed, HEAD));
        };
        // An endpoint that is a block behind is worth waiting for: with it, the others can be outvoted.
        let near = numbers.into_iter().filter(|number| number.saturating_add(1) >= reached);
        let latest = near.min().unwrap_or(reached);
        let have_it = heads
            .answers
            .iter()
            .filter(|said| number(said).is_some_and(|number| number >= latest));
        let have_it: Vec<_> = have_it.map(|(endpoint, _)| Arc::clone(endpoint)).collect();
        let mut said: Said<BlockRef> = ask_all(&have_it, needed, |endpoint| async move {
            let found = block(&endpoint.client, U64::from(latest)).await?;
            found
                .filter(|block| block.number == latest)
                .ok_or_else(|| Failed::Endpoint(EndpointFault::Malformed("its own head is not there".to_owned())))
        })
        .await;
        said.failures.extend(heads.failures);
        let groups = groups(&said.answers, |(_, one), (_, other)| match (one, other) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        });
        // Two blocks of one number are nobody's fault: the next one decides between them.
        let (Some(group), true) = (groups.first(), groups.get(1).is_none_or(|group| group.len() < needed)) else {
            return Err(said.disagreement(&groups, needed, HEAD));
        };
        if group.len() < needed {
            return Err(said.disagreement(&groups, needed, HEAD));
        }
        let mut agreed = said
            .answers
            .iter()
            .enumerate()
            .filter(|(place, _)| group.contains(place));
        match agreed.next() {
            Some((_, (endpoint, Ok(block)))) => {
                let witnesses = agreed.map(|(_, (endpoint, _))| Arc::clone(endpoint)).collect();
                Ok((Arc::clone(endpoint), witnesses, *block))
            }
            _ => Err(said.disagreement(&groups, needed, HEAD)),
        }
    }
}

type Agreed = (Arc<Endpoint<Node>>, Vec<Arc<Endpoint<Node>>>, BlockRef);

fn number((_, head): &Answer<BlockRef>) -> Option<u64> {
    head.as_ref().ok().map(|block| block.number)
}

impl Inner {
    async fn sound_head(&self, node: &Node) -> Result<BlockRef, EndpointFault> {
        node.check_chain(self.chain_id()).await?;
        if node.is_syncing().await? {
            return Err(EndpointFault::Syncing);
        }
        let block = block(node, "latest").await?;
        let block = block.ok_or_else(|| EndpointFault::Malformed("no latest block".to_owned()))?;
        self.check_has_final(block.number)?;
        self.check_follows_consensus(&block)?;
        Ok(block)
    }

    fn check_follows_consensus(&self, block: &BlockRef) -> Result<(), EndpointFault> {
        let tolerance = self.consensus_tolerance.load(Ordering::Relaxed);
        let behind = self
            .consensus_time
            .load(Ordering::Relaxed)
            .saturating_sub(block.timestamp);
        if behind > tolerance {
            return Err(EndpointFault::BehindConsensus {
                block: block.number,
                seconds: behind,
            });
        }
        Ok(())
    }

    fn check_not_lagging(&self, found: u64) -> Result<(), EndpointFault> {
        let seen = self.newest.load(Ordering::Relaxed);
        if found.saturating_add(USUAL_LAG) < seen {
            return Err(EndpointFault::Lagging { found, seen });
        }
        Ok(())
    }

    /// No endpoint has come as far as one said it had: perhaps there was a reorganisation, perhaps it was wrong.
    fn go_back_to(&self, block: u64) {
        let seen = self.newest.swap(block, Ordering::Relaxed);
        warn!(
            block,
            seen, "no execution endpoint has a block that was seen before; going on from an older one"
        );
    }
}

const HEAD: &str = "the newest block";
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Blocks that one healthy node may be behind another, or that a usual reorganisation undoes.
const USUAL_LAG: u64 = 3;
