//! The beacon nodes that the judge's one chain is seen through, and what is wrong with each of them when.
//!
//! Guarantees: pure facts; which fault a face has in a slot follows from the list alone. A face without a fault shows the
//! chain as it is. Not here: how a fault looks over HTTP (`http::door`) and in an answer (`sight`).

use std::{ops::Range, str::FromStr, time::Duration};

use trireme_eth2::Slot;

/// What is wrong with a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Every request waits for a quarter of a slot before it is looked at.
    Slow,
    /// Every request is answered 500.
    Error,
    /// Requests are read and never answered; nothing of them has an effect. Streams fall silent.
    Hang,
    /// It follows the chain, but its execution client has verified nothing: the flags of its answers say so.
    Optimistic,
    /// It lacks the newest [`BEHIND`] slots, says that it is syncing, and answers from its old head nevertheless.
    Behind,
    /// It is a node of another network, in which none of the validators exist.
    WrongChain,
    /// It is of this chain, but its configuration puts the newest fork elsewhere.
    OtherForkEpoch,
}

/// Slots that a face lacks that is [behind](FaultKind::Behind).
pub const BEHIND: u64 = 8;

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Slow,
        Self::Error,
        Self::Hang,
        Self::Optimistic,
        Self::Behind,
        Self::WrongChain,
        Self::OtherForkEpoch,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Error => "error",
            Self::Hang => "hang",
            Self::Optimistic => "optimistic",
            Self::Behind => "behind",
            Self::WrongChain => "wrong-chain",
            Self::OtherForkEpoch => "other-fork-epoch",
        }
    }
}

impl FromStr for FaultKind {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| FaultError(format!("there is no fault {text:?}; there are {}", names())))
    }
}

fn names() -> String {
    FaultKind::ALL.map(FaultKind::name).join(", ")
}

/// Something that is wrong with one face for some slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which face, counted from 0.
    pub face: usize,
    /// What.
    pub kind: FaultKind,
    /// In which slots of the chain.
    pub slots: Range<u64>,
}

impl Fault {
    /// The same fault so many slots later: plans count from where counting begins, the chain from its genesis.
    #[must_use]
    pub const fn later(mut self, slots: u64) -> Self {
        self.slots.start = self.slots.start.saturating_add(slots);
        self.slots.end = self.slots.end.saturating_add(slots);
        self
    }
}

/// The text is not `FACE:KIND@FIRST..END`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(String);

impl FromStr for Fault {
    type Err = FaultError;

    /// Reads `FACE:KIND@FIRST..END`; the slot `END` is the first without the fault.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let wrong = || {
            FaultError(format!(
                "{text:?} is not of the form FACE:KIND@FIRST..END, such as 0:hang@20..40"
            ))
        };
        let (face, rest) = text.split_once(':').ok_or_else(wrong)?;
        let (kind, slots) = rest.split_once('@').ok_or_else(wrong)?;
        let (first, end) = slots.split_once("..").ok_or_else(wrong)?;
        let number = |n: &str| n.parse::<u64>().map_err(|_| wrong());
        let slots = number(first)?..number(end)?;
        if slots.is_empty() {
            return Err(FaultError(format!("{text:?}: the slots {first}..{end} are none")));
        }
        Ok(Self {
            face: face.parse().map_err(|_| wrong())?,
            kind: kind.parse()?,
            slots,
        })
    }
}

/// The fault of a face in a slot; of several the first in the list.
#[must_use]
pub(super) fn fault_at(faults: &[Fault], face: usize, slot: Slot) -> Option<FaultKind> {
    let found = faults.iter().find(|f| f.face == face && f.slots.contains(&slot.0));
    found.map(|f| f.kind)
}

/// What a face does with a request before it looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers.
    Answer,
    /// Waits that long, then answers.
    After(Duration),
    /// Answers 500, and has not looked at it.
    Fail,
    /// Never answers, and has not looked at it.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_and_holds_in_its_slots_only() {
        let fault: Fault = "1:other-fork-epoch@20..40".parse().unwrap();
        let expected = Fault {
            face: 1,
            kind: FaultKind::OtherForkEpoch,
            slots: 20..40,
        };
        assert_eq!(fault, expected);
        let faults = [fault.later(100)];
        let at = |face, slot| fault_at(&faults, face, Slot(slot));
        assert_eq!((at(1, 119), at(1, 120)), (None, Some(FaultKind::OtherForkEpoch)));
        assert_eq!((at(1, 139), at(1, 140), at(0, 130)), (at(1, 120), None, None));
        for kind in FaultKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
    }

    #[test]
    fn a_text_that_is_no_fault_is_refused_with_the_form() {
        for text in ["", "hang", "0:hang", "x:hang@1..2", "0:hang@1", "0:hang@a..2"] {
            let why = text.parse::<Fault>().unwrap_err().to_string();
            assert!(why.contains("FACE:KIND@FIRST..END"), "{why}");
        }
        assert!(
            "0:gone@1..2"
                .parse::<Fault>()
                .unwrap_err()
                .to_string()
                .contains("wrong-chain")
        );
        assert!(
            "0:hang@2..2"
                .parse::<Fault>()
                .unwrap_err()
                .to_string()
                .contains("are none")
        );
    }
}
