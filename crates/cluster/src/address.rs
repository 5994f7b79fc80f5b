//! Ethereum addresses as text, with the checksum that mixed case carries (EIP-55).

use trireme_keys::keccak256;

/// Why a text is not an acceptable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `0x` and 40 hex digits.
    #[error("{0:?} is not an Ethereum address (0x and 40 hex digits)")]
    Form(String),
    /// The case of the digits is not that of the checksum.
    #[error("address {found} does not carry the checksum of EIP-55; if it is right, write it as {right}")]
    Checksum {
        /// As given.
        found: String,
        /// As it should be.
        right: String,
    },
}

/// The twenty bytes of `0x` and 40 hex digits in any case.
///
/// # Errors
/// [`AddressError::Form`].
pub fn parse(text: &str) -> Result<[u8; 20], AddressError> {
    let bad = || AddressError::Form(text.chars().take(80).collect());
    let mut out = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x").ok_or_else(bad)?, &mut out).map_err(|_| bad())?;
    Ok(out)
}

/// The text of an address with its checksum.
#[must_use]
pub fn checksummed(address: &[u8; 20]) -> String {
    let digits = hex::encode(address);
    let hash = hex::encode(keccak256(digits.as_bytes()));
    let cased = digits
        .chars()
        .zip(hash.chars())
        .map(|(c, h)| if h >= '8' { c.to_ascii_uppercase() } else { c });
    std::iter::once("0x")
        .map(str::to_owned)
        .chain(cased.map(String::from))
        .collect()
}

/// The twenty bytes of an address that must carry its checksum.
///
/// # Errors
/// If it is no address, or its case is another.
pub fn parse_checksummed(text: &str) -> Result<[u8; 20], AddressError> {
    let address = parse(text)?;
    let right = checksummed(&address);
    if right == text {
        Ok(address)
    } else {
        Err(AddressError::Checksum {
            found: text.to_owned(),
            right,
        })
    }
}

/// The twenty bytes of an address whose letters are all of one case, or carry its checksum.
///
/// # Errors
/// If it is no address, or of mixed case that is not its checksum: most likely a digit is wrong.
pub fn parse_unless_mistyped(text: &str) -> Result<[u8; 20], AddressError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let (upper, lower) = (
        digits.bytes().any(|b| b.is_ascii_uppercase()),
        digits.bytes().any(|b| b.is_ascii_lowercase()),
    );
    if upper && lower {
        parse_checksummed(text)
    } else {
        parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_eip_hold() {
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            assert!(parse_checksummed(text).is_ok(), "{text}");
            assert!(parse_checksummed(&text.to_lowercase()).is_err(), "{text}");
            assert!(parse(&text.to_lowercase()).is_ok(), "{text}");
            assert!(parse_unless_mistyped(text).is_ok() && parse_unless_mistyped(&text.to_lowercase()).is_ok());
            assert!(parse_unless_mistyped(&text.replace('B', "b")).is_err(), "{text}");
        }
        assert!(parse("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed").is_err());
        assert!(parse("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeA").is_err());
    }
}
