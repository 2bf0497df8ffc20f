//! Entrances for the fuzzer: what otherwise needs a socket or a file to be reached.

use std::{
    fs::File,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, ResponsePacket},
    },
    transports::{TransportError, TransportErrorKind, TransportFut},
};
use reqwest::StatusCode;
use sw_spec::RedactedUrl;
use tower::Service;

use crate::{
    EndpointFault, ExecutionClient, ExecutionError, ExecutionOptions, Journal, JournalError, Snapshot, consensus,
    http::{Answer, excerpt},
    journal,
    rpc::{Node, response},
};

/// What a node answers to a method.
pub enum Reply {
    /// This status and body, as they are. The first request of a client has the identifier 0.
    Body(u16, Vec<u8>),
    /// This text as the result of whatever was asked.
    Result(Vec<u8>),
}

type Script = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// A client of one node that is a function. It never waits.
pub fn execution_client(url: &RedactedUrl, script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> ExecutionClient {
    let canned = Canned {
        script: Arc::new(script),
        url: url.clone(),
    };
    let options = ExecutionOptions {
        retry_budget: Duration::ZERO,
        ..ExecutionOptions::default()
    };
    let node = Node::over(RpcClient::new(canned, false), url.clone(), None);
    ExecutionClient::over([(url.clone(), node)], options)
}

/// The tip of the market, from `eth_feeHistory` or `eth_maxPriorityFeePerGas`.
///
/// # Errors
/// When neither is usable.
pub async fn market_tip(snapshot: &Snapshot) -> Result<u128, ExecutionError> {
    snapshot.market_tip().await
}

/// The answers of the Beacon API as which a body can be read.
pub fn beacon_answers(body: &[u8], url: &RedactedUrl) -> Vec<&'static str> {
    consensus::readable_as(body, url)
}

/// What is told of an answer to an exit, if it is a refusal.
pub fn exit_refusal(status: u16, body: Vec<u8>, url: &RedactedUrl) -> Option<String> {
    let answer = Answer::of(StatusCode::from_u16(status).unwrap_or_default(), body);
    consensus::refusal_in(&answer, url)
}

/// What an error shows of a foreign text.
pub fn shown(text: &[u8], url: &RedactedUrl) -> String {
    excerpt(text, url)
}

/// Reads the text of a journal. `file` is any file; it is not touched.
///
/// # Errors
/// When the text is none.
pub fn journal(text: &[u8], file: File) -> Result<Journal, JournalError> {
    Journal::of_text(text, file)
}

/// The text of a journal with these records, one a line, whatever they are.
pub fn sealed_journal(records: &str) -> String {
    journal::sealed(records)
}

#[derive(Clone)]
struct Canned {
    script: Script,
    url: RedactedUrl,
}

impl Canned {
    fn answer(&self, packet: &RequestPacket) -> Result<ResponsePacket, EndpointFault> {
        let RequestPacket::Single(request) = packet else {
            return Err(EndpointFault::Malformed("requests are not sent in batches".to_owned()));
        };
        let (status, body) = match (self.script)(request.method()) {
            Reply::Body(status, body) => (status, body),
            Reply::Result(result) => {
                let mut body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":", request.id()).into_bytes();
                body.extend(result);
                body.push(b'}');
                (200, body)
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or_default();
        response(&Answer::of(status, body), request.id(), &self.url)
    }
}

impl Service<RequestPacket> for Canned {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let answer = self.answer(&packet).map_err(TransportErrorKind::custom);
        Box::pin(std::future::ready(answer))
    }
}
