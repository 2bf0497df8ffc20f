//! Content from the first gateway of a list that has it.

use std::{path::PathBuf, time::Duration};

use cid::Cid;
use reqwest::Client;
use sw_spec::RedactedUrl;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::{
    ContentError, FetchError, Limits, VerifiedBytes,
    assembly::Progress,
    cache::Cache,
    gateway::{Download, Ended, ask},
};

/// How gateways are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayOptions {
    /// How long one gateway may take for all of the content.
    pub timeout: Duration,
    /// Where fetched content is kept; a private directory, created when needed. `None` keeps nothing.
    pub cache_dir: Option<PathBuf>,
}

impl Default for GatewayOptions {
    /// 60 seconds, which is the original's `IPFS_TIMEOUT`, and no cache.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            cache_dir: None,
        }
    }
}

/// An ordered list of gateways, none of which is trusted.
#[derive(Debug, Clone)]
pub struct Gateways {
    client: Client,
    gateways: Vec<RedactedUrl>,
    timeout: Duration,
    cache: Option<Cache>,
}

impl Gateways {
    /// Gateways in the order they are to be asked in.
    ///
    /// Redirects are the client's business: build it with [`crate::gateway_redirects`]. Wherever bytes come from, they are
    /// compared with their CID.
    pub fn new(client: Client, gateways: Vec<RedactedUrl>, options: GatewayOptions) -> Self {
        Self {
            client,
            gateways,
            timeout: options.timeout,
            cache: options.cache_dir.map(Cache::new),
        }
    }

    /// Returns the file that a CID names: from the cache, or from the gateways one after the other.
    ///
    /// Blocks that one gateway gave are kept for the next, as they are right whoever sent them.
    ///
    /// # Errors
    ///
    /// [`FetchError::Unavailable`] says for every gateway why it did not serve the content; a later fetch may succeed.
    /// [`FetchError::Content`] says why the content itself cannot be used, and is final.
    pub async fn fetch(&self, cid: &Cid, limits: Limits) -> Result<VerifiedBytes, FetchError> {
        let content = |source| FetchError::Content { cid: *cid, source };
        if let Some(cached) = self.cached(*cid, limits).await {
            return Ok(cached);
        }
        let mut download = Download::new(*cid, limits);
        if download.advance().map_err(content)? == Progress::Complete {
            return Ok(self.completed(download, Keep::No).await);
        }
        if self.gateways.is_empty() {
            return Err(FetchError::NoGateway { cid: *cid });
        }
        let mut failures = Vec::with_capacity(self.gateways.len());
        for gateway in &self.gateways {
            match ask(&self.client, gateway, self.timeout, &mut download).await {
                Ok(()) => {
                    for failure in &failures {
                        warn!(error = %failure, "ipfs gateway passed over");
                    }
                    return Ok(self.completed(download, Keep::Yes).await);
                }
                Err(Ended::Content(source)) => return Err(content(source)),
                Err(Ended::Gateway(failure)) => failures.push(failure),
            }
            download.forget_unused();
        }
        Err(FetchError::Unavailable { cid: *cid, failures })
    }

    async fn cached(&self, cid: Cid, limits: Limits) -> Option<VerifiedBytes> {
        let cache = self.cache.clone()?;
        let path = cache.path(&cid);
        match spawn_blocking(move || cache.load(cid, limits)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                warn!(path = %path.display(), %error, "cached ipfs content is not used, fetching it again");
                None
            }
            Err(_cancelled) => None,
        }
    }

    async fn completed(&self, download: Download, keep: Keep) -> VerifiedBytes {
        let Download {
            root, blocks, assembly, ..
        } = download;
        let (bytes, used) = assembly.into_parts();
        if let (Keep::Yes, Some(cache)) = (keep, self.cache.clone()) {
            let path = cache.path(&root);
            if let Ok(Err(error)) = spawn_blocking(move || cache.store(&root, &blocks, &used)).await {
                warn!(path = %path.display(), %error, "ipfs content cannot be cached");
            }
        }
        VerifiedBytes::new(root, bytes)
    }
}

/// Whether content is worth a file: what the CID itself contains is not.
enum Keep {
    Yes,
    No,
}

impl From<ContentError> for Ended {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}
