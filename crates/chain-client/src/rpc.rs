//! JSON-RPC over HTTP to one node: a transport for alloy's client, and what its errors mean.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy::{
    rpc::{
        client::RpcClient,
        json_rpc::{ErrorPayload, Id, RequestPacket, Response, ResponsePacket, RpcRecv, RpcSend},
    },
    transports::{RpcError, TransportError, TransportErrorKind, TransportFut},
};
use alloy_primitives::{Bytes, U64};
use serde_json::value::RawValue;
use sw_spec::RedactedUrl;
use tower::Service;

use crate::{
    EndpointFault, ExecutionError, ExecutionOptions, JwtSecret, Revert, decode_revert,
    endpoints::Failed,
    http::{Answer, excerpt, exchange},
    memory::{Memory, Remembered},
    pace::Pace,
    ranges::LearnedRanges,
};

/// One node. Whether it is on the right chain is asked before its first use, and again after each fault.
pub(crate) struct Node {
    rpc: RpcClient,
    pub(crate) url: RedactedUrl,
    /// How many blocks of logs it serves at once.
    pub(crate) ranges: LearnedRanges,
    pace: Pace,
    memory: Option<Arc<Memory>>,
    chain_checked: AtomicBool,
}

/// Why a node's method gave nothing.
pub(crate) enum CallError {
    Fault(EndpointFault),
    /// A JSON-RPC error.
    Answer(ErrorAnswer),
}

/// A JSON-RPC error, bounded and cleaned.
pub(crate) struct ErrorAnswer {
    pub(crate) code: i64,
    pub(crate) message: String,
    data: Option<Box<RawValue>>,
}

impl Node {
    pub(crate) fn new(
        client: reqwest::Client,
        url: RedactedUrl,
        options: &ExecutionOptions,
        memory: Option<Arc<Memory>>,
    ) -> Self {
        let transport = HttpTransport {
            client,
            url: url.clone(),
            timeout: options.request_timeout,
            limit: options.body_limit,
            logs_limit: options.logs_body_limit,
            jwt_secret: options.jwt_secret.clone(),
        };
        Self::over(RpcClient::new(transport, false), url, memory)
    }

    pub(crate) fn over(rpc: RpcClient, url: RedactedUrl, memory: Option<Arc<Memory>>) -> Self {
        let remembered = memory
            .as_ref()
            .map(|memory| memory.of(&url.to_string()))
            .unwrap_or_default();
        Self {
            rpc,
            url,
            ranges: LearnedRanges::remembered(remembered.log_blocks),
            pace: Pace::remembered(remembered.calls_a_minute),
            memory,
            chain_checked: AtomicBool::new(false),
        }
    }

    /// Calls a method, without judging its error.
    pub(crate) async fn call<P: RpcSend, R: RpcRecv>(&self, method: &'static str, params: P) -> Result<R, CallError> {
        self.pace.turn().await.map_err(CallError::Fault)?;
        let result = self
            .rpc
            .request::<P, R>(method, params)
            .await
            .map_err(|error| self.classify(error));
        match &result {
            Err(CallError::Fault(EndpointFault::RateLimited { retry_after })) => self.pace.refused(*retry_after),
            Err(CallError::Answer(answer)) if answer.is_rate_limit() => self.pace.refused(None),
            Err(CallError::Fault(_)) => {}
            Ok(_) | Err(CallError::Answer(_)) => self.pace.served(),
        }
        if matches!(result, Err(CallError::Fault(_))) {
            self.chain_checked.store(false, Ordering::Relaxed);
        }
        result
    }

    /// Writes down what was learned, if it is news.
    pub(crate) async fn remember(&self) {
        if let Some(memory) = &self.memory {
            let known = Remembered {
                log_blocks: self.ranges.limits(),
                calls_a_minute: self.pace.limit(),
            };
            Arc::clone(memory).keep(self.url.to_string(), known).await;
        }
    }

    /// Calls a method on the chain that is expected; an error is either the endpoint's fault or the request's.
    pub(crate) async fn ask<P: RpcSend, R: RpcRecv>(
        &self,
        expected_chain: Option<u64>,
        method: &'static str,
        params: P,
    ) -> Result<R, Failed<ExecutionError>> {
        self.check_chain(expected_chain).await?;
        let mut answer = self.call(method, params.clone()).await;
        // A decision is dozens of reads of one node: one answer that was lost must not cost all of it.
        if matches!(&answer, Err(CallError::Fault(fault)) if fault.is_passing()) {
            self.check_chain(expected_chain).await?;
            answer = self.call(method, params).await;
        }
        answer.map_err(|error| match error {
            CallError::Fault(fault) => Failed::Endpoint(fault),
            CallError::Answer(answer) => answer.judge(&self.url, method),
        })
    }

    pub(crate) async fn check_chain(&self, expected: Option<u64>) -> Result<(), EndpointFault> {
        let Some(expected) = expected else { return Ok(()) };
        if self.chain_checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found = self.chain_id().await?;
        if found != expected {
            return Err(EndpointFault::WrongChain { expected, found });
        }
        self.chain_checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, EndpointFault> {
        Ok(self.plain::<_, U64>("eth_chainId", ()).await?.to())
    }

    /// `eth_syncing` answers `false`, or an object while it is syncing (execution-apis).
    pub(crate) async fn is_syncing(&self) -> Result<bool, EndpointFault> {
        Ok(self.plain::<_, Box<RawValue>>("eth_syncing", ()).await?.get() != "false")
    }

    /// Calls a method that no sound node refuses.
    pub(crate) async fn plain<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, EndpointFault> {
        self.call(method, params).await.map_err(|error| match error {
            CallError::Fault(fault) => fault,
            CallError::Answer(answer) => answer.into_fault(),
        })
    }

    fn classify(&self, error: TransportError) -> CallError {
        CallError::Fault(match error {
            RpcError::ErrorResp(payload) => return CallError::Answer(ErrorAnswer::new(payload, &self.url)),
            RpcError::Transport(TransportErrorKind::Custom(error)) => match error.downcast::<EndpointFault>() {
                Ok(fault) => *fault,
                Err(other) => EndpointFault::Malformed(excerpt(other.to_string().as_bytes(), &self.url)),
            },
            RpcError::DeserError { err, .. } | RpcError::SerError(err) => {
                EndpointFault::Malformed(excerpt(err.to_string().as_bytes(), &self.url))
            }
            RpcError::NullResp => EndpointFault::Malformed("null".to_owned()),
            other => EndpointFault::Malformed(excerpt(other.to_string().as_bytes(), &self.url)),
        })
    }
}

impl ErrorAnswer {
    fn new(payload: ErrorPayload, url: &RedactedUrl) -> Self {
        Self {
            code: payload.code,
            message: excerpt(payload.message.as_bytes(), url),
            data: payload.data,
        }
    }

    pub(crate) fn into_fault(self) -> EndpointFault {
        if self.is_rate_limit() {
            return EndpointFault::RateLimited { retry_after: None };
        }
        EndpointFault::Answered {
            code: self.code,
            message: self.message,
        }
    }

    /// Whether the error speaks of the request, so that any sound node gives it, or of the node.
    ///
    /// Codes: JSON-RPC 2.0 section 5.1; 3 for reverts (execution-apis, geth); -32015 of OpenEthereum and Nethermind.
    /// Anything that is not known to be the request's fault counts as the node's: a second opinion costs little.
    pub(crate) fn judge(self, url: &RedactedUrl, method: &'static str) -> Failed<ExecutionError> {
        if let Some(revert) = self.revert() {
            return Failed::Request(ExecutionError::Reverted { revert });
        }
        let said = self.message.to_ascii_lowercase();
        let about_the_state = [
            "not found",
            "unknown block",
            "missing",
            "pruned",
            "canonical",
            "rate",
            "limit",
            "range",
        ];
        let about_the_request = ["insufficient funds", "exceeds allowance", "insufficient balance"];
        let refused = matches!(self.code, -32600 | -32602) && !about_the_state.iter().any(|word| said.contains(word));
        if refused || about_the_request.iter().any(|words| said.contains(words)) {
            let Self { code, message, .. } = self;
            return Failed::Request(ExecutionError::Refused {
                endpoint: Box::new(url.clone()),
                method,
                code,
                message,
            });
        }
        Failed::Endpoint(self.into_fault())
    }

    /// The revert that the error reports, if it does.
    fn revert(&self) -> Option<Revert> {
        let said = self.message.to_ascii_lowercase();
        if !(self.code == 3 || self.code == -32015 || said.contains("revert")) {
            return None;
        }
        let data = self
            .data
            .as_deref()
            .filter(|raw| raw.get().len() <= LONGEST_ERROR_DATA)
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        let data = data.as_ref().and_then(revert_data).unwrap_or_default();
        if data.is_empty() && self.code == -32015 && !said.contains("revert") {
            return None;
        }
        Some(decode_revert(&data))
    }

    pub(crate) fn is_rate_limit(&self) -> bool {
        let said = self.message.to_ascii_lowercase();
        self.code == 429
            || ["rate limit", "too many requests", "rate exceeded"]
                .iter()
                .any(|words| said.contains(words))
    }
}

/// The bytes that a revert returned: a hexadecimal string, such a string in an object, or `Reverted 0x..`.
fn revert_data(value: &serde_json::Value) -> Option<Bytes> {
    match value {
        serde_json::Value::String(text) => text.trim().trim_start_matches("Reverted").trim().parse().ok(),
        serde_json::Value::Object(members) => members.values().find_map(revert_data),
        _ => None,
    }
}

/// A revert says little; a value of what is said instead may take forty times its length.
const LONGEST_ERROR_DATA: usize = 64 * 1024;

/// HTTP as alloy's client wants it: a tower service from request packet to response packet.
#[derive(Clone)]
struct HttpTransport {
    client: reqwest::Client,
    url: RedactedUrl,
    timeout: Duration,
    limit: usize,
    logs_limit: usize,
    jwt_secret: Option<JwtSecret>,
}

impl HttpTransport {
    async fn exchange(self, packet: RequestPacket) -> Result<ResponsePacket, EndpointFault> {
        let RequestPacket::Single(request) = &packet else {
            return Err(EndpointFault::Malformed("requests are not sent in batches".to_owned()));
        };
        let limit = if request.method() == "eth_getLogs" {
            self.logs_limit
        } else {
            self.limit
        };
        let mut http = self
            .client
            .post(self.url.expose_url().clone())
            .json(request.serialized());
        if let Some(secret) = &self.jwt_secret {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            http = http.bearer_auth(secret.token(now.as_secs()).as_str());
        }
        let answer = exchange(http, &self.url, request.method(), self.timeout, limit).await?;
        response(&answer, request.id(), &self.url)
    }
}

/// The JSON-RPC response that an answer is.
pub(crate) fn response(answer: &Answer, id: &Id, url: &RedactedUrl) -> Result<ResponsePacket, EndpointFault> {
    let status = answer.status;
    // Some servers put the JSON-RPC error of a sound node under HTTP 4xx or 5xx.
    let may_speak_for_the_node = !status.is_redirection() && !matches!(status.as_u16(), 401 | 403 | 407 | 429);
    match serde_json::from_slice::<Response>(&answer.body) {
        // A node that could not read the request's id answers with none (JSON-RPC 2.0 section 5).
        Ok(response)
            if response.payload.is_error()
                && may_speak_for_the_node
                && (response.id == *id || response.id.is_none()) =>
        {
            Ok(ResponsePacket::Single(response))
        }
        _ if !status.is_success() => Err(answer.fault(url)),
        Ok(response) if response.id != *id => Err(EndpointFault::Malformed("it answers another request".to_owned())),
        Ok(response) => Ok(ResponsePacket::Single(response)),
        Err(error) => Err(EndpointFault::Malformed(excerpt(error.to_string().as_bytes(), url))),
    }
}

impl Service<RequestPacket> for HttpTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move { transport.exchange(packet).await.map_err(TransportErrorKind::custom) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose fault an error is.
    #[derive(Debug, PartialEq)]
    enum Judged {
        Node,
        Limit,
        Request,
        Revert,
    }

    fn judged(code: i64, message: &str, data: Option<&str>) -> Judged {
        let url = "http://node".parse().expect("a URL");
        let data = data.map(|data| serde_json::value::to_raw_value(data).expect("text"));
        let payload = ErrorPayload {
            code,
            message: message.to_owned().into(),
            data,
        };
        match ErrorAnswer::new(payload, &url).judge(&url, "eth_call") {
            Failed::Endpoint(EndpointFault::RateLimited { .. }) => Judged::Limit,
            Failed::Endpoint(_) => Judged::Node,
            Failed::Request(ExecutionError::Reverted { .. }) => Judged::Revert,
            Failed::Request(_) => Judged::Request,
        }
    }

    #[test]
    fn errors_of_many_nodes_and_providers_are_laid_to_whom_they_belong() {
        use Judged::{Limit, Node, Request, Revert};
        let known = [
            // go-ethereum
            (Revert, 3, "execution reverted", Some("0x")),
            (
                Revert,
                3,
                "execution reverted: caller is not the owner",
                Some("0x08c379a0"),
            ),
            (Revert, -32000, "execution reverted", None),
            (
                Request,
                -32000,
                "insufficient funds for gas * price + value: balance 0, tx cost 1",
                None,
            ),
            (
                Request,
                -32602,
                "invalid argument 0: json: cannot unmarshal hex string",
                None,
            ),
            (Node, -32000, "header not found", None),
            (Node, -32000, "hash 0x12 is not currently canonical", None),
            (
                Node,
                -32000,
                "missing trie node 1234 (path ) state 0x12 is not available",
                None,
            ),
            (Node, -32000, "required historical state unavailable (reexec=128)", None),
            (Node, 4444, "pruned history unavailable", None),
            (Node, -32603, "request timed out", None),
            (
                Node,
                -32601,
                "the method eth_getLogs does not exist/is not available",
                None,
            ),
            // Nethermind
            (Revert, -32015, "VM execution error.", Some("Reverted 0x08c379a0")),
            (Revert, -32015, "revert", None),
            (Node, -32015, "VM execution error.", None),
            (Node, -32000, "out of gas", None),
            (Node, -32010, "FeeTooLow, MaxFeePerGas too low", None),
            (Node, -32002, "No state available for block 0x12", None),
            (Node, -32001, "Block 0x12 could not be found", None),
            // Besu
            (Node, -32000, "Block not found", None),
            (Node, -32000, "World state unavailable", None),
            (Revert, -32000, "Execution reverted", Some("0x08c379a0")),
            // Erigon and Reth, whose logs may be pruned
            (Node, -32000, "logs are pruned up to block 17000000", None),
            (Node, -32602, "block is pruned", None),
            (Node, -32001, "block not found: hash 0x12", None),
            (Node, -32603, "database read transaction timed out", None),
            // Providers
            (
                Limit,
                429,
                "Your app has exceeded its compute units per second capacity",
                None,
            ),
            (
                Limit,
                -32005,
                "daily request count exceeded, request rate limited",
                None,
            ),
            (Limit, -32005, "Too Many Requests", None),
            (Limit, -32016, "rate exceeded", None),
            (Node, -32005, "query returned more than 10000 results", None),
            (Node, -32602, "eth_getLogs is limited to a 10 block range", None),
            (Node, -32602, "block range is too wide", None),
            (
                Node,
                -32600,
                "You can make eth_getLogs requests with up to a 10 block range",
                None,
            ),
            (Node, -32614, "eth_getLogs is limited to a 10,000 range", None),
            (Node, -32000, "upstream unavailable", None),
        ];
        for (whose, code, message, data) in known {
            assert_eq!(judged(code, message, data), whose, "{code} {message}");
        }
    }
}
