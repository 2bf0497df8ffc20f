//! A proxy in front of the execution node: what geth refuses is refused here, and requests go wrong as a script says.
//!
//! Anvil is lenient: it takes replacements that pay too little more and transactions below the base fee it throws
//! away, and it reads state of blocks that it does not have in its own way. An operator that is tested against anvil
//! alone has not met a node.

mod logs;
mod node;
mod personality;
mod pool;
mod rules;
mod strict;
mod view;
pub(crate) mod wire;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy::consensus::Transaction;
use alloy_primitives::{Address, B256, Bytes as Blob};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) use self::pool::Pool;
use self::{logs::Tamper, node::Upstream, personality::Pace, pool::Signed, view::View};
pub use self::{
    logs::{DepositField, Victim},
    personality::Personality,
    rules::{Act, Chance, Rule, Rules},
};
use crate::{
    door::{Door, Line, listen, serve_open},
    http::HttpError,
};

/// An execution endpoint for the operator. It passes JSON-RPC on to a node, unless it has been told something else.
#[derive(Debug)]
pub struct ExecutionProxy {
    url: String,
    shared: Arc<Shared>,
    door: Arc<Door>,
    _server: JoinSet<()>,
}

/// A raw transaction that an operator sent to this endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedIn {
    /// Its hash.
    pub hash: B256,
    /// The signed bytes.
    pub raw: Blob,
    /// Who signed it; nobody, when the bytes are no transaction, and then the numbers below are 0.
    pub from: Address,
    /// Its nonce.
    pub nonce: u64,
    /// The most it pays for a unit of gas, wei.
    pub max_fee_per_gas: u128,
    /// The most it tips for a unit of gas, wei.
    pub max_priority_fee_per_gas: u128,
    /// Whether it came into the node's pool. One that is refused, or that a fault loses before the node, did not.
    pub passed_on: bool,
}

impl HandedIn {
    fn new(raw: Blob) -> Self {
        let signed = Signed::decode(&raw);
        let transaction = signed.as_ref().map(|signed| &signed.transaction);
        Self {
            hash: alloy_primitives::keccak256(&raw),
            from: signed.as_ref().map(|signed| signed.from).unwrap_or_default(),
            nonce: transaction.map(Transaction::nonce).unwrap_or_default(),
            max_fee_per_gas: transaction.map(Transaction::max_fee_per_gas).unwrap_or_default(),
            max_priority_fee_per_gas: signed.as_ref().map(Signed::tip).unwrap_or_default(),
            raw,
            passed_on: false,
        }
    }
}

#[derive(Debug)]
struct Shared {
    node: Upstream,
    pool: Arc<Pool>,
    rules: Rules,
    strict: AtomicBool,
    personality: Mutex<Personality>,
    pace: Mutex<Pace>,
    victim: Mutex<Victim>,
    answers: Mutex<BTreeMap<String, Value>>,
    calls: Mutex<BTreeMap<String, u64>>,
    handed_in: Mutex<Vec<HandedIn>>,
}

/// What a call comes to: a result, or a JSON-RPC error object.
type Outcome = Result<Value, Value>;

impl ExecutionProxy {
    /// Starts a proxy of the node at `node` on a free port of loopback.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn start(client: reqwest::Client, node: String) -> Result<Self, HttpError> {
        Self::start_with(Pool::start(Upstream::new(client, node))).await
    }

    /// Starts a further endpoint of the node that `pool` belongs to.
    async fn start_with(pool: Arc<Pool>) -> Result<Self, HttpError> {
        let shared = Arc::new(Shared {
            node: pool.node().clone(),
            pool,
            rules: Rules::default(),
            strict: AtomicBool::new(true),
            personality: Mutex::default(),
            pace: Mutex::default(),
            victim: Mutex::default(),
            answers: Mutex::default(),
            calls: Mutex::default(),
            handed_in: Mutex::default(),
        });
        let router = Router::new()
            .route("/", post(pass))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let (listener, address) = listen().await?;
        let (door, mut server) = (Arc::new(Door::default()), JoinSet::new());
        serve_open(listener, Arc::clone(&door), router, &mut server);
        Ok(Self {
            url: format!("http://{address}"),
            shared,
            door,
            _server: server,
        })
    }

    /// Starts a further endpoint of the same node.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn beside(&self) -> Result<Self, HttpError> {
        Self::start_with(Arc::clone(&self.shared.pool)).await
    }

    /// What waits to be mined, shared by all endpoints of the node.
    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers every `method` with `result`, or with what the node says once `result` is `None`.
    pub fn answer(&self, method: &str, result: Option<Value>) {
        let mut answers = lock(&self.shared.answers);
        match result {
            Some(result) => answers.insert(method.to_owned(), result),
            None => answers.remove(method),
        };
    }

    /// Adds a rule to the fault script.
    pub fn push(&self, rule: Rule) {
        self.shared.rules.push(rule);
    }

    /// Takes the fault script away; personality, strictness and [`ExecutionProxy::answer`] stay.
    pub fn clear(&self) {
        self.shared.rules.clear();
    }

    /// The fault script.
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// Which deposit event the acts on logs are about, and what of it differs.
    pub fn set_victim(&self, victim: Victim) {
        *lock(&self.shared.victim) = victim;
    }

    /// Gives it the limits of a provider.
    pub fn set_personality(&self, personality: Personality) {
        *lock(&self.shared.personality) = personality;
    }

    /// Makes it refuse what geth refuses, as it does from the start, or pass everything on to anvil.
    pub fn set_strict(&self, strict: bool) {
        self.shared.strict.store(strict, Ordering::SeqCst);
    }

    /// Drops every new connection without a word, as if the node were gone, or takes them again.
    pub fn set_down(&self, down: bool) {
        self.door.set_closed(down);
    }

    /// Every raw transaction that was sent here, in order.
    pub fn handed_in(&self) -> Vec<HandedIn> {
        lock(&self.shared.handed_in).clone()
    }

    /// How many requests were answered with 429 for being more than [`Personality::calls_per_second`].
    pub fn too_many(&self) -> u64 {
        lock(&self.shared.pace).too_many()
    }

    /// How often each method was asked for here, whatever came of it.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        lock(&self.shared.calls).clone()
    }
}

async fn pass(State(shared): State<Arc<Shared>>, ConnectInfo(line): ConnectInfo<Line>, body: Bytes) -> Response {
    let personality = *lock(&shared.personality);
    if let Some(busy) = lock(&shared.pace).over(&personality) {
        return busy;
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        let error = json!({"code": -32700, "message": "parse error"});
        return Json(json!({"jsonrpc": "2.0", "id": null, "error": error})).into_response();
    };
    let calls = match &request {
        Value::Array(calls) => calls.iter().map(|call| shared.plan(call)).collect(),
        single => vec![shared.plan(single)],
    };
    let on_the_wire = calls.iter().find_map(Planned::act_on_the_wire).cloned();
    let honest = async {
        let mut answers = Vec::new();
        for call in &calls {
            answers.push(shared.answer(call).await);
        }
        match request {
            Value::Array(_) => Json(Value::Array(answers)).into_response(),
            _ => Json(answers.pop()).into_response(),
        }
    };
    match on_the_wire {
        Some(act) => wire::spoil(&act, &line, shared.node.url(), honest).await,
        None => honest.await,
    }
}

/// One call, and what goes wrong with it.
struct Planned {
    id: Value,
    method: String,
    params: Value,
    act: Option<Act>,
    /// Its place among what was handed in, if it hands something in.
    handed_in: Option<usize>,
}

impl Planned {
    fn act_on_the_wire(&self) -> Option<&Act> {
        self.act.as_ref().filter(|act| {
            !matches!(
                act,
                Act::RpcError { .. }
                    | Act::WrongId
                    | Act::DropLog
                    | Act::DoubleLog
                    | Act::AlterLog
                    | Act::ReorderLogs
                    | Act::Behind(_)
            )
        })
    }
}

impl Shared {
    fn plan(&self, call: &Value) -> Planned {
        let member = |name: &str| call.get(name).cloned().unwrap_or_default();
        let method = member("method").as_str().unwrap_or_default().to_owned();
        *lock(&self.calls).entry(method.clone()).or_default() += 1;
        let params = member("params");
        let raw = params
            .get(0)
            .and_then(Value::as_str)
            .and_then(|raw| raw.parse::<Blob>().ok());
        let handed_in = raw.filter(|_| method == SEND).map(|raw| {
            let mut all = lock(&self.handed_in);
            all.push(HandedIn::new(raw));
            all.len() - 1
        });
        let act = self.rules.pick(|wanted| wanted == method);
        Planned {
            id: member("id"),
            method,
            params,
            act,
            handed_in,
        }
    }

    async fn answer(&self, call: &Planned) -> Value {
        let outcome = match self.outcome(call).await {
            Ok(result) => ("result", result),
            Err(error) => ("error", error),
        };
        let id = match (&call.act, call.id.as_u64()) {
            (Some(Act::WrongId), Some(id)) => json!(id + 1),
            (Some(Act::WrongId), None) => json!("another"),
            _ => call.id.clone(),
        };
        json!({"jsonrpc": "2.0", "id": id, outcome.0: outcome.1})
    }

    async fn outcome(&self, call: &Planned) -> Outcome {
        let method = call.method.as_str();
        if let Some(Act::RpcError { code, message }) = &call.act {
            return Err(error(*code, message));
        }
        let told = lock(&self.answers).get(method).cloned();
        if let Some(told) = told {
            return Ok(told);
        }
        let behind = match call.act {
            Some(Act::Behind(blocks)) => blocks,
            _ => 0,
        };
        let strict = self.strict.load(Ordering::SeqCst);
        let view = View::new(&self.node, behind).await?;
        let mut params = call.params.clone();
        if behind > 0 || strict {
            view.place(method, &mut params).await?;
        }
        let personality = *lock(&self.personality);
        personality.allows(method, &params, view.head())?;
        if method == SEND && strict {
            let result = strict::hand_in(&self.pool, &params).await?;
            self.mark_passed_on(call);
            return Ok(result);
        }
        let result = match self.pool.answer(method, &params).await {
            Some(result) if strict => result,
            _ => self.node.call(method, &params).await?,
        };
        if method == SEND {
            self.mark_passed_on(call);
        }
        let result = view.cut_off(method, result);
        match call.act.as_ref().and_then(Tamper::of) {
            Some(tamper) => {
                let victim = *lock(&self.victim);
                logs::tampered(&self.node, method, result, tamper, victim).await
            }
            None => Ok(result),
        }
    }

    fn mark_passed_on(&self, call: &Planned) {
        let mut all = lock(&self.handed_in);
        if let Some(handed_in) = call.handed_in.and_then(|place| all.get_mut(place)) {
            handed_in.passed_on = true;
        }
    }
}

fn error(code: i64, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SEND: &str = "eth_sendRawTransaction";
