//! The gateway: what `/ipfs/{cid}` answers, in the three forms of the trustless gateway specification, and `/add`.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cid::Cid;
use tokio::task::JoinSet;

use super::{
    car,
    unixfs::{Block, Layout, blocks},
};
use crate::{
    door::Door,
    http::HttpError,
    proxy::{Rules, wire},
};

/// The most that `/add` takes.
const MAX_ADD: usize = 64 << 20;

/// The running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    handle: GatewayHandle,
    _tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts an empty gateway on a free port of loopback.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn start() -> Result<Self, HttpError> {
        let shared = Arc::new(Shared::default());
        let door = Arc::new(Door::default());
        let router = Router::new()
            .route("/ipfs/{cid}", get(serve_content))
            .route("/add", post(add))
            .layer(DefaultBodyLimit::max(MAX_ADD))
            .with_state(shared.clone());
        let rules = Arc::<Rules>::default();
        let mut tasks = JoinSet::new();
        let url = wire::serve_spoiled(router, &rules, &door, &mut tasks).await?;
        let handle = GatewayHandle {
            url,
            shared,
            rules,
            door,
        };
        Ok(Self { handle, _tasks: tasks })
    }

    /// What tests and the devnet hold of it.
    pub fn handle(&self) -> &GatewayHandle {
        &self.handle
    }
}

/// Puts content into the gateway, reads it back, and makes it lie.
#[derive(Debug, Clone)]
pub struct GatewayHandle {
    url: String,
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    door: Arc<Door>,
}

impl GatewayHandle {
    /// The base URL, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its fault script; a rule's method is a part of the path, so a CID makes a rule for that content, and `/ipfs/` one
    /// for everything that is fetched. The oracles store at `/add`.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Stores a file the way the Keeper's config is stored (`Qm..`), and returns its CID.
    pub fn put(&self, file: &[u8]) -> String {
        self.put_as(file, Layout::DagPb)
    }

    /// Stores a file in `layout`, and returns its CID.
    pub fn put_as(&self, file: &[u8], layout: Layout) -> String {
        self.shared.put(file, layout)
    }

    /// The content under a CID, as it was put.
    pub fn content(&self, cid: &str) -> Option<Vec<u8>> {
        self.shared
            .read()
            .file(&Cid::from_str(cid).ok()?)
            .map(|file| file.content)
    }

    /// How often it was asked for this CID.
    pub fn asked(&self, cid: &str) -> usize {
        let asked = |cid| self.shared.read().asked.get(&cid).copied();
        Cid::from_str(cid).ok().and_then(asked).unwrap_or_default()
    }

    /// Sets what the gateway does when it is asked for this CID; `None` is the truth. Asked for a file of several blocks
    /// with this one among them, it alters the block.
    ///
    /// A text that is no CID is ignored: nobody can ask for it.
    pub fn set_fault(&self, cid: &str, fault: Option<ContentFault>) {
        let Ok(cid) = Cid::from_str(cid) else { return };
        let faults = &mut self.shared.write().faults;
        match fault {
            Some(fault) => faults.insert(cid, fault),
            None => faults.remove(&cid),
        };
    }

    /// From now on serves altered bytes under this CID.
    pub fn tamper(&self, cid: &str) {
        self.set_fault(cid, Some(ContentFault::Tampered));
    }

    /// From now on answers a web page under this CID, with status 200.
    pub fn html(&self, cid: &str) {
        self.set_fault(cid, Some(ContentFault::Html));
    }

    /// Serves the truth under this CID again.
    pub fn restore(&self, cid: &str) {
        self.set_fault(cid, None);
    }

    /// Closes every new connection at once, as if the gateway were gone, or opens again.
    pub fn set_down(&self, down: bool) {
        self.door.set_closed(down);
    }
}

/// How a CID is answered wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentFault {
    /// One byte differs.
    Tampered,
    /// A web page with status 200.
    Html,
    /// 404, as if the content had never been there.
    Missing,
}

#[derive(Debug, Default)]
struct Shared(RwLock<Content>);

#[derive(Debug, Default)]
struct Content {
    blocks: HashMap<Cid, Block>,
    faults: HashMap<Cid, ContentFault>,
    asked: HashMap<Cid, usize>,
}

/// A file as it is served.
struct File {
    content: Vec<u8>,
    car: Vec<u8>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Content> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, file: &[u8], layout: Layout) -> String {
        let blocks = blocks(file, layout);
        let root = blocks.last().map(|root| root.cid.to_string()).unwrap_or_default();
        self.write()
            .blocks
            .extend(blocks.into_iter().map(|block| (block.cid, block)));
        root
    }
}

impl Content {
    /// The bytes of one block, altered if it is to be.
    fn block(&self, cid: &Cid) -> Option<Vec<u8>> {
        let bytes = self.blocks.get(cid)?.bytes.clone();
        Some(match self.faults.get(cid) {
            None => bytes,
            Some(_) => altered(bytes),
        })
    }

    /// The file whose root is `root`, as content and as CAR.
    fn file(&self, root: &Cid) -> Option<File> {
        let mut file = File {
            content: Vec::new(),
            car: car::header(root),
        };
        let mut tampered = false;
        let mut sent = HashSet::new();
        let mut stack = vec![*root];
        while let Some(cid) = stack.pop() {
            let block = self.blocks.get(&cid)?;
            tampered |= self.faults.contains_key(&cid);
            file.content.extend_from_slice(&block.content);
            if sent.insert(cid) {
                car::section(&mut file.car, &cid, &self.block(&cid)?);
            }
            stack.extend(block.links.iter().rev());
        }
        if tampered {
            file.content = altered(file.content);
        }
        Some(file)
    }
}

fn altered(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    match bytes.get_mut(middle) {
        Some(byte) => *byte ^= 1,
        None => bytes.push(0),
    }
    bytes
}

enum Form {
    File,
    Raw,
    Car,
}

/// The query wins over the `Accept` header (trustless gateway specification, section 2.2).
fn form(uri: &Uri, headers: &HeaderMap) -> Form {
    let query = uri.query().unwrap_or_default();
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("format=")) {
        Some("raw") => Form::Raw,
        Some("car") => Form::Car,
        None if accept.contains("application/vnd.ipld.raw") => Form::Raw,
        None if accept.contains("application/vnd.ipld.car") => Form::Car,
        _ => Form::File,
    }
}

async fn serve_content(
    State(shared): State<Arc<Shared>>,
    Path(cid): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Ok(cid) = Cid::from_str(&cid) else {
        return (StatusCode::BAD_REQUEST, "invalid cid").into_response();
    };
    *shared.write().asked.entry(cid).or_default() += 1;
    let content = shared.read();
    match content.faults.get(&cid) {
        Some(ContentFault::Html) => {
            return ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], wire::WEB_PAGE).into_response();
        }
        Some(ContentFault::Missing) => return (StatusCode::NOT_FOUND, "no such content").into_response(),
        Some(ContentFault::Tampered) | None => {}
    }
    let answer = match form(&uri, &headers) {
        Form::Raw => content.block(&cid).map(|block| ("application/vnd.ipld.raw", block)),
        Form::Car => content
            .file(&cid)
            .map(|file| ("application/vnd.ipld.car; version=1; order=dfs; dups=n", file.car)),
        Form::File => content
            .file(&cid)
            .map(|file| (content_type(&file.content), file.content)),
    };
    match answer {
        Some((content_type, bytes)) => ([(header::CONTENT_TYPE, content_type)], bytes).into_response(),
        None => (StatusCode::NOT_FOUND, "no such content").into_response(),
    }
}

/// Gateways guess; ours does for the one type that StakeWise content has.
fn content_type(content: &[u8]) -> &'static str {
    match content.first() {
        Some(b'{' | b'[') => "application/json",
        _ => "application/octet-stream",
    }
}

/// Stores the body: raw leaves and CIDv1, or with `?layout=dag-pb` like the Keeper's config.
async fn add(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    let layout = match uri.query() {
        Some("layout=dag-pb") => Layout::DagPb,
        _ => Layout::RawLeaves,
    };
    axum::Json(serde_json::json!({ "cid": shared.put(&body, layout) })).into_response()
}
