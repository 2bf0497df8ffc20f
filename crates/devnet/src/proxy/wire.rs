//! How an answer goes wrong on its way: one implementation for every server of the devnet.

use std::{convert::Infallible, io::Write, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use futures::stream;
use tokio::task::JoinSet;

use super::rules::{Act, Rules};
use crate::{
    door::{Door, Line, listen, serve_on},
    http::HttpError,
};

/// Gives the answer that `act` makes of an honest one, which is asked for only if the act lets the request through.
///
/// `elsewhere` is where [`Act::Redirect`] leads.
pub(crate) async fn spoil(act: &Act, line: &Line, elsewhere: &str, honest: impl Future<Output = Response>) -> Response {
    match act {
        Act::LoseReply => {
            honest.await;
            line.cut()
        }
        Act::LoseRequest => line.cut(),
        Act::Hang(time) => {
            tokio::time::sleep(*time).await;
            line.cut()
        }
        Act::Status { code, retry_after } => status(*code, *retry_after),
        Act::Html => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], WEB_PAGE).into_response(),
        Act::Truncated => {
            let body = body_of(honest.await).await;
            json_body(Body::from(body.slice(..body.len() / 2)))
        }
        Act::Endless => json_body(endless()),
        Act::GzipBomb => gzip_bomb(),
        Act::Trickle => json_body(trickle(body_of(honest.await).await)),
        Act::Redirect => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, elsewhere)]).into_response(),
        Act::RpcError { .. }
        | Act::WrongId
        | Act::DropLog
        | Act::DoubleLog
        | Act::AlterLog
        | Act::ReorderLogs
        | Act::Behind(_) => honest.await,
    }
}

/// Serves `router` on a free port of loopback, spoiled by a fault script, and returns its base URL.
///
/// Every answer closes its connection, so that a closed door is noticed. Redirects lead to a second port that serves
/// the truth.
pub(crate) async fn serve_spoiled(
    router: Router,
    rules: &Arc<Rules>,
    door: &Arc<Door>,
    tasks: &mut JoinSet<()>,
) -> Result<String, HttpError> {
    let (truth, truth_address) = listen().await?;
    serve_on(truth, Arc::default(), router.clone(), tasks);
    let spoiler = Spoiler {
        rules: Arc::clone(rules),
        elsewhere: format!("http://{truth_address}"),
    };
    let (listener, address) = listen().await?;
    let router = router.layer(from_fn_with_state(spoiler, spoiled));
    serve_on(listener, Arc::clone(door), router, tasks);
    Ok(format!("http://{address}"))
}

/// A server's fault script, and where its redirects lead.
#[derive(Debug, Clone)]
struct Spoiler {
    rules: Arc<Rules>,
    elsewhere: String,
}

/// The layer around the routes of a server without JSON-RPC: a rule's method is a part of the HTTP method and the path, such
/// as `POST /eth/v1`.
async fn spoiled(
    State(spoiler): State<Spoiler>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let asked = format!("{} {path}", request.method());
    match spoiler.rules.pick(|part| asked.contains(part)) {
        Some(act) => {
            let elsewhere = format!("{}{path}", spoiler.elsewhere);
            spoil(&act, &line, &elsewhere, next.run(request)).await
        }
        None => next.run(request).await,
    }
}

fn status(code: u16, retry_after: Option<u64>) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (code, "the devnet was told to say this").into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn json_body(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn body_of(response: Response) -> Bytes {
    to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default()
}

fn endless() -> Body {
    let start = Bytes::from_static(br#"{"jsonrpc":"2.0","id":0,"result":"0x"#);
    let zeros = Bytes::from(vec![b'0'; CHUNK]);
    let chunks = stream::iter(std::iter::once(start).chain(std::iter::repeat(zeros)));
    Body::from_stream(futures::StreamExt::map(chunks, Ok::<_, Infallible>))
}

fn trickle(body: Bytes) -> Body {
    Body::from_stream(stream::unfold(body, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    }))
}

/// A text of blanks, which JSON allows before a value, compressed some hundredfold.
fn gzip_bomb() -> Response {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    let mut pack = || {
        // Writing to memory does not fail.
        let _ = packer.write_all(&[b' '; CHUNK]).and_then(|()| packer.flush());
        Bytes::from(std::mem::take(packer.get_mut()))
    };
    // After the first blanks the same bytes say "as many again", however often they come.
    let (first, again) = (pack(), pack());
    let packed = std::iter::once(first).chain(std::iter::repeat_n(again, BOMB / CHUNK));
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_ENCODING, "gzip"),
    ];
    let body = stream::iter(packed.map(Ok::<_, Infallible>));
    (headers, Body::from_stream(body)).into_response()
}

pub(crate) const WEB_PAGE: &str = "<!DOCTYPE html><html><body><h1>Checking your browser</h1></body></html>";
const CHUNK: usize = 64 << 10;
const BOMB: usize = 1 << 30;
