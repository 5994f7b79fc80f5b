//! The registrations that replace those of the lock: a file's, and those that the operators have signed together at the
//! API, if it is to be asked (cli.md 12).
//!
//! Guarantees: at start a file that cannot be used ends the start; later it is told and changes nothing, and one that is
//! empty, as files are while they are written, is such a file; a missing one replaces nothing. The start does not wait for
//! the API, and what it does not answer changes nothing. Of file and API the newer registration counts, the file's if both
//! are as old.
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
/// What the file is called in messages, and what to do about it.
const WHAT: &str = "file of registrations";
const HINT: &str = "make it again with `feerecipient fetch`, or remove it";

/// The file's content, nothing if it is not there, or why it cannot be read.
type Content = Result<Option<Vec<u8>>, NodeError>;

/// A content to compare with.
type Seen = Result<Option<Vec<u8>>, String>;

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
    /// Reads the file and takes over what it and the API say; returns the file's content, if there is one.
    pub(crate) fn load(&self) -> Content {
        let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let content = self.content()?;
        self.take_over(content.as_deref(), &fetched)?;
        Ok(content)
    }

    fn content(&self) -> Content {
        // A folder that cannot be looked into is not one without the file.
        match self.path.try_exists() {
            Ok(false) => Ok(None),
            Ok(true) => files::read(WHAT, &self.path, LIMIT, HINT).map(Some),
            Err(error) => Err(self.unusable(error.to_string())),
        }
    }

    fn take_over(&self, content: Option<&[u8]>, fetched: &[SignedValidatorRegistrationV1]) -> Result<(), NodeError> {
        let list = content.map_or_else(|| Ok(Vec::new()), registrations::read);
        list.and_then(|list| {
            let list = newest(list, fetched);
            self.registrations
                .replace(list, &self.chain, self.scheme.as_ref(), self.entropy.as_ref())
        })
        .map_err(|e| self.unusable(e.to_string()))
    }

    fn unusable(&self, reason: String) -> NodeError {
        NodeError::File {
            what: WHAT,
            path: self.path.clone(),
            reason,
            hint: HINT,
        }
    }

    /// Follows the file and the API for ever; `seen` is the file's content as it was loaded.
    pub(crate) async fn watch(self, clock: Arc<dyn Clock>, seen: Option<Vec<u8>>) {
        let this = Arc::new(self);
        let seen = Ok(seen);
        tokio::join!(this.watch_file(clock.as_ref(), seen), this.watch_api(clock.as_ref()));
    }

    async fn watch_file(self: &Arc<Self>, clock: &dyn Clock, mut seen: Seen) {
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
                Ok(_) => tracing::info!(
                    n,
                    incomplete,
                    "Registrations that the operators signed together were fetched"
                ),
                Err(error) => tracing::warn!(%error, "The registrations stay as they were"),
            }
            incomplete
        });
        Ok(taken.await.unwrap_or(true))
    }

    /// What the file says if it is something else than before. What cannot be used is told once.
    fn look(&self, before: &Seen) -> Option<Seen> {
        let now = self.content();
        let seen = now.as_ref().map(Clone::clone).map_err(ToString::to_string);
        if seen == *before {
            return None;
        }
        let taken = now.and_then(|content| {
            let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
            self.take_over(content.as_deref(), &fetched)
        });
        match taken {
            Ok(()) => {
                tracing::info!(path = %self.path.display(), "Registrations that replace those of the lock were read again")
            }
            Err(error) => tracing::warn!(%error, "The registrations stay as they were"),
        }
        Some(seen)
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
