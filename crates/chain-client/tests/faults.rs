//! One table of everything that an endpoint can do instead of answering, against both kinds of clients: the next endpoint
//! answers, the fault has a name, and neither time nor memory runs away.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod support;

use std::{
    io::Write,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde_json::{Value, json};
use support::{HEAD, Node, Reply, healthy, http_client};
use sw_chain_client::{ConsensusClient, ConsensusOptions};
use sw_spec::RedactedUrl;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What is sent for any request.
#[derive(Clone)]
enum Act {
    /// These bytes, and the end.
    Say(Arc<[u8]>),
    /// These bytes, then this over and over with a pause between.
    Repeat(&'static str, Arc<[u8]>, Duration),
    /// Nothing.
    Silence,
}

struct Fault {
    name: &'static str,
    act: Act,
    /// What the error says of it.
    said: &'static str,
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

fn say(text: impl AsRef<[u8]>) -> Act {
    Act::Say(text.as_ref().into())
}

fn body(text: &str) -> Act {
    say(format!("{OK}content-length: {}\r\n\r\n{text}", text.len()))
}

/// 256 MiB in a quarter of one.
fn bomb() -> Act {
    static BOMB: OnceLock<Act> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let chunk = vec![b' '; 1 << 20];
        (0..256).for_each(|_| encoder.write_all(&chunk).unwrap());
        let packed = encoder.finish().unwrap();
        assert!(packed.len() < 4 << 20, "{}", packed.len());
        let head = format!("{OK}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
        say([head.as_bytes(), &packed].concat())
    })
    .clone()
}

fn faults() -> Vec<Fault> {
    let fault = |name, act, said| Fault { name, act, said };
    let endless = |head, chunk: &[u8], pause| Act::Repeat(head, chunk.into(), Duration::from_millis(pause));
    let deep = "[".repeat(45_000) + &"]".repeat(45_000);
    let html = "<!doctype html><html>Sign in</html>";
    vec![
        fault(
            "rate limit in seconds",
            say("HTTP/1.1 429 Too Many\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n"),
            "limits the rate",
        ),
        fault(
            "rate limit until a date",
            say(
                "HTTP/1.1 503 Busy\r\ndate: Wed, 21 Oct 2026 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2026 07:29:00 GMT\r\ncontent-length: 0\r\n\r\n",
            ),
            "limits the rate",
        ),
        fault("HTML with 200", body(html), "malformed: expected value"),
        fault(
            "HTML with 502",
            say(format!(
                "HTTP/1.1 502 Bad\r\ncontent-length: {}\r\n\r\n{html}",
                html.len()
            )),
            "HTTP 502: <!doctype html>",
        ),
        fault("nothing with 200", body(""), "malformed: EOF"),
        fault("null", body("null"), "malformed: invalid type: null"),
        fault(
            "half of the JSON",
            body(r#"{"jsonrpc":"2.0","id":0,"data":{"#),
            "malformed: EOF",
        ),
        fault(
            "half of the body",
            say(format!("{OK}content-length: 500\r\n\r\n{{\"jsonrpc\":\"2.0\",")),
            "the connection broke",
        ),
        fault(
            "half of the head",
            say("HTTP/1.1 200 OK\r\ncontent-ty"),
            "the connection broke",
        ),
        fault("no HTTP", say("SSH-2.0-OpenSSH_9.6\r\n"), "the connection broke"),
        fault("a closed connection", say(""), "the connection broke"),
        fault("JSON nested too deep", body(&deep), "malformed: "),
        fault(
            "a result nested too deep",
            body(&format!(r#"{{"jsonrpc":"2.0","id":0,"result":{deep}}}"#)),
            "malformed: ",
        ),
        fault(
            "an endless body",
            endless("HTTP/1.1 200 OK\r\n\r\n", &[b' '; 1 << 16], 0),
            "longer than 100000 bytes",
        ),
        fault(
            "an endless body of an error",
            endless("HTTP/1.1 500 Oops\r\n\r\n", &[b'x'; 1 << 16], 0),
            "HTTP 500: xxx",
        ),
        fault("a compressed bomb", bomb(), "longer than 100000 bytes"),
        fault(
            "what claims to be compressed",
            say(format!("{OK}content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope")),
            "the connection broke",
        ),
        fault(
            "endless headers",
            endless("HTTP/1.1 200 OK\r\n", b"x-more: and more and more\r\n", 0),
            "the connection broke",
        ),
        fault(
            "an endless header",
            endless("HTTP/1.1 200 OK\r\nx-long: ", &[b'x'; 1 << 16], 0),
            "the connection broke",
        ),
        fault(
            "endless interim answers",
            endless("", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", 1),
            "no complete answer within",
        ),
        fault(
            "a body that trickles",
            endless("HTTP/1.1 200 OK\r\n\r\n", b" ", 50),
            "no complete answer within",
        ),
        fault(
            "a head that trickles",
            endless("HTTP/1.1 200 OK\r\nx-slow: ", b"x", 50),
            "no complete answer within",
        ),
        fault("silence", Act::Silence, "no complete answer within"),
        fault(
            "a redirect",
            say("HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
            "redirects elsewhere",
        ),
        fault(
            "a refused key",
            say("HTTP/1.1 401 No\r\ncontent-length: 12\r\n\r\ninvalid key!"),
            "HTTP 401: invalid key!",
        ),
    ]
}

/// What only JSON-RPC has.
fn faults_of_json_rpc() -> Vec<Fault> {
    let fault = |name, act, said| Fault { name, act, said };
    let error = |status: &str, code: i64, message: &str| {
        let text = json!({"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": message}}).to_string();
        say(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        ))
    };
    vec![
        fault(
            "an internal error",
            error("200 OK", -32603, "db is closed"),
            "error -32603: db is closed",
        ),
        fault(
            "out of gas",
            error("200 OK", -32000, "out of gas"),
            "error -32000: out of gas",
        ),
        fault(
            "an error under HTTP 500",
            error("500 Oops", -32603, "busy"),
            "error -32603: busy",
        ),
        fault(
            "a limit in an error",
            error("200 OK", -32005, "rate limit exceeded"),
            "limits the rate",
        ),
        fault(
            "the answer to another request",
            body(r#"{"jsonrpc":"2.0","id":99,"result":"0x539"}"#),
            "it answers another request",
        ),
        fault(
            "an error for another request",
            body(r#"{"jsonrpc":"2.0","id":99,"error":{"code":3,"message":"execution reverted"}}"#),
            "it answers another request",
        ),
        fault(
            "an answer without result or error",
            body(r#"{"jsonrpc":"2.0","id":0}"#),
            "malformed: ",
        ),
        fault(
            "two answers for one",
            body(r#"[{"jsonrpc":"2.0","id":0,"result":"0x539"},{"jsonrpc":"2.0","id":0,"result":"0x539"}]"#),
            "malformed: ",
        ),
        fault(
            "a number that is none",
            body(r#"{"jsonrpc":"2.0","id":0,"result":"0xffffffffffffffffff"}"#),
            "malformed: ",
        ),
    ]
}

async fn hostile(act: Act) -> RedactedUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(perform(stream, act.clone()));
        }
    });
    url
}

async fn perform(mut stream: TcpStream, act: Act) -> std::io::Result<()> {
    let mut request = [0; 1 << 16];
    let _ = stream.read(&mut request).await?;
    match act {
        Act::Say(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            // Closing on unread bytes would reset the connection before the answer is read.
            while stream.read(&mut request).await? > 0 {}
        }
        Act::Repeat(head, chunk, pause) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&chunk).await?;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
        Act::Silence => while stream.read(&mut request).await? > 0 {},
    }
    Ok(())
}

fn beacon(_: &str, _: &Value) -> Reply {
    let payload = json!({"block_number": "300", "block_hash": support::block_hash(300), "timestamp": "1700000000"});
    Reply::Result(json!({"data": {"message": {"slot": "321", "body": {"execution_payload": payload}}}}))
}

fn consensus(urls: Vec<RedactedUrl>) -> ConsensusClient {
    let options = ConsensusOptions {
        request_timeout: support::options().request_timeout,
        retry_budget: support::options().retry_budget,
        body_limit: support::options().body_limit,
        genesis: None,
    };
    ConsensusClient::new(http_client(), urls, options)
}

fn execution_at(urls: Vec<RedactedUrl>) -> sw_chain_client::ExecutionClient {
    sw_chain_client::ExecutionClient::new(http_client(), urls, support::options())
}

/// A request takes 1.5 s at most and is made at most twice; the rest is for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_execution_endpoint_at_fault_is_named_and_the_next_one_answers() {
    let good = Node::json_rpc(healthy).await;
    let (mut shown, mut misnamed) = (0, Vec::new());
    for Fault { name, act, said } in faults().into_iter().chain(faults_of_json_rpc()) {
        let bad = hostile(act).await;
        let both = execution_at(vec![bad.clone(), good.url.clone()]);
        let alone = execution_at(vec![bad.clone()]);
        let heads = async { tokio::join!(both.head(), alone.head()) };
        let (snapshot, error) = tokio::time::timeout(PATIENCE, heads).await.expect(name);
        let snapshot = snapshot.expect(name);
        assert_eq!(
            (snapshot.block().number, snapshot.endpoint()),
            (HEAD, &good.url),
            "{name}"
        );
        let text = error.err().expect(name).to_string();
        if !(text.contains(said) && text.contains(&bad.to_string())) {
            misnamed.push(format!("{name}: {text}"));
        }
        shown += 1;
    }
    assert_eq!((shown, misnamed), (34, vec![]));
    assert!(most_memory() < 256 << 10, "{} KiB", most_memory());
}

#[tokio::test]
async fn a_consensus_endpoint_at_fault_is_named_and_the_next_one_answers() {
    let good = Node::http(beacon).await;
    let (mut shown, mut misnamed) = (0, Vec::new());
    for Fault { name, act, said } in faults() {
        let bad = hostile(act).await;
        let both = consensus(vec![bad.clone(), good.url.clone()]);
        let alone = consensus(vec![bad.clone()]);
        let blocks = async { tokio::join!(both.finalized(), alone.finalized()) };
        let (block, error) = tokio::time::timeout(PATIENCE, blocks).await.expect(name);
        assert_eq!(block.expect(name).block_number, 300, "{name}");
        let text = error.expect_err(name).to_string();
        if !(text.contains(said) && text.contains(&bad.to_string())) {
            misnamed.push(format!("{name}: {text}"));
        }
        shown += 1;
    }
    assert_eq!((shown, misnamed), (25, vec![]));
    assert!(most_memory() < 256 << 10, "{} KiB", most_memory());
}

/// The most memory that this process ever had, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
