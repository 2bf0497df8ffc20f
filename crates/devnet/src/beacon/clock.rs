//! Slots, epochs and finality, from the timestamps of blocks.

use super::{BeaconConfig, Shared};
use crate::rpc::{Block, RpcError};

impl BeaconConfig {
    /// The slot that a block of this Unix time fills.
    pub(super) fn slot_at(&self, time: u64) -> u64 {
        time.saturating_sub(self.genesis_time) / self.seconds_per_slot.max(1)
    }

    pub(super) fn epoch_of(&self, slot: u64) -> u64 {
        slot / self.slots_per_epoch.max(1)
    }

    fn time_of_epoch(&self, epoch: u64) -> u64 {
        let slots = epoch.saturating_mul(self.slots_per_epoch);
        self.genesis_time
            .saturating_add(slots.saturating_mul(self.seconds_per_slot))
    }
}

/// The newest block, and what it finalizes.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) block: Block,
    pub(super) slot: u64,
    pub(super) epoch: u64,
}

impl Head {
    /// The newest epoch of which the checkpoint is justified.
    pub(super) fn justified(&self) -> u64 {
        self.epoch.saturating_sub(1)
    }

    /// The newest epoch of which the checkpoint is final.
    pub(super) fn finalized(&self) -> u64 {
        self.epoch.saturating_sub(2)
    }
}

impl Shared {
    pub(super) async fn head(&self) -> Result<Option<Head>, RpcError> {
        let Some(block) = self.rpc.block(None).await? else {
            return Ok(None);
        };
        let slot = self.config.slot_at(block.timestamp.to());
        Ok(Some(Head {
            slot,
            epoch: self.config.epoch_of(slot),
            block,
        }))
    }

    /// The checkpoint block of an epoch: the one in its first slot, or the last before.
    pub(super) async fn checkpoint(&self, head: &Head, epoch: u64) -> Result<Option<Block>, RpcError> {
        self.last_block_until(head, self.config.time_of_epoch(epoch)).await
    }

    /// The block that fills a slot.
    pub(super) async fn block_in(&self, head: &Head, slot: u64) -> Result<Option<Block>, RpcError> {
        let end = self
            .config
            .genesis_time
            .saturating_add(slot.saturating_add(1).saturating_mul(self.config.seconds_per_slot));
        let block = self.last_block_until(head, end.saturating_sub(1)).await?;
        Ok(block.filter(|block| self.config.slot_at(block.timestamp.to()) == slot))
    }

    /// The number of the first block of an epoch, or of the epochs after it when it has none; it may be the next one.
    pub(super) async fn first_block_of(&self, head: &Head, epoch: u64) -> Result<u64, RpcError> {
        let Some(before) = self.config.time_of_epoch(epoch).checked_sub(1) else {
            return Ok(0);
        };
        let last = self.last_block_until(head, before).await?;
        Ok(last.map_or(0, |block| block.number.to::<u64>() + 1))
    }

    /// The last block that is not younger than `time`; block 0 is never too young.
    async fn last_block_until(&self, head: &Head, time: u64) -> Result<Option<Block>, RpcError> {
        if head.block.timestamp.to::<u64>() <= time {
            return Ok(Some(head.block.clone()));
        }
        let (mut low, mut high) = (0, head.block.number.to::<u64>());
        let mut found = self.rpc.block(Some(low)).await?;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.rpc.block(Some(middle)).await? {
                Some(block) if block.timestamp.to::<u64>() <= time => {
                    low = middle;
                    found = Some(block);
                }
                _ => high = middle,
            }
        }
        Ok(found)
    }
}
