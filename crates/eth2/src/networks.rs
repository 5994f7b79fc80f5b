//! The public networks, and how to describe another.
//!
//! A cluster names its network by the genesis fork version. Sources: each network's published configuration.

use std::borrow::Cow;

use crate::{ForkVersion, PresetKind, Root};

/// What must be known of a network without asking a beacon node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The usual name, lower case.
    pub name: Cow<'static, str>,
    /// Chain id of the execution layer.
    pub chain_id: u64,
    /// Version of the first fork; names the network in cluster files.
    pub genesis_fork_version: ForkVersion,
    /// Names the chain in domains; not known for custom networks.
    pub genesis_validators_root: Option<Root>,
    /// Unix seconds; the timestamp of the registrations in cluster files.
    pub genesis_time: u64,
    /// The version that exits are signed under; `None` for custom networks that do not say.
    pub capella_fork_version: Option<ForkVersion>,
    /// Seconds per slot.
    pub seconds_per_slot: u64,
    /// List limits.
    pub preset: PresetKind,
}

const fn ethereum(
    name: &'static str,
    chain_id: u64,
    genesis_fork_version: [u8; 4],
    capella_fork_version: [u8; 4],
    genesis_time: u64,
    genesis_validators_root: [u8; 32],
) -> Network {
    Network {
        name: Cow::Borrowed(name),
        chain_id,
        genesis_fork_version: ForkVersion(genesis_fork_version),
        genesis_validators_root: Some(Root(genesis_validators_root)),
        genesis_time,
        capella_fork_version: Some(ForkVersion(capella_fork_version)),
        seconds_per_slot: 12,
        preset: PresetKind::Mainnet,
    }
}

const fn gnosis(mut network: Network) -> Network {
    network.seconds_per_slot = 5;
    network.preset = PresetKind::Gnosis;
    network
}

/// The known networks. Goerli and Holesky have ended; cluster files of theirs are still read.
pub static NETWORKS: [Network; 7] = [
    ethereum("mainnet", 1, [0, 0, 0, 0], [3, 0, 0, 0], 1_606_824_023, ROOTS[0]),
    ethereum(
        "goerli",
        5,
        [0, 0, 0x10, 0x20],
        [3, 0, 0x10, 0x20],
        1_616_508_000,
        ROOTS[1],
    ),
    gnosis(ethereum(
        "gnosis",
        100,
        [0, 0, 0, 0x64],
        [3, 0, 0, 0x64],
        1_638_993_340,
        ROOTS[2],
    )),
    gnosis(ethereum(
        "chiado",
        10_200,
        [0, 0, 0, 0x6f],
        [3, 0, 0, 0x6f],
        1_665_396_300,
        ROOTS[3],
    )),
    ethereum(
        "sepolia",
        11_155_111,
        [0x90, 0, 0, 0x69],
        [0x90, 0, 0, 0x72],
        1_655_733_600,
        ROOTS[4],
    ),
    ethereum(
        "hoodi",
        560_048,
        [0x10, 0, 0x09, 0x10],
        [0x40, 0, 0x09, 0x10],
        1_742_213_400,
        ROOTS[5],
    ),
    // The chain began at 1695902400; cluster files of Holesky carry this later time.
    ethereum(
        "holesky",
        17_000,
        [1, 1, 0x70, 0],
        [4, 1, 0x70, 0],
        1_696_000_704,
        ROOTS[6],
    ),
];

/// The genesis validators roots in the order of [`NETWORKS`], as halves.
const ROOTS: [[u8; 32]; 7] = [
    root(
        0x4b363db9_4e286120_d76eb905_340fdd4e,
        0x54bfe9f0_6bf33ff6_cf5ad27f_511bfe95,
    ),
    root(
        0x043db0d9_a8381355_1ee2f334_50d23797,
        0x757d4309_11a93205_30ad8a0e_abc43efb,
    ),
    root(
        0xf5dcb556_4e829aab_27264b9b_ecd5dfaa,
        0x01708561_1224cb30_36f57336_8dbb9d47,
    ),
    root(
        0x9d642dac_73058fbf_39c0ae41_ab1e34e4,
        0xd889043c_b199851d_ed7095bc_99eb4c1e,
    ),
    root(
        0xd8ea171f_3c94aea2_1ebc42a1_ed61052a,
        0xcf3f9209_c00e4efb_aaddac09_ed9b8078,
    ),
    root(
        0x212f13fc_4df078b6_cb7db228_f1c83075,
        0x66dcecf9_00867401_a92023d7_ba99cb5f,
    ),
    root(
        0x9143aa7c_615a7f71_15e2b6aa_c319c035,
        0x29df8242_ae705fba_9df39b79_c59fa8b1,
    ),
];

const fn root(high: u128, low: u128) -> [u8; 32] {
    let (high, low) = (high.to_be_bytes(), low.to_be_bytes());
    let mut out = [0; 32];
    let (front, back) = out.split_at_mut(16);
    front.copy_from_slice(&high);
    back.copy_from_slice(&low);
    out
}

impl Network {
    /// A known network by name, in any case. `prater` is Goerli.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        let name = if name.eq_ignore_ascii_case("prater") {
            "goerli"
        } else {
            name
        };
        NETWORKS.iter().find(|n| n.name.eq_ignore_ascii_case(name))
    }

    /// A known network by its genesis fork version.
    #[must_use]
    pub fn by_fork_version(version: ForkVersion) -> Option<&'static Self> {
        NETWORKS.iter().find(|n| n.genesis_fork_version == version)
    }

    /// Whether real value is at stake: insecure keys and the zero withdrawal address are refused there.
    #[must_use]
    pub fn has_value(&self) -> bool {
        matches!(self.chain_id, 1 | 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_found_by_each_of_its_names() {
        for network in &NETWORKS {
            assert_eq!(Network::by_name(&network.name.to_uppercase()), Some(network));
            assert_eq!(Network::by_fork_version(network.genesis_fork_version), Some(network));
        }
        assert_eq!(Network::by_name("prater").map(|n| n.chain_id), Some(5));
        assert_eq!(Network::by_name("ropsten"), None);
        assert_eq!(Network::by_fork_version(ForkVersion([9, 9, 9, 9])), None);
    }

    #[test]
    fn only_mainnet_and_gnosis_have_value() {
        let names: Vec<_> = NETWORKS
            .iter()
            .filter(|n| n.has_value())
            .map(|n| n.name.as_ref())
            .collect();
        assert_eq!(names, ["mainnet", "gnosis"]);
    }
}
