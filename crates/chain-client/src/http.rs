//! One HTTP request to one endpoint: bounded in time and in bytes, with nothing secret in what it says of failures.

use std::time::Duration;

use httpdate::parse_http_date;
use reqwest::{
    RequestBuilder, StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use sw_spec::{B256, ForkVersion, RedactedUrl, is_harmless};
use tokio::time::Instant;
use tracing::debug;

/// Why an endpoint gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointFault {
    /// Nobody answers there, or TLS cannot be agreed on.
    #[error("cannot connect")]
    Unreachable(#[source] reqwest::Error),
    /// The answer did not come in time, or trickled.
    #[error("no complete answer within {0:?}")]
    TimedOut(Duration),
    /// The connection broke before the answer was complete.
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
    /// The request was sent elsewhere. Redirects are not followed: they could carry it to another node.
    #[error("it redirects elsewhere")]
    Redirected,
    /// Too many requests.
    #[error("it limits the rate of requests")]
    RateLimited {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// An HTTP status other than success.
    #[error("it answers HTTP {status}: {message}")]
    Status {
        /// The status.
        status: u16,
        /// The beginning of the body.
        message: String,
    },
    /// More bytes than such an answer can have.
    #[error("its answer is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Not the answer that the request asks for.
    #[error("its answer is malformed: {0}")]
    Malformed(String),
    /// A JSON-RPC error that speaks of the node and not of the request.
    #[error("it answers with error {code}: {message}")]
    Answered {
        /// The JSON-RPC error code.
        code: i64,
        /// The beginning of the message.
        message: String,
    },
    /// It serves another chain than the one that is wanted.
    #[error("it is on chain {found}, not on chain {expected}")]
    WrongChain {
        /// The chain that is wanted.
        expected: u64,
        /// The chain it is on.
        found: u64,
    },
    /// It does not know the whole chain yet.
    #[error("it is still syncing")]
    Syncing,
    /// It stopped following the chain, though it does not say so.
    #[error("it does not have block {block}, which is final")]
    Behind {
        /// A block that every sound node has.
        block: u64,
    },
    /// It is older than what was decided on before, while another is not.
    #[error("its newest block is {found}, and block {seen} has been seen")]
    Lagging {
        /// Its newest block.
        found: u64,
        /// The newest block of any endpoint.
        seen: u64,
    },
    /// It has not come as far as the consensus chain.
    #[error("its newest block {block} is {seconds} s older than the head of the consensus chain")]
    BehindConsensus {
        /// Its newest block.
        block: u64,
        /// How much older it is.
        seconds: u64,
    },
    /// It says something else than the others.
    #[error("it does not agree with the others on {what}")]
    Outvoted {
        /// What was asked.
        what: &'static str,
    },
    /// A consensus node is of another chain than the one that is wanted.
    #[error(
        "its chain has genesis validators root {validators_root} and fork version {fork_version}, which is another network"
    )]
    WrongGenesis {
        /// What its exits are bound to.
        validators_root: B256,
        /// What its deposits are bound to.
        fork_version: ForkVersion,
    },
    /// A consensus node is without its execution node.
    #[error("its execution node is offline")]
    ExecutionOffline,
    /// A consensus node speaks of blocks that no execution node has verified.
    #[error("its blocks are not verified by an execution node yet")]
    Optimistic,
}

impl EndpointFault {
    /// Whether the same read may well succeed at once: one answer was lost or spoilt on its way.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Malformed(_) => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Whether time may cure it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::WrongChain { .. } | Self::WrongGenesis { .. } | Self::Redirected => false,
            Self::Status { status, .. } => !matches!(status, 400 | 401 | 403 | 405),
            _ => true,
        }
    }

    /// Whether the request may have reached the node all the same.
    pub(crate) fn may_have_arrived(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable(_) | Self::RateLimited { .. } | Self::WrongChain { .. }
        )
    }

    /// How long the endpoint asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// The fault and its causes in one line, for lists of several faults.
    pub(crate) fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line
    }
}

/// What came back, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
}

impl Answer {
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            retry_after: None,
        }
    }

    /// The fault that an unsuccessful status is.
    pub(crate) fn fault(&self, url: &RedactedUrl) -> EndpointFault {
        let asks_for_a_pause = self.status == StatusCode::SERVICE_UNAVAILABLE && self.retry_after.is_some();
        if self.status == StatusCode::TOO_MANY_REQUESTS || asks_for_a_pause {
            return EndpointFault::RateLimited {
                retry_after: self.retry_after,
            };
        }
        if self.status.is_redirection() {
            return EndpointFault::Redirected;
        }
        EndpointFault::Status {
            status: self.status.as_u16(),
            message: excerpt(&self.body, url),
        }
    }
}

/// Makes a request that must be over within `timeout`, and reads at most `limit` bytes of its answer.
///
/// The body is read in chunks, after decompression, so that neither a huge nor a compressed answer takes more memory.
pub(crate) async fn exchange(
    request: RequestBuilder,
    url: &RedactedUrl,
    what: &str,
    timeout: Duration,
    limit: usize,
) -> Result<Answer, EndpointFault> {
    let begun = Instant::now();
    let result = within(request, url, timeout, limit).await;
    let duration = begun.elapsed();
    match &result {
        Ok(answer) => debug!(endpoint = %url, what, ?duration, status = answer.status.as_u16(), "answered"),
        Err(fault) => debug!(endpoint = %url, what, ?duration, error = %fault.in_one_line(), "not answered"),
    }
    result
}

async fn within(
    request: RequestBuilder,
    url: &RedactedUrl,
    timeout: Duration,
    limit: usize,
) -> Result<Answer, EndpointFault> {
    let classify = |error: reqwest::Error| {
        let error = error.without_url();
        if error.is_timeout() {
            EndpointFault::TimedOut(timeout)
        } else if error.is_redirect() {
            EndpointFault::Redirected
        } else if error.is_connect() || error.is_builder() {
            EndpointFault::Unreachable(error)
        } else {
            EndpointFault::Broken(error)
        }
    };
    let mut response = request.timeout(timeout).send().await.map_err(classify)?;
    if response.url().origin() != url.expose_url().origin() {
        return Err(EndpointFault::Redirected);
    }
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let limit = if status.is_success() {
        limit
    } else {
        limit.min(ERROR_BODY_LIMIT)
    };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(classify)? {
        if body.len().saturating_add(chunk.len()) > limit {
            if status.is_success() {
                return Err(EndpointFault::TooLong { limit });
            }
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        body,
        retry_after,
    })
}

/// The beginning of a foreign text, without control characters and without the secrets of the URL.
pub(crate) fn excerpt(text: &[u8], url: &RedactedUrl) -> String {
    let whole = text.len() <= EXCERPT_SOURCE;
    let mut text = printable(&String::from_utf8_lossy(text.get(..EXCERPT_SOURCE).unwrap_or(text)));
    let secrets = secrets(url);
    for secret in &secrets {
        text = text.replace(secret, "***");
    }
    // A secret across the end of what is looked at is not found, and would show if what is before it shrank.
    if !whole {
        let longest = secrets.first().map_or(0, String::len);
        text.truncate(text.floor_char_boundary(text.len().saturating_sub(longest)));
    }
    let shown = text.chars().take(EXCERPT).collect::<String>();
    let shown = shown.trim();
    if shown.is_empty() {
        "nothing".to_owned()
    } else {
        shown.to_owned()
    }
}

/// What of a URL may be a secret, as it is written and as it is meant, the longest first: one may contain another.
fn secrets(url: &RedactedUrl) -> Vec<String> {
    let url = url.expose_url();
    let written = url.path_segments().into_iter().flatten();
    let written = written.chain(url.query().into_iter().flat_map(|query| query.split(['&', '=', '+'])));
    let written = written.chain([url.username(), url.password().unwrap_or_default()]);
    let meant = url.query_pairs().map(|(_, value)| value.into_owned());
    let mut secrets: Vec<_> = written
        .flat_map(|part| [part.to_owned(), unescaped(part)])
        .chain(meant)
        .map(|part| printable(&part))
        .filter(|part| part.len() >= SHORTEST_SECRET)
        .collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

/// A text with a space for each character that is not harmless, of which a secret might otherwise come out whole.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_harmless(c) { c } else { ' ' }).collect()
}

/// A part of a URL without its percent signs (RFC 3986 section 2.1).
fn unescaped(part: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%');
        match escaped.and_then(|digits| hex::decode_to_array::<_, 1>(digits).ok()) {
            Some([byte]) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `Retry-After` in seconds, or as a date (RFC 9110 section 10.2.3). The date is compared with the answer's own `Date`: both
/// are from one clock, and ours does not matter.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = header(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_PAUSE));
    }
    let (then, now) = (parse_http_date(asked), header(DATE).map(parse_http_date));
    let pause = then.ok()?.duration_since(now?.ok()?).ok()?;
    Some(pause.min(LONGEST_PAUSE))
}

/// Nobody waits longer; it also keeps the arithmetic of instants in range.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

const ERROR_BODY_LIMIT: usize = 64 * 1024;
const EXCERPT_SOURCE: usize = 4096;
const EXCERPT: usize = 300;
const SHORTEST_SECRET: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_says_is_shortened_and_loses_the_secrets_of_its_url() {
        let url: RedactedUrl = "https://user:password1@node.example/v3/0123456789abcdef?apikey=topsecret1"
            .parse()
            .expect("a URL");
        let said = b"bad\nkey 0123456789abcdef topsecret1 password1\x1b[31m";
        assert_eq!(excerpt(said, &url), "bad key *** *** *** [31m");
        assert_eq!(excerpt(b" \n", &url), "nothing");
        let turned = "a\u{202e}txt.\u{200b}exe\u{2066}b\u{2028}c\u{feff}";
        assert_eq!(excerpt(turned.as_bytes(), &url), "a txt. exe b c");
        assert_eq!(excerpt(&[b'x'; 10_000], &url).len(), EXCERPT);
    }

    #[test]
    fn a_secret_is_not_shown_in_whichever_form_it_is_repeated() {
        let url: RedactedUrl =
            "https://us%65rname:p%40ssw%3Ard@node.example/a%20secret?key=S%2FECRET-1&more=12345678+90"
                .parse()
                .expect("a URL");
        for said in [
            "us%65rname username",
            "p%40ssw%3Ard p@ssw:rd",
            "a%20secret a secret a\nsecret",
            "S%2FECRET-1 S/ECRET-1",
            "12345678+90 12345678 90",
        ] {
            let shown = excerpt(said.as_bytes(), &url);
            assert!(
                shown.replace("***", "").trim_matches([' ', '+', '9', '0']).is_empty(),
                "{said}: {shown}"
            );
        }
        // What lies across the end of what is looked at.
        let filler = "p%40ssw%3Ard".repeat(341);
        assert_eq!(filler.len(), EXCERPT_SOURCE - 4);
        let shown = excerpt(format!("{filler}p%40ssw%3Ard").as_bytes(), &url);
        assert!(!shown.contains("p%40"), "{shown}");
    }

    #[test]
    fn a_pause_that_a_node_asks_for_is_one_that_can_be_reckoned_with() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "18446744073709551615".parse().expect("a header"))]);
        let pause = retry_after(&headers).expect("a number of seconds");
        assert!(Instant::now().checked_add(pause).is_some(), "{pause:?}");
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_of_the_servers_clock() {
        let asked = |fields: &[(reqwest::header::HeaderName, &str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), value.parse().expect("a header")));
            retry_after(&HeaderMap::from_iter(fields))
        };
        assert_eq!(asked(&[(RETRY_AFTER, "7")]), Some(Duration::from_secs(7)));
        let (then, now) = ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(
            asked(&[(RETRY_AFTER, then), (DATE, now)]),
            Some(Duration::from_secs(30))
        );
        for fields in [
            vec![],
            vec![(RETRY_AFTER, then)],
            vec![(RETRY_AFTER, now), (DATE, then)],
            vec![(RETRY_AFTER, "soon"), (DATE, now)],
            vec![(RETRY_AFTER, "-1")],
        ] {
            assert_eq!(asked(&fields), None, "{fields:?}");
        }
    }
}
