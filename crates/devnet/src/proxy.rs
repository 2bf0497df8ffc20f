//! A proxy in front of the execution node, where single methods can be answered otherwise.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::http::{HttpError, serve};

/// Passes JSON-RPC on to a node, but for the methods that have been given an answer of their own.
#[derive(Debug)]
pub struct ExecutionProxy {
    url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    client: reqwest::Client,
    node: String,
    answers: Mutex<BTreeMap<String, Value>>,
}

impl ExecutionProxy {
    /// Starts a proxy of the node at `node` on a free port of loopback.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn start(client: reqwest::Client, node: String) -> Result<Self, HttpError> {
        let shared = Arc::new(Shared {
            client,
            node,
            answers: Mutex::default(),
        });
        let router = Router::new()
            .route("/", post(pass))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        let address = serve(router, &mut server).await?;
        Ok(Self {
            url: format!("http://{address}"),
            shared,
            _server: server,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers every `method` with `result`, or with what the node says once `result` is `None`.
    pub fn answer(&self, method: &str, result: Option<Value>) {
        let mut answers = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Some(result) => answers.insert(method.to_owned(), result),
            None => answers.remove(method),
        };
    }
}

async fn pass(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    if let Ok(request) = serde_json::from_slice::<Value>(&body)
        && let Some(answer) = shared.answer_to(&request)
    {
        return axum::Json(answer).into_response();
    }
    let json = (header::CONTENT_TYPE, "application/json");
    let forwarded = shared
        .client
        .post(&shared.node)
        .header(json.0.clone(), json.1)
        .body(body)
        .send()
        .await;
    match forwarded {
        Ok(response) => {
            let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
            match response.bytes().await {
                Ok(bytes) => (status, [json], bytes).into_response(),
                Err(_) => StatusCode::BAD_GATEWAY.into_response(),
            }
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

impl Shared {
    fn answer_to(&self, request: &Value) -> Option<Value> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |request: &Value| {
            let result = answers.get(request.get("method")?.as_str()?)?;
            Some(json!({"jsonrpc": "2.0", "id": request.get("id"), "result": result}))
        };
        // A batch is passed on whole unless every call of it has an answer here.
        match request {
            Value::Array(calls) => calls.iter().map(one).collect::<Option<Vec<_>>>().map(Value::Array),
            single => one(single),
        }
    }
}
