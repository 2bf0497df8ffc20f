//! A JSON-RPC or Beacon API server whose every answer is scripted.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sw_chain_client::{B256, ExecutionClient, ExecutionOptions};
use sw_spec::RedactedUrl;

/// What the server does with a request.
pub enum Reply {
    Result(Value),
    Error(i64, &'static str, Value),
    Http(u16, Vec<(&'static str, String)>, String),
    Slow(Duration, Box<Reply>),
    /// An answer without an end.
    Endless,
    /// A byte now and then.
    Trickle,
    /// The connection is closed in the middle of the answer.
    Cut,
}

pub fn error(code: i64, message: &'static str) -> Reply {
    Reply::Error(code, message, Value::Null)
}

type Script = dyn Fn(&str, &Value) -> Reply + Send + Sync;

/// A server, and what it was asked.
#[derive(Clone)]
pub struct Node {
    pub url: RedactedUrl,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    authorized_by: Arc<Mutex<Vec<Option<String>>>>,
}

impl Node {
    /// A JSON-RPC server; the script gets the method and the parameters.
    pub async fn json_rpc(script: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(Arc::new(script), true).await
    }

    /// Any HTTP server; the script gets the method with the path and query, and the body.
    pub async fn http(script: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(Arc::new(script), false).await
    }

    async fn serve(script: Arc<Script>, json_rpc: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/secret-path-key", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let node = Self {
            url,
            asked: Arc::default(),
            authorized_by: Arc::default(),
        };
        let state = Served {
            script,
            asked: Arc::clone(&node.asked),
            authorized_by: Arc::clone(&node.authorized_by),
            json_rpc,
        };
        let router = Router::new().fallback(handle).with_state(state);
        #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        node
    }

    pub fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    /// The `Authorization` of every request.
    pub fn authorized_by(&self) -> Vec<Option<String>> {
        self.authorized_by.lock().unwrap().clone()
    }

    /// How often a method was called.
    pub fn count(&self, method: &str) -> usize {
        self.asked().iter().filter(|(asked, _)| asked == method).count()
    }
}

#[derive(Clone)]
struct Served {
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    authorized_by: Arc<Mutex<Vec<Option<String>>>>,
    json_rpc: bool,
}

async fn handle(
    State(Served {
        script,
        asked,
        authorized_by,
        json_rpc,
    }): State<Served>,
    request: Request,
) -> Response {
    let place = format!("{} {}", request.method(), request.uri());
    let authorization = request.headers().get("authorization");
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    authorized_by.lock().unwrap().push(authorization);
    let body = axum::body::to_bytes(request.into_body(), 1 << 24).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (what, details) = if json_rpc {
        (
            body["method"].as_str().unwrap_or_default().to_owned(),
            body["params"].clone(),
        )
    } else {
        (place, body.clone())
    };
    asked.lock().unwrap().push((what.clone(), details.clone()));
    let mut reply = script(&what, &details);
    while let Reply::Slow(pause, inner) = reply {
        tokio::time::sleep(pause).await;
        reply = *inner;
    }
    match reply {
        Reply::Result(result) if json_rpc => {
            axum::Json(json!({ "jsonrpc": "2.0", "id": body["id"], "result": result })).into_response()
        }
        Reply::Result(result) => axum::Json(result).into_response(),
        Reply::Error(code, message, data) => {
            let mut error = json!({ "code": code, "message": message });
            if !data.is_null() {
                error["data"] = data;
            }
            axum::Json(json!({ "jsonrpc": "2.0", "id": body["id"], "error": error })).into_response()
        }
        Reply::Http(status, headers, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            response
        }
        Reply::Endless => {
            let chunk = Bytes::from(vec![b' '; 1 << 16]);
            let chunks = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            Body::from_stream(chunks).into_response()
        }
        Reply::Trickle => {
            let bytes = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
            });
            Body::from_stream(bytes).into_response()
        }
        Reply::Cut => {
            let half = Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"id\":0,\"resu");
            let chunks = [Ok(half), Err(std::io::Error::other("cut"))];
            Body::from_stream(futures::stream::iter(chunks)).into_response()
        }
        Reply::Slow(..) => unreachable!("taken off above"),
    }
}

/// A client that trusts nobody: the servers of these tests speak plain HTTP.
pub fn http_client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// Short limits, so that failures are over soon.
pub fn options() -> ExecutionOptions {
    ExecutionOptions {
        chain_id: Some(1337),
        request_timeout: Duration::from_millis(1500),
        retry_budget: Duration::from_millis(200),
        body_limit: 100_000,
        logs_body_limit: 100_000,
        poll_interval: Duration::from_millis(20),
        ..ExecutionOptions::default()
    }
}

pub fn execution(nodes: &[&Node]) -> ExecutionClient {
    execution_with(nodes, options())
}

pub fn execution_with(nodes: &[&Node], options: ExecutionOptions) -> ExecutionClient {
    ExecutionClient::new(
        http_client(),
        nodes.iter().map(|node| node.url.clone()).collect(),
        options,
    )
}

pub const HEAD: u64 = 0x1000;

pub fn block_hash(number: u64) -> B256 {
    B256::left_padding_from(&(number + 0x0b10_c000_0000).to_be_bytes())
}

pub fn block(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"),
        "hash": block_hash(number),
        "timestamp": format!("{:#x}", 1_700_000_000 + number * 12),
        "baseFeePerGas": "0x77359400",
        "transactions": [],
    })
}

/// The answers of a healthy node at block [`HEAD`] of chain 1337.
pub fn healthy(method: &str, params: &Value) -> Reply {
    match method {
        "eth_chainId" => Reply::Result(json!("0x539")),
        "eth_syncing" => Reply::Result(json!(false)),
        "eth_blockNumber" => Reply::Result(json!(format!("{HEAD:#x}"))),
        "eth_getBlockByNumber" => {
            let number = params[0]
                .as_str()
                .unwrap()
                .strip_prefix("0x")
                .map(|hex| u64::from_str_radix(hex, 16).unwrap());
            match number {
                Some(number) if number > HEAD => Reply::Result(Value::Null),
                number => Reply::Result(block(number.unwrap_or(HEAD))),
            }
        }
        "eth_getBalance" => Reply::Result(json!("0xde0b6b3a7640000")),
        "eth_getLogs" => Reply::Result(json!([])),
        _ => error(-32601, "the method does not exist"),
    }
}
