//! Settings of the validator API.

use std::fmt;

use http::{HeaderMap, header};

use crate::{cors::Origins, tls::Tls};

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct Config {
    /// What `GET /eth/v1/node/version` answers, for example `obolnetwork/charon/v1.11.0-abcdef0/amd64-linux`. It must
    /// contain `charon`: some validator clients then skip a comparison that cannot hold behind a middleware.
    pub node_version: String,
    /// Pass on only what the stock validator clients ask for; everything else is answered 404.
    pub allow_list: bool,
    /// Answer in JSON even to clients that prefer SSZ.
    pub json_only: bool,
    /// The web pages that may read answers; [`Origins::Own`] are none until it says where that is.
    pub origins: Origins,
    /// What every request must bring; `None` lets everybody in.
    pub token: Option<Token>,
    /// Serve TLS instead of plain HTTP.
    pub tls: Option<Tls>,
}

impl Config {
    /// Everything open: no allow-list, no token, no TLS, SSZ for those who prefer it.
    #[must_use]
    pub const fn new(node_version: String) -> Self {
        Self {
            node_version,
            allow_list: false,
            json_only: false,
            origins: Origins::Own,
            token: None,
            tls: None,
        }
    }
}

/// A bearer token.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl fmt::Debug for Token {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A text is no usable bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Too short to keep anybody out.
    #[error("the token has {0} characters, at least {MIN_TOKEN} are needed")]
    Short(usize),
    /// It cannot stand in a header.
    #[error("the token has characters that cannot stand in a header; use letters, digits and -._~+/=")]
    Characters,
}

/// Shortest token, in characters.
const MIN_TOKEN: usize = 16;

impl Token {
    /// The token in `text`, without white space around it.
    ///
    /// # Errors
    /// If it is short or has characters that RFC 6750 does not allow.
    pub fn new(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        if !text.bytes().all(allowed) {
            Err(BadToken::Characters)
        } else if text.len() < MIN_TOKEN {
            Err(BadToken::Short(text.len()))
        } else {
            Ok(Self(text.as_bytes().to_vec()))
        }
    }

    /// Whether the request brings it. Takes equally long however much of it is right.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let (scheme, given) = value.as_bytes().split_at(value.len().min(7));
        let different = self.0.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        scheme.eq_ignore_ascii_case(b"bearer ") && given.len() == self.0.len() && different == 0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_whole_or_wrong() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            token.is_in(&headers)
        };
        assert!(with(&["Bearer 0123456789abcdef"]));
        assert!(with(&["bearer 0123456789abcdef"]));
        for wrong in [
            vec![],
            vec![""],
            vec!["Bearer "],
            vec!["Bearer 0123456789abcde"],
            vec!["Bearer 0123456789abcdef0"],
            vec!["Bearer 0123456789abcdeF"],
            vec!["Basic 0123456789abcdef"],
            vec!["0123456789abcdef"],
            vec!["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert!(!with(&wrong), "{wrong:?}");
        }
        assert_eq!(Token::new("short").unwrap_err(), BadToken::Short(5));
        assert_eq!(Token::new("0123456789 abcdef").unwrap_err(), BadToken::Characters);
        assert!(!format!("{token:?}").contains("0123"));
    }
}
