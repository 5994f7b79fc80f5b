//! JSON as Go programs read and write it (cluster.md section 1).
//!
//! Reading: any key order, unknown keys ignored, key case ignored when there is no exact match, `null` and missing as
//! empty. Writing: indentation by spaces, and `<`, `>`, `&`, U+2028 and U+2029 escaped inside strings.

use std::{fmt, io};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{
    Map, Value,
    ser::{CompactFormatter, Formatter, PrettyFormatter},
};

/// Largest cluster file that is looked at, in bytes. A lock of 1,000 validators and 13 operators has about 3 MB.
pub const MAX_FILE: usize = 256 << 20;

/// Why a cluster file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Larger than [`MAX_FILE`].
    #[error("the file has {0} bytes, more than any cluster file")]
    TooLarge(usize),
    /// Not JSON.
    #[error("the file is not JSON: {0}; it may be truncated")]
    Json(String),
    /// A schema version that we do not know.
    #[error(transparent)]
    Version(#[from] crate::version::UnknownVersion),
    /// A field is of the wrong shape.
    #[error("{path}: {reason}")]
    Field {
        /// The way to the field, as in `cluster_definition.operators[2].enr`.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// Decodes a file of bounded size.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    if bytes.len() > MAX_FILE {
        return Err(ParseError::TooLarge(bytes.len()));
    }
    serde_json::from_slice(bytes).map_err(|e| ParseError::Json(e.to_string()))
}

/// How bytes stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// `0x` and hex digits.
    Hex,
    /// Standard base64, in the two oldest schemas.
    Base64,
}

/// A value with the way that led to it, for messages.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    path: String,
    value: &'a Value,
}

static NULL: Value = Value::Null;

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self {
            path: String::new(),
            value,
        }
    }

    pub(crate) fn bad(&self, reason: impl fmt::Display) -> ParseError {
        let path = if self.path.is_empty() {
            "the file".to_owned()
        } else {
            self.path.clone()
        };
        ParseError::Field {
            path,
            reason: reason.to_string(),
        }
    }

    fn expected<T>(&self, what: &str) -> Result<T, ParseError> {
        Err(self.bad(format_args!("expected {what}")))
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.value.is_null()
    }

    fn object(&self) -> Result<Option<&'a Map<String, Value>>, ParseError> {
        match self.value {
            Value::Object(map) => Ok(Some(map)),
            Value::Null => Ok(None),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => self.expected("an object"),
        }
    }

    /// The member of that name; `null` if it is missing.
    pub(crate) fn get(&self, key: &str) -> Result<Self, ParseError> {
        let value = self.object()?.and_then(|map| {
            map.get(key)
                .or_else(|| map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v))
        });
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Ok(Self {
            path,
            value: value.unwrap_or(&NULL),
        })
    }

    pub(crate) fn string(&self) -> Result<String, ParseError> {
        match self.value {
            Value::String(s) => Ok(s.clone()),
            Value::Null => Ok(String::new()),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => self.expected("a string"),
        }
    }

    pub(crate) fn u64(&self) -> Result<u64, ParseError> {
        match self.value {
            Value::Null => Ok(0),
            value => value
                .as_u64()
                .map_or_else(|| self.expected("a number from 0 to 2^64 - 1"), Ok),
        }
    }

    pub(crate) fn i64(&self) -> Result<i64, ParseError> {
        match self.value {
            Value::Null => Ok(0),
            value => value.as_i64().map_or_else(|| self.expected("a whole number"), Ok),
        }
    }

    pub(crate) fn bool(&self) -> Result<bool, ParseError> {
        match self.value {
            Value::Null => Ok(false),
            Value::Bool(b) => Ok(*b),
            Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => self.expected("true or false"),
        }
    }

    /// A decimal number in quotes; empty and missing are 0.
    pub(crate) fn quoted_u64(&self) -> Result<u64, ParseError> {
        let text = match self.value {
            Value::Null => return Ok(0),
            Value::String(s) => s,
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return self.expected("a decimal number in quotes");
            }
        };
        match text.parse() {
            Ok(n) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(n),
            _ => self.expected("a decimal number in quotes"),
        }
    }

    pub(crate) fn bytes(&self, form: Bytes) -> Result<Vec<u8>, ParseError> {
        let text = self.string()?;
        match form {
            Bytes::Hex => {
                hex::decode(text.strip_prefix("0x").unwrap_or(&text)).or_else(|_| self.expected("0x and hex digits"))
            }
            Bytes::Base64 => STANDARD.decode(text).or_else(|_| self.expected("base64")),
        }
    }

    /// The items of a list; `None` for `null` and missing.
    pub(crate) fn list(&self) -> Result<Option<Vec<Self>>, ParseError> {
        match self.value {
            Value::Null => Ok(None),
            Value::Array(items) => Ok(Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(n, value)| Self {
                        path: format!("{}[{n}]", self.path),
                        value,
                    })
                    .collect(),
            )),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => self.expected("a list"),
        }
    }

    /// Every item of a list through `read`; nothing for `null` and missing.
    pub(crate) fn each<T>(&self, read: impl FnMut(&Self) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
        self.list()?.unwrap_or_default().iter().map(read).collect()
    }
}

/// The text of bytes in a file; empty bytes are the empty text.
pub(crate) fn text_of(bytes: &[u8], form: Bytes) -> String {
    match form {
        _ if bytes.is_empty() => String::new(),
        Bytes::Hex => format!("0x{}", hex::encode(bytes)),
        Bytes::Base64 => STANDARD.encode(bytes),
    }
}

/// Writes with `indent` spaces per level, or on one line for 0; no line end behind it.
#[expect(
    clippy::expect_used,
    reason = "our own values have string keys and are written to memory"
)]
pub(crate) fn write(value: &impl Serialize, indent: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let spaces = vec![b' '; indent];
    let done = if indent == 0 {
        value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut out,
            GoStrings(CompactFormatter),
        ))
    } else {
        let pretty = PrettyFormatter::with_indent(&spaces);
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, GoStrings(pretty)))
    };
    done.expect("plain data is written to memory");
    out
}

/// Escapes in strings what Go's encoder escapes; everything else is the inner formatter's.
struct GoStrings<F>(F);

impl<F: Formatter> Formatter for GoStrings<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, w: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            w.write_all(plain.as_bytes())?;
            let mut chars = special.chars();
            if let Some(c) = chars.next() {
                write!(w, "\\u{:04x}", u32::from(c))?;
            }
            rest = chars.as_str();
        }
        w.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_array(w)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_array(w)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(w, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_array_value(w)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_object(w)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_object(w)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(w, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_object_value(w)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_object_value(w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does_it() {
        let text = String::from_utf8(write(&"a<b>&c\u{2028}\u{2029}é\"\n", 1)).unwrap();
        assert_eq!(text, r#""a\u003cb\u003e\u0026c\u2028\u2029é\"\n""#);
    }

    #[test]
    fn keys_are_found_in_another_case_only_without_an_exact_match() {
        let value = serde_json::json!({"Name": "other", "name": "exact", "UUID": "u"});
        let node = Node::root(&value);
        assert_eq!(node.get("name").unwrap().string().unwrap(), "exact");
        assert_eq!(node.get("uuid").unwrap().string().unwrap(), "u");
        assert_eq!(node.get("absent").unwrap().string().unwrap(), "");
    }

    #[test]
    fn messages_name_the_way_to_the_field() {
        let value = serde_json::json!({"operators": [{"enr": 5}]});
        let list = Node::root(&value).get("operators").unwrap().list().unwrap().unwrap();
        let error = list[0].get("enr").unwrap().string().unwrap_err();
        assert_eq!(error.to_string(), "operators[0].enr: expected a string");
    }

    #[test]
    fn numbers_out_of_range_and_half_digits_are_refused() {
        let value = serde_json::json!({"a": -1, "b": 1.5, "c": "0x123", "d": 32, "e": "+1"});
        let node = Node::root(&value);
        assert!(node.get("a").unwrap().u64().is_err());
        assert!(node.get("b").unwrap().u64().is_err());
        assert!(node.get("c").unwrap().bytes(Bytes::Hex).is_err());
        assert!(node.get("d").unwrap().quoted_u64().is_err());
        assert!(node.get("e").unwrap().quoted_u64().is_err());
    }
}
