//! Addresses of peers from earlier runs, so that a running cluster restarts without a relay.
//!
//! Guarantees: what the file says of strangers is ignored, and a file that cannot be read costs nothing but the help.
//! Not here: which addresses are worth keeping (`trireme-p2p`), dialling them.

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

#[cfg(test)]
mod tests {
    use trireme_keys::{IdentityKey, PeerId};

    use super::*;

    fn peer(n: u8) -> Peer {
        let key = IdentityKey::from_bytes(&[n.saturating_add(1); 32]).unwrap();
        Peer {
            idx: PeerIdx(n),
            id: PeerId::from(key.public_key()),
            name: format!("peer-{n}"),
        }
    }

    fn addresses(list: &[(u8, &[&str])]) -> Addresses<String> {
        let own = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        list.iter().map(|(n, texts)| (PeerIdx(*n), own(texts))).collect()
    }

    fn read_all(dir: &Path, peers: &[Peer]) -> Addresses<String> {
        read(dir, peers, |text| Some(text.to_owned()))
    }

    #[tokio::test]
    async fn what_one_run_learns_the_next_one_knows() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let peers = vec![peer(0), peer(1)];
        let learned = addresses(&[
            (0, &["/ip4/10.0.0.1/tcp/1", "/dns/a/tcp/2"]),
            (1, &["/ip4/10.0.0.2/tcp/1"]),
        ]);
        assert_eq!(read_all(&data, &peers), BTreeMap::new(), "nothing is known at first");

        let (known, watching) = watch::channel(BTreeMap::new());
        known.send_replace(learned.clone());
        drop(known);
        keep(data.clone(), peers.clone(), watching).await;
        assert_eq!(read_all(&data, &peers), learned);
        assert_eq!(
            read_all(&data, &[peer(1), peer(5)]),
            addresses(&[(1, &["/ip4/10.0.0.2/tcp/1"])]),
            "of another cluster's peers nothing is known"
        );
        let fussy = read(&data, &peers, |text| text.starts_with("/dns").then(|| text.to_owned()));
        assert_eq!(
            fussy,
            addresses(&[(0, &["/dns/a/tcp/2"])]),
            "what cannot be read is left out"
        );
    }

    #[tokio::test]
    async fn no_peer_has_more_addresses_than_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let many: Vec<String> = (0..100).map(|n| format!("/ip4/10.0.0.1/tcp/{n}")).collect();
        let (known, watching) = watch::channel(BTreeMap::new());
        known.send_replace([(PeerIdx(0), many)].into());
        drop(known);
        keep(dir.path().to_owned(), vec![peer(0)], watching).await;
        assert_eq!(read_all(dir.path(), &[peer(0)])[&PeerIdx(0)].len(), PER_PEER);
    }

    #[test]
    fn a_file_that_is_broken_or_too_large_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        for content in [&b"{"[..], b"[]", b"{\"x\": 3}", &[b' '; FILE_LIMIT + 1]] {
            fs::write(dir.path().join(FILE), content).unwrap();
            assert_eq!(read_all(dir.path(), &[peer(0)]), BTreeMap::new());
        }
    }
}
