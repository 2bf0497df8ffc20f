//! Servers that can be made to vanish: a closed door takes connections and drops them without a word.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::map_response,
    response::Response,
    serve::Listener,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::http::HttpError;

/// Whether a server takes connections.
#[derive(Debug, Default)]
pub(crate) struct Door {
    closed: AtomicBool,
}

impl Door {
    pub(crate) fn set_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::SeqCst);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

/// Listens on a free port of loopback; the backlog holds early connections until [`serve_on`].
pub(crate) async fn listen() -> Result<(TcpListener, SocketAddr), HttpError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(HttpError::Listen)?;
    let address = listener.local_addr().map_err(HttpError::Listen)?;
    Ok((listener, address))
}

/// Serves `router` behind `door` on a free port of loopback for as long as `tasks` lives.
pub(crate) async fn serve_behind(
    door: Arc<Door>,
    router: Router,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, HttpError> {
    let (listener, address) = listen().await?;
    serve_on(listener, door, router, tasks);
    Ok(address)
}

/// Serves `router` behind `door` for as long as `tasks` lives.
///
/// Every answer closes its connection: one that a client had kept open would get past a closed door.
pub(crate) fn serve_on(listener: TcpListener, door: Arc<Door>, router: Router, tasks: &mut JoinSet<()>) {
    let router = router.layer(map_response(|mut response: Response| async {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(DoorListener { listener, door }, router).await {
            tracing::warn!(%error, "a devnet server stopped");
        }
    });
}

struct DoorListener {
    listener: TcpListener,
    door: Arc<Door>,
}

impl Listener for DoorListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = Listener::accept(&mut self.listener).await;
            if !self.door.is_closed() {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
