//! An HTTP client that needs nothing of the process, and servers that listen on loopback and end with their owner.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

/// A server or client on loopback that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No port on loopback.
    #[error("cannot listen on a loopback port")]
    Listen(#[source] std::io::Error),
    /// The HTTP client cannot be built.
    #[error("cannot build an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The TLS provider that the client is built with does not work.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// Builds a client for loopback: no proxy of the environment, no redirects, no certificates, no process-global TLS
/// provider.
///
/// # Errors
///
/// The client cannot be built.
pub fn loopback_client(timeout: Duration) -> Result<reqwest::Client, HttpError> {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(HttpError::Tls)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .build()
        .map_err(HttpError::Client)
}

/// Serves `router` on a free port of loopback for as long as `tasks` lives, and returns its address.
///
/// # Errors
///
/// There is no port to listen on.
pub async fn serve(router: Router, tasks: &mut JoinSet<()>) -> Result<SocketAddr, HttpError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(HttpError::Listen)?;
    let address = listener.local_addr().map_err(HttpError::Listen)?;
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "a devnet server stopped");
        }
    });
    Ok(address)
}
