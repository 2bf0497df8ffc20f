//! How oracles hand each other the shares they opened: `POST {peer}/peer/shares`, by the hash of the request.
//!
//! A message needs no signature: a share is believed when it verifies against its public share in the request.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use alloy::primitives::{B256, FixedBytes};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};

/// Requests whose shares are kept; those of older ones are forgotten.
const MAX_REQUESTS: usize = 64;

/// The shares of one oracle for one request, in the request's order of validators.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeerShares {
    pub(super) request: B256,
    pub(super) position: usize,
    pub(super) shares: Vec<FixedBytes<96>>,
}

/// The shares that verified, by the position of their oracle.
pub(super) type Gathered = BTreeMap<usize, Vec<FixedBytes<96>>>;

/// One oracle's letter box.
#[derive(Debug)]
pub(super) struct Exchange {
    client: reqwest::Client,
    inbox: Mutex<Inbox>,
    arrivals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inbox {
    shares: HashMap<B256, HashMap<usize, Vec<FixedBytes<96>>>>,
    order: VecDeque<B256>,
}

impl Exchange {
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self {
            client,
            inbox: Mutex::default(),
            arrivals: watch::Sender::new(0),
        }
    }

    /// Takes in what a peer sent, unverified: the request may not have come here yet.
    pub(super) fn receive(&self, message: PeerShares) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if !inbox.shares.contains_key(&message.request) {
            inbox.order.push_back(message.request);
            if inbox.order.len() > MAX_REQUESTS
                && let Some(oldest) = inbox.order.pop_front()
            {
                inbox.shares.remove(&oldest);
            }
        }
        inbox
            .shares
            .entry(message.request)
            .or_default()
            .insert(message.position, message.shares);
        drop(inbox);
        self.arrivals.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Sends own shares to every peer, of whom each has some endpoints; a peer that is down misses them.
    pub(super) async fn send(&self, peers: &[Vec<String>], message: &PeerShares) {
        join_all(peers.iter().map(|endpoints| self.send_to(endpoints, message))).await;
    }

    async fn send_to(&self, endpoints: &[String], message: &PeerShares) {
        for endpoint in endpoints {
            let request = self.client.post(format!("{endpoint}/peer/shares")).json(message);
            match request.timeout(PEER_TIMEOUT).send().await {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "a peer did not take shares"),
            }
        }
    }

    /// Waits until `gathered` holds the shares of `enough` oracles, each accepted by `verify`, or until `deadline`.
    pub(super) async fn gather<V>(
        &self,
        request: B256,
        gathered: &mut Gathered,
        enough: usize,
        deadline: Instant,
        verify: impl Fn(usize, Vec<FixedBytes<96>>) -> V,
    ) where
        V: Future<Output = bool>,
    {
        let mut arrivals = self.arrivals.subscribe();
        loop {
            for (position, shares) in self.arrived(request) {
                let wanted = gathered.len() < enough && !gathered.contains_key(&position);
                if wanted && verify(position, shares.clone()).await {
                    gathered.insert(position, shares);
                }
            }
            if gathered.len() >= enough || tokio::time::timeout_at(deadline, arrivals.changed()).await.is_err() {
                return;
            }
        }
    }

    fn arrived(&self, request: B256) -> HashMap<usize, Vec<FixedBytes<96>>> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.shares.get(&request).cloned().unwrap_or_default()
    }
}

const PEER_TIMEOUT: Duration = Duration::from_secs(5);
