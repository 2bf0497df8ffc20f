//! Whose exits the present oracles could have signed, found out by doing it.

use std::collections::{BTreeMap, HashMap};

use alloy::primitives::{Address, B256, FixedBytes};
use serde::Deserialize;

use super::{
    checks::exit_root,
    key::{OracleKey, SEALED_SHARE},
    ledger::{ExitSignaturesUpdated, ValidatorsApproval},
    shares::{check_public_shares, recover},
};
use crate::{
    Deployment, Devnet, DevnetError,
    audit::indexes,
    bls,
    chain::{Chain, ChainError},
};

/// A validator that any threshold of the present oracles can make exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recoverable {
    /// The validator.
    pub public_key: FixedBytes<48>,
    /// Its index, which the exit is signed for.
    pub index: u64,
    /// How many oracles hold a share: all there are.
    pub by: usize,
}

#[derive(Debug, Deserialize)]
struct Document {
    exit_signature_recover_threshold: usize,
    exit_signature_shards: Vec<Vec<FixedBytes<SEALED_SHARE>>>,
    public_key_shards: Vec<Vec<FixedBytes<48>>>,
    public_keys: Vec<FixedBytes<48>>,
}

impl Devnet {
    /// The validators of a vault, by index, whose newest exit signatures on chain and IPFS are such that any threshold
    /// of the present oracles recovers a valid one. Nobody is asked for it: the oracles' keys are known here.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn recoverable(&self, vault: Address) -> Result<Vec<Recoverable>, DevnetError> {
        let newest = newest_documents(self.chain(), vault).await?;
        let indexes = indexes(self.chain()).await?;
        let mut documents = HashMap::new();
        for cid in newest {
            let content = self.gateway().content(&cid).unwrap_or_default();
            // Later ones take the place of earlier ones; what cannot be read holds nothing.
            if let Ok(document) = serde_json::from_slice::<Document>(&content) {
                let document = std::sync::Arc::new(document);
                for (place, key) in document.public_keys.iter().enumerate() {
                    documents.insert(*key, (std::sync::Arc::clone(&document), place));
                }
            }
        }
        let (keys, deployment) = (self.oracle_keys(), self.deployment().clone());
        let find = move || {
            let mut found = BTreeMap::new();
            for (public_key, (document, place)) in &documents {
                if let Some(index) = indexes.get(public_key)
                    && document.is_recoverable(*place, *index, &keys, &deployment)
                {
                    let recoverable = Recoverable {
                        public_key: *public_key,
                        index: *index,
                        by: keys.len(),
                    };
                    found.insert(*index, recoverable);
                }
            }
            found.into_values().collect()
        };
        // Cut off only when the runtime shuts down.
        Ok(tokio::task::spawn_blocking(find).await.unwrap_or_default())
    }
}

/// A rotation of a vault's exit signatures, as the Keeper's event and the document say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Whose exits were rotated; nobody's if the document cannot be read.
    pub public_keys: Vec<FixedBytes<48>>,
    /// The transaction.
    pub tx: B256,
    /// The block.
    pub block: u64,
}

impl Devnet {
    /// The rotations of a vault's exit signatures that the Keeper has accepted, in order.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn rotated(&self, vault: Address) -> Result<Vec<Rotated>, DevnetError> {
        let keeper = self.chain().addresses().keeper;
        let events = self.chain().events::<ExitSignaturesUpdated>(keeper).await?;
        let of_vault = events.into_iter().filter(|(event, _)| event.vault == vault);
        let read = |cid: &str| serde_json::from_slice::<Document>(&self.gateway().content(cid)?).ok();
        Ok(of_vault
            .map(|(event, log)| Rotated {
                public_keys: read(&event.exitSignaturesIpfsHash).map_or_else(Vec::new, |document| document.public_keys),
                tx: log.transaction_hash,
                block: log.block_number.to(),
            })
            .collect())
    }
}

/// The CIDs of a vault's exit signatures, in the order of the chain.
async fn newest_documents(chain: &Chain, vault: Address) -> Result<Vec<String>, ChainError> {
    let keeper = chain.addresses().keeper;
    let approvals = chain.events::<ValidatorsApproval>(keeper).await?.into_iter();
    let approvals = approvals.map(|(event, log)| (event.vault, event.exitSignaturesIpfsHash, log));
    let rotations = chain.events::<ExitSignaturesUpdated>(keeper).await?.into_iter();
    let rotations = rotations.map(|(event, log)| (event.vault, event.exitSignaturesIpfsHash, log));
    let of_vault = approvals.chain(rotations).filter(|(of, ..)| *of == vault);
    let ordered: BTreeMap<_, _> = of_vault
        .map(|(_, cid, log)| ((log.block_number, log.log_index), cid))
        .collect();
    Ok(ordered.into_values().collect())
}

impl Document {
    /// Whether every oracle's share opens and verifies, and all are points of one polynomial of the threshold's degree:
    /// then any threshold of them recovers the exit. The first and the last ones are made to.
    fn is_recoverable(&self, place: usize, index: u64, keys: &[OracleKey], deployment: &Deployment) -> bool {
        self.recovers(place, index, keys, deployment).unwrap_or(false)
    }

    fn recovers(&self, place: usize, index: u64, keys: &[OracleKey], deployment: &Deployment) -> Option<bool> {
        let threshold = self.exit_signature_recover_threshold;
        let public_key = self.public_keys.get(place)?;
        let (public, sealed) = (
            self.public_key_shards.get(place)?,
            self.exit_signature_shards.get(place)?,
        );
        if public.len() != keys.len() || sealed.len() != keys.len() {
            return None;
        }
        check_public_shares(public_key, public, threshold).ok()?;
        let root = exit_root(index, deployment);
        let open = |(oracle, key): (usize, &OracleKey)| {
            let share = key.open(sealed.get(oracle)?)?;
            bls::verify(public.get(oracle)?, root, &share).then_some((oracle, share))
        };
        let shares: Vec<_> = keys.iter().enumerate().map(open).collect::<Option<_>>()?;
        let exit = |some: &[(usize, FixedBytes<96>)]| {
            recover(some).is_some_and(|signature| bls::verify(public_key, root, &signature))
        };
        let last = shares.len().checked_sub(threshold)?;
        Some(exit(shares.get(..threshold)?) && exit(shares.get(last..)?))
    }
}
