//! A cluster definition from a file or an HTTP server.

use std::path::Path;

use trireme_files::{Disk, read_secret};
use trireme_remote::api::{MAX_DEFINITION, fetch_definition};

use crate::commands::blocking;

/// Reads a path, or fetches an `http://` or `https://` URL.
///
/// # Errors
/// If it cannot be read, takes too long, is too large, or the server refuses.
pub(crate) fn read(source: &str) -> anyhow::Result<Vec<u8>> {
    if source.starts_with("http://") || source.starts_with("https://") {
        return Ok(blocking(fetch_definition(source))??.to_vec());
    }
    let content = read_secret(&Disk, Path::new(source), u64::try_from(MAX_DEFINITION)?)?;
    Ok(content.to_vec())
}
