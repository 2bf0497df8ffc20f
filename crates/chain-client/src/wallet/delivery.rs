//! From the journal to the nodes.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use tokio::sync::OwnedMutexGuard;
use tracing::{debug, warn};

use super::{Inner, SendError, SentTx, joined};
use crate::{EntryState, JournalEntry, TransactionStatus, broadcast::Broadcast};

impl Inner {
    /// Delivers a transaction even when the returned future is dropped.
    pub(super) async fn delivered(
        self: &Arc<Self>,
        turn: OwnedMutexGuard<()>,
        sent: SentTx,
        entry: JournalEntry,
    ) -> Result<SentTx, SendError> {
        let delivery = Arc::clone(self).deliver(turn, sent, entry);
        #[expect(
            clippy::disallowed_methods,
            reason = "joined below; it must go on when the returned future is dropped"
        )]
        let delivery = tokio::spawn(delivery);
        joined(delivery).await
    }

    /// Records a transaction, hands it out, and finds out what became of it. The turn ends with it.
    async fn deliver(
        self: Arc<Self>,
        turn: OwnedMutexGuard<()>,
        sent: SentTx,
        entry: JournalEntry,
    ) -> Result<SentTx, SendError> {
        let (raw, kind) = (entry.raw.clone(), sent.kind.clone());
        self.with_journal(move |journal| journal.intend(entry)).await?;
        let result = match self.client.broadcast(&raw, sent.hash).await {
            Broadcast::Taken => Ok(sent),
            // "Already known" and "nonce too low" may mean that it has arrived before.
            Broadcast::Rejected(message) => {
                if self.is_known(sent.hash).await {
                    Ok(sent)
                } else if may_have_arrived(&message) {
                    Err(SendError::Unconfirmed {
                        sent: Box::new(sent),
                        reason: message,
                    })
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
                self.refusals.clear(&sent.kind);
                self.note(sent.hash, EntryState::Sent).await;
            }
            Err(SendError::Rejected { hash, message }) => {
                self.refusals.add(&kind, message, self.slot);
                self.note(*hash, EntryState::Rejected).await;
            }
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

/// Whether a refusal says that the transaction, or another one with its nonce, is there already. Clients use their own
/// words: geth and reth "already known" and "nonce too low", Nethermind "AlreadyKnown" and "OldNonce", Besu "Known
/// transaction" and "Nonce too low", Erigon "already known" and "nonce too low".
fn may_have_arrived(message: &str) -> bool {
    let said: String = message.to_ascii_lowercase().split([' ', '_', '-']).collect();
    [
        "alreadyknown",
        "knowntransaction",
        "alreadyimported",
        "noncetoolow",
        "oldnonce",
        "noncealreadyused",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// A transaction may need a moment to show up.
const LOOKUPS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1)];
