//! Bearer tokens.

use std::fmt;

use zeroize::Zeroizing;

/// Longer than any token.
const MAX: usize = 4096;

/// What a keymanager knows its clients by. Never shown; wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

/// Why a text is no token. The text itself is in no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing there.
    #[error("the token is empty")]
    Empty,
    /// HTTP cannot carry it.
    #[error("the token holds white space or characters that are not ASCII; it must be one word, without \"Bearer\"")]
    Characters,
    /// Not a token.
    #[error("the token has more than {MAX} characters; is it another file?")]
    Long,
}

impl Token {
    /// Reads a token as it stands on the command line or in a file: white space around it and the word `Bearer` before it
    /// are no part of it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let text = text.strip_prefix("Bearer ").map_or(text, str::trim_start);
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if text.len() > MAX {
            return Err(TokenError::Long);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Characters);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_the_word_bearer_are_no_part_of_a_token() {
        let plain = Token::parse("api-token-0xabc").unwrap();
        for text in ["api-token-0xabc\n", " api-token-0xabc\r\n", "Bearer api-token-0xabc"] {
            assert_eq!(Token::parse(text).unwrap(), plain);
        }
        assert_eq!(Token::parse(" \n"), Err(TokenError::Empty));
        assert_eq!(Token::parse("one two"), Err(TokenError::Characters));
        assert_eq!(Token::parse(&"a".repeat(5000)), Err(TokenError::Long));
    }

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::parse("s3cret").unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
