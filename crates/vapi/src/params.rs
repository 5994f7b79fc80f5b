//! Path and query parameters, with the messages that validator clients know.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::error::ApiError;

/// The decoded query of a request.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// `query` is the raw text behind the question mark.
    pub(crate) fn parse(query: &'a str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// All values of a parameter, in order.
    pub(crate) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_ref())
    }

    /// All values of a list parameter: repeated, comma-separated or both; trimmed, without empty ones.
    pub(crate) fn list<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.all(name)
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
    }

    /// A required unsigned number.
    pub(crate) fn uint(&self, name: &'static str) -> Result<u64, ApiError> {
        let value = self
            .all(name)
            .next()
            .ok_or_else(|| ApiError::bad(format!("missing query parameter {name}")))?;
        uint(name, value)
    }

    /// A required hex string of `N` bytes; the prefix may be missing.
    pub(crate) fn hex<const N: usize>(&self, name: &'static str) -> Result<[u8; N], ApiError> {
        let mut values = self.all(name);
        let (Some(text), None) = (values.next(), values.next()) else {
            return Err(ApiError::bad(format!("missing 0x-hex query parameter {name}")));
        };
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .map_err(|_| ApiError::bad(format!("invalid 0x-hex query parameter {name} [{}]", shown(text))))?;
        bytes.try_into().map_err(|_| {
            ApiError::bad(format!(
                "invalid length for 0x-hex query parameter {name}, expect {N} bytes"
            ))
        })
    }
}

/// An unsigned 64-bit decimal, digits only. The message says "path" for queries too, as validator clients know it.
pub(crate) fn uint(name: &str, text: &str) -> Result<u64, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| ApiError::bad(format!("invalid uint path parameter {name} [{}]", shown(text))))
}

/// At most 200 characters of foreign text.
fn shown(text: &str) -> &str {
    text.char_indices()
        .nth(200)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(r: Result<T, ApiError>) -> String {
        let e = r.unwrap_err();
        assert_eq!(e.status.as_u16(), 400);
        e.message
    }

    #[test]
    fn numbers_are_plain_decimals_of_64_bits() {
        assert_eq!(uint("slot", "18446744073709551615").unwrap(), u64::MAX);
        for bad in ["", "x", "-1", "+1", "1.0", "18446744073709551616", "0x1"] {
            assert_eq!(
                message(uint("slot", bad)),
                format!("invalid uint path parameter slot [{bad}]")
            );
        }
        assert_eq!(
            message(Query::parse("a=1").uint("slot")),
            "missing query parameter slot"
        );
        assert_eq!(
            message(Query::parse("slot=").uint("slot")),
            "invalid uint path parameter slot []"
        );
    }

    #[test]
    fn hex_parameters_may_lack_the_prefix_but_not_be_given_twice() {
        assert_eq!(Query::parse("r=0x0102").hex("r").unwrap(), [1, 2]);
        assert_eq!(Query::parse("r=0102").hex("r").unwrap(), [1, 2]);
        assert_eq!(
            message(Query::parse("r=0102&r=0102").hex::<2>("r")),
            "missing 0x-hex query parameter r"
        );
        assert_eq!(
            message(Query::parse("r=0xzz").hex::<2>("r")),
            "invalid 0x-hex query parameter r [0xzz]"
        );
        assert_eq!(
            message(Query::parse("r=01").hex::<2>("r")),
            "invalid length for 0x-hex query parameter r, expect 2 bytes"
        );
    }

    #[test]
    fn lists_are_repeated_or_separated_by_commas() {
        let q = Query::parse("id=1,%202&x=9&id=3,,&id=");
        assert_eq!(q.list("id").collect::<Vec<_>>(), ["1", "2", "3"]);
    }
}
