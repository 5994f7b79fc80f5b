//! Addresses without what must not be read by others.

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

#[cfg(test)]
mod tests {
    use super::redacted;

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
}
