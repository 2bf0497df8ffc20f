//! URLs that may hold credentials.

use std::{fmt, str::FromStr};

use url::Url;

/// A text that is not an `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an http or https URL with a host, such as `http://localhost:8545`")]
pub struct ParseUrlError;

/// An HTTP URL that shows only its scheme, host and port.
///
/// Providers put keys into the user part, the path and the query, so none of them is ever displayed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedactedUrl(Url);

impl RedactedUrl {
    /// The whole URL, for the one place that makes the request.
    pub fn expose_url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for RedactedUrl {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text.trim()).map_err(|_| ParseUrlError)?;
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
        usable.then_some(Self(url)).ok_or(ParseUrlError)
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_host_and_port_are_shown() {
        let url: RedactedUrl = "https://user:pass@node.example:8443/v1/KEY?token=SECRET"
            .parse()
            .expect("a URL");
        assert_eq!(
            format!("{url} {url:?}"),
            "https://node.example:8443 https://node.example:8443"
        );
        assert!(url.expose_url().as_str().contains("SECRET"));
    }

    #[test]
    fn other_schemes_are_refused() {
        for text in ["ftp://host/", "localhost:8545", "/ip4/127.0.0.1", ""] {
            assert_eq!(text.parse::<RedactedUrl>(), Err(ParseUrlError), "{text}");
        }
    }
}
