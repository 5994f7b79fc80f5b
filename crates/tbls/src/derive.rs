//! Keys from a seed: EIP-2333 derivation along EIP-2334 paths.

use blst::min_pk;

use crate::secret::SecretKey;

/// Why no key could be derived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// EIP-2333 asks for at least 256 bits.
    #[error("a seed must have at least 32 bytes, this one has {0}")]
    ShortSeed(usize),
    /// Not `m` followed by numbers, as in `m/12381/3600/0/0/0`.
    #[error("derivation path {0:?} is not m followed by numbers below 2^32")]
    Path(String),
}

/// The key at the end of `path`, from the master key of `seed`.
///
/// # Errors
/// [`DeriveError::ShortSeed`] below 32 bytes.
pub fn derive(seed: &[u8], path: &[u32]) -> Result<SecretKey, DeriveError> {
    let master = min_pk::SecretKey::derive_master_eip2333(seed).map_err(|_| DeriveError::ShortSeed(seed.len()))?;
    Ok(SecretKey(
        path.iter().fold(master, |key, index| key.derive_child_eip2333(*index)),
    ))
}

/// As [`derive()`], with the path in its text form `m/12381/3600/0/0/0`.
///
/// # Errors
/// [`DeriveError`] for a short seed or a text that is not a path.
pub fn derive_path(seed: &[u8], path: &str) -> Result<SecretKey, DeriveError> {
    let bad = || DeriveError::Path(path.chars().take(120).collect());
    let mut parts = path.split('/');
    if parts.next() != Some("m") {
        return Err(bad());
    }
    let indices: Vec<u32> = parts.map(|p| p.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    derive(seed, &indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first test case of EIP-2333.
    #[test]
    fn the_example_of_eip_2333_is_reproduced() {
        let seed = hex::decode(
            "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
        )
        .unwrap();
        let master = hex::encode(*derive(&seed, &[]).unwrap().to_bytes());
        assert_eq!(
            master,
            "0d7359d57963ab8fbbde1852dcf553fedbc31f464d80ee7d40ae683122b45070"
        );
        let child = hex::encode(*derive_path(&seed, "m/0").unwrap().to_bytes());
        assert_eq!(
            child,
            "2d18bd6c14e6d15bf8b5085c9b74f3daae3b03cc2014770a599d8c1539e50f8e"
        );
    }

    #[test]
    fn short_seeds_and_texts_that_are_no_path_are_refused() {
        assert_eq!(derive(&[1; 31], &[]).err(), Some(DeriveError::ShortSeed(31)));
        for text in ["", "0/1", "m/", "m/x", "m/4294967296", "m/-1"] {
            assert!(
                matches!(derive_path(&[1; 32], text), Err(DeriveError::Path(_))),
                "{text}"
            );
        }
    }
}
