//! What this program calls itself.

use trireme_node::Version;

/// Version text for peers, logs and graffiti: the Charon release that we are level with, then our own version as its
/// label. Peers parse it; a version of ours alone (v0.1) would count as one that nobody supports any more.
pub const VERSION: &str = concat!("v1.11.0-", env!("CARGO_PKG_VERSION"));
/// First seven hex digits of the commit, given by whoever builds a release.
const GIT_HASH: Option<&str> = option_env!("TRIREME_GIT_HASH");
/// Time of the commit, RFC 3339, given by whoever builds a release.
const GIT_TIME: Option<&str> = option_env!("TRIREME_GIT_TIME");
/// Consensus protocols in the order of preference.
pub const CONSENSUS_PROTOCOLS: [&str; 1] = ["/charon/consensus/qbft/2.0.0"];

/// Version and commit; `unknown` where the build does not say.
#[must_use]
pub fn version() -> Version {
    let known = |text: Option<&str>| text.filter(|t| !t.is_empty()).unwrap_or("unknown").to_owned();
    let hash = known(GIT_HASH);
    Version {
        text: VERSION.to_owned(),
        git_hash: hash.get(..7).unwrap_or(&hash).to_owned(),
        git_time: known(GIT_TIME),
    }
}
