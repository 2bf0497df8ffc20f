//! The limits of public providers.

use std::time::{Duration, Instant};

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{error, node::number};

/// What a provider does not give. The default gives everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Personality {
    /// How many blocks of logs one request may ask for.
    pub log_range: Option<u64>,
    /// How many requests it answers in a second; the others get 429 with `Retry-After`.
    pub calls_per_second: Option<u32>,
}

impl Personality {
    /// Refuses what is too much, in the words of a large provider.
    pub(super) fn allows(&self, method: &str, params: &Value, head: u64) -> Result<(), Value> {
        let Some(range) = self.log_range.filter(|_| method == "eth_getLogs") else {
            return Ok(());
        };
        let filter = params.get(0);
        let edge = |name: &str| filter.and_then(|filter| filter.get(name)).and_then(number);
        let (from, to) = (edge("fromBlock").unwrap_or(head), edge("toBlock").unwrap_or(head));
        let by_hash = filter.is_some_and(|filter| filter.get("blockHash").is_some());
        if by_hash || to.saturating_sub(from) < range {
            return Ok(());
        }
        let message =
            format!("Under the Free tier plan, you can make eth_getLogs requests with up to a {range} block range");
        Err(error(-32600, &message))
    }
}

/// How many requests came in the present second.
#[derive(Debug, Default)]
pub(super) struct Pace {
    second: Option<Instant>,
    count: u32,
    too_many: u64,
}

impl Pace {
    pub(super) fn too_many(&self) -> u64 {
        self.too_many
    }

    /// Counts a request; one that is too many gets this answer.
    pub(super) fn over(&mut self, personality: &Personality) -> Option<Response> {
        let most = personality.calls_per_second?;
        let now = Instant::now();
        if self
            .second
            .is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1))
        {
            (self.second, self.count) = (Some(now), 0);
        }
        self.count = self.count.saturating_add(1);
        (self.count > most).then(|| {
            self.too_many += 1;
            let error = error(429, "Your app has exceeded its compute units per second capacity");
            let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
        })
    }
}
