//! Asking one oracle, within bounds.

use std::time::Duration;

use alloy_primitives::Address;
use reqwest::{Client, Response, header};
use sw_spec::{RedactedUrl, is_harmless};
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use url::Url;

use crate::{AnswerFault, FailedAttempt};

/// What is put to oracles.
pub(crate) struct Question<'a> {
    pub(crate) client: &'a Client,
    /// Takes the place of an endpoint's path and query.
    pub(crate) path: Option<&'a str>,
    /// JSON to post; without it, the question is a GET.
    pub(crate) body: Option<&'a str>,
    /// How long one endpoint may take.
    pub(crate) attempt: Duration,
    /// Until when an answer is of use.
    pub(crate) end: Instant,
}

/// What came of asking one oracle.
pub(crate) struct Asked<T> {
    pub(crate) answer: Option<T>,
    pub(crate) failures: Vec<FailedAttempt>,
}

impl Question<'_> {
    /// Asks an oracle's endpoints one after another, until `read` makes something of an answer. With `None` it lets the next
    /// one be asked too.
    pub(crate) async fn ask<'a, T>(
        &self,
        oracle: Address,
        endpoints: impl Iterator<Item = &'a RedactedUrl>,
        mut read: impl FnMut(&[u8]) -> Result<Option<T>, AnswerFault>,
    ) -> Asked<T> {
        let mut failures = Vec::new();
        for endpoint in endpoints {
            let started = Instant::now();
            let exchange = self.exchange(endpoint.expose_url());
            let answered = timeout_at(self.end.min(started + self.attempt), exchange).await;
            let answer = answered
                .unwrap_or(Err(AnswerFault::Timeout))
                .and_then(|body| read(&body));
            let milliseconds = started.elapsed().as_millis() as u64;
            match answer {
                Ok(answer) => {
                    debug!(%oracle, %endpoint, milliseconds, "oracle answered");
                    if answer.is_some() {
                        return Asked { answer, failures };
                    }
                }
                Err(fault) => {
                    debug!(%oracle, %endpoint, milliseconds, error = %fault, "oracle gave no answer that counts");
                    failures.push(FailedAttempt {
                        endpoint: endpoint.clone(),
                        fault,
                    });
                }
            }
            if Instant::now() >= self.end {
                break;
            }
        }
        Asked { answer: None, failures }
    }

    /// Returns the body of a successful answer.
    async fn exchange(&self, endpoint: &Url) -> Result<Vec<u8>, AnswerFault> {
        let url = match self.path {
            Some(path) => at(endpoint, path),
            None => endpoint.clone(),
        };
        let request = match self.body {
            Some(body) => self
                .client
                .post(url.clone())
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_owned()),
            None => self.client.get(url.clone()),
        };
        let request = request.header(header::ACCEPT, "application/json");
        let mut response = request.send().await.map_err(broken)?;
        if response.status().is_redirection() || !same_place(response.url(), &url) {
            return Err(AnswerFault::Redirected);
        }
        let status = response.status();
        if !status.is_success() {
            let (beginning, _) = read(&mut response, MAX_MESSAGE_BYTES).await.unwrap_or_default();
            return Err(AnswerFault::Status {
                status: status.as_u16(),
                message: one_line(&beginning),
            });
        }
        match read(&mut response, MAX_ANSWER).await? {
            (body, true) => Ok(body),
            (_, false) => Err(AnswerFault::TooLong),
        }
    }
}

/// An absolute path on an endpoint: what it has of a path and a query is replaced, its credentials stay.
fn at(endpoint: &Url, path: &str) -> Url {
    let mut url = endpoint.clone();
    url.set_path(path);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Reads at most `limit` bytes and tells whether that was all.
async fn read(response: &mut Response, limit: usize) -> Result<(Vec<u8>, bool), AnswerFault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        let room = limit - body.len();
        body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            return Ok((body, false));
        }
    }
    Ok((body, true))
}

fn broken(error: reqwest::Error) -> AnswerFault {
    // The URL may hold credentials, and the attempt names the endpoint anyway.
    let error = error.without_url();
    if error.is_timeout() {
        AnswerFault::Timeout
    } else if error.is_redirect() {
        AnswerFault::Redirected
    } else {
        AnswerFault::Unreachable(error)
    }
}

fn same_place(answered: &Url, asked: &Url) -> bool {
    let bare = |url: &Url| {
        let mut url = url.clone();
        url.set_fragment(None);
        // The client has moved credentials into a header. Removing them fails only where there can be none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    };
    bare(answered) == bare(asked)
}

/// Makes a stranger's text fit for a terminal and a log line.
pub(crate) fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|c: char| c.is_whitespace() || !is_harmless(c));
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_MESSAGE_CHARACTERS).collect()
}

/// No answer is worth waiting longer for; it also keeps the arithmetic of instants in range.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);
const MAX_ANSWER: usize = 1 << 20;
const MAX_MESSAGE_BYTES: usize = 4096;
const MAX_MESSAGE_CHARACTERS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_replaces_the_endpoints_own() {
        let cases = [
            ("http://h:8080/a/b", "http://h:8080/signatures"),
            ("http://h:8080", "http://h:8080/signatures"),
            ("https://h/?key=1#top", "https://h/signatures"),
            ("https://user:pw@h/v1/", "https://user:pw@h/signatures"),
            ("http://[::1]:9/%2e%2e/x;y", "http://[::1]:9/signatures"),
        ];
        for (endpoint, expected) in cases {
            let endpoint = endpoint.parse().expect("a URL");
            assert_eq!(at(&endpoint, "/signatures").as_str(), expected);
        }
    }

    #[test]
    fn a_message_becomes_one_bounded_line_without_control_characters() {
        assert_eq!(
            one_line(b"  {\"a\":\r\n 1}\x1b[31m \xff\x00b"),
            "{\"a\": 1} [31m \u{fffd} b"
        );
        assert_eq!(one_line("a\u{202e}txt.\u{200b}exe\u{2066}b".as_bytes()), "a txt. exe b");
        assert_eq!(one_line(&[b'x'; 4096]).len(), MAX_MESSAGE_CHARACTERS);
    }
}
