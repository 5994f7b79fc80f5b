//! The cluster that a definition file describes, as a launchpad's solo flow makes it.

use std::time::Duration;

use anyhow::Context as _;
use trireme_cluster::{Addresses, Definition, Network, Networks, Wallets, address};
use trireme_remote::Execution;

use crate::{commands::blocking, definition_source};

/// How long an execution client may take until it answers at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// A definition that is fit to create a cluster from.
pub(super) struct FromDefinition {
    pub(super) definition: Definition,
    pub(super) network: Network,
    pub(super) nodes: u8,
    /// What contracts said of the signatures; the lock is verified with the same.
    pub(super) wallets: Wallets,
}

/// Reads and checks a definition from a path or URL.
///
/// # Errors
/// If it cannot be read, does not verify, or asks for what is not done.
pub(super) fn from_definition(
    file: &str,
    networks: &Networks,
    execution: Option<&str>,
) -> anyhow::Result<FromDefinition> {
    let bytes = definition_source::read(file).context("the cluster definition")?;
    // A path is shown as it is; a URL may hold a password.
    let shown = if file.contains("://") {
        trireme_telemetry::redacted(file)
    } else {
        file.to_owned()
    };
    let definition =
        Definition::from_json(&bytes).with_context(|| format!("the cluster definition {shown} cannot be read"))?;
    let wrong = || format!("the cluster definition {shown} does not verify");
    let wallets = match execution {
        None => Wallets::default(),
        Some(endpoint) => {
            let client = Execution::new(endpoint).context("--execution-client-rpc-endpoint")?;
            blocking(async {
                client.ready(PATIENCE).await?;
                client.ask_wallets(&definition, networks).await
            })?
            .with_context(wrong)?
        }
    };
    definition
        .verify_signatures_with(networks, &wallets)
        .with_context(wrong)?;
    definition.verify_hashes().with_context(wrong)?;
    let network = networks
        .by_fork_version(&definition.fork_version)
        .with_context(|| {
            format!("the cluster definition {shown} names no known network; name it with the --testnet flags")
        })?
        .clone();
    if definition.name.is_empty() {
        anyhow::bail!("the cluster definition {shown} has no name");
    }
    if !matches!(definition.consensus_protocol.to_lowercase().as_str(), "" | "qbft") {
        anyhow::bail!(
            "the cluster definition {shown} asks for consensus protocol {:?}, which is not supported",
            definition.consensus_protocol
        );
    }
    for pair in &definition.validators {
        check_addresses(pair, &network).with_context(|| format!("the cluster definition {shown}"))?;
    }
    let operators = definition.operators.len();
    let nodes =
        u8::try_from(operators).with_context(|| format!("the cluster definition {shown} has {operators} operators"))?;
    Ok(FromDefinition {
        definition,
        network,
        nodes,
        wallets,
    })
}

fn check_addresses(pair: &Addresses, network: &Network) -> anyhow::Result<()> {
    let withdrawal = address::parse_checksummed(&pair.withdrawal)?;
    let fee_recipient = address::parse_unless_mistyped(&pair.fee_recipient)?;
    for (what, address) in [("withdrawal", withdrawal), ("fee recipient", fee_recipient)] {
        if address == [0; 20] && network.has_value() {
            anyhow::bail!(
                "the zero address as {what} address is refused on {}: what is sent there is lost",
                network.name
            );
        }
    }
    Ok(())
}

impl FromDefinition {
    /// Whether each key has an address of its own, so that their order counts.
    pub(super) fn order_counts(&self) -> bool {
        let mut pairs = self.definition.validators.iter();
        let first = pairs.next();
        pairs.any(|pair| Some(pair) != first)
    }
}
