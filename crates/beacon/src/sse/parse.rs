//! Bytes of a `text/event-stream` to events (HTML standard, 9.2.6), with a bound on what is kept.

/// Largest event in bytes. A head event has about 500.
const EVENT_LIMIT: usize = 256 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The `event` field; empty if there was none.
    pub(crate) name: String,
    /// The `data` lines, joined by newlines.
    pub(crate) data: String,
}

/// The stream sent more than an event's worth without ending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_LIMIT} bytes")]
pub(crate) struct TooLong;

/// Keeps the unfinished line and the unfinished event.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    name: String,
    data: Option<String>,
}

impl Parser {
    /// Takes the next bytes and returns the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut out = Vec::new();
        for &byte in bytes {
            let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if was_cr => {}
                b'\n' | b'\r' => out.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            let kept = self
                .data
                .as_ref()
                .map_or(0, String::len)
                .saturating_add(self.line.len());
            if kept > EVENT_LIMIT {
                return Err(TooLong);
            }
        }
        Ok(out)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return self.data.take().map(|data| Event { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            // Comments (an empty field), `id`, `retry` and what may come.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.into(),
            data: data.into(),
        }
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let stream = b":hello\n\nevent: head\r\ndata: {\"a\":1}\r\n\r\ndata:x\ndata: y\nid: 3\n\nevent: lost\n\nrest";
        let expected = vec![event("head", "{\"a\":1}"), event("", "x\ny")];
        for cut in 0..=stream.len() {
            let mut parser = Parser::default();
            let mut events = parser.push(&stream[..cut]).unwrap();
            events.extend(parser.push(&stream[cut..]).unwrap());
            assert_eq!(events, expected, "cut at {cut}");
        }
    }

    #[test]
    fn stream_without_end_of_line_or_event_is_refused() {
        assert_eq!(Parser::default().push(&vec![b'a'; EVENT_LIMIT + 1]), Err(TooLong));
        let lines = b"data: 0123456789\n".repeat(EVENT_LIMIT / 10);
        assert_eq!(Parser::default().push(&lines), Err(TooLong));
    }
}
