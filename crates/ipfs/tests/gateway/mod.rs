//! A gateway on a free port of loopback that answers as a test says.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::Response,
    routing::get,
};
use futures::{StreamExt, stream};
use sw_ipfs::{Cid, GatewayOptions, Gateways, Limits, parse_cid};
use sw_spec::RedactedUrl;
use sw_testkit::{bytes, fixture, list, text};
use tokio::{net::TcpListener, task::JoinSet};

/// A client without the process-wide TLS provider that libraries must not install.
fn client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(sw_ipfs::gateway_redirects())
        .no_proxy()
        .build()
        .unwrap()
}

pub const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    depth: 4,
    blocks: 1_000,
};
pub const DEEP: &str = "four levels, version 1, raw leaves";
pub const WIDE: &str = "two levels, version 0, dag-pb leaves";

pub fn gateways(list: &[&TestGateway]) -> Gateways {
    gateways_with(
        list,
        GatewayOptions {
            timeout: Duration::from_secs(10),
            cache_dir: None,
        },
    )
}

pub fn gateways_with(list: &[&TestGateway], options: GatewayOptions) -> Gateways {
    Gateways::new(
        client(),
        list.iter().map(|gateway| gateway.url.clone()).collect(),
        options,
    )
}

/// One file of `fixtures/ipfs.json`.
#[derive(Clone)]
pub struct Sample {
    pub name: String,
    pub cid: Cid,
    pub content: Vec<u8>,
    pub car: Vec<u8>,
    pub blocks: Vec<(Cid, Vec<u8>)>,
}

pub fn samples() -> Vec<Sample> {
    list(&fixture("ipfs.json"))
        .iter()
        .map(|sample| Sample {
            name: text(&sample["name"]).to_owned(),
            cid: parse_cid(text(&sample["cid"])).unwrap(),
            content: bytes(&sample["content"]),
            car: bytes(&sample["car"]),
            blocks: list(&sample["blocks"])
                .iter()
                .map(|block| (parse_cid(text(&block["cid"])).unwrap(), bytes(&block["bytes"])))
                .collect(),
        })
        .collect()
}

pub fn sample(name: &str) -> Sample {
    samples().into_iter().find(|sample| sample.name == name).unwrap()
}

/// What to answer.
pub enum Reply {
    /// Status 200.
    Body(Vec<u8>),
    /// Status 200 with a content type of a web page.
    Html(&'static str),
    Status(u16),
    /// To this gateway instead.
    Redirect(String),
    /// Status 200, `Content-Encoding: gzip`.
    Gzipped(Vec<u8>),
    /// These bytes, then the connection breaks.
    Broken(Vec<u8>),
    /// These bytes again and again.
    Endless(Vec<u8>),
    /// No answer at all.
    Silence,
    /// The start of an answer, and nothing after it.
    Stalled(Vec<u8>),
}

pub struct TestGateway {
    pub url: RedactedUrl,
    requests: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

type Answer = Arc<dyn Fn(&str, &str) -> Reply + Send + Sync>;

impl TestGateway {
    /// Answers with what the function makes of the CID and the format asked for.
    pub async fn start(answer: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new()
            .route("/{*path}", get(handle))
            .with_state((Arc::new(answer) as Answer, Arc::clone(&requests)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            requests,
            _server: server,
        }
    }

    /// An honest gateway.
    pub async fn honest(sample: &Sample) -> Self {
        let (sample, blocks) = (sample.clone(), blocks_by_name(sample));
        Self::start(move |cid, format| match format {
            "car" if cid == sample.cid.to_string() => Reply::Body(sample.car.clone()),
            "raw" => blocks.get(cid).cloned().map_or(Reply::Status(404), Reply::Body),
            _ => Reply::Status(404),
        })
        .await
    }

    /// Answers every request in the same way.
    pub async fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |_, _| reply()).await
    }

    /// What was asked so far: `car bafy..`, `raw Qm..`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

pub fn blocks_by_name(sample: &Sample) -> HashMap<String, Vec<u8>> {
    sample
        .blocks
        .iter()
        .map(|(cid, block)| (cid.to_string(), block.clone()))
        .collect()
}

async fn handle(
    State((answer, requests)): State<(Answer, Arc<Mutex<Vec<String>>>)>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Infallible> {
    let cid = path.strip_prefix("ipfs/").unwrap_or("elsewhere").to_owned();
    let format = query
        .unwrap_or_default()
        .strip_prefix("format=")
        .unwrap_or_default()
        .to_owned();
    assert_eq!(
        headers.get(header::ACCEPT).unwrap(),
        format!("application/vnd.ipld.{format}").as_str()
    );
    requests.lock().unwrap().push(format!("{format} {cid}"));
    let whole = |name: HeaderName, value: &'static str, body: Vec<u8>| {
        Response::builder().header(name, value).body(Body::from(body)).unwrap()
    };
    let piece = |bytes: Vec<u8>| Ok::<_, io::Error>(bytes);
    Ok(match answer(&cid, &format) {
        Reply::Body(body) => whole(header::CONTENT_TYPE, "application/octet-stream", body),
        Reply::Html(page) => whole(header::CONTENT_TYPE, "text/html", page.into()),
        Reply::Gzipped(body) => whole(header::CONTENT_ENCODING, "gzip", body),
        Reply::Status(status) => Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .body(Body::empty())
            .unwrap(),
        Reply::Redirect(gateway) => Response::builder()
            .status(StatusCode::TEMPORARY_REDIRECT)
            .header(header::LOCATION, format!("{gateway}ipfs/{cid}?format={format}"))
            .body(Body::empty())
            .unwrap(),
        Reply::Broken(bytes) => {
            // The break comes after the bytes have left: one turn of the server's loop later would be too early.
            let end = stream::once(async move {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                Err(io::Error::other("cut"))
            });
            Response::new(Body::from_stream(stream::iter([piece(bytes)]).chain(end)))
        }
        Reply::Endless(bytes) => Response::new(Body::from_stream(stream::repeat_with(move || piece(bytes.clone())))),
        Reply::Stalled(bytes) => {
            Response::new(Body::from_stream(stream::iter([piece(bytes)]).chain(stream::pending())))
        }
        Reply::Silence => std::future::pending().await,
    })
}
