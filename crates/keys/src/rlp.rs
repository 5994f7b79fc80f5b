//! The little of RLP that an ENR needs: one list of byte strings.
//!
//! Guarantees: nothing is allocated beyond the input's own size, lengths are checked before use.
//! The reader is lenient where other nodes are: lengths may be written longer than needed, and bytes behind the list are
//! ignored.

/// Reads a list of byte strings; `None` if the bytes are something else or end too early.
pub(crate) fn decode_list(input: &[u8]) -> Option<Vec<&[u8]>> {
    let (kind, mut body, _behind) = item(input)?;
    if kind != Kind::List {
        return None;
    }
    let mut out = Vec::new();
    while !body.is_empty() {
        let (kind, content, rest) = item(body)?;
        if kind != Kind::Bytes {
            return None;
        }
        out.push(content);
        body = rest;
    }
    Some(out)
}

/// Writes a list of byte strings in the canonical form.
pub(crate) fn encode_list<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for item in items {
        match item {
            [byte] if *byte < 0x80 => body.push(*byte),
            _ => {
                head(&mut body, 0x80, item.len());
                body.extend_from_slice(item);
            }
        }
    }
    let mut out = Vec::with_capacity(body.len().saturating_add(9));
    head(&mut out, 0xc0, body.len());
    out.extend_from_slice(&body);
    out
}

#[derive(PartialEq, Eq)]
enum Kind {
    Bytes,
    List,
}

/// The first item: its kind, its content and what follows.
fn item(input: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let (&first, rest) = input.split_first()?;
    let (kind, short) = match first {
        0x00..=0x7f => {
            let (content, rest) = input.split_at_checked(1)?;
            return Some((Kind::Bytes, content, rest));
        }
        0x80..=0xbf => (Kind::Bytes, first.checked_sub(0x80)?),
        0xc0..=0xff => (Kind::List, first.checked_sub(0xc0)?),
    };
    let (len, rest) = match short.checked_sub(55) {
        None | Some(0) => (usize::from(short), rest),
        Some(len_of_len) => {
            let (len, rest) = rest.split_at_checked(usize::from(len_of_len))?;
            let len = len
                .iter()
                .try_fold(0_usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))?;
            (len, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((kind, content, rest))
}

fn head(out: &mut Vec<u8>, base: u8, len: usize) {
    let bytes = len.to_be_bytes();
    let significant = bytes
        .iter()
        .position(|b| *b != 0)
        .and_then(|at| bytes.get(at..))
        .unwrap_or_default();
    match significant {
        [] => out.push(base),
        [n] if *n <= 55 => out.push(base.saturating_add(*n)),
        _ => {
            // At most eight bytes of length: 0xb7 + 8 and 0xf7 + 8 fit.
            let count = u8::try_from(significant.len()).unwrap_or(8);
            out.push(base.saturating_add(55).saturating_add(count));
            out.extend_from_slice(significant);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_yellow_paper_hold() {
        assert_eq!(encode_list([b"cat".as_slice(), b"dog"]), b"\xc8\x83cat\x83dog");
        assert_eq!(encode_list([[].as_slice(), &[0x0f], &[0x80]]), b"\xc4\x80\x0f\x81\x80");
        assert_eq!(decode_list(b"\xc0"), Some(vec![]));
    }

    #[test]
    fn long_lengths_and_trailing_bytes_are_read() {
        assert_eq!(decode_list(b"\xf8\x04\x83cat"), Some(vec![b"cat".as_slice()]));
        assert_eq!(decode_list(b"\xc4\x83catxyz"), Some(vec![b"cat".as_slice()]));
    }

    #[test]
    fn lies_about_lengths_and_nested_lists_are_refused() {
        assert_eq!(decode_list(b""), None);
        assert_eq!(decode_list(b"\xc5\x83cat"), None);
        assert_eq!(decode_list(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(decode_list(b"\xc1\xc0"), None);
        assert_eq!(decode_list(b"\x83cat"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8)) {
            let bytes = encode_list(items.iter().map(Vec::as_slice));
            prop_assert_eq!(decode_list(&bytes), Some(items.iter().map(Vec::as_slice).collect()));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode_list(&bytes);
        }
    }
}
