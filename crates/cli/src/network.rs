//! The flags of a custom network.

use trireme_cluster::{Network, Networks};

use crate::{
    flags::TestnetFlags,
    values::{Problems, given},
};

/// What the flags say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Custom {
    /// None is given.
    None,
    /// Some are given, but not all four.
    Partly,
    /// A network.
    Network(Network),
}

/// Reads the four flags, and the fork version of Capella where a command has it.
pub(crate) fn custom(flags: &TestnetFlags, capella: &str, problems: &mut Problems) -> Custom {
    let chain_id: u64 = problems.number("testnet-chain-id", &flags.testnet_chain_id);
    let genesis_time: u64 = problems.number("testnet-genesis-timestamp", &flags.testnet_genesis_timestamp);
    let name = given(&flags.testnet_name);
    let fork = fork_version("testnet-fork-version", &flags.testnet_fork_version, problems);
    let capella_fork_version = fork_version("testnet-capella-hard-fork", capella, problems);
    match (name, fork, chain_id, genesis_time) {
        (None, None, 0, 0) => Custom::None,
        (Some(name), Some(genesis_fork_version), 1.., 1..) => Custom::Network(Network {
            name: name.to_owned(),
            genesis_fork_version,
            chain_id,
            genesis_time,
            capella_fork_version,
        }),
        _ => Custom::Partly,
    }
}

/// The known networks, and the custom one if the flags name one.
pub(crate) fn networks(flags: &TestnetFlags, problems: &mut Problems) -> Networks {
    match custom(flags, "", problems) {
        Custom::None => Networks::known(),
        Custom::Network(network) => Networks::known().with(network),
        Custom::Partly => {
            problems.add(
                "testnet-name",
                "a custom network needs name, fork version, chain id and genesis timestamp",
            );
            Networks::known()
        }
    }
}

fn fork_version(flag: &str, text: &str, problems: &mut Problems) -> Option<[u8; 4]> {
    let text = given(text)?;
    let mut out = [0; 4];
    match hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut out) {
        Ok(()) => Some(out),
        Err(_) => {
            problems.add(
                flag,
                format_args!("{text:?} is not a fork version (0x and 8 hex digits; in a file it needs quotes)"),
            );
            None
        }
    }
}
