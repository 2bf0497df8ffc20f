//! One request to one endpoint, within bounds.

use reqwest::{Client, Response, header};
use url::Url;

use crate::AnswerFault;

/// Posts JSON and returns the body of a successful answer.
pub(crate) async fn post(client: &Client, endpoint: &Url, body: &str) -> Result<Vec<u8>, AnswerFault> {
    let request = client
        .post(endpoint.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(body.to_owned());
    let mut response = request.send().await.map_err(broken)?;
    if response.status().is_redirection() || !same_place(response.url(), endpoint) {
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
    let words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_MESSAGE_CHARACTERS).collect()
}

const MAX_ANSWER: usize = 1 << 20;
const MAX_MESSAGE_BYTES: usize = 4096;
const MAX_MESSAGE_CHARACTERS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_one_bounded_line_without_control_characters() {
        assert_eq!(
            one_line(b"  {\"a\":\r\n 1}\x1b[31m \xff\x00b"),
            "{\"a\": 1} [31m \u{fffd} b"
        );
        assert_eq!(one_line(&[b'x'; 4096]).len(), MAX_MESSAGE_CHARACTERS);
    }
}
