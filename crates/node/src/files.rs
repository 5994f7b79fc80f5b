//! Reading the files of a node, each with a limit and a sentence when it cannot be read.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::NodeError;

/// The path with something added to its last part.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The whole file, if it is not longer than `limit` bytes.
pub(crate) fn read(what: &'static str, path: &Path, limit: usize, hint: &'static str) -> Result<Vec<u8>, NodeError> {
    let fail = |reason: String| NodeError::File {
        what,
        path: path.to_owned(),
        reason,
        hint,
    };
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| fail(e.to_string()))?;
    if bytes.len() > limit {
        return Err(fail(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}
