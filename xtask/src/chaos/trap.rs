//! Where nobody should ever come: the address of an oracle that is none.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{net::TcpListener, task::JoinSet};

/// Counts connections.
pub(super) struct Trap {
    url: String,
    visits: Arc<AtomicU64>,
    _listener: JoinSet<()>,
}

impl Trap {
    pub(super) async fn set() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let visits = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let counted = Arc::clone(&visits);
        tasks.spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(Self {
            url,
            visits,
            _listener: tasks,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn visits(&self) -> u64 {
        self.visits.load(Ordering::SeqCst)
    }
}
