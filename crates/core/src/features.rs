//! Switches by maturity (core.md 15): names and statuses of Charon, set by `--feature-set` and its two lists.
//!
//! Guarantees: a name that is not known is told and ignored; a switch that does nothing here is accepted and says what
//! happens instead ([`Feature::gap`]). Fixed when the node starts.
//! Not here: what a feature does (its component), agreement on them: nothing negotiates features, and the round timers
//! must be the same on all nodes.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// How mature a feature is; the order is that of maturity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// For experiments.
    Alpha,
    /// For test networks.
    Beta,
    /// For everybody.
    Stable,
}

/// A text that names no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown min status {0:?}: it is not one of alpha, beta, stable")]
pub struct UnknownStatus(pub String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        match text.to_ascii_lowercase().as_str() {
            "alpha" => Ok(Self::Alpha),
            "beta" => Ok(Self::Beta),
            "stable" => Ok(Self::Stable),
            _ => Err(UnknownStatus(text.to_owned())),
        }
    }
}

/// Something that can be switched on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Consensus round timer `eager_dlinear`.
    EagerDoubleLinear,
    /// Consensus instances start at the duty's start offset, before our own data is there.
    ConsensusParticipate,
    /// Longer rounds for proposals.
    ProposalTimeout,
    /// Attestation data is asked for committee index 0 only, from Electra on.
    FetchOnlyCommIdx0,
    /// One more protocol in the list of the priority exchange, for tests.
    MockAlpha,
    /// Another database of aggregates.
    AggSigDbV2,
    /// The beacon node is asked for JSON, never SSZ.
    JsonRequests,
    /// Switched on by itself on Gnosis and Chiado, where it changes nothing.
    GnosisBlockHotfix,
    /// Round timer `linear` for proposals; comes before `eager_double_linear`.
    Linear,
    /// Duties are resolved again after reorganisations that the beacon node tells of.
    SseReorgDuties,
    /// Attestations and aggregates are looked for on the chain.
    AttestationInclusion,
    /// Connections over QUIC.
    Quic,
    /// Attestations of the leader are compared with our own.
    ChainSplitHalt,
    /// Attestation data is fetched when the block of the slot is there.
    FetchAttOnBlock,
    /// The same, with 300 ms more before consensus.
    FetchAttOnBlockWithDelay,
    /// Duties are asked for each time anew.
    DisableDutiesCache,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 16] = [
        Self::EagerDoubleLinear,
        Self::ConsensusParticipate,
        Self::ProposalTimeout,
        Self::FetchOnlyCommIdx0,
        Self::MockAlpha,
        Self::AggSigDbV2,
        Self::JsonRequests,
        Self::GnosisBlockHotfix,
        Self::Linear,
        Self::SseReorgDuties,
        Self::AttestationInclusion,
        Self::Quic,
        Self::ChainSplitHalt,
        Self::FetchAttOnBlock,
        Self::FetchAttOnBlockWithDelay,
        Self::DisableDutiesCache,
    ];

    /// The name in flags and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EagerDoubleLinear => "eager_double_linear",
            Self::ConsensusParticipate => "consensus_participate",
            Self::ProposalTimeout => "proposal_timeout",
            Self::FetchOnlyCommIdx0 => "fetch_only_commidx_0",
            Self::MockAlpha => "mock_alpha",
            Self::AggSigDbV2 => "aggsigdb_v2",
            Self::JsonRequests => "json_requests",
            Self::GnosisBlockHotfix => "gnosis_block_hotfix",
            Self::Linear => "linear",
            Self::SseReorgDuties => "sse_reorg_duties",
            Self::AttestationInclusion => "attestation_inclusion",
            Self::Quic => "quic",
            Self::ChainSplitHalt => "chain_split_halt",
            Self::FetchAttOnBlock => "fetch_att_on_block",
            Self::FetchAttOnBlockWithDelay => "fetch_att_on_block_with_delay",
            Self::DisableDutiesCache => "disable_duties_cache",
        }
    }

    /// How mature it is in Charon; a feature is on when this is at least the configured minimum.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::EagerDoubleLinear | Self::ConsensusParticipate | Self::ProposalTimeout | Self::FetchOnlyCommIdx0 => {
                Status::Stable
            }
            Self::MockAlpha
            | Self::AggSigDbV2
            | Self::JsonRequests
            | Self::GnosisBlockHotfix
            | Self::Linear
            | Self::SseReorgDuties
            | Self::AttestationInclusion
            | Self::Quic
            | Self::ChainSplitHalt
            | Self::FetchAttOnBlock
            | Self::FetchAttOnBlockWithDelay
            | Self::DisableDutiesCache => Status::Alpha,
        }
    }

    /// What this node does whether the feature is on or off, where the switch changes nothing; `None` where it works.
    #[must_use]
    pub const fn gap(self) -> Option<&'static str> {
        match self {
            Self::EagerDoubleLinear
            | Self::ConsensusParticipate
            | Self::ProposalTimeout
            | Self::Linear
            | Self::AttestationInclusion
            | Self::MockAlpha
            | Self::ChainSplitHalt
            | Self::DisableDutiesCache
            | Self::FetchOnlyCommIdx0
            | Self::FetchAttOnBlock
            | Self::FetchAttOnBlockWithDelay => None,
            Self::AggSigDbV2 => Some("there is one database of aggregates"),
            Self::JsonRequests => Some("the beacon node is asked for SSZ where it offers it"),
            Self::GnosisBlockHotfix => Some("blocks of Gnosis and Chiado need no special treatment"),
            Self::SseReorgDuties => Some("duties are resolved again when their dependent root changes"),
            Self::Quic => Some("connections are made over TCP"),
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something about the flags that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    /// A name that is in no table.
    #[error("feature {0:?} is not known and ignored")]
    Unknown(String),
    /// A name that is known, whose switch changes nothing here.
    #[error("feature {feature} cannot be switched in this version: {0}", feature = .1)]
    Gap(&'static str, Feature),
}

/// Which features are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureSet {
    on: BTreeSet<Feature>,
    /// Those of the list of enabled ones, which the metric shows.
    named: BTreeSet<Feature>,
}

impl Default for FeatureSet {
    /// What is on without any flag.
    fn default() -> Self {
        Self::new(Status::Stable, &[], &[]).0
    }
}

impl FeatureSet {
    /// Features of at least `min`, then those of `enable`, then without those of `disable`. Names in any case.
    #[must_use]
    pub fn new(min: Status, enable: &[String], disable: &[String]) -> (Self, Vec<Remark>) {
        let mut remarks = Vec::new();
        let mut known = |names: &[String]| -> BTreeSet<Feature> {
            let found = names.iter().filter_map(|name| {
                let feature = Feature::by_name(name);
                match feature.map(|f| (f, f.gap())) {
                    None => remarks.push(Remark::Unknown(name.clone())),
                    Some((feature, Some(gap))) => remarks.push(Remark::Gap(gap, feature)),
                    Some((_, None)) => {}
                }
                feature
            });
            found.collect()
        };
        let (named, off) = (known(enable), known(disable));
        let mature = Feature::ALL.into_iter().filter(|f| f.status() >= min);
        let on = mature.chain(named.iter().copied()).filter(|f| !off.contains(f));
        let on: BTreeSet<Feature> = on.collect();
        // Those that a low minimum switched on. What is stable was never asked for.
        for feature in on.iter().filter(|f| f.status() < Status::Stable && !named.contains(f)) {
            if let Some(gap) = feature.gap() {
                remarks.push(Remark::Gap(gap, *feature));
            }
        }
        (Self { on, named }, remarks)
    }

    /// Whether `feature` is on.
    #[must_use]
    pub fn enabled(&self, feature: Feature) -> bool {
        self.on.contains(&feature)
    }

    /// The features that were enabled by name.
    pub fn named(&self) -> impl Iterator<Item = Feature> {
        self.named.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(min: Status, enable: &[&str], disable: &[&str]) -> (FeatureSet, Vec<Remark>) {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        FeatureSet::new(min, &owned(enable), &owned(disable))
    }

    #[test]
    fn without_flags_exactly_the_stable_features_are_on() {
        let on = FeatureSet::default();
        for feature in Feature::ALL {
            assert_eq!(on.enabled(feature), feature.status() == Status::Stable, "{feature}");
        }
    }

    #[test]
    fn a_lower_minimum_switches_the_less_mature_ones_on_too() {
        let (alpha, _) = set(Status::Alpha, &[], &[]);
        assert!(Feature::ALL.into_iter().all(|f| alpha.enabled(f)));
        let (beta, _) = set(Status::Beta, &[], &[]);
        assert!(beta.enabled(Feature::ProposalTimeout) && !beta.enabled(Feature::Linear));
    }

    #[test]
    fn names_are_taken_in_any_case_and_disabling_comes_last() {
        let (on, remarks) = set(
            Status::Stable,
            &["LINEAR", "mock_alpha"],
            &["Mock_Alpha", "eager_double_linear"],
        );
        assert!(on.enabled(Feature::Linear));
        assert!(!on.enabled(Feature::MockAlpha) && !on.enabled(Feature::EagerDoubleLinear));
        assert!(remarks.is_empty(), "{remarks:?}");
        assert_eq!(
            on.named().collect::<Vec<_>>(),
            [Feature::MockAlpha, Feature::Linear],
            "those of the list, also if the other list takes them off"
        );
    }

    #[test]
    fn an_unknown_name_is_told_and_changes_nothing() {
        let (on, remarks) = set(Status::Stable, &["warp_drive"], &["tea"]);
        assert_eq!(on.on, FeatureSet::default().on);
        assert_eq!(
            remarks,
            [
                Remark::Unknown("warp_drive".to_owned()),
                Remark::Unknown("tea".to_owned())
            ]
        );
    }

    #[test]
    fn a_feature_without_a_switch_here_is_accepted_and_says_what_happens_instead() {
        let (on, remarks) = set(Status::Stable, &["quic"], &[]);
        assert!(on.enabled(Feature::Quic));
        let [remark] = remarks.as_slice() else {
            panic!("{remarks:?}")
        };
        assert_eq!(
            remark.to_string(),
            "feature quic cannot be switched in this version: connections are made over TCP"
        );
        let (_, remarks) = set(Status::Alpha, &["quic"], &[]);
        let told = remarks.iter().filter(|r| matches!(r, Remark::Gap(_, Feature::Quic)));
        assert_eq!(told.count(), 1, "told once");
    }

    #[test]
    fn a_status_is_read_in_any_case_and_another_word_is_refused() {
        assert_eq!("Beta".parse(), Ok(Status::Beta));
        assert_eq!(
            "gamma".parse::<Status>().unwrap_err().to_string(),
            "unknown min status \"gamma\": it is not one of alpha, beta, stable"
        );
    }
}
