//! URLs that hold secrets, and texts that may repeat them.

use sw_chain_client::fuzzing::shown;
use sw_spec::RedactedUrl;

use crate::{Target, Verdict};

const URLS: [&str; 5] = [
    "http://localhost:8545",
    "https://user:pass-word1@node.example:8443/v1/0123456789abcdef?token=S%2FECRET-1",
    "http://[::1]:5052/eth?a=b&apikey=p%20q%20r%20s%20t",
    "https://xn--bcher-kva.example/%E2%82%AC%E2%82%AC%E2%82%AC",
    "https://us%65rname:p%40ssw%3Ard@node.example/",
];

/// A URL of the corpora.
#[expect(clippy::panic, reason = "a corpus that cannot be read is no corpus")]
pub(super) fn parsed(text: &str) -> RedactedUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(super) fn url() -> Target {
    let corpus = URLS.map(|url| url.as_bytes().to_vec()).to_vec();
    Target::new(
        "url",
        corpus,
        &["://", "@", ":", "?", "#", "%", "\\", "//", "..", "\u{ff0e}", " "],
        |input| {
            let Some(url) = str::from_utf8(input)
                .ok()
                .and_then(|text| text.parse::<RedactedUrl>().ok())
            else {
                return Ok(Verdict::Refused);
            };
            let (text, whole) = (url.to_string(), url.expose_url());
            let again = text
                .parse::<RedactedUrl>()
                .map_err(|error| format!("{text}: {error}"))?;
            if again.expose_url().origin() != whole.origin() || again.to_string() != text {
                return Err(format!("`{text}` is another place"));
            }
            if format!("{url:?}") != text || again.expose_url().path() != "/" || again.expose_url().username() != "" {
                return Err(format!("`{text}` shows more than scheme, host and port"));
            }
            Ok(Verdict::Accepted)
        },
    )
}

/// What a node says may be its own URL, with the key in it: in whichever form, the secret parts are not repeated.
pub(super) fn words() -> Target {
    let mut corpus: Vec<Vec<u8>> = URLS
        .map(|url| format!("invalid request to {url}").into_bytes())
        .to_vec();
    corpus.extend(
        [
            "not authorised: S/ECRET-1",
            "key 0123456789abcdef of user:pass-word1",
            "p@ssw:rd p%40ssw%3Ard",
        ]
        .map(Vec::from),
    );
    let urls = URLS.map(parsed);
    let tokens = &[
        "pass-word1",
        "0123456789abcdef",
        "S/ECRET-1",
        "S%2FECRET-1",
        "p+q+r+s+t",
        "p q r s t",
        "\u{1b}[31m",
        "\n",
        "p@ssw:rd",
        "username",
    ];
    Target::new("node-words", corpus, tokens, move |input| {
        for url in &urls {
            let text = shown(input, url);
            if text.chars().count() > 300 || text.chars().any(char::is_control) {
                return Err(format!("words that do not fit on a line: {text:?}"));
            }
            if let Some(secret) = secrets(url).into_iter().find(|secret| text.contains(secret)) {
                return Err(format!("`{secret}` is repeated in `{text}`"));
            }
        }
        Ok(Verdict::Accepted)
    })
    .within(crate::Memory {
        base: 128 * 1024,
        per_byte: 64,
    })
}

/// The parts of a URL that are long enough to be secrets, as they are written and as they are meant.
fn secrets(url: &RedactedUrl) -> Vec<String> {
    let known = [
        "pass-word1",
        "0123456789abcdef",
        "S/ECRET-1",
        "S%2FECRET-1",
        "p q r s t",
        "p%20q%20r%20s%20t",
        "p@ssw:rd",
        "p%40ssw%3Ard",
        "username",
    ];
    let whole = url.expose_url().as_str();
    known
        .into_iter()
        .filter(|secret| {
            let written = secret
                .replace('/', "%2F")
                .replace(' ', "%20")
                .replace('@', "%40")
                .replace(':', "%3A")
                .replace("username", "us%65rname");
            whole.contains(secret) || whole.contains(&written)
        })
        .map(str::to_owned)
        .collect()
}
