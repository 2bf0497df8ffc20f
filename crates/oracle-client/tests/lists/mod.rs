//! Oracles on loopback that are asked which exit signatures are outdated.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise should fail"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::primitives::{Address, address};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, Uri},
    routing::get,
};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::{net::TcpSocket, task::JoinSet};

pub const VAULT: Address = address!("3320ad928c20187602a2B2C04EeAa813fA899468");

/// What an endpoint says.
#[derive(Clone)]
pub enum Says {
    Body(String),
    /// That index 1 is outdated, to those who know its credentials.
    Credentials,
    Status(u16),
    Redirect(String),
    /// A gigabyte.
    Endless,
    /// One byte at a time, for ever.
    Dripping,
    Silent,
    /// Nothing listens.
    Down,
}

impl Says {
    pub fn list(block: Option<u64>, indexes: &[u64]) -> Self {
        let validators: Vec<_> = indexes.iter().map(|index| json!({ "index": index })).collect();
        Self::Body(json!({ "exit_signature_block_number": block, "validators": validators, "more": {} }).to_string())
    }
}

struct Endpoint {
    says: Mutex<Says>,
    asked: Arc<AtomicUsize>,
}

async fn answer(State(endpoint): State<Arc<Endpoint>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    assert_eq!(
        uri.to_string(),
        "/signatures/0x3320ad928c20187602a2B2C04EeAa813fA899468"
    );
    endpoint.asked.fetch_add(1, Ordering::Relaxed);
    let says = endpoint.says.lock().unwrap().clone();
    let with = |status: u16, body: Body| Response::builder().status(status).body(body).unwrap();
    match says {
        Says::Body(text) => with(200, Body::from(text)),
        Says::Credentials => match headers.get("authorization") {
            // operator:secret
            Some(value) if value == "Basic b3BlcmF0b3I6c2VjcmV0" => {
                let Says::Body(text) = Says::list(Some(100), &[1]) else {
                    unreachable!()
                };
                with(200, Body::from(text))
            }
            _ => with(401, Body::empty()),
        },
        Says::Status(status) => with(status, Body::from("{\"error\":\r\n\"down\"}")),
        Says::Redirect(to) => Response::builder()
            .status(307)
            .header("location", to)
            .body(Body::empty())
            .unwrap(),
        Says::Endless => {
            let flood = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 16])));
            with(200, Body::from_stream(flood.take(1 << 14)))
        }
        Says::Dripping => {
            let interval = tokio::time::interval(Duration::from_millis(20));
            let drops = stream::unfold(interval, async |mut interval| {
                interval.tick().await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), interval))
            });
            with(200, Body::from_stream(drops))
        }
        Says::Silent | Says::Down => std::future::pending().await,
    }
}

/// Endpoints that stop answering when this is dropped.
#[derive(Default)]
pub struct Oracles {
    endpoints: Vec<Arc<Endpoint>>,
    asked: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
    reserved: Vec<TcpSocket>,
}

impl Oracles {
    /// Starts an endpoint, whose URL has a path and a query of its own.
    pub async fn serve(&mut self, says: Says) -> String {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/a/b?key=1", socket.local_addr().unwrap());
        if matches!(says, Says::Down) {
            // Bound but not listening: the port stays ours, and connections to it are refused.
            self.reserved.push(socket);
            return url;
        }
        let listener = socket.listen(64).unwrap();
        let endpoint = Arc::new(Endpoint {
            says: Mutex::new(says),
            asked: Arc::clone(&self.asked),
        });
        self.endpoints.push(Arc::clone(&endpoint));
        let router = Router::new().fallback_service(get(answer).with_state(endpoint));
        self.tasks
            .spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    /// Makes the endpoint at a position say something else.
    pub fn change(&self, position: usize, says: Says) {
        *self.endpoints[position].says.lock().unwrap() = says;
    }

    /// How often all of them were asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
