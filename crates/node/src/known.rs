//! Addresses of peers from earlier runs, so that a running cluster restarts without a relay.

use std::{collections::BTreeMap, fs, path::Path};

use tokio::sync::watch;
use trireme_core::{PeerIdx, ports::Peer};

use crate::files;

/// In the data folder: JSON, peer id to addresses.
const FILE: &str = "peer-addresses.json";
/// More than a cluster of 255 peers with 30 addresses each needs.
const FILE_LIMIT: usize = 1024 * 1024;
/// Addresses of one peer that are kept.
const PER_PEER: usize = 16;

type Addresses<A> = BTreeMap<PeerIdx, Vec<A>>;

/// What was known at the end of an earlier run. Whatever cannot be read is left out: this is only a help.
pub(crate) fn read<A>(data_dir: &Path, peers: &[Peer], parse: impl Fn(&str) -> Option<A>) -> Addresses<A> {
    let Ok(bytes) = files::read("peer addresses", &data_dir.join(FILE), FILE_LIMIT, "") else {
        return BTreeMap::new();
    };
    let Ok(found) = serde_json::from_slice::<BTreeMap<String, Vec<String>>>(&bytes) else {
        tracing::warn!(
            file = FILE,
            "The known addresses of peers cannot be read and are forgotten"
        );
        return BTreeMap::new();
    };
    let known = |peer: &Peer| {
        let texts = found.get(&peer.id.to_string())?;
        let addresses: Vec<A> = texts.iter().take(PER_PEER).filter_map(|t| parse(t)).collect();
        (!addresses.is_empty()).then_some((peer.idx, addresses))
    };
    peers.iter().filter_map(known).collect()
}

/// Writes what is known each time that it changes. Drop-safe.
pub(crate) async fn keep<A: ToString>(
    data_dir: std::path::PathBuf,
    peers: Vec<Peer>,
    mut known: watch::Receiver<Addresses<A>>,
) {
    while known.changed().await.is_ok() {
        let texts: BTreeMap<String, Vec<String>> = {
            let now = known.borrow_and_update();
            let of = |peer: &Peer| {
                let addresses = now.get(&peer.idx)?;
                Some((
                    peer.id.to_string(),
                    addresses.iter().take(PER_PEER).map(ToString::to_string).collect(),
                ))
            };
            peers.iter().filter_map(of).collect()
        };
        if let Err(error) = write(&data_dir, &texts) {
            tracing::debug!(%error, "Addresses of peers cannot be kept for the next start");
        }
    }
}

fn write(data_dir: &Path, texts: &BTreeMap<String, Vec<String>>) -> std::io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let path = data_dir.join(FILE);
    let draft = files::beside(&path, ".new");
    fs::write(&draft, serde_json::to_vec(texts)?)?;
    fs::rename(&draft, &path)
}
