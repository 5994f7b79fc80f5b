//! What an exchange of priorities came to, as it is agreed on and as it is read.
//!
//! Guarantees: the agreed bytes stay as they came; a result with anything but texts in it cannot be read at all.
//! Not here: how it is calculated (`calculate`), what it is used for (`infosync`).

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::{Any, Value, value::Kind};
use trireme_proto::core::v1 as pb;

use crate::step::{Subject, Subjects};

/// The result as nodes agree on it. It is about no validator.
#[derive(Debug, Clone, PartialEq)]
pub struct PriorityResult(pub pb::PriorityResult);

impl Subjects for PriorityResult {
    fn subjects(&self) -> Vec<Subject> {
        Vec::new()
    }
}

/// A topic or a priority that is no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a topic or priority is a {0:?}, not a text")]
pub struct NoText(String);

const VALUE: &str = "google.protobuf.Value";

/// Wraps a text twice, as topics and priorities travel (p2p.md 8.1).
#[must_use]
pub fn wrap(text: &str) -> Any {
    let value = Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    };
    Any {
        type_url: format!("type.googleapis.com/{VALUE}"),
        value: value.encode_to_vec(),
    }
}

/// The text in a topic or priority.
///
/// # Errors
/// [`NoText`] if it holds something else.
pub fn unwrap(any: &Any) -> Result<String, NoText> {
    let other = || NoText(any.type_url.chars().take(120).collect());
    if any.type_url.rsplit('/').next() != Some(VALUE) {
        return Err(other());
    }
    match Value::decode(any.value.as_slice()).map(|v| v.kind) {
        Ok(Some(Kind::StringValue(text))) => Ok(text),
        Ok(
            None
            | Some(
                Kind::NullValue(_)
                | Kind::NumberValue(_)
                | Kind::BoolValue(_)
                | Kind::StructValue(_)
                | Kind::ListValue(_),
            ),
        )
        | Err(_) => Err(other()),
    }
}

impl PriorityResult {
    /// Per topic the chosen priorities, best first. A topic that comes twice counts once, with what came last.
    ///
    /// # Errors
    /// [`NoText`] if one of them is none.
    pub fn texts(&self) -> Result<BTreeMap<String, Vec<String>>, NoText> {
        let nothing = Any::default();
        let topics = self.0.topics.iter().map(|topic| {
            let name = unwrap(topic.topic.as_ref().unwrap_or(&nothing))?;
            let list = topic.priorities.iter();
            let list = list.map(|p| unwrap(p.priority.as_ref().unwrap_or(&nothing)));
            Ok((name, list.collect::<Result<_, _>>()?))
        });
        topics.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_out_as_it_went_in_and_an_empty_one_keeps_its_field() {
        assert_eq!(wrap("").value, [0x1a, 0]);
        for text in ["", "version", "v1.11"] {
            assert_eq!(unwrap(&wrap(text)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_result_with_a_number_in_it_cannot_be_read() {
        let number = Value {
            kind: Some(Kind::NumberValue(1.0)),
        };
        let number = Any {
            value: number.encode_to_vec(),
            ..wrap("")
        };
        let topic = |priority: Any| pb::PriorityTopicResult {
            topic: Some(wrap("version")),
            priorities: vec![pb::PriorityScoredResult {
                priority: Some(priority),
                score: 1,
            }],
        };
        let result = |topics| {
            PriorityResult(pb::PriorityResult {
                msgs: Vec::new(),
                topics,
            })
        };
        assert!(result(vec![topic(wrap("v1.10"))]).texts().is_ok());
        assert!(result(vec![topic(wrap("v1.10")), topic(number)]).texts().is_err());
        assert!(result(vec![topic(Any::default())]).texts().is_err());
    }
}
