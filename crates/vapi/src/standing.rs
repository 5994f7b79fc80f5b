//! What the proxy must know of the beacon nodes: who may be asked, and who is better than whom.
//!
//! Not here: finding it out (`trireme-beacon`).

use futures::future::BoxFuture;

/// What is known of the beacon nodes at this moment. They are named by their position: the primary ones first, then the
/// fallbacks, each as configured.
pub trait Standing: Send + Sync {
    /// Who may be asked: the best first, equally good ones in one group. One of another chain is in none, nor one that
    /// failed and has not been looked at since.
    fn groups(&self) -> Vec<Vec<usize>>;

    /// Looks at those that failed, so that [`Standing::groups`] has them again if they are there. Drop-safe.
    fn look_again(&self) -> BoxFuture<'_, ()>;

    /// Whether subscriptions go to all of them rather than to the first that takes them.
    fn subscribes_all(&self) -> bool;
}

/// For those of whom nothing is known: the primary ones, then the fallbacks.
pub(crate) struct AsConfigured {
    pub(crate) primaries: usize,
    pub(crate) all: usize,
}

impl Standing for AsConfigured {
    fn groups(&self) -> Vec<Vec<usize>> {
        vec![(0..self.primaries).collect(), (self.primaries..self.all).collect()]
    }

    fn look_again(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn subscribes_all(&self) -> bool {
        true
    }
}
