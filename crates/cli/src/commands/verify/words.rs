//! Findings in plain words: what was found, and what to do about it.

use trireme_cluster::{
    DefinitionError, VerifyError,
    check::{Check, DepositProblem, Fault, Report, Severity, Skipped, Subject, Verdict},
};

/// What a check makes sure of, for the lists of what is right.
pub(super) const fn promise(check: Check) -> &'static str {
    match check {
        Check::FilesMoved => "no interrupted command left files behind",
        Check::LockPresent => "the cluster lock is there",
        Check::Readable => "the file can be read",
        Check::ConfigHash => "what was agreed on is unchanged (config hash)",
        Check::DefinitionHash => "the definition is unchanged (definition hash)",
        Check::ValidatorCount => "the lock holds as many validators as agreed",
        Check::LockHash => "the lock is unchanged (lock hash)",
        Check::DefinitionSignatures => "the wallets' signatures are right, or nobody signed with a wallet",
        Check::Keys => "all keys are real and distinct",
        Check::PublicShares => "any threshold of the public shares gives the validator's key",
        Check::SignatureAggregate => "every key share signed this lock",
        Check::BuilderRegistrations => "the registrations with builders are signed by the validators",
        Check::NodeSignatures => "every operator's node signed this lock",
        Check::LockDeposits => "the deposits in the lock are signed and return to the withdrawal address",
        Check::Addresses => "the addresses carry no typing error that their checksum shows",
        Check::LocksIdentical => "the lock is the same as in the first folder",
        Check::IdentityKey => "the node's key belongs to an operator of the lock",
        Check::KeystoresComplete => "there is a keystore with its password for every validator",
        Check::KeystoresOpen => "every keystore opens with its password",
        Check::KeystoreShares => "every key is this operator's share of a validator",
        Check::AnyThreshold => "any threshold of these folders can sign for every validator",
        Check::DepositsComplete => "every validator is in the deposit files",
        Check::DepositsReadable => "the deposit file can be read",
        Check::DepositKeys => "every deposit is for a validator of the lock",
        Check::DepositNetwork => "every deposit is for the network of the lock",
        Check::DepositCredentials => "every deposit returns to the withdrawal address of the lock",
        Check::DepositAmounts => "every amount is allowed, and no deposit comes twice",
        Check::DepositSignatures => "every deposit is signed by its validator",
        Check::DepositRoots => "the roots beside the deposits are right",
        Check::FileModes => "nobody but the owner can read secrets or change files",
    }
}

/// Why a check was not made.
pub(super) fn why(skipped: Skipped) -> String {
    match skipped {
        Skipped::NoLock => "not checked: it needs a usable lock".to_owned(),
        Skipped::NothingToCheck => "not checked: what it needs is broken (see above)".to_owned(),
        Skipped::NotOpened => {
            "keystores were not opened (--no-decrypt): the public keys that they name were compared".to_owned()
        }
        Skipped::NoPassword => "not all could be tried: passwords are missing".to_owned(),
        Skipped::TooFewFolders { here, needed } => {
            format!("not checked: usable shares of {here} operators are here, {needed} are needed")
        }
        Skipped::Unsigned => "not checked: the lock is not signed".to_owned(),
    }
}

/// What was found, as the rest of a sentence that names the place.
pub(super) fn what(fault: &Fault) -> String {
    match fault {
        Fault::Unreadable(reason) => format!("cannot be read: {reason}"),
        Fault::HalfMoved(reason) => format!("a command was interrupted here: {reason}"),
        Fault::NoLock { deposits: true } => {
            "there is deposit data, but no cluster lock: nobody can tell who holds the keys of these validators"
                .to_owned()
        }
        Fault::NoLock { deposits: false } => "there is no cluster lock".to_owned(),
        Fault::Parse(error) => error.to_string(),
        Fault::Verify(error) => verification(error),
        Fault::Definition(error) | Fault::ContractNotAsked(error) => error.to_string(),
        Fault::UnknownNetwork(fork) => format!(
            "fork version 0x{} belongs to no network that is known here, so the wallets' signatures cannot be checked",
            hex::encode(fork)
        ),
        Fault::UnsignedLock(version) => format!("nobody signed this lock, as schema {version} allows"),
        Fault::UnsignedDefinition => "nobody signed this definition".to_owned(),
        Fault::LockDeposit {
            validator,
            amount,
            problem,
        } => format!(
            "the lock's own deposit of {} for validator {validator} {}",
            eth(*amount),
            deposit_problem(problem)
        ),
        Fault::ZeroAddress {
            validator,
            withdrawal,
            network,
            ..
        } => format!(
            "the {} address of validator {validator} is zero, which nobody owns: on {network} {} lost",
            if *withdrawal { "withdrawal" } else { "fee recipient" },
            if *withdrawal { "withdrawals are" } else { "fees are" }
        ),
        Fault::AddressChecksum { validator, found } => {
            format!("the address {found} of validator {validator} does not fit its own checksum: it was mistyped")
        }
        Fault::OtherLock { first } => format!("this is another lock than {first}"),
        Fault::NoIdentity => "there is no identity key".to_owned(),
        Fault::Identity(error) => error.to_string(),
        Fault::IdentityForeign { enr } => {
            format!("this key belongs to no operator of the lock (its ENR is {enr})")
        }
        Fault::OperatorTwice { operator, first } => {
            format!("this is the key of operator {operator} again, which {first} holds already")
        }
        Fault::NoKeystores => "there is no keystore at all".to_owned(),
        Fault::NoPassword => "the keystore has no password file beside it".to_owned(),
        Fault::Keystore(error) => error.to_string(),
        Fault::ClaimDiffers => "the keystore names another public key than the one of the secret in it".to_owned(),
        Fault::NoClaim => "the keystore names no public key, and it was not to be opened".to_owned(),
        Fault::ShareForeign => "this key is no share of any validator of the lock".to_owned(),
        Fault::ShareOfOther { validator, owner, me } => {
            format!("this is operator {owner}'s share of validator {validator}, but the folder is operator {me}'s")
        }
        Fault::ShareTwice { first } => format!("this is the same share as in {first}"),
        Fault::ShareOrder { validator } => {
            format!("this is the share of validator {validator}; Charon's combine expects that number in the name")
        }
        Fault::SharesMissing { validators, of } => format!(
            "{} of {of} validators have no keystore here: {}",
            validators.len(),
            list(validators)
        ),
        Fault::InsecureKeystores { network, real } => {
            if *real {
                format!(
                    "the keystores were encrypted for tests: anybody who gets the files opens them, and this is {network}"
                )
            } else {
                format!(
                    "the keystores were encrypted for tests, which is fine on {network} only if no money depends on it"
                )
            }
        }
        Fault::SharesDoNotFit { validator } => {
            format!("the shares of validator {validator} in these folders do not give its key")
        }
        Fault::NoDeposits { in_lock } => if *in_lock {
            "there is no deposit file (the lock itself holds the deposits)"
        } else {
            "there is no deposit file"
        }
        .to_owned(),
        Fault::DepositsMissing { amount, validators, of } => format!(
            "{} of {of} validators have no deposit of {} here: {}",
            validators.len(),
            eth(*amount),
            list(validators)
        ),
        Fault::DepositFile(error) => error.to_string(),
        Fault::Deposit {
            pubkey,
            amount,
            problem,
        } => format!(
            "the deposit of {} for 0x{pubkey} {}",
            eth(*amount),
            deposit_problem(problem)
        ),
        Fault::Exposed { found, widest } => {
            format!("other users of this machine can use the file (mode {found:04o}, at most {widest:04o} is fine)")
        }
        Fault::WiderThanUsual { found, widest } => {
            format!("the file has mode {found:04o}; {widest:04o} would do")
        }
    }
}

/// The failed checks of a lock, in words without formats where there are any.
fn verification(error: &VerifyError) -> String {
    match error {
        VerifyError::ConfigHash(_) => {
            "what was agreed on was changed afterwards (the config hash does not fit)".to_owned()
        }
        VerifyError::DefinitionHash(_) => {
            "the definition was changed after it was made (the definition hash does not fit)".to_owned()
        }
        VerifyError::LockHash(_) => "the lock was changed after it was made (the lock hash does not fit)".to_owned(),
        VerifyError::Aggregate(problem) => {
            format!("not every key share signed this lock: the signature of all shares is {problem}")
        }
        VerifyError::NodeSignature { operator } => {
            format!(
                "the node of operator {operator} did not sign this lock: the signature is not by the key of its ENR"
            )
        }
        VerifyError::ValidatorCount { .. }
        | VerifyError::Definition(_)
        | VerifyError::Cluster(_)
        | VerifyError::Shares(_)
        | VerifyError::Registration { .. }
        | VerifyError::NodeSignatureCount { .. } => error.to_string(),
    }
}

fn deposit_problem(problem: &DepositProblem) -> String {
    match problem {
        DepositProblem::Foreign => "is for no validator of this lock".to_owned(),
        DepositProblem::Signature => {
            "is not signed by that validator: the deposit contract keeps the money and makes no validator".to_owned()
        }
        DepositProblem::Network { found, expected } => {
            format!("is for the network {found}, the lock is for {expected}")
        }
        DepositProblem::Credentials { found, expected } => {
            format!("returns to other withdrawal credentials (0x{found}) than the lock says (0x{expected})")
        }
        DepositProblem::CredentialsUnknown => {
            "cannot be compared with the lock, which names no withdrawal address".to_owned()
        }
        DepositProblem::Amount => "is not of an amount that this validator may have".to_owned(),
        DepositProblem::Twice => "comes a second time".to_owned(),
        DepositProblem::Roots => "carries a root that is not that of its content".to_owned(),
    }
}

/// What to do about it. `place` is the file.
pub(super) fn remedy(fault: &Fault, place: &str) -> String {
    if let Fault::Exposed { widest, .. } = fault {
        return format!(
            "Run `chmod {widest:o} {place}`, and think about who may have read or changed the file already."
        );
    }
    advice(fault).to_owned()
}

fn advice(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unreadable(_) => "Make the file readable for this user and run the command again.",
        Fault::HalfMoved(_) => "Keep everything that is here, do what the message says, and run the command again.",
        Fault::NoLock { deposits: true } => {
            "Do not use these deposit files. Get the cluster lock from the other operators and put it beside them."
        }
        Fault::NoLock { deposits: false } => {
            "Get cluster-lock.json from another operator: it is the same for all of them, and no secret."
        }
        Fault::Parse(_) => {
            "Get the file again from another operator or whoever created the cluster. If it is of a newer version, get a newer trireme."
        }
        Fault::Verify(VerifyError::ConfigHash(_) | VerifyError::DefinitionHash(_) | VerifyError::LockHash(_)) => {
            "Somebody or something changed the file. Get it again from another operator, and ask what happened."
        }
        Fault::Verify(_) => {
            "This is not the lock of a cluster that was made properly. Get the file again from another operator; if theirs is the same, make a new cluster."
        }
        Fault::Definition(DefinitionError::Missing { .. } | DefinitionError::Partly { .. }) => {
            "Let those who are missing sign (on the launchpad), and fetch the file again."
        }
        Fault::Definition(_) => {
            "Somebody else signed, or for other content. Let the operators sign again; if one of them has a smart-contract wallet, give --execution-client-rpc-endpoint."
        }
        Fault::ContractNotAsked(_) => {
            "Only the wallet's contract can tell: give --execution-client-rpc-endpoint and run the command again."
        }
        Fault::UnknownNetwork(_) => {
            "Name the network with --testnet-name, --testnet-fork-version, --testnet-chain-id and --testnet-genesis-timestamp."
        }
        Fault::UnsignedLock(_) => "Nothing proves that the key shares exist. Make a new cluster, of a newer version.",
        Fault::UnsignedDefinition => "Let the operators sign, if they are to. Keys are made in the next step.",
        Fault::LockDeposit { .. } => "Do not deposit for this validator. Get the lock again from another operator.",
        Fault::ZeroAddress { real: true, .. } => "Make a new cluster with an address that you own.",
        Fault::ZeroAddress { real: false, .. } => "Fine for a test.",
        Fault::AddressChecksum { .. } => {
            "Compare the address with your wallet, digit by digit. If it is wrong, make a new cluster; money sent there is lost."
        }
        Fault::OtherLock { .. } => {
            "Find out which lock is the right one: the operators compare the lock hash. Shares of different clusters do not work together."
        }
        Fault::NoIdentity => {
            "Find charon-enr-private-key in your backup: without it this node cannot join the cluster."
        }
        Fault::Identity(_) => "Take charon-enr-private-key from your backup: 64 hex digits.",
        Fault::IdentityForeign { .. } => {
            "This folder mixes files of different clusters or operators. Find the key that belongs to this lock."
        }
        Fault::OperatorTwice { .. } => {
            "Two folders are copies of one operator's. Never run both: find the folder of the operator that is missing."
        }
        Fault::NoKeystores | Fault::SharesMissing { .. } => {
            "Find the missing keystores in your backup. Keys that went to a keymanager are there instead."
        }
        Fault::NoPassword => "Put the password into a file of the same name that ends in .txt.",
        Fault::Keystore(_) => "Take the keystore and its password file from your backup, both from the same place.",
        Fault::ClaimDiffers => "Do not use this keystore: it was put together from two. Take it from your backup.",
        Fault::NoClaim => "Run the command without --no-decrypt.",
        Fault::ShareForeign | Fault::ShareOfOther { .. } => {
            "Folders were mixed up. Put each operator's validator_keys beside the identity key of that operator."
        }
        Fault::ShareTwice { .. } => "Remove one of the two.",
        Fault::ShareOrder { .. } => "Nothing, unless you want to use Charon's combine: then rename the file.",
        Fault::InsecureKeystores { real: true, .. } => "Make a new cluster without --insecure-keys.",
        Fault::InsecureKeystores { real: false, .. } => "Fine for a test.",
        Fault::SharesDoNotFit { .. } => "Do not deposit for this validator: its key shares do not belong together.",
        Fault::NoDeposits { .. } => {
            "Copy the deposit-data files from another operator: they are the same for all of them."
        }
        Fault::DepositsMissing { .. } => "Copy the deposit-data files from another operator, and compare.",
        Fault::DepositFile(_) => "Copy the file again from another operator.",
        Fault::Deposit { problem, .. } => match problem {
            DepositProblem::Foreign => {
                "Do not deposit: the validator belongs to somebody else's cluster. Find the right file."
            }
            DepositProblem::Credentials { .. } => {
                "Do not deposit: the money would come back to somebody else. Find out who changed the file."
            }
            DepositProblem::Signature | DepositProblem::Network { .. } | DepositProblem::Roots => {
                "Do not use this file. Copy it again from another operator, and verify it."
            }
            DepositProblem::CredentialsUnknown => "Compare the withdrawal credentials with your address yourself.",
            DepositProblem::Amount => "Do not use this file; make the deposit data again with the right amounts.",
            DepositProblem::Twice => "Send each deposit once.",
        },
        Fault::Exposed { .. } => "Take the rights away with chmod.",
        Fault::WiderThanUsual { .. } => "Nothing, or chmod.",
    }
}

/// The last sentence.
pub(super) fn sentence(report: &Report, opened: bool) -> String {
    let worst = |severity: Severity| report.faults().filter(move |(_, fault)| fault.severity() == severity);
    let first = |severity: Severity| {
        let all: Vec<_> = worst(severity).collect();
        let Some((finding, fault)) = all.first() else {
            return String::new();
        };
        let place = if finding.place.is_empty() {
            String::new()
        } else {
            format!("{}: ", finding.place)
        };
        let more = match all.len().saturating_sub(1) {
            0 => String::new(),
            1 => "; and one more finding".to_owned(),
            more => format!("; and {more} more findings"),
        };
        format!("{place}{}{more}", what(fault))
    };
    match report.verdict() {
        Verdict::Wrong => format!("do not deposit: {}", first(Severity::Wrong)),
        Verdict::Unchecked => format!("do not deposit: not everything could be checked ({})", first(Severity::Unchecked)),
        Verdict::Incomplete => {
            let mut lacking: Vec<String> = Vec::new();
            for (finding, fault) in worst(Severity::Lacking) {
                let text = lack(fault, &finding.place);
                if !lacking.contains(&text) {
                    lacking.push(text);
                }
            }
            let shown = lacking.len().min(4);
            let more = lacking.len().saturating_sub(shown);
            lacking.truncate(shown);
            if more > 0 {
                lacking.push(format!("{more} more things"));
            }
            let last = lacking.pop().unwrap_or_default();
            let text = if lacking.is_empty() { last } else { format!("{} and {last}", lacking.join(", ")) };
            let plan = match report.subject {
                Subject::Definition => "; it is a plan without keys, so there is nothing to deposit for yet",
                Subject::Folders(_) | Subject::Lock | Subject::Deposits => "",
            };
            format!("this backup lacks {text}{plan}")
        }
        Verdict::Verified => match report.subject {
            Subject::Folders(_) if opened => "safe to deposit".to_owned(),
            Subject::Folders(_) => {
                "safe to deposit, provided that the keystores open: they were not tried (--no-decrypt)".to_owned()
            }
            Subject::Lock => {
                "safe to deposit as far as a lock alone tells: verify the folder with your keys and deposit data, too".to_owned()
            }
            Subject::Definition => {
                "do not deposit: everything here is right, but a definition is a plan without keys; verify what is made of it".to_owned()
            }
            Subject::Deposits => String::new(),
        },
    }
}

/// What is missing, as a thing.
fn lack(fault: &Fault, place: &str) -> String {
    match fault {
        Fault::NoLock { .. } => format!("the cluster lock ({place})"),
        Fault::UnsignedLock(_) => "every signature over the lock".to_owned(),
        Fault::UnsignedDefinition => "signatures of the operators".to_owned(),
        Fault::NoIdentity => format!("the identity key ({place})"),
        Fault::NoKeystores => format!("all keystores ({place})"),
        Fault::NoPassword => format!("the password of {place}"),
        Fault::SharesMissing { validators, .. } => format!("the keystores of {} ({place})", named(validators)),
        Fault::NoDeposits { .. } => format!("the deposit data ({place})"),
        Fault::DepositsMissing { amount, validators, .. } => {
            format!("the deposits of {} for {} ({place})", eth(*amount), named(validators))
        }
        Fault::HalfMoved(reason) => format!("files of an interrupted command ({reason})"),
        other => what(other),
    }
}

fn named(validators: &[usize]) -> String {
    let word = if validators.len() == 1 {
        "validator"
    } else {
        "validators"
    };
    format!("{word} {}", list(validators))
}

/// Positions, the first few of them.
fn list(positions: &[usize]) -> String {
    const SHOWN: usize = 10;
    let texts: Vec<String> = positions.iter().take(SHOWN).map(usize::to_string).collect();
    let text = texts.join(", ");
    match positions.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Gwei as ETH, without zeros at the end.
pub(crate) fn eth(gwei: u64) -> String {
    const ETH: u64 = 1_000_000_000;
    let (whole, rest) = (gwei / ETH, gwei % ETH);
    let fraction = format!("{rest:09}");
    match fraction.trim_end_matches('0') {
        "" => format!("{whole} ETH"),
        digits => format!("{whole}.{digits} ETH"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_in_eth() {
        assert_eq!(eth(32_000_000_000), "32 ETH");
        assert_eq!(eth(1_500_000_000), "1.5 ETH");
        assert_eq!(eth(1), "0.000000001 ETH");
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(&[1, 2]), "1, 2");
        assert_eq!(
            list(&(0..13).collect::<Vec<_>>()),
            "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
        );
        assert_eq!(named(&[7]), "validator 7");
    }
}
