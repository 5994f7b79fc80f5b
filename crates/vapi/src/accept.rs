//! Content types: what the body is, and what the client would like to get.

use http::{HeaderMap, HeaderValue, header};

/// The two encodings of the beacon API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/octet-stream`.
    Ssz,
}

impl Encoding {
    /// The MIME type.
    #[must_use]
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ssz => "application/octet-stream",
        }
    }

    /// The MIME type as a header value.
    #[must_use]
    pub const fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.mime())
    }
}

/// What `Content-Type` says the body is; no header means JSON.
///
/// # Errors
/// The header's text, if it names neither of the two.
pub(crate) fn body_encoding(headers: &HeaderMap) -> Result<Encoding, String> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(Encoding::Json);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let lower = text.to_ascii_lowercase();
    if lower.is_empty() || lower.contains(Encoding::Json.mime()) {
        Ok(Encoding::Json)
    } else if lower.contains(Encoding::Ssz.mime()) {
        Ok(Encoding::Ssz)
    } else {
        Err(text.chars().take(100).collect())
    }
}

/// Whether the client names SSZ and ranks it above JSON, by quality (RFC 9110 12.5.1), at equal quality by order.
#[must_use]
pub(crate) fn prefers_ssz(headers: &HeaderMap) -> bool {
    let (mut ssz, mut json) = (None, None);
    let ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','));
    for (place, range) in ranges.enumerate() {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        // In thousandths, the finest step that the RFC allows; nonsense counts as 1.
        let quality = parts
            .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        let rank = (quality > 0).then_some((quality, std::cmp::Reverse(place)));
        if name == Encoding::Ssz.mime() {
            ssz = ssz.max(rank);
        } else if name == Encoding::Json.mime() {
            json = json.max(rank);
        }
    }
    ssz.is_some() && ssz > json
}

fn thousandths(q: &str) -> u32 {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole.parse::<u32>(), digits.parse::<u32>()) {
        (Ok(0), Ok(f)) => f,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for v in values {
            map.append(&name, HeaderValue::from_static(v));
        }
        map
    }

    #[test]
    fn absent_and_json_content_types_mean_json_and_foreign_ones_are_named() {
        let of = |v: &[&'static str]| body_encoding(&headers(header::CONTENT_TYPE, v));
        assert_eq!(of(&[]), Ok(Encoding::Json));
        assert_eq!(of(&[""]), Ok(Encoding::Json));
        assert_eq!(of(&["Application/JSON; charset=utf-8"]), Ok(Encoding::Json));
        assert_eq!(of(&["application/octet-stream"]), Ok(Encoding::Ssz));
        assert_eq!(of(&["text/plain"]), Err("text/plain".into()));
    }

    #[test]
    fn ssz_is_preferred_only_when_it_is_named_and_ranked_first() {
        for (accept, ssz) in [
            (vec![], false),
            (vec!["*/*"], false),
            (vec!["application/json"], false),
            (vec!["application/octet-stream"], true),
            (vec!["application/octet-stream;q=0.95,application/json;q=0.9"], true),
            (vec!["application/octet-stream;q=1, application/json;q=0.9"], true),
            (vec!["application/json;q=1,application/octet-stream;q=0.9"], false),
            (vec!["application/octet-stream,application/json"], true),
            (vec!["application/json,application/octet-stream"], false),
            (vec!["application/json;q=0.5", "application/octet-stream"], true),
            (vec!["application/octet-stream;q=0"], false),
            (vec!["application/octet-stream;q=0,application/json"], false),
        ] {
            assert_eq!(prefers_ssz(&headers(header::ACCEPT, &accept)), ssz, "{accept:?}");
        }
    }
}
