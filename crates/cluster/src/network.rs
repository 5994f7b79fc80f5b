//! The networks that cluster files name by their genesis fork version, and the constants that signing needs.
//!
//! The constants of the public networks stand in `trireme_eth2::networks` alone. Custom networks are values that a caller
//! adds for itself; there is no global table.

use trireme_eth2::{Domain, ForkVersion, Root, networks::NETWORKS};

/// One network's constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The name on the command line and in deposit data.
    pub name: String,
    /// Genesis fork version; the network's key in cluster files.
    pub genesis_fork_version: [u8; 4],
    /// Chain id of the execution layer.
    pub chain_id: u64,
    /// Genesis, in seconds since 1970.
    pub genesis_time: u64,
    /// Fork version of Capella, under which exits are signed for ever (EIP-7044); unknown for some custom networks.
    pub capella_fork_version: Option<[u8; 4]>,
}

impl Network {
    /// Whether real value is at stake: insecure keys and the zero address are refused there.
    #[must_use]
    pub fn has_value(&self) -> bool {
        trireme_eth2::networks::Network::by_fork_version(ForkVersion(self.genesis_fork_version))
            .is_some_and(trireme_eth2::networks::Network::has_value)
    }

    /// The domain that exits are signed under, for good: that of Capella (EIP-7044). `None` for a custom network that does
    /// not say its fork version of Capella.
    #[must_use]
    pub fn exit_domain(&self, genesis_validators_root: [u8; 32]) -> Option<[u8; 32]> {
        let capella = ForkVersion(self.capella_fork_version?);
        let Domain(domain) = trireme_eth2::exit_domain(capella, Root(genesis_validators_root));
        Some(domain)
    }
}

/// The known networks and those that a caller added. The first match counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// mainnet, goerli, gnosis, chiado, sepolia, hoodi, holesky.
    #[must_use]
    pub fn known() -> Self {
        let known = NETWORKS.iter().map(|n| Network {
            name: n.name.to_string(),
            genesis_fork_version: n.genesis_fork_version.0,
            chain_id: n.chain_id,
            genesis_time: n.genesis_time,
            capella_fork_version: n.capella_fork_version.map(|v| v.0),
        });
        Self(known.collect())
    }

    /// Adds a custom network behind the others.
    #[must_use]
    pub fn with(mut self, network: Network) -> Self {
        self.0.push(network);
        self
    }

    /// By name; `prater` is another name of goerli.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Network> {
        let name = if name == "prater" { "goerli" } else { name };
        self.0.iter().find(|n| n.name == name)
    }

    /// By genesis fork version, as it stands in a definition.
    #[must_use]
    pub fn by_fork_version(&self, version: &[u8]) -> Option<&Network> {
        self.0.iter().find(|n| n.genesis_fork_version == version)
    }

    /// All of them, in their order.
    pub fn all(&self) -> impl Iterator<Item = &Network> {
        self.0.iter()
    }

    /// All names, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        self.0.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self::known()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of cluster.md 9, as text.
    const TABLE: &str = "\
mainnet 0x00000000 1 1606824023 0x03000000
goerli 0x00001020 5 1616508000 0x03001020
gnosis 0x00000064 100 1638993340 0x03000064
chiado 0x0000006f 10200 1665396300 0x0300006f
sepolia 0x90000069 11155111 1655733600 0x90000072
hoodi 0x10000910 560048 1742213400 0x40000910
holesky 0x01017000 17000 1696000704 0x04017000
";

    #[test]
    fn the_known_networks_are_those_of_the_table() {
        let known = Networks::known();
        let line = |n: &Network| {
            let text = |v: [u8; 4]| format!("0x{}", hex::encode(v));
            let capella = n.capella_fork_version.map(text).unwrap();
            let genesis = text(n.genesis_fork_version);
            format!("{} {genesis} {} {} {capella}\n", n.name, n.chain_id, n.genesis_time)
        };
        assert_eq!(known.0.iter().map(line).collect::<String>(), TABLE);
        for network in &known.0 {
            assert_eq!(known.by_name(&network.name), Some(network));
            assert_eq!(known.by_fork_version(&network.genesis_fork_version), Some(network));
        }
        assert_eq!(known.by_name("prater"), known.by_name("goerli"));
    }

    #[test]
    fn a_custom_network_is_found_but_never_instead_of_a_known_one() {
        let custom = Network {
            name: "mine".into(),
            genesis_fork_version: [0x10, 0, 0, 0x38],
            chain_id: 7,
            genesis_time: 1,
            capella_fork_version: None,
        };
        let networks = Networks::known().with(custom.clone()).with(Network {
            name: "other".into(),
            genesis_fork_version: [0; 4],
            ..custom.clone()
        });
        assert_eq!(networks.by_name("mine"), Some(&custom));
        assert_eq!(networks.by_fork_version(&custom.genesis_fork_version), Some(&custom));
        assert_eq!(networks.by_fork_version(&[0; 4]).unwrap().name, "mainnet");
        assert_eq!(custom.exit_domain([0; 32]), None);
        assert!(!custom.has_value());
    }

    #[test]
    fn exits_are_signed_under_capella() {
        let hoodi = Networks::known().by_name("hoodi").unwrap().clone();
        let root = [7; 32];
        let expected = trireme_eth2::compute_domain([4, 0, 0, 0], ForkVersion([0x40, 0, 0x09, 0x10]), Root(root));
        assert_eq!(hoodi.exit_domain(root), Some(expected.0));
        assert!(!hoodi.has_value());
        assert!(Networks::known().by_name("gnosis").unwrap().has_value());
    }
}
