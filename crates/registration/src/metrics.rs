//! Metrics under the original's names, and the endpoint that serves them.

use std::{future::Future, net::SocketAddr};

use axum::{Router, http::header, routing::get};
use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::net::TcpListener;

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
    Ok((bound, async move { axum::serve(listener, router).await }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
