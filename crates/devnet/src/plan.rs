//! Checks what was asked for before anything is started: sizes, the kill and restart plan, who runs which binary.
//!
//! Guarantees: a plan that comes out of [`Plan::new`] never leaves fewer nodes than the cluster needs, unless that was
//! allowed. Not here: anything that starts, waits or touches files.

use std::collections::BTreeSet;

use crate::config::{DevnetConfig, DevnetError, NodeAtSlot};

/// Which program a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Implementation {
    /// Our own binary.
    Trireme,
    /// The Go implementation.
    Charon,
}

impl Implementation {
    /// The name in the summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trireme => "trireme",
            Self::Charon => "charon",
        }
    }
}

/// Something to do to a node at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Start it again, at the begin of the slot.
    Restart,
    /// SIGKILL, at three quarters of the slot.
    Kill,
}

/// One step of the plan; ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// Counted from the begin of counting.
    pub slot: u64,
    /// What; a restart comes before a kill of the same slot.
    pub action: Action,
    /// Which node.
    pub node: usize,
}

/// A checked plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What each node runs; ours first.
    pub nodes: Vec<Implementation>,
    /// Partial signatures that make a signature.
    pub threshold: usize,
    /// Kills and restarts in the order of time.
    pub steps: Vec<Step>,
    /// Sentences for the user about unusual choices.
    pub warnings: Vec<String>,
}

/// So many beacon nodes are given to each node at most.
const MAX_BEACON_NODES: usize = 8;
/// The most that a blob schedule has named so far.
const MAX_BLOBS: usize = 72;
/// Largest `--transactions`: what a payload may have on the wire.
const MAX_TRANSACTIONS_KIB: usize = 8192;

/// Votes that decide: ceil(2n/3).
#[must_use]
pub const fn quorum(nodes: usize) -> usize {
    nodes.saturating_mul(2).div_ceil(3)
}

/// Faulty nodes that the cluster bears: floor((n-1)/3).
#[must_use]
pub fn faulty(nodes: usize) -> usize {
    nodes.saturating_sub(1).checked_div(3).unwrap_or_default()
}

impl Plan {
    /// Checks `config` for a cluster of `nodes` nodes with threshold `threshold`, which a given cluster folder or the
    /// flags say.
    ///
    /// # Errors
    ///
    /// A sentence that says which flag does not fit, and why.
    pub fn new(config: &DevnetConfig, nodes: usize, threshold: usize) -> Result<Self, DevnetError> {
        let refuse = |why: String| Err(DevnetError::Config(why));
        if !(3..=13).contains(&nodes) {
            return refuse(format!(
                "a cluster of {nodes} nodes is not possible here; choose --nodes from 3 to 13"
            ));
        }
        if !(1..=nodes).contains(&threshold) {
            return refuse(format!(
                "threshold {threshold} is not between 1 and the number of nodes, {nodes}"
            ));
        }
        if config.slot_seconds == 0 || config.slots_per_epoch == 0 {
            return refuse("--slot-duration is at least one second, and an epoch has at least one slot".to_owned());
        }
        if config.charon_nodes > nodes {
            return refuse(format!(
                "--charon-nodes {} is more than the {nodes} nodes",
                config.charon_nodes
            ));
        }
        if config.charon_nodes > 0 && config.charon.is_none() {
            return refuse("--charon-nodes needs --charon with the path of that binary".to_owned());
        }
        check_beacon(config)?;
        let mut warnings = Vec::new();
        if threshold != quorum(nodes) {
            warnings.push(format!(
                "threshold {threshold} is unusual for {nodes} nodes; {} is what keeps a cluster safe and live",
                quorum(nodes)
            ));
        }
        if config.charon.is_some() && config.charon_nodes == 0 {
            warnings.push("--charon without --charon-nodes starts no node of that binary".to_owned());
        }
        let ours = nodes.saturating_sub(config.charon_nodes);
        let kinds = (0..nodes).map(|n| {
            if n < ours {
                Implementation::Trireme
            } else {
                Implementation::Charon
            }
        });
        let steps = steps(config, nodes, threshold)?;
        Ok(Self {
            nodes: kinds.collect(),
            threshold,
            steps,
            warnings,
        })
    }

    /// Votes that decide in this cluster.
    #[must_use]
    pub const fn quorum(&self) -> usize {
        quorum(self.nodes.len())
    }
}

/// The flags about beacon nodes and the chain.
fn check_beacon(config: &DevnetConfig) -> Result<(), DevnetError> {
    let refuse = |why: String| Err(DevnetError::Config(why));
    if !(1..=MAX_BEACON_NODES).contains(&config.beacon_nodes) {
        return refuse(format!(
            "--beacon-nodes {} is not possible; choose from 1 to {MAX_BEACON_NODES}",
            config.beacon_nodes
        ));
    }
    if let Some(fault) = config.bn_faults.iter().find(|f| f.face >= config.beacon_nodes) {
        return refuse(format!(
            "--bn-fault names the beacon node {}; with --beacon-nodes {} the last is {}",
            fault.face,
            config.beacon_nodes,
            config.beacon_nodes.saturating_sub(1)
        ));
    }
    if config.blobs > MAX_BLOBS {
        return refuse(format!(
            "--blobs {} is more than the {MAX_BLOBS} that a block may have",
            config.blobs
        ));
    }
    if config.transactions_kib > MAX_TRANSACTIONS_KIB {
        return refuse(format!(
            "--transactions {} is more than the {MAX_TRANSACTIONS_KIB} KiB that this chain puts into a block",
            config.transactions_kib
        ));
    }
    if config.beacon_node.is_empty() {
        return Ok(());
    }
    if config.cluster.is_none() {
        return refuse(
            "--beacon-node needs --cluster: validators of a cluster made here do not exist on a chain outside"
                .to_owned(),
        );
    }
    if config.beacon_nodes > 1 || !config.bn_faults.is_empty() {
        return refuse(
            "--beacon-nodes and --bn-fault are about our own beacon nodes; not with --beacon-node".to_owned(),
        );
    }
    Ok(())
}

fn steps(config: &DevnetConfig, nodes: usize, threshold: usize) -> Result<Vec<Step>, DevnetError> {
    let step = |action| {
        move |at: &NodeAtSlot| Step {
            slot: at.slot,
            action,
            node: at.node,
        }
    };
    let kills = config.kills.iter().map(step(Action::Kill));
    let mut steps: Vec<Step> = kills.chain(config.restarts.iter().map(step(Action::Restart))).collect();
    steps.sort_unstable();

    let refuse = |why: String| Err(DevnetError::Config(why));
    let needed = quorum(nodes).max(threshold);
    let mut down = BTreeSet::new();
    for Step { slot, action, node } in &steps {
        if *node >= nodes {
            return refuse(format!(
                "there is no node {node}; the nodes are 0 to {}",
                nodes.saturating_sub(1)
            ));
        }
        if config.slots > 0 && *slot >= config.slots {
            return refuse(format!(
                "slot {slot} of {node}@{slot} is not among the {} counted ones",
                config.slots
            ));
        }
        match action {
            Action::Kill if !down.insert(*node) => {
                return refuse(format!("node {node} is killed in slot {slot}, but is not running then"));
            }
            Action::Restart if !down.remove(node) => {
                return refuse(format!("node {node} is restarted in slot {slot}, but is running then"));
            }
            Action::Kill | Action::Restart => {}
        }
        let left = nodes.saturating_sub(down.len());
        if left < needed && !config.allow_loss {
            return refuse(format!(
                "after the kill of node {node} in slot {slot} only {left} of {nodes} nodes run, and duties need {needed}; \
                 --allow-loss runs it all the same"
            ));
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kills: &[&str], restarts: &[&str]) -> DevnetConfig {
        let parse = |list: &[&str]| list.iter().map(|s| s.parse().unwrap()).collect();
        DevnetConfig {
            slots: 32,
            kills: parse(kills),
            restarts: parse(restarts),
            ..DevnetConfig::default()
        }
    }

    fn refusal(config: &DevnetConfig, nodes: usize) -> String {
        Plan::new(config, nodes, quorum(nodes)).unwrap_err().to_string()
    }

    #[test]
    fn quorum_and_faulty_nodes_follow_the_number_of_nodes() {
        let of = |n| (quorum(n), faulty(n));
        assert_eq!(
            [of(3), of(4), of(5), of(6), of(7), of(10), of(13)],
            [(2, 0), (3, 1), (4, 1), (4, 1), (5, 2), (7, 3), (9, 4)]
        );
    }

    #[test]
    fn steps_are_in_the_order_of_time_with_restarts_first() {
        let plan = Plan::new(&config(&["2@6", "1@14"], &["2@14"]), 4, 3).unwrap();
        let seen: Vec<_> = plan.steps.iter().map(|s| (s.slot, s.action, s.node)).collect();
        assert_eq!(
            seen,
            [(6, Action::Kill, 2), (14, Action::Restart, 2), (14, Action::Kill, 1)]
        );
    }

    #[test]
    fn a_plan_that_leaves_too_few_nodes_is_refused_unless_loss_is_allowed() {
        let mut config = config(&["2@6", "3@7"], &["2@8"]);
        assert!(refusal(&config, 4).contains("only 2 of 4 nodes run, and duties need 3"));
        config.allow_loss = true;
        Plan::new(&config, 4, 3).unwrap();
        config.allow_loss = false;
        Plan::new(&config, 7, 5).unwrap();
        assert!(Plan::new(&config, 7, 6).is_err(), "the threshold counts, too");
    }

    #[test]
    fn a_plan_that_kills_the_dead_or_restarts_the_living_is_refused() {
        assert!(refusal(&config(&["2@6", "2@7"], &[]), 4).contains("not running then"));
        assert!(refusal(&config(&[], &["2@7"]), 4).contains("running then"));
        assert!(refusal(&config(&["4@6"], &[]), 4).contains("there is no node 4"));
        assert!(refusal(&config(&["1@32"], &[]), 4).contains("not among the 32 counted ones"));
    }

    #[test]
    fn sizes_outside_the_limits_are_refused() {
        assert!(refusal(&config(&[], &[]), 2).contains("from 3 to 13"));
        assert!(refusal(&config(&[], &[]), 14).contains("from 3 to 13"));
        assert!(Plan::new(&config(&[], &[]), 4, 0).is_err());
        assert!(Plan::new(&config(&[], &[]), 4, 5).is_err());
    }

    #[test]
    fn another_threshold_than_two_thirds_is_warned_about() {
        assert_eq!(
            Plan::new(&config(&[], &[]), 4, 3).unwrap().warnings,
            Vec::<String>::new()
        );
        assert!(Plan::new(&config(&[], &[]), 4, 4).unwrap().warnings[0].contains("threshold 4"));
    }

    #[test]
    fn the_last_nodes_run_the_other_binary() {
        let with = DevnetConfig {
            charon: Some("charon".into()),
            charon_nodes: 1,
            ..config(&[], &[])
        };
        let plan = Plan::new(&with, 3, 2).unwrap();
        assert_eq!(
            plan.nodes,
            [Implementation::Trireme, Implementation::Trireme, Implementation::Charon]
        );
        assert!(
            refusal(
                &DevnetConfig {
                    charon_nodes: 1,
                    ..config(&[], &[])
                },
                4
            )
            .contains("--charon")
        );
    }

    #[test]
    fn faults_of_beacon_nodes_that_do_not_exist_are_refused() {
        let with = |faces, faults: &[&str]| DevnetConfig {
            beacon_nodes: faces,
            bn_faults: faults.iter().map(|f| f.parse().unwrap()).collect(),
            ..config(&[], &[])
        };
        Plan::new(&with(3, &["0:hang@1..2", "2:error@3..9"]), 4, 3).unwrap();
        assert!(refusal(&with(3, &["3:hang@1..2"]), 4).contains("the last is 2"));
        assert!(refusal(&with(0, &[]), 4).contains("--beacon-nodes 0"));
        let blobs = DevnetConfig {
            blobs: 73,
            ..config(&[], &[])
        };
        assert!(refusal(&blobs, 4).contains("--blobs 73"));
        let transactions = DevnetConfig {
            transactions_kib: 9000,
            ..DevnetConfig::default()
        };
        assert!(refusal(&transactions, 4).contains("--transactions 9000"));
    }

    #[test]
    fn a_chain_outside_needs_its_own_cluster_and_has_no_faults_of_ours() {
        let mut with = DevnetConfig {
            beacon_node: vec!["http://127.0.0.1:5052".to_owned()],
            ..config(&[], &[])
        };
        assert!(refusal(&with, 4).contains("--cluster"));
        with.cluster = Some("here".into());
        Plan::new(&with, 4, 3).unwrap();
        with.bn_faults = vec!["0:hang@1..2".parse().unwrap()];
        assert!(refusal(&with, 4).contains("--bn-fault"));
    }

    #[test]
    fn a_node_at_a_slot_is_read_as_it_is_written() {
        let at: NodeAtSlot = "2@6".parse().unwrap();
        assert_eq!((at, at.to_string().as_str()), (NodeAtSlot { node: 2, slot: 6 }, "2@6"));
        assert!("2".parse::<NodeAtSlot>().unwrap_err().contains("NODE@SLOT"));
        assert!("x@1".parse::<NodeAtSlot>().is_err());
    }
}
