//! Wallets that are contracts (EIP-1271): what has to be asked of them, and what they answered (cluster.md 4.2).
//!
//! ```text
//!   Definition ── wallet_questions ──► [WalletQuestion] ── an execution client ──► Wallets ──► verify_with
//! ```
//!
//! Guarantees: verification itself asks nobody, so it stays a function of its arguments; an answer counts for exactly the
//! wallet, digest and signature that it was given for. What nobody answered counts as refused.
//! Not here: how an execution client is asked.

use std::collections::BTreeMap;

use trireme_keys::recover;

use crate::{
    address,
    definition::Definition,
    network::Networks,
    verify::{What, Who},
};

/// Which signatures are put to a contract at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WalletRules {
    /// As Charon 1.10: operators' alone, and only those of 65 bytes that are some other key's. Whoever wants to know
    /// whether a Charon 1.10 takes the file asks with these.
    Charon1_10,
    /// As Charon 1.11, and as we do: operators' and the creator's, of any length that the schema allows.
    #[default]
    Charon1_11,
}

/// A question for the contract at `wallet`: is this a valid signature of the digest?
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalletQuestion {
    /// Address of the contract.
    pub wallet: [u8; 20],
    /// The typed message's digest.
    pub digest: [u8; 32],
    /// As it stands in the file; one or several signatures of 65 bytes.
    pub signature: Vec<u8>,
}

/// What contracts answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wallets {
    rules: WalletRules,
    answers: BTreeMap<WalletQuestion, bool>,
}

/// How a signature stands to a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// By the wallet's own key, or the contract accepts it.
    Right,
    /// By another key, and nobody asked the contract, if there is one.
    NotAsked,
    /// The contract was asked and refuses it.
    Refused,
    /// By another key, and contracts do not count here.
    Wrong,
}

impl Wallets {
    /// Nobody has answered yet.
    #[must_use]
    pub fn new(rules: WalletRules) -> Self {
        Self {
            rules,
            answers: BTreeMap::new(),
        }
    }

    /// Keeps an answer.
    pub fn answer(&mut self, question: WalletQuestion, valid: bool) {
        self.answers.insert(question, valid);
    }

    pub(crate) fn standing(&self, who: Who, wallet: [u8; 20], digest: &[u8; 32], signature: &[u8]) -> Standing {
        match question(self.rules, who, wallet, digest, signature) {
            Asked::Settled => Standing::Right,
            Asked::Never => Standing::Wrong,
            Asked::Contract(question) => match self.answers.get(&question) {
                Some(true) => Standing::Right,
                Some(false) => Standing::Refused,
                None => Standing::NotAsked,
            },
        }
    }
}

enum Asked {
    /// The wallet's own key made it.
    Settled,
    /// It did not, and no contract counts.
    Never,
    Contract(WalletQuestion),
}

fn question(rules: WalletRules, who: Who, wallet: [u8; 20], digest: &[u8; 32], signature: &[u8]) -> Asked {
    let recovered = recover(digest, signature);
    if recovered.is_ok_and(|key| key.eth_address() == wallet) {
        return Asked::Settled;
    }
    let counts = match (rules, who) {
        (WalletRules::Charon1_10, Who::Creator) => false,
        (WalletRules::Charon1_10, Who::Operator(_)) => recovered.is_ok(),
        (WalletRules::Charon1_11, Who::Creator | Who::Operator(_)) => true,
    };
    if !counts {
        return Asked::Never;
    }
    Asked::Contract(WalletQuestion {
        wallet,
        digest: *digest,
        signature: signature.to_vec(),
    })
}

impl Definition {
    /// What verification would like to know from contracts, at most three questions per operator; nothing for wallets
    /// that signed with their own key. Whatever else is wrong is left to verification.
    #[must_use]
    pub fn wallet_questions(&self, networks: &Networks, rules: WalletRules) -> Vec<WalletQuestion> {
        let Some(network) = networks.by_fork_version(&self.fork_version) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for (who, what, address, signature) in self.wallet_signatures() {
            let right_length = self.length_fits(signature) && !signature.is_empty();
            let Some(digest) = self.wallet_digest(who, what, network.chain_id).filter(|_| right_length) else {
                continue;
            };
            let Ok(wallet) = address::parse(address) else {
                continue;
            };
            if let Asked::Contract(question) = question(rules, who, wallet, &digest, signature) {
                out.push(question);
            }
        }
        out
    }

    /// Every signature that a wallet can have made.
    fn wallet_signatures(&self) -> impl Iterator<Item = (Who, What, &str, &[u8])> {
        let operators = self.operators.iter().enumerate().flat_map(|(at, o)| {
            [(What::Config, &o.config_signature), (What::Enr, &o.enr_signature)]
                .map(|(what, signature)| (Who::Operator(at), what, o.address.as_str(), signature.as_slice()))
        });
        let creator = &self.creator;
        operators.chain([(
            Who::Creator,
            What::Config,
            creator.address.as_str(),
            creator.config_signature.as_slice(),
        )])
    }
}

#[cfg(test)]
mod tests {
    use trireme_keys::{Enr, EnrAddress, IdentityKey};

    use super::*;
    use crate::{Creator, DefinitionError, Network, Operator, Version};

    fn key(n: u8) -> IdentityKey {
        IdentityKey::from_bytes(&[n; 32]).unwrap()
    }

    fn networks() -> (Networks, Network) {
        let known = Networks::known();
        let hoodi = known.by_name("hoodi").unwrap().clone();
        (known, hoodi)
    }

    /// Three operators and a creator, each with a wallet key of its own; where `contract` says so, the address is
    /// another than the key's, as a contract's is.
    fn definition(version: Version, contract: impl Fn(Who) -> Option<[u8; 20]>, doubled: bool) -> Definition {
        let (_, hoodi) = networks();
        let wallet = |who, n: u8| {
            let own = key(n).public_key().eth_address();
            address::checksummed(&contract(who).unwrap_or(own))
        };
        let operators = (1..=3_u8).zip(0..).map(|(n, at)| Operator {
            address: wallet(Who::Operator(at), n),
            ..Operator::of_enr(Enr::create(&key(n), EnrAddress::default()).to_string())
        });
        let mut out = Definition {
            name: "wallets".to_owned(),
            creator: Creator {
                address: wallet(Who::Creator, 9),
                config_signature: Vec::new(),
            },
            operators: operators.collect(),
            uuid: "1".to_owned(),
            version,
            timestamp: String::new(),
            num_validators: 0,
            threshold: 2,
            validators: Vec::new(),
            dkg_algorithm: "default".to_owned(),
            fork_version: hoodi.genesis_fork_version.to_vec(),
            deposit_amounts: None,
            consensus_protocol: String::new(),
            target_gas_limit: 1,
            compounding: false,
            config_hash: Vec::new(),
            definition_hash: Vec::new(),
        };
        out.update_hashes().unwrap();
        let sign = |out: &Definition, who, what, n: u8| {
            let digest = out.wallet_digest(who, what, hoodi.chain_id).unwrap();
            let one = key(n).sign_digest(&digest).to_vec();
            if doubled && contract(who).is_some() {
                [one.clone(), one].concat()
            } else {
                one
            }
        };
        out.creator.config_signature = sign(&out, Who::Creator, What::Config, 9);
        for (at, n) in (0..3).zip(1..) {
            let config = sign(&out, Who::Operator(at), What::Config, n);
            let enr = sign(&out, Who::Operator(at), What::Enr, n);
            out.operators[at].config_signature = config;
            out.operators[at].enr_signature = enr;
        }
        out.update_hashes().unwrap();
        out
    }

    fn answers(questions: &[WalletQuestion], rules: WalletRules, valid: bool) -> Wallets {
        let mut out = Wallets::new(rules);
        for question in questions {
            out.answer(question.clone(), valid);
        }
        out
    }

    #[test]
    fn wallets_that_signed_with_their_own_key_need_no_contract() {
        let (networks, _) = networks();
        let definition = definition(Version::V1_11, |_| None, false);
        assert!(
            definition
                .wallet_questions(&networks, WalletRules::default())
                .is_empty()
        );
        definition.verify_signatures(&networks).unwrap();
    }

    #[test]
    fn a_contract_decides_about_an_operators_and_the_creators_signatures_of_any_length() {
        let (networks, _) = networks();
        let safe = |who: Who| (who != Who::Operator(0)).then_some([7; 20]);
        for (version, doubled) in [(Version::V1_11, true), (Version::V1_11, false), (Version::V1_10, false)] {
            let definition = definition(version, safe, doubled);
            let questions = definition.wallet_questions(&networks, WalletRules::default());
            assert_eq!(
                questions.len(),
                5,
                "two operators with two signatures each, and the creator"
            );
            let unasked = definition.verify_signatures(&networks).unwrap_err();
            assert!(
                matches!(
                    unasked,
                    DefinitionError::Wrong {
                        who: Who::Operator(1),
                        ..
                    }
                ),
                "{unasked}"
            );
            assert!(
                unasked.to_string().contains("--execution-client-rpc-endpoint"),
                "{unasked}"
            );
            let refused = answers(&questions, WalletRules::default(), false);
            let refused = definition.verify_signatures_with(&networks, &refused).unwrap_err();
            assert!(
                matches!(
                    refused,
                    DefinitionError::Refused {
                        who: Who::Operator(1),
                        ..
                    }
                ),
                "{refused}"
            );
            let accepted = answers(&questions, WalletRules::default(), true);
            definition.verify_signatures_with(&networks, &accepted).unwrap();
        }
    }

    #[test]
    fn an_answer_counts_for_the_signature_that_was_asked_about_alone() {
        let (networks, _) = networks();
        let mut definition = definition(Version::V1_11, |who| (who == Who::Operator(2)).then_some([7; 20]), true);
        let questions = definition.wallet_questions(&networks, WalletRules::default());
        let accepted = answers(&questions, WalletRules::default(), true);
        definition.operators[2].enr_signature[3] ^= 1;
        let error = definition.verify_signatures_with(&networks, &accepted).unwrap_err();
        assert!(
            matches!(
                error,
                DefinitionError::Wrong {
                    who: Who::Operator(2),
                    what: What::Enr,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn signatures_side_by_side_need_schema_eleven() {
        let (networks, _) = networks();
        let safe = |who| (who == Who::Creator).then_some([7; 20]);
        let mut definition = definition(Version::V1_10, safe, false);
        definition.creator.config_signature = definition.creator.config_signature.repeat(2);
        assert!(
            definition
                .wallet_questions(&networks, WalletRules::default())
                .is_empty()
        );
        let error = definition.verify_signatures(&networks).unwrap_err();
        assert!(matches!(error, DefinitionError::Length { len: 130, .. }), "{error}");
    }

    #[test]
    fn under_the_older_rules_only_operators_signatures_of_one_key_are_put_to_a_contract() {
        let (networks, _) = networks();
        let rules = WalletRules::Charon1_10;
        let operator = definition(
            Version::V1_10,
            |who| (who == Who::Operator(1)).then_some([7; 20]),
            false,
        );
        let questions = operator.wallet_questions(&networks, rules);
        assert_eq!(questions.len(), 2);
        operator
            .verify_signatures_with(&networks, &answers(&questions, rules, true))
            .unwrap();

        let creator = definition(Version::V1_10, |who| (who == Who::Creator).then_some([7; 20]), false);
        assert!(creator.wallet_questions(&networks, rules).is_empty());
        let newer = creator.wallet_questions(&networks, WalletRules::Charon1_11);
        let error = creator
            .verify_signatures_with(&networks, &answers(&newer, rules, true))
            .unwrap_err();
        assert!(
            matches!(error, DefinitionError::Refused { who: Who::Creator, .. }),
            "{error}"
        );

        let mut broken = operator.clone();
        broken.operators[1].config_signature[64] = 5;
        assert_eq!(
            broken.wallet_questions(&networks, rules).len(),
            1,
            "not recoverable, so never asked"
        );
        assert_eq!(broken.wallet_questions(&networks, WalletRules::Charon1_11).len(), 2);
    }
}
