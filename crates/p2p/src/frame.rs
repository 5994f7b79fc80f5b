//! One message on a stream: its length as an unsigned varint, then its bytes (p2p.md 3.2).
//!
//! Guarantees: the length is checked before anything is set aside for it, and memory grows with what has arrived, not
//! with what was announced; a length must be minimal and at most 9 bytes long; length 0 is a message.
//! Not here: time limits, and what the bytes mean.

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Largest message of any protocol without a limit of its own, in bytes, inclusive.
pub const MAX_FRAME: usize = 128 * 1024 * 1024;
/// Longest length prefix, in bytes.
const MAX_PREFIX: usize = 9;
/// How much is set aside before any byte of the message has come.
const FIRST_CHUNK: usize = 64 * 1024;
/// A message up to this size is written together with its prefix.
const WRITE_TOGETHER: usize = 16 * 1024;

/// Why no message could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended before the first byte: the other side has nothing to say.
    #[error("the stream ended without a message")]
    Empty,
    /// The stream ended within the prefix or the message.
    #[error("the stream ended within a message")]
    Cut,
    /// The length is not in its shortest form, or longer than 9 bytes.
    #[error("the length of the message is not a minimal varint of at most {MAX_PREFIX} bytes")]
    BadLength,
    /// The message is larger than the protocol allows.
    #[error("the message has {len} bytes, at most {max} are accepted")]
    TooLarge {
        /// Announced bytes.
        len: u64,
        /// Accepted bytes.
        max: usize,
    },
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
}

impl FrameError {
    /// Whether the other side, or a relay between, reset the stream: routine (p2p.md 3.5).
    #[must_use]
    pub fn is_reset(&self) -> bool {
        matches!(self, Self::Io(e) if is_reset(e))
    }
}

/// Whether the error is what a reset stream or a lost connection gives.
#[must_use]
pub fn is_reset(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::WriteZero
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}

/// Reads the length of the coming message.
///
/// # Errors
///
/// If the stream ends, the varint is not well formed, or the length is above `max`.
pub async fn read_len<R: AsyncRead + Unpin>(stream: &mut R, max: usize) -> Result<usize, FrameError> {
    let mut len = 0_u64;
    for at in 0..MAX_PREFIX {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Err(if at == 0 { FrameError::Empty } else { FrameError::Cut });
        }
        let [byte] = byte;
        len |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            if byte == 0 && at > 0 {
                return Err(FrameError::BadLength);
            }
            return match usize::try_from(len) {
                Ok(len) if len <= max => Ok(len),
                _ => Err(FrameError::TooLarge { len, max }),
            };
        }
    }
    Err(FrameError::BadLength)
}

/// Reads a message of `len` bytes, which the caller has checked.
///
/// # Errors
///
/// If the stream ends or breaks before.
pub async fn read_body<R: AsyncRead + Unpin>(stream: &mut R, len: usize) -> Result<Bytes, FrameError> {
    let mut body = Vec::new();
    while body.len() < len {
        let have = body.len();
        let want = len.min(have.saturating_mul(2).max(FIRST_CHUNK));
        body.resize(want, 0);
        let mut filled = have;
        while let Some(room) = body.get_mut(filled..).filter(|r| !r.is_empty()) {
            match stream.read(room).await? {
                0 => return Err(FrameError::Cut),
                n => filled = filled.saturating_add(n),
            }
        }
    }
    Ok(body.into())
}

/// Reads a message of at most `max` bytes. Bytes after it stay in the stream.
///
/// # Errors
///
/// As [`read_len`] and [`read_body`].
pub async fn read_frame<R: AsyncRead + Unpin>(stream: &mut R, max: usize) -> Result<Bytes, FrameError> {
    let len = read_len(stream, max).await?;
    read_body(stream, len).await
}

/// Writes a message and flushes it. The stream stays open: close it before dropping it, or the message may be lost.
///
/// # Errors
///
/// If the stream breaks.
pub async fn write_frame<W: AsyncWrite + Unpin>(stream: &mut W, body: &[u8]) -> io::Result<()> {
    let mut buffer = unsigned_varint::encode::usize_buffer();
    let prefix = unsigned_varint::encode::usize(body.len(), &mut buffer);
    if body.len() <= WRITE_TOGETHER {
        stream.write_all(&[prefix, body].concat()).await?;
    } else {
        stream.write_all(prefix).await?;
        stream.write_all(body).await?;
    }
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    fn read(bytes: &[u8], max: usize) -> Result<Bytes, FrameError> {
        block_on(read_frame(&mut Cursor::new(bytes), max))
    }

    #[test]
    fn a_message_comes_back_and_bytes_after_it_stay() {
        let mut stream = Cursor::new(b"\x03abcde".to_vec());
        assert_eq!(block_on(read_frame(&mut stream, 10)).unwrap(), "abc");
        assert_eq!(stream.position(), 4);
    }

    #[test]
    fn the_limit_is_inclusive_and_checked_before_the_body_is_there() {
        assert_eq!(read(b"\x02ab", 2).unwrap(), "ab");
        assert!(matches!(read(b"\x03", 2), Err(FrameError::TooLarge { len: 3, max: 2 })));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(read(&huge, MAX_FRAME), Err(FrameError::TooLarge { len, .. }) if len == u64::MAX >> 1));
    }

    #[test]
    fn an_announced_message_that_never_comes_sets_aside_one_chunk_only() {
        struct Counting(usize);
        impl AsyncRead for Counting {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<io::Result<usize>> {
                self.0 = self.0.max(buf.len());
                std::task::Poll::Ready(Ok(0))
            }
        }
        let mut stream = Counting(0);
        assert!(matches!(
            block_on(read_body(&mut stream, MAX_FRAME)),
            Err(FrameError::Cut)
        ));
        assert_eq!(stream.0, FIRST_CHUNK);
    }

    #[test]
    fn an_empty_stream_is_told_from_a_cut_one() {
        assert!(matches!(read(b"", 10), Err(FrameError::Empty)));
        assert!(matches!(read(b"\x80", 10), Err(FrameError::Cut)));
        assert!(matches!(read(b"\x02a", 10), Err(FrameError::Cut)));
    }

    #[test]
    fn the_body_may_come_in_a_later_piece_than_its_length() {
        let body = vec![7; 200_000];
        let mut wire = Vec::new();
        block_on(write_frame(&mut wire, &body)).unwrap();
        let (prefix, rest) = wire.split_at(3);
        let mut stream = futures::AsyncReadExt::chain(Cursor::new(prefix.to_vec()), Cursor::new(rest.to_vec()));
        assert_eq!(block_on(read_frame(&mut stream, MAX_FRAME)).unwrap(), body);
    }
}
