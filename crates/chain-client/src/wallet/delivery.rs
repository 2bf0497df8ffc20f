//! From the journal to the nodes.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use tokio::sync::OwnedMutexGuard;
use tracing::{debug, warn};

use super::{Inner, SendError, SentTx};
use crate::{EntryState, JournalEntry, TransactionStatus, execution::Broadcast};

impl Inner {
    /// Records a transaction, hands it out, and finds out what became of it. The turn ends with it.
    pub(super) async fn deliver(
        self: Arc<Self>,
        turn: OwnedMutexGuard<()>,
        sent: SentTx,
        entry: JournalEntry,
    ) -> Result<SentTx, SendError> {
        let raw = entry.raw.clone();
        self.with_journal(move |journal| journal.intend(entry)).await?;
        let result = match self.client.broadcast(&raw, sent.hash).await {
            Broadcast::Taken => Ok(sent),
            // "Already known" and "nonce too low" may mean that it has arrived before.
            Broadcast::Rejected(message) => {
                if self.is_known(sent.hash).await {
                    Ok(sent)
                } else {
                    Err(SendError::Rejected {
                        hash: sent.hash,
                        message,
                    })
                }
            }
            Broadcast::InDoubt(reason) => {
                if self.is_known(sent.hash).await {
                    Ok(sent)
                } else {
                    Err(SendError::Unconfirmed {
                        sent: Box::new(sent),
                        reason,
                    })
                }
            }
            Broadcast::NotDelivered => {
                let message = "no execution endpoint could be reached".to_owned();
                Err(SendError::Rejected {
                    hash: sent.hash,
                    message,
                })
            }
        };
        match &result {
            Ok(sent) => {
                debug!(tx = %sent.hash, nonce = sent.nonce, kind = sent.kind, "transaction sent");
                self.note(sent.hash, EntryState::Sent).await;
            }
            Err(SendError::Rejected { hash, .. }) => self.note(*hash, EntryState::Rejected).await,
            Err(_) => {}
        }
        drop(turn);
        result
    }

    async fn is_known(&self, hash: B256) -> bool {
        for pause in LOOKUPS {
            tokio::time::sleep(pause).await;
            match self.client.transaction(hash).await {
                Ok(TransactionStatus::Mined(_) | TransactionStatus::Pending) => return true,
                Ok(TransactionStatus::Unknown) | Err(_) => {}
            }
        }
        false
    }

    /// Records an outcome. If that fails, the entry stays open, and the next look at the chain finds out again.
    pub(super) async fn note(&self, hash: B256, state: EntryState) {
        if let Err(error) = self.with_journal(move |journal| journal.learn(hash, state)).await {
            warn!(tx = %hash, %error, "the outcome of a transaction could not be recorded");
        }
    }
}

/// A transaction may need a moment to show up.
const LOOKUPS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1)];
