//! The gateway over HTTP: its three forms, several blocks, and its lies.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::time::Duration;

use serde_json::Value;
use sw_devnet::{
    http::loopback_client,
    ipfs::{ContentFault, Gateway, Layout, MAX_CHUNK},
    proxy::{Act, Rule},
};

struct Client {
    http: reqwest::Client,
    gateway: Gateway,
}

impl Client {
    async fn start() -> Self {
        Self {
            http: loopback_client(Duration::from_secs(10)).unwrap(),
            gateway: Gateway::start().await.unwrap(),
        }
    }

    async fn get(&self, path: &str, accept: &str) -> reqwest::Result<(u16, String, Vec<u8>)> {
        let url = format!("{}{path}", self.gateway.handle().url());
        let response = self.http.get(url).header("accept", accept).send().await?;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        Ok((response.status().as_u16(), kind, response.bytes().await?.to_vec()))
    }
}

#[tokio::test]
async fn content_comes_plain_as_a_block_and_as_a_car() {
    let client = Client::start().await;
    let cid = client.gateway.handle().put(b"{\"oracles\":[]}");
    assert!(cid.starts_with("Qm"));
    let path = format!("/ipfs/{cid}");
    let plain = client.get(&path, "*/*").await.unwrap();
    assert_eq!(
        plain,
        (200, "application/json".to_owned(), b"{\"oracles\":[]}".to_vec())
    );
    let (status, kind, block) = client.get(&format!("{path}?format=raw"), "*/*").await.unwrap();
    assert_eq!((status, kind.as_str()), (200, "application/vnd.ipld.raw"));
    assert_eq!(client.get(&path, "application/vnd.ipld.raw").await.unwrap().2, block);
    let (_, kind, car) = client.get(&format!("{path}?format=car"), "*/*").await.unwrap();
    assert!(kind.starts_with("application/vnd.ipld.car"));
    assert!(car.ends_with(&block), "the only block is the last thing in the archive");
    assert_eq!(client.get(&path, "application/vnd.ipld.car").await.unwrap().2, car);
    assert_eq!(
        client
            .get("/ipfs/QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", "*/*")
            .await
            .unwrap()
            .0,
        404
    );
    assert_eq!(client.get("/ipfs/nonsense", "*/*").await.unwrap().0, 400);
}

#[tokio::test]
async fn large_files_are_several_blocks_and_come_back_whole() {
    let client = Client::start().await;
    let file: Vec<u8> = (0..MAX_CHUNK * 3 + 5)
        .map(|position| (position * 7 % 256) as u8)
        .collect();
    for (layout, start) in [(Layout::DagPb, "Qm"), (Layout::RawLeaves, "bafy")] {
        let cid = client.gateway.handle().put_as(&file, layout);
        assert!(cid.starts_with(start));
        assert_eq!(client.get(&format!("/ipfs/{cid}"), "*/*").await.unwrap().2, file);
        let root = client.get(&format!("/ipfs/{cid}?format=raw"), "*/*").await.unwrap().2;
        assert!(root.len() < 1024, "the root only links");
    }
}

#[tokio::test]
async fn documents_added_over_http_are_raw_blocks() {
    let client = Client::start().await;
    let url = format!("{}/add", client.gateway.handle().url());
    let answer: Value = client
        .http
        .post(url)
        .body("hello world")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    assert_eq!(answer["cid"], cid);
    assert_eq!(client.gateway.handle().content(cid).unwrap(), b"hello world");
}

#[tokio::test]
async fn a_gateway_that_lies_serves_something_else_until_it_is_restored() {
    let client = Client::start().await;
    let handle = client.gateway.handle();
    let cid = handle.put(b"the truth");
    let paths = [
        format!("/ipfs/{cid}"),
        format!("/ipfs/{cid}?format=raw"),
        format!("/ipfs/{cid}?format=car"),
    ];
    for path in &paths {
        let truth = client.get(path, "*/*").await.unwrap();
        handle.tamper(&cid);
        let (status, _, altered) = client.get(path, "*/*").await.unwrap();
        assert_eq!((status, altered.len()), (200, truth.2.len()));
        assert_ne!(altered, truth.2);
        handle.html(&cid);
        let (status, kind, _) = client.get(path, "*/*").await.unwrap();
        assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
        handle.set_fault(&cid, Some(ContentFault::Missing));
        assert_eq!(client.get(path, "*/*").await.unwrap().0, 404);
        handle.restore(&cid);
        assert_eq!(client.get(path, "*/*").await.unwrap(), truth);
    }
    handle.set_down(true);
    client.get(&paths[0], "*/*").await.unwrap_err();
    handle.set_down(false);
    client.get(&paths[0], "*/*").await.unwrap();
}

#[tokio::test]
async fn one_content_or_the_whole_gateway_goes_wrong_as_the_script_says() {
    let client = Client::start().await;
    let gateway = client.gateway.handle();
    let (cid, other) = (gateway.put(b"{\"oracles\":[]}"), gateway.put(b"{}"));
    let get = async |cid: &str| {
        let url = format!("{}/ipfs/{cid}?format=raw", gateway.url());
        client.http.get(url).send().await
    };
    let whole = get(&cid).await.unwrap().bytes().await.unwrap();
    gateway.rules().push(Rule::always(&cid, Act::Truncated));
    let half = get(&cid).await.unwrap();
    assert_eq!(half.status(), 200);
    assert_eq!(half.bytes().await.unwrap(), whole[..whole.len() / 2]);
    assert_eq!(get(&other).await.unwrap().status(), 200);
    gateway.rules().clear();
    gateway.rules().push(Rule::always(
        "/ipfs/",
        Act::Status {
            code: 500,
            retry_after: None,
        },
    ));
    assert_eq!(get(&other).await.unwrap().status(), 500);
    gateway.rules().clear();
    gateway.rules().push(Rule::everything(Act::Endless));
    let mut endless = get(&cid).await.unwrap();
    let mut read = 0;
    while read < 1_000_000 {
        read += endless.chunk().await.unwrap().unwrap().len();
    }
    gateway.rules().clear();
    gateway
        .rules()
        .push(Rule::everything(Act::Hang(Duration::from_millis(20))));
    assert!(get(&cid).await.is_err());
    gateway.rules().clear();
    gateway.rules().push(Rule::times(1, "/ipfs/", Act::Redirect));
    let redirect = get(&cid).await.unwrap();
    let there = redirect.headers()["location"].to_str().unwrap();
    let followed = client.http.get(there).send().await.unwrap();
    assert_eq!(followed.bytes().await.unwrap(), whole, "the truth is elsewhere");
}
