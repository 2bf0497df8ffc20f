//! Metrics under the original's names, and the endpoint that serves them.

use std::{collections::VecDeque, future::Future, net::SocketAddr, time::Duration};

use axum::{Router, http::header, routing::get};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

/// The gauges and counters of the service. Amounts are in wei.
///
/// Names, label and meaning are those of the original (v4), so that its dashboards keep working: each is exposed as
/// `<prefix>_<name>{network="<network>"}`. `quarantined_keys` is ours: the keys of the deposit data file for which somebody else
/// made a deposit.
#[expect(
    missing_docs,
    reason = "each field is exposed under its own name, and the names are the contract"
)]
pub struct Metrics {
    pub service_started: Gauge,
    pub block_number: Gauge,
    pub slot_number: Gauge,
    pub wallet_balance: Gauge,
    pub outdated_signatures: Gauge,
    pub stakeable_assets: Gauge,
    pub last_registration_block: Gauge,
    pub last_funding_block: Gauge,
    pub unused_validator_keys: Gauge,
    pub queued_assets: Gauge,
    pub last_withdrawal_block: Gauge,
    pub quarantined_keys: Gauge,
    pub exception_count: Counter,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Metrics of one service. Nothing global is touched: two services may live in one process.
    pub fn new(prefix: &str, network: &str, version: &str) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let key = |name: &str, labels: Vec<Label>| Key::from_parts(format!("{prefix}_{name}"), labels);
        let label = || Label::new("network", network.to_owned());
        let gauge = |name: &str| register_gauge(&recorder, &key(name, vec![label()]));
        let version_labels = vec![label(), Label::new("version", version.to_owned())];
        register_gauge(&recorder, &key("app_version_info", version_labels)).set(1.0);
        let counter = recorder.register_counter(&key("exception_count_total", vec![label()]), &METADATA);
        counter.absolute(0);
        Self {
            service_started: gauge("service_started"),
            block_number: gauge("block_number"),
            slot_number: gauge("slot_number"),
            wallet_balance: gauge("wallet_balance"),
            outdated_signatures: gauge("outdated_signatures"),
            stakeable_assets: gauge("stakeable_assets"),
            last_registration_block: gauge("last_registration_block"),
            last_funding_block: gauge("last_funding_block"),
            unused_validator_keys: gauge("unused_validator_keys"),
            queued_assets: gauge("queued_assets"),
            last_withdrawal_block: gauge("last_withdrawal_block"),
            quarantined_keys: gauge("quarantined_keys"),
            exception_count: counter,
            handle: recorder.handle(),
        }
    }

    /// The text a Prometheus server scrapes.
    pub fn render(&self) -> String {
        self.handle.render()
    }
}

const METADATA: Metadata<'static> = Metadata::new("sw_registration", Level::INFO, None);

fn register_gauge(recorder: &PrometheusRecorder, key: &Key) -> Gauge {
    let gauge = recorder.register_gauge(key, &METADATA);
    gauge.set(0.0);
    gauge
}

/// Binds the metrics endpoint, and returns its address and the server to run.
///
/// # Errors
///
/// The address cannot be bound: most often something else, such as `node_exporter`, uses the port.
pub async fn bind_metrics(
    address: SocketAddr,
    render: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> std::io::Result<(SocketAddr, impl Future<Output = std::io::Result<()>> + Send)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let body = move || {
        let text = render();
        async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    let router = Router::new().route("/metrics", get(body.clone())).route("/", get(body));
    Ok((bound, serve(listener, router)))
}

/// Answers one request on each connection, within bounds: whoever reaches the port can take neither memory nor sockets.
async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.keep_alive(false)
        .max_buf_size(LARGEST_REQUEST)
        .header_read_timeout(None);
    let (mut connections, mut oldest_first) = (JoinSet::new(), VecDeque::new());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_ended) = connections.join_next() => {
                oldest_first.retain(|connection: &AbortHandle| !connection.is_finished());
                continue;
            }
        };
        let Ok((stream, _)) = stream else {
            // Most often the process has no descriptors left: time cures it.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // A scraper asks at once. What makes room for it has had its chance.
        if oldest_first.len() >= MOST_CONNECTIONS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        oldest_first.push_back(connections.spawn(async move {
            // What one connection comes to concerns nobody else.
            let _ = tokio::time::timeout(LONGEST_CONNECTION, connection).await;
        }));
    }
}

/// The least that the server takes.
const LARGEST_REQUEST: usize = 8 * 1024;
const MOST_CONNECTIONS: usize = 32;
const LONGEST_CONNECTION: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    /// Serves for as long as `scrape` runs.
    async fn served<T>(scrape: impl AsyncFnOnce(SocketAddr) -> T) -> T {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, server) = bind_metrics(anywhere, || "sw_operator_up 1\n".to_owned())
            .await
            .expect("bound");
        tokio::select! {
            ended = server => panic!("the server ended: {ended:?}"),
            result = scrape(address) => result,
        }
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        // The server may close before it has read all of a request that is too long.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("text")
    }

    #[tokio::test]
    async fn two_hundred_sockets_that_say_nothing_or_little_do_not_keep_a_scraper_waiting() {
        served(async |address| {
            let mut idle = Vec::new();
            for number in 0..200 {
                let mut stream = TcpStream::connect(address).await.expect("a connection");
                if number % 2 == 0 {
                    let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost:").await;
                }
                idle.push(stream);
            }
            for _ in 0..3 {
                let answer = ask(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
                assert!(
                    answer.starts_with("HTTP/1.1 200") && answer.ends_with("sw_operator_up 1\n"),
                    "{answer}"
                );
            }
            // All but the latest were closed to make room.
            for stream in idle.iter_mut().take(200 - MOST_CONNECTIONS) {
                let read = stream.read(&mut [0; 1]).await;
                assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn only_short_requests_to_read_the_metrics_are_answered() {
        served(async |address| {
            let status = async |request: &str| {
                let answer = ask(address, request).await;
                answer.get(9..12).map(str::to_owned).unwrap_or_default()
            };
            let head = "HTTP/1.1\r\nhost: x\r\n";
            assert_eq!(status(&format!("GET / {head}\r\n")).await, "200");
            assert_eq!(
                status(&format!("POST /metrics {head}content-length: 5\r\n\r\nhello")).await,
                "405"
            );
            assert_eq!(status(&format!("GET /debug/pprof {head}\r\n")).await, "404");
            assert_eq!(status("\u{16}\u{3}\u{1}\r\n\r\n").await, "400");
            // One longer than the limit is refused, or cut off.
            let long = format!("GET / {head}x: {}\r\n\r\n", "y".repeat(2 * LARGEST_REQUEST));
            assert!(matches!(status(&long).await.as_str(), "431" | ""));
            let many: String = (0..200).map(|number| format!("x{number}: y\r\n")).collect();
            assert!(matches!(
                status(&format!("GET / {head}{many}\r\n")).await.as_str(),
                "431" | ""
            ));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_goes_on_and_on_is_closed() {
        served(async |address| {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let begun = tokio::time::Instant::now();
            let mut closed = false;
            for _ in 0..60 {
                closed |= stream.write_all(b"G").await.is_err();
                tokio::time::sleep(Duration::from_secs(1)).await;
                closed |= matches!(stream.try_read(&mut [0; 1]), Ok(0));
                if closed {
                    break;
                }
            }
            assert!(closed, "still open after {:?}", begun.elapsed());
        })
        .await;
    }

    /// Names and types as the original's v4 exposes them (`original operator, docs and metrics module`), and ours.
    const EXPOSED: [(&str, &str); 14] = [
        ("app_version_info", "gauge"),
        ("service_started", "gauge"),
        ("block_number", "gauge"),
        ("slot_number", "gauge"),
        ("wallet_balance", "gauge"),
        ("outdated_signatures", "gauge"),
        ("stakeable_assets", "gauge"),
        ("last_registration_block", "gauge"),
        ("last_funding_block", "gauge"),
        ("unused_validator_keys", "gauge"),
        ("queued_assets", "gauge"),
        ("last_withdrawal_block", "gauge"),
        ("quarantined_keys", "gauge"),
        ("exception_count_total", "counter"),
    ];

    #[test]
    fn the_original_names_are_exposed_with_their_label_before_anything_happened() {
        let text = Metrics::new("sw_operator", "hoodi", "1.2.3").render();
        for (name, kind) in EXPOSED {
            assert!(
                text.contains(&format!("# TYPE sw_operator_{name} {kind}\n")),
                "{name} in:\n{text}"
            );
            assert!(
                text.contains(&format!("sw_operator_{name}{{network=\"hoodi\"")),
                "{name} in:\n{text}"
            );
        }
        assert!(text.contains("version=\"1.2.3\"} 1"), "{text}");
        assert_eq!(text.matches("# TYPE").count(), EXPOSED.len());
    }
}
