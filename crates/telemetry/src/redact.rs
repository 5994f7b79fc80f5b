//! Addresses without what must not be read by others.

use std::borrow::Cow;

use url::Url;

/// The address without user, password, query and fragment: those may hold credentials or API keys.
///
/// A text that is no URL comes back as `<not a URL>`, since nobody knows what is in it.
#[must_use]
pub fn redacted(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return "<not a URL>".to_owned();
    };
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        // Such URLs (`mailto:`, `data:`) have no host, hence no place for user info.
        return format!("{}:", url.scheme());
    }
    url.set_query(None);
    url.set_fragment(None);
    let text = url.to_string();
    text.strip_suffix('/').map(str::to_owned).unwrap_or(text)
}

/// A text in which every URL has lost its user, password and query. The last line of defence for logs and traces: whoever
/// writes an address on purpose uses [`redacted`].
#[must_use]
pub fn scrubbed(text: &str) -> Cow<'_, str> {
    const SCHEME: &str = "://";
    if !text.contains(SCHEME) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(SCHEME) {
        out.push_str(before);
        out.push_str(SCHEME);
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | ',' | ';');
        let (url, behind) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        let (url, _query) = url.split_once('?').unwrap_or((url, ""));
        let host_end = url.find('/').unwrap_or(url.len());
        let (authority, path) = url.split_at(host_end);
        out.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        out.push_str(path);
        rest = behind;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::{redacted, scrubbed};

    #[test]
    fn user_info_and_query_are_cut_out() {
        assert_eq!(
            redacted("https://me:secret@bn.example:5052/eth?apikey=x#y"),
            "https://bn.example:5052/eth"
        );
        assert_eq!(redacted("http://127.0.0.1:5052"), "http://127.0.0.1:5052");
    }

    #[test]
    fn text_that_is_no_url_is_not_repeated() {
        assert!(!redacted("my secret").contains("secret"));
        assert!(!redacted("data:secret").contains("secret"));
    }

    #[test]
    fn urls_within_a_text_lose_what_is_secret_and_nothing_else() {
        for (text, expected) in [
            ("no address", "no address"),
            ("at http://bn:5052/eth: refused", "at http://bn:5052/eth: refused"),
            (
                "a http://u:secret@bn:5052/eth/v1?key=secret, b https://secret@x",
                "a http://bn:5052/eth/v1, b https://x",
            ),
            ("(\"http://u:p@ss@bn/\")", "(\"http://bn/\")"),
            ("ends with ://", "ends with ://"),
            ("http://[::1]:5052/x", "http://[::1]:5052/x"),
        ] {
            assert_eq!(scrubbed(text), expected);
        }
    }
}
