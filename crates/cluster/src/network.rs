//! The networks that cluster files name by their genesis fork version, and the constants that signing needs.
//!
//! Custom networks are values that a caller adds for itself; there is no global table.

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

/// Name, genesis fork version, chain id, genesis time, fork version of Capella.
type Row = (&'static str, [u8; 4], u64, u64, [u8; 4]);

const KNOWN: [Row; 7] = [
    (
        "mainnet",
        [0x00, 0x00, 0x00, 0x00],
        1,
        1_606_824_023,
        [0x03, 0x00, 0x00, 0x00],
    ),
    (
        "goerli",
        [0x00, 0x00, 0x10, 0x20],
        5,
        1_616_508_000,
        [0x03, 0x00, 0x10, 0x20],
    ),
    (
        "gnosis",
        [0x00, 0x00, 0x00, 0x64],
        100,
        1_638_993_340,
        [0x03, 0x00, 0x00, 0x64],
    ),
    (
        "chiado",
        [0x00, 0x00, 0x00, 0x6f],
        10_200,
        1_665_396_300,
        [0x03, 0x00, 0x00, 0x6f],
    ),
    (
        "sepolia",
        [0x90, 0x00, 0x00, 0x69],
        11_155_111,
        1_655_733_600,
        [0x90, 0x00, 0x00, 0x72],
    ),
    (
        "hoodi",
        [0x10, 0x00, 0x09, 0x10],
        560_048,
        1_742_213_400,
        [0x40, 0x00, 0x09, 0x10],
    ),
    (
        "holesky",
        [0x01, 0x01, 0x70, 0x00],
        17_000,
        1_696_000_704,
        [0x04, 0x01, 0x70, 0x00],
    ),
];

/// The known networks and those that a caller added. The first match counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// mainnet, goerli, gnosis, chiado, sepolia, hoodi, holesky.
    #[must_use]
    pub fn known() -> Self {
        let known = KNOWN.map(
            |(name, genesis_fork_version, chain_id, genesis_time, capella)| Network {
                name: name.to_owned(),
                genesis_fork_version,
                chain_id,
                genesis_time,
                capella_fork_version: Some(capella),
            },
        );
        Self(known.into())
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
