//! A moment between the oracles' checks and their answers, in which a test can move the chain.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::B256;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

/// What a test does in that moment; it is given the body of the request.
pub type Hook = Arc<dyn Fn(Arc<str>) -> BoxFuture<'static, ()> + Send + Sync>;

/// The hook that a set of oracles shares. It runs once for each distinct request, when all oracles that are going to
/// have checked it, and before any of the Rust oracles answers.
#[derive(Clone, Default)]
pub struct BeforeReply(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    hook: Option<Hook>,
    runs: HashMap<B256, Arc<OnceCell<()>>>,
}

impl BeforeReply {
    /// Sets the hook; requests that ran an earlier one run this one too.
    pub fn set<F>(&self, hook: impl Fn(Arc<str>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.replace(Some(Arc::new(move |body| Box::pin(hook(body)))));
    }

    /// Removes the hook.
    pub fn clear(&self) {
        self.replace(None);
    }

    fn replace(&self, hook: Option<Hook>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Inner {
            hook,
            runs: HashMap::new(),
        };
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hook.is_some()
    }

    /// Runs the hook for a request, or waits for the oracle that is running it.
    ///
    /// When that oracle's client goes away in the middle, the next oracle runs it from the start.
    pub(super) async fn run(&self, request: B256, body: &str) {
        let (hook, run) = {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(hook) = inner.hook.clone() else { return };
            (hook, inner.runs.entry(request).or_default().clone())
        };
        run.get_or_init(|| hook(Arc::from(body))).await;
    }
}

impl fmt::Debug for BeforeReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforeReply").field("set", &self.is_set()).finish()
    }
}
