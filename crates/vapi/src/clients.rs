//! Which validator client is there, and whether it knows that it holds only shares of keys.
//!
//! A client without its flag for distributed validators attests and proposes, but it decides by its own signature who
//! aggregates, which is wrong. Two signs give it away: an aggregate with a selection proof of its own, and attesting for
//! two epochs without once asking for the cluster's selection proofs.
//!
//! Guarantees: one warning, with the flag to set; a client that restarts with its flag or a node that restarts beside it
//! causes none.

use std::sync::{Mutex, PoisonError};

use trireme_eth2::Epoch;

/// Epochs of attesting after which a client that never asked for selection proofs is taken for one without its flag.
const PATIENCE: u64 = 2;
/// Longest user agent that is kept, in characters.
const MAX_AGENT: usize = 128;

#[derive(Default)]
struct State {
    agent: String,
    selected: bool,
    first: Option<Epoch>,
    told: bool,
}

/// See the module's description.
#[derive(Default)]
pub(crate) struct Clients(Mutex<State>);

impl Clients {
    /// A request came with this user agent.
    pub(crate) fn agent(&self, raw: &[u8]) {
        let agent: String = String::from_utf8_lossy(raw).chars().take(MAX_AGENT).collect();
        self.with(|state| state.agent = agent);
    }

    /// The client asked for the cluster's selection proofs.
    pub(crate) fn selected(&self) {
        self.with(|state| state.selected = true);
    }

    /// The client attested in `epoch`.
    pub(crate) fn attested(&self, epoch: Epoch) {
        self.with(|state| {
            let first = state.first.get_or_insert(epoch).0;
            if !state.selected && epoch.0 >= first.saturating_add(PATIENCE) {
                tell(
                    state,
                    "it has attested for two epochs and never asked for the cluster's selection proofs",
                );
            }
        });
    }

    /// The client sent an aggregate with a selection proof that it had made up by itself.
    pub(crate) fn own_proof(&self) {
        self.with(|state| tell(state, "it aggregates with a selection proof of its own"));
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn tell(state: &mut State, how: &str) {
    if std::mem::replace(&mut state.told, true) {
        return;
    }
    tracing::warn!(
        topic = "vapi",
        user_agent = state.agent,
        flag = flag(&state.agent),
        "The validator client does not run in distributed mode: {how}. Its validators attest and propose, but its \
        aggregates are refused. Where it has a flag for this, set it"
    );
}

/// The flag that switches a client to distributed mode.
fn flag(agent: &str) -> &'static str {
    const DISTRIBUTED: &str = "--distributed";
    const FLAGS: [(&str, &str); 7] = [
        ("lighthouse", DISTRIBUTED),
        ("lodestar", DISTRIBUTED),
        ("nimbus", DISTRIBUTED),
        ("prysm", DISTRIBUTED),
        ("teku", "--Xobol-dvt-integration-enabled=true"),
        (
            "vouch",
            "none: it cannot aggregate for a cluster; the other operators' clients can",
        ),
        (
            "vero",
            "none: it cannot aggregate for a cluster; the other operators' clients can",
        ),
    ];
    let agent = agent.to_ascii_lowercase();
    let known = FLAGS.iter().find(|(name, _)| agent.contains(name));
    known.map_or(
        "--distributed (Lighthouse, Lodestar, Nimbus, Prysm) or --Xobol-dvt-integration-enabled=true (Teku)",
        |(_, flag)| flag,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(clients: &Clients) -> bool {
        clients.0.lock().unwrap().told
    }

    #[test]
    fn a_client_that_asks_for_selections_is_never_told_of() {
        let clients = Clients::default();
        clients.attested(Epoch(7));
        clients.selected();
        clients.attested(Epoch(99));
        assert!(!told(&clients));
    }

    #[test]
    fn attesting_for_two_epochs_without_selections_gives_a_client_away() {
        let clients = Clients::default();
        clients.attested(Epoch(7));
        clients.attested(Epoch(8));
        assert!(!told(&clients));
        clients.attested(Epoch(9));
        assert!(told(&clients));
    }

    #[test]
    fn the_flag_is_that_of_the_client() {
        assert_eq!(flag("Lighthouse/v8.0.0-e3ee7fe"), "--distributed");
        assert_eq!(flag("teku/v25.9.3"), "--Xobol-dvt-integration-enabled=true");
        assert!(flag("Go-http-client/1.1").contains("Prysm"));
        assert!(flag("Vouch/1.13.1").starts_with("none"));
    }
}
