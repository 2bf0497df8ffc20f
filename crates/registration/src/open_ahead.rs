//! The keys of the next registrations, opened before the vault has the assets for them.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use sw_signers::ValidatorSigner;
use sw_spec::PublicKeyBytes;
use tokio::sync::watch;

use crate::{Duty, DutyError, Outcome, supervisor::error_chain};

/// The duty that has the signer get ready for what [`crate::RegisterValidators`] will ask it to sign.
///
/// A duty of its own, so that opening a key never holds up a registration that has its keys.
pub struct OpenAhead {
    upcoming: watch::Receiver<Vec<PublicKeyBytes>>,
    signer: Arc<dyn ValidatorSigner>,
    tried: HashSet<PublicKeyBytes>,
}

impl OpenAhead {
    pub(crate) fn new(upcoming: watch::Receiver<Vec<PublicKeyBytes>>, signer: Arc<dyn ValidatorSigner>) -> Self {
        Self {
            upcoming,
            signer,
            tried: HashSet::new(),
        }
    }
}

#[async_trait]
impl Duty for OpenAhead {
    fn name(&self) -> &'static str {
        "open-keys"
    }

    /// Tries each key once: one that cannot be opened is named, and the registration that needs it tries again.
    async fn tick(&mut self) -> Result<Outcome, DutyError> {
        let upcoming = self.upcoming.borrow_and_update().clone();
        self.tried.retain(|key| upcoming.contains(key));
        let new: Vec<PublicKeyBytes> = upcoming.into_iter().filter(|key| self.tried.insert(*key)).collect();
        if new.is_empty() {
            return Ok(Outcome::Watched);
        }
        tracing::debug!(count = new.len(), "opening the next keys");
        let refused = self.signer.prepare(&new).await;
        if let Some((validator, error)) = refused.first() {
            tracing::warn!(
                %validator,
                error = error_chain(error),
                others = refused.len().saturating_sub(1),
                "the next key cannot be opened; mend this before the vault has the assets for it"
            );
        } else {
            tracing::debug!(count = new.len(), "the next keys are open");
        }
        Ok(Outcome::Watched)
    }
}
