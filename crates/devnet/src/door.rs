//! Servers that can be made to vanish: a closed door takes connections and drops them without a word, and an open one
//! can be cut in the middle of a request.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::connect_info::Connected,
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
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

/// The connection that a request came over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Arc<AtomicBool>);

impl Line {
    /// Ends the connection without a byte more; what is returned is never seen.
    pub(crate) fn cut(&self) -> Response {
        self.0.store(true, Ordering::SeqCst);
        StatusCode::NO_CONTENT.into_response()
    }

    fn is_cut(&self) -> io::Result<()> {
        match self.0.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

impl Connected<IncomingStream<'_, DoorListener>> for Line {
    fn connect_info(stream: IncomingStream<'_, DoorListener>) -> Self {
        stream.io().line.clone()
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
    serve_open(listener, door, router, tasks);
}

/// Serves `router` behind `door` over connections that clients may keep.
pub(crate) fn serve_open(listener: TcpListener, door: Arc<Door>, router: Router, tasks: &mut JoinSet<()>) {
    let service = router.into_make_service_with_connect_info::<Line>();
    tasks.spawn(async move {
        if let Err(error) = axum::serve(DoorListener { listener, door }, service).await {
            tracing::warn!(%error, "a devnet server stopped");
        }
    });
}

pub(crate) struct DoorListener {
    listener: TcpListener,
    door: Arc<Door>,
}

impl Listener for DoorListener {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if !self.door.is_closed() {
                let line = Line::default();
                return (Wire { stream, line }, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails from the moment its line is cut.
pub(crate) struct Wire {
    stream: TcpStream,
    line: Line,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.line.is_cut()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.line.is_cut()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.is_cut()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
