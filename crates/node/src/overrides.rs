//! The file with registrations that replace those of the lock (cli.md 12).
//!
//! Guarantees: at start a file that cannot be used ends the start; later it is told and changes nothing; a missing file
//! means that nothing is replaced.
//! Not here: which registration counts (`core::registrations`).

use std::{path::PathBuf, sync::Arc, time::Duration};

use trireme_core::{
    ports::{Clock, Entropy},
    registrations::{self, Registrations},
    scheme::Scheme,
};
use trireme_eth2::ChainSpec;

use crate::{NodeError, files};

/// Largest file that is read: some hundred bytes per validator.
const LIMIT: usize = 64 << 20;
/// Between looks at the file.
const LOOK: Duration = Duration::from_secs(5);

/// The file and where its content goes.
pub(crate) struct Overrides {
    pub(crate) path: PathBuf,
    pub(crate) registrations: Arc<Registrations>,
    pub(crate) chain: Arc<ChainSpec>,
    pub(crate) scheme: Arc<dyn Scheme>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Overrides {
    /// Reads the file and takes over what it says; returns its content.
    pub(crate) fn load(&self) -> Result<Vec<u8>, NodeError> {
        const WHAT: &str = "file of registrations";
        const HINT: &str = "make it again with `feerecipient fetch`, or remove it";
        let bytes = if self.path.exists() {
            files::read(WHAT, &self.path, LIMIT, HINT)?
        } else {
            Vec::new()
        };
        let list = if bytes.is_empty() {
            Ok(Vec::new())
        } else {
            registrations::read(&bytes)
        };
        list.and_then(|list| {
            self.registrations
                .replace(list, &self.chain, self.scheme.as_ref(), self.entropy.as_ref())
        })
        .map_err(|e| NodeError::File {
            what: WHAT,
            path: self.path.clone(),
            reason: e.to_string(),
            hint: HINT,
        })?;
        Ok(bytes)
    }

    /// Follows the file for ever; `seen` is its content as it was loaded.
    pub(crate) async fn watch(self, clock: Arc<dyn Clock>, mut seen: Vec<u8>) {
        let this = Arc::new(self);
        loop {
            clock.sleep_until(clock.now().after(LOOK)).await;
            let (again, before) = (Arc::clone(&this), seen.clone());
            let looked = tokio::task::spawn_blocking(move || again.look(&before)).await;
            if let Ok(Some(now)) = looked {
                seen = now;
            }
        }
    }

    /// The file's content if it is another than before. What cannot be used is told once.
    fn look(&self, before: &[u8]) -> Option<Vec<u8>> {
        let now = std::fs::read(&self.path).unwrap_or_default();
        if now == before {
            return None;
        }
        match self.load() {
            Ok(_) => {
                tracing::info!(path = %self.path.display(), "Registrations that replace those of the lock were read again")
            }
            Err(error) => tracing::warn!(%error, "The registrations stay as they were"),
        }
        Some(now)
    }
}

#[cfg(test)]
mod tests;
