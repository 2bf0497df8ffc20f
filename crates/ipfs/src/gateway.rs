//! Asking one gateway.

use std::time::Duration;

use cid::Cid;
use reqwest::{Client, Response, header};
use sw_spec::RedactedUrl;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::{
    ContentError, GatewayFailure, GatewayFault, Limits, MAX_BLOCK_BYTES, Way,
    assembly::{Assembly, Progress},
    block::{Blocks, WrongBlock, is_verifiable},
    car::CarReader,
};

/// A file on its way: the verified blocks, whoever sent them, and what they make so far.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) root: Cid,
    pub(crate) blocks: Blocks,
    pub(crate) assembly: Assembly,
    limits: Limits,
}

impl Download {
    pub(crate) fn new(root: Cid, limits: Limits) -> Self {
        Self {
            root,
            blocks: Blocks::default(),
            assembly: Assembly::new(root, limits),
            limits,
        }
    }

    pub(crate) fn advance(&mut self) -> Result<Progress, ContentError> {
        self.assembly.advance(&self.blocks)
    }

    /// Takes a block of a CAR, and goes on as far as it leads.
    pub(crate) fn offer(&mut self, cid: &Cid, block: &[u8]) -> Result<Progress, Stop> {
        // A block of a hash function that proves nothing cannot be part of the file.
        if is_verifiable(cid) {
            self.take(cid, block)?;
        }
        Ok(self.advance()?)
    }

    /// Takes a block, and stops a sender whose right blocks are more than the file can need.
    fn take(&mut self, cid: &Cid, block: &[u8]) -> Result<(), GatewayFault> {
        self.blocks
            .insert(cid, block)
            .map_err(|WrongBlock| GatewayFault::WrongBlock { cid: *cid })?;
        let (bytes, blocks) = (self.limits.wire_bytes(), self.limits.blocks);
        if self.blocks.bytes() > bytes {
            Err(GatewayFault::TooLong { limit: bytes })
        } else if self.blocks.len() > blocks {
            Err(GatewayFault::TooManyBlocks { limit: blocks })
        } else {
            Ok(())
        }
    }

    /// Drops what is not known to belong to the file, so that one gateway cannot use up the room of the next.
    pub(crate) fn forget_unused(&mut self) {
        self.blocks.keep(|digest| self.assembly.uses(digest));
    }
}

/// What ended an attempt: the gateway, or the content itself.
#[derive(Debug)]
pub(crate) enum Ended {
    Gateway(GatewayFailure),
    Content(ContentError),
}

/// Asks in one way, then in the other, until the file is complete.
pub(crate) async fn ask(
    client: &Client,
    gateway: &RedactedUrl,
    time: Duration,
    download: &mut Download,
) -> Result<(), Ended> {
    let asking = Asking {
        client,
        gateway,
        deadline: Instant::now() + time.min(LONGEST),
        patience: time / 2,
    };
    let mut faults = Vec::new();
    for way in [Way::Car, Way::Blocks] {
        let started = Instant::now();
        let asked = async {
            match way {
                Way::Car => asking.for_car(download).await,
                Way::Blocks => asking.for_blocks(download).await,
            }
        };
        let fault = match timeout_at(asking.deadline, asked).await {
            Ok(Ok(())) => {
                debug!(endpoint = %gateway, %way, elapsed = ?started.elapsed(), "content fetched");
                return Ok(());
            }
            Ok(Err(Stop::Content(error))) => return Err(Ended::Content(error)),
            Ok(Err(Stop::Fault(fault))) => fault,
            Err(_elapsed) => GatewayFault::TimedOut,
        };
        debug!(endpoint = %gateway, %way, elapsed = ?started.elapsed(), error = %fault, "content not fetched");
        let hopeless = matches!(fault, GatewayFault::Unreachable(_));
        faults.push((way, fault));
        if hopeless || Instant::now() >= asking.deadline {
            break;
        }
    }
    Err(Ended::Gateway(GatewayFailure {
        gateway: gateway.clone(),
        faults,
    }))
}

/// Nobody waits longer; it also keeps the arithmetic of instants in range.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Why one way of asking came to an end.
pub(crate) enum Stop {
    Fault(GatewayFault),
    Content(ContentError),
}

impl From<GatewayFault> for Stop {
    fn from(fault: GatewayFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ContentError> for Stop {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}

struct Asking<'a> {
    client: &'a Client,
    gateway: &'a RedactedUrl,
    deadline: Instant,
    /// How long an answer may take to begin, so that a gateway that is silent in one way has time for the other.
    patience: Duration,
}

impl Asking<'_> {
    async fn for_car(&self, download: &mut Download) -> Result<(), Stop> {
        let limit = download.limits.wire_bytes();
        let mut answer = self.get(&download.root, "car", limit).await?;
        let (mut reader, mut received) = (CarReader::default(), 0usize);
        while let Some(piece) = next_piece(&mut answer).await? {
            received = received.saturating_add(piece.as_ref().len());
            if received > limit {
                return Err(GatewayFault::TooLong { limit }.into());
            }
            reader.push(piece.as_ref());
            while let Some((cid, block)) = reader.next_block().map_err(GatewayFault::Car)? {
                if download.offer(&cid, block)? == Progress::Complete {
                    return Ok(());
                }
            }
        }
        reader.finish().map_err(GatewayFault::Car)?;
        match download.advance()? {
            Progress::Complete => Ok(()),
            Progress::Needs(cid) => Err(GatewayFault::MissingBlock { cid }.into()),
        }
    }

    async fn for_blocks(&self, download: &mut Download) -> Result<(), Stop> {
        while let Progress::Needs(cid) = download.advance()? {
            let mut answer = self.get(&cid, "raw", MAX_BLOCK_BYTES).await?;
            let mut block = Vec::new();
            while let Some(piece) = next_piece(&mut answer).await? {
                block.extend_from_slice(piece.as_ref());
                if block.len() > MAX_BLOCK_BYTES {
                    return Err(GatewayFault::TooLong { limit: MAX_BLOCK_BYTES }.into());
                }
            }
            download.take(&cid, &block)?;
        }
        Ok(())
    }

    /// Sends a request of the trustless gateway specification, and returns the answer when it begins well.
    async fn get(&self, cid: &Cid, format: &str, limit: usize) -> Result<Response, GatewayFault> {
        let mut url = self.gateway.expose_url().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("ipfs").push(&cid.to_string());
        }
        url.query_pairs_mut().append_pair("format", format);
        let request = self
            .client
            .get(url)
            .header(header::ACCEPT, format!("application/vnd.ipld.{format}"));
        let answer = match timeout(self.patience, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_timeout() => return Err(GatewayFault::TimedOut),
            Ok(Err(error)) if error.is_connect() => return Err(GatewayFault::Unreachable(error.without_url())),
            Ok(Err(error)) => return Err(GatewayFault::Interrupted(error.without_url())),
            Err(_elapsed) => return Err(GatewayFault::TimedOut),
        };
        let status = answer.status();
        if !status.is_success() {
            return Err(GatewayFault::Status(status.as_u16()));
        }
        if answer.content_length().is_some_and(|length| length > limit as u64) {
            return Err(GatewayFault::TooLong { limit });
        }
        Ok(answer)
    }
}

/// The next piece of a body, decompressed: pieces are counted, so a small body that swells is stopped as a large one is.
async fn next_piece(answer: &mut Response) -> Result<Option<impl AsRef<[u8]> + use<>>, GatewayFault> {
    answer.chunk().await.map_err(|error| {
        if error.is_timeout() {
            GatewayFault::TimedOut
        } else {
            GatewayFault::Interrupted(error.without_url())
        }
    })
}
