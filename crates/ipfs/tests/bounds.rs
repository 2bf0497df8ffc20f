//! Whatever a gateway does, a fetch takes a bounded amount of memory and time, and goes nowhere that it was not sent.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::{sync::Arc, time::Duration};

use sw_ipfs::{FetchError, GatewayFault, GatewayOptions, Gateways, Limits, gateway_redirects, parse_cid};
use sw_testkit::hostile::{HostileServer, Manner, most_memory};

/// A client that takes `gateway.example` to be at an address: the redirects of a gateway of the internet are at stake.
fn client(gateway: &HostileServer) -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(gateway_redirects())
        .resolve("gateway.example", gateway.address())
        .no_proxy()
        .build()
        .unwrap()
}

#[tokio::test]
async fn no_gateway_takes_more_memory_or_time_than_it_is_given() {
    let cid = parse_cid("bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi").unwrap();
    let elsewhere = HostileServer::start(Manner::Silence).unwrap();
    let mut checked = 0;
    for manner in Manner::all(&format!("http://{}/ipfs/{cid}", elsewhere.address())) {
        let gateway = HostileServer::start(manner.clone()).unwrap();
        let url = format!("http://gateway.example:{}/", gateway.address().port());
        let options = GatewayOptions {
            timeout: Duration::from_secs(2),
            cache_dir: None,
        };
        let gateways = Gateways::new(client(&gateway), vec![url.parse().unwrap()], options);
        let fetch = gateways.fetch(&cid, Limits::DOCUMENT);
        let fetched = tokio::time::timeout(Duration::from_secs(60), fetch).await;
        assert!(fetched.is_ok(), "{manner:?}: no end");
        let error = fetched.unwrap().unwrap_err();
        let FetchError::Unavailable { failures, .. } = &error else {
            unreachable!("{manner:?}: {error}")
        };
        let fault = &failures.first().unwrap().faults.first().unwrap().1;
        let expected = match &manner {
            Manner::Endless | Manner::GzipBomb | Manner::DeepJson => matches!(fault, GatewayFault::Car(_)),
            Manner::EndlessHeaders | Manner::EndlessHeader => matches!(fault, GatewayFault::Interrupted(_)),
            Manner::Redirect(_) => matches!(fault, GatewayFault::Status(307)),
            _ => matches!(fault, GatewayFault::TimedOut),
        };
        assert!(expected, "{manner:?}: {fault:?}");
        assert!(gateway.asked() > 0);
        checked += 1;
    }
    assert_eq!(checked, 9);
    assert_eq!(elsewhere.asked(), 0, "no redirect into a private network is followed");
    assert!(most_memory().unwrap() < 256, "{:?} MiB", most_memory());
}
