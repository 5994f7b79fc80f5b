//! The registrations that replace those of the lock: a file's, and those that the operators have signed together at the
//! API, if it is to be asked (cli.md 12).
//!
//! Guarantees: at start a file that cannot be used ends the start; later it is told and changes nothing; a missing file
//! replaces nothing; the start does not wait for the API, and what it does not answer changes nothing. Of file and API
//! the newer registration counts, the file's if both are as old.
//! Not here: which registration counts beside the lock's (`core::registrations`), what the API is asked (`updates`).

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use trireme_core::{
    PubKey,
    cluster::Cluster,
    ports::{Clock, Entropy},
    registrations::{self, Registrations},
    scheme::Scheme,
};
use trireme_eth2::{ChainSpec, SignedValidatorRegistrationV1};

use crate::{
    NodeError, files,
    updates::{NoUpdates, Updates},
};

/// Largest file that is read: some hundred bytes per validator.
const LIMIT: usize = 64 << 20;
/// Between looks at the file.
const LOOK: Duration = Duration::from_secs(5);
/// Between questions to the API, and while some registrations are being signed, or after a failure.
const ASK: Duration = Duration::from_secs(24 * 3600);
const ASK_SOON: Duration = Duration::from_secs(3600);

/// The file, the API, and where what they say goes.
pub(crate) struct Overrides {
    pub(crate) path: PathBuf,
    pub(crate) updates: Option<Updates>,
    pub(crate) registrations: Arc<Registrations>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) chain: Arc<ChainSpec>,
    pub(crate) scheme: Arc<dyn Scheme>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// What the API said last. Locked while anything is taken over.
    pub(crate) fetched: Mutex<Vec<SignedValidatorRegistrationV1>>,
    /// The file has changed.
    pub(crate) changed: Notify,
}

impl Overrides {
    /// Reads the file and takes over what it and the API say; returns the file's content.
    pub(crate) fn load(&self) -> Result<Vec<u8>, NodeError> {
        const WHAT: &str = "file of registrations";
        const HINT: &str = "make it again with `feerecipient fetch`, or remove it";
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
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
            let list = newest(list, &fetched);
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

    /// Follows the file and the API for ever; `seen` is the file's content as it was loaded.
    pub(crate) async fn watch(self, clock: Arc<dyn Clock>, seen: Vec<u8>) {
        let this = Arc::new(self);
        tokio::join!(this.watch_file(clock.as_ref(), seen), this.watch_api(clock.as_ref()));
    }

    async fn watch_file(self: &Arc<Self>, clock: &dyn Clock, mut seen: Vec<u8>) {
        loop {
            clock.sleep_until(clock.now().after(LOOK)).await;
            let (again, before) = (Arc::clone(self), seen.clone());
            let looked = tokio::task::spawn_blocking(move || again.look(&before)).await;
            if let Ok(Some(now)) = looked {
                seen = now;
                self.changed.notify_one();
            }
        }
    }

    /// Asks at once, when the file has changed, and from time to time.
    async fn watch_api(self: &Arc<Self>, clock: &dyn Clock) {
        let Some(updates) = &self.updates else {
            return;
        };
        loop {
            let wait = match self.fetch(updates).await {
                Ok(incomplete) => {
                    if incomplete {
                        ASK_SOON
                    } else {
                        ASK
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "New registrations could not be fetched; those that are known stay in force");
                    ASK_SOON
                }
            };
            tokio::select! {
                () = clock.sleep_until(clock.now().after(wait)) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Asks the API and takes over what it says; whether something there is not yet complete.
    async fn fetch(self: &Arc<Self>, updates: &Updates) -> Result<bool, NoUpdates> {
        let parts = updates.ask().await?;
        let this = Arc::clone(self);
        let taken = tokio::task::spawn_blocking(move || {
            let whole = parts.combine(&this.cluster, &this.chain, this.scheme.as_ref(), this.entropy.as_ref());
            let (n, incomplete) = (whole.registrations.len(), whole.incomplete);
            *this.fetched.lock().unwrap_or_else(PoisonError::into_inner) = whole.registrations;
            match this.load() {
                Ok(_) => tracing::info!(n, incomplete, "Registrations that the operators signed together were fetched"),
                Err(error) => tracing::warn!(%error, "The registrations stay as they were"),
            }
            incomplete
        });
        Ok(taken.await.unwrap_or(true))
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

/// Those of the file, and those of the API that are newer than all of the file's for their validator.
fn newest(
    mut file: Vec<SignedValidatorRegistrationV1>,
    fetched: &[SignedValidatorRegistrationV1],
) -> Vec<SignedValidatorRegistrationV1> {
    let mut newest: BTreeMap<PubKey, u64> = BTreeMap::new();
    for signed in &file {
        let timestamp = newest.entry(PubKey(signed.message.pubkey.0)).or_default();
        *timestamp = signed.message.timestamp.max(*timestamp);
    }
    let of_api = fetched.iter().filter(|signed| {
        let known = newest.get(&PubKey(signed.message.pubkey.0));
        known.is_none_or(|known| *known < signed.message.timestamp)
    });
    file.extend(of_api);
    file
}

#[cfg(test)]
mod tests;
