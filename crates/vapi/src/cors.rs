//! Which web pages may read the answers in a browser (CORS; VC-111).
//!
//! Guarantees: only pages of the origins that are named, or of the address that is listened at, get a browser's
//! permission; what beacon nodes say about it does not count; a request without an origin, as every validator client
//! sends it, is left as it is.
//! Not here: who may ask at all (`config::Token`). A browser keeps answers from pages, not questions from the node.

use std::{fmt, net::SocketAddr};

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

/// Headers of the beacon API that pages may send and see besides the usual ones.
const VERSION: HeaderName = HeaderName::from_static("eth-consensus-version");
const BLINDED: HeaderName = HeaderName::from_static("eth-execution-payload-blinded");
const PAYLOAD_VALUE: HeaderName = HeaderName::from_static("eth-execution-payload-value");
const BLOCK_VALUE: HeaderName = HeaderName::from_static("eth-consensus-block-value");

/// The pages that may read answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Those of the address that is listened at.
    #[default]
    Own,
    /// Those of these origins, each in the form that browsers send.
    Named(Vec<HeaderValue>),
    /// All.
    Any,
}

/// A text names no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: write it as https://pages.example:8080, or * for every page")]
pub struct BadOrigin(String);

impl Origins {
    /// The origins that are listed, or every page if `*` is among them; without any those of the own address.
    ///
    /// # Errors
    /// If a text is more, or less, than scheme, host and port.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, BadOrigin> {
        if texts.is_empty() {
            return Ok(Self::Own);
        }
        let mut named = Vec::new();
        let mut any = false;
        for text in texts.iter().map(AsRef::as_ref) {
            if text == "*" {
                any = true;
            } else {
                named.push(origin(text).ok_or_else(|| BadOrigin(text.to_owned()))?);
            }
        }
        Ok(if any { Self::Any } else { Self::Named(named) })
    }

    /// In place of [`Origins::Own`] the origin of this listener.
    #[must_use]
    pub fn at(self, listener: SocketAddr, tls: bool) -> Self {
        match self {
            Self::Own => {
                let scheme = if tls { "https" } else { "http" };
                Self::Named(origin(&format!("{scheme}://{listener}")).into_iter().collect())
            }
            Self::Named(_) | Self::Any => self,
        }
    }

    pub(crate) fn layer(&self) -> CorsLayer {
        let allowed = match self {
            Self::Own => AllowOrigin::list([]),
            Self::Named(list) => AllowOrigin::list(list.iter().cloned()),
            Self::Any => AllowOrigin::any(),
        };
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, VERSION])
            .expose_headers([VERSION, BLINDED, PAYLOAD_VALUE, BLOCK_VALUE])
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own address"),
            Self::Named(list) => {
                let texts: Vec<_> = list.iter().filter_map(|o| o.to_str().ok()).collect();
                f.write_str(&texts.join(","))
            }
            Self::Any => f.write_str("*"),
        }
    }
}

/// The origin as browsers write it: without the port that goes without saying, an IPv6 address in brackets.
fn origin(text: &str) -> Option<HeaderValue> {
    let url = Url::parse(text).ok()?;
    let only_origin = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !only_origin {
        return None;
    }
    HeaderValue::from_str(&url.origin().ascii_serialization()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vc_111_default_is_the_own_address_with_brackets_around_ipv6() {
        let own = |address: &str, tls| Origins::default().at(address.parse().unwrap(), tls).to_string();
        assert_eq!(own("[::1]:5062", false), "http://[::1]:5062");
        assert_eq!(own("127.0.0.1:3600", true), "https://127.0.0.1:3600");
        assert_eq!(own("127.0.0.1:80", false), "http://127.0.0.1");
    }

    #[test]
    fn vc_111_origins_are_read_as_browsers_write_them() {
        let read = |texts: &[&str]| Origins::parse(texts).map(|o| o.to_string());
        assert_eq!(
            read(&["https://Pages.example:443/"]),
            Ok("https://pages.example".into())
        );
        assert_eq!(
            read(&["http://a:1", "http://[::1]:5062"]),
            Ok("http://a:1,http://[::1]:5062".into())
        );
        assert_eq!(read(&["http://a:1", "*"]), Ok("*".into()));
        assert_eq!(Origins::parse::<&str>(&[]), Ok(Origins::Own));
    }

    #[test]
    fn vc_111_what_is_no_origin_is_an_error_and_no_panic() {
        for bad in [
            "",
            "pages.example",
            "null",
            "http://",
            "http://a/path",
            "http://me@a",
            "http://a?x=1",
            "ftp://a",
            "http://a b",
            "\n",
        ] {
            let error = Origins::parse(&[bad]).unwrap_err().to_string();
            assert!(error.contains("is no origin"), "{bad:?}: {error}");
        }
    }
}
