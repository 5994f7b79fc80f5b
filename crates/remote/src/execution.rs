//! An execution client: what smart-contract wallets say about signatures (EIP-1271, cluster.md 4.2).
//!
//! Guarantees: an answer counts only if the execution client follows the chain of the cluster's network; a contract that
//! reverts, answers something else or is not there refuses, while an execution client that cannot say is an error.
//! Not here: whose signatures are asked about (`trireme_cluster::Definition::wallet_questions`).

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use trireme_cluster::{Definition, Networks, WalletQuestion, WalletRules, Wallets};

use crate::http::{AddressError, Ask, Http, Reach, RemoteError, one_line};

/// How long [`Execution::ready`] waits for a client that is just starting.
pub const STARTS_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// Time limit of one question.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1 << 20;
/// `isValidSignature(bytes32,bytes)`; a contract that accepts gives the same bytes back.
const IS_VALID_SIGNATURE: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];
const ZERO_ADDRESS: &str = "0x0000000000000000000000000000000000000000";

/// One execution client.
pub struct Execution {
    http: Http,
    time: Duration,
}

/// Why a contract's word is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// The connection.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The execution client answered with an error that is not the contract's.
    #[error("the execution client {address} answers {method} with error {code}: {message}")]
    Rpc {
        /// Scheme, host and port.
        address: String,
        /// Of JSON-RPC.
        method: &'static str,
        /// Of JSON-RPC.
        code: i64,
        /// What it says.
        message: String,
    },
    /// Contracts of another chain say nothing about this cluster.
    #[error(
        "the execution client {address} follows the chain with id {found}, but the cluster's network {network} has {expected}; give --execution-client-rpc-endpoint of that network"
    )]
    OtherChain {
        /// Scheme, host and port.
        address: String,
        /// Its chain id.
        found: u64,
        /// Ours.
        expected: u64,
        /// Name.
        network: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Option<Value>,
    #[serde(default)]
    error: Option<RpcFault>,
}

#[derive(Deserialize)]
struct RpcFault {
    code: i64,
    #[serde(default)]
    message: String,
}

/// What became of a call.
enum Outcome {
    Result(String),
    Fault(RpcFault),
}

impl Execution {
    /// An execution client by the URL of its JSON-RPC.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(endpoint: &str) -> Result<Self, AddressError> {
        let http = Http::new(endpoint, Reach::Local)?;
        Ok(Self { http, time: TIMEOUT })
    }

    /// With another time limit per question.
    #[must_use]
    pub fn with_timeout(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// Waits until the execution client answers who it is, and gives its name.
    ///
    /// # Errors
    /// The last failure, if it does not within `time`.
    pub async fn ready(&self, time: Duration) -> Result<String, ExecutionError> {
        let end = tokio::time::Instant::now() + time;
        loop {
            let failure = match self.call("web3_clientVersion", json!([])).await {
                Ok(Outcome::Result(name)) => return Ok(one_line(&name, &[])),
                Ok(Outcome::Fault(fault)) => self.rpc("web3_clientVersion", fault),
                Err(error) => error.into(),
            };
            if tokio::time::Instant::now() + POLL > end {
                return Err(failure);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The id of the chain that it follows.
    ///
    /// # Errors
    /// [`ExecutionError`].
    pub async fn chain_id(&self) -> Result<u64, ExecutionError> {
        const METHOD: &str = "eth_chainId";
        match self.call(METHOD, json!([])).await? {
            Outcome::Result(text) => {
                let digits = text.strip_prefix("0x").unwrap_or_default();
                let id = u64::from_str_radix(digits, 16);
                Ok(id.map_err(|_| self.http.malformed("asking for the chain id", "it is no chain id"))?)
            }
            Outcome::Fault(fault) => Err(self.rpc(METHOD, fault)),
        }
    }

    /// Whether the contract at the wallet's address accepts the signature.
    ///
    /// # Errors
    /// [`ExecutionError`] if that cannot be found out.
    pub async fn accepts(&self, question: &WalletQuestion) -> Result<bool, ExecutionError> {
        const METHOD: &str = "eth_call";
        let call = json!({
            "from": ZERO_ADDRESS,
            "to": format!("0x{}", hex::encode(question.wallet)),
            "data": format!("0x{}", hex::encode(call_data(question))),
        });
        match self.call(METHOD, json!([call, "latest"])).await? {
            Outcome::Result(text) => {
                let digits = text.strip_prefix("0x").unwrap_or(&text);
                Ok(digits
                    .get(..8)
                    .is_some_and(|d| d.eq_ignore_ascii_case(&hex::encode(IS_VALID_SIGNATURE))))
            }
            // A contract that does not like a signature often reverts.
            Outcome::Fault(fault) if fault.code == 3 || fault.message.to_lowercase().contains("revert") => Ok(false),
            Outcome::Fault(fault) => Err(self.rpc(METHOD, fault)),
        }
    }

    /// Asks everything that the verification of a definition wants to know. Nobody is asked if there is nothing to ask.
    ///
    /// # Errors
    /// [`ExecutionError`] if an answer is not to be had, also if the execution client follows another chain.
    pub async fn ask_wallets(&self, definition: &Definition, networks: &Networks) -> Result<Wallets, ExecutionError> {
        let rules = WalletRules::default();
        let mut wallets = Wallets::new(rules);
        let questions = definition.wallet_questions(networks, rules);
        let network = networks.by_fork_version(&definition.fork_version);
        let Some(network) = network.filter(|_| !questions.is_empty()) else {
            return Ok(wallets);
        };
        self.follows(network).await?;
        for question in questions {
            let valid = self.accepts(&question).await?;
            wallets.answer(question, valid);
        }
        Ok(wallets)
    }

    /// Makes sure that the execution client follows the network's chain.
    ///
    /// # Errors
    /// [`ExecutionError::OtherChain`], or if it does not say.
    pub async fn follows(&self, network: &trireme_cluster::Network) -> Result<(), ExecutionError> {
        let found = self.chain_id().await?;
        if found == network.chain_id {
            return Ok(());
        }
        Err(ExecutionError::OtherChain {
            address: self.address().to_owned(),
            found,
            expected: network.chain_id,
            network: network.name.clone(),
        })
    }

    fn rpc(&self, method: &'static str, fault: RpcFault) -> ExecutionError {
        ExecutionError::Rpc {
            address: self.address().to_owned(),
            method,
            code: fault.code,
            message: one_line(&fault.message, &[]),
        }
    }

    async fn call(&self, method: &'static str, params: Value) -> Result<Outcome, RemoteError> {
        const DOING: &str = "asking the execution client";
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let ask = Ask {
            doing: DOING,
            method: Method::POST,
            url: self.http.base().clone(),
            bearer: None,
            body: Some(Bytes::from(body.to_string())),
            time: self.time,
            limit: MAX_ANSWER,
            secrets: &[],
        };
        let bytes = self.http.ask(ask).await?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| {
            self.http
                .malformed(DOING, "it is no JSON-RPC; is this the address of an execution client?")
        })?;
        match answer {
            Answer { error: Some(fault), .. } => Ok(Outcome::Fault(fault)),
            Answer {
                result: Some(Value::String(text)),
                ..
            } => Ok(Outcome::Result(text)),
            Answer { .. } => Err(self.http.malformed(DOING, "the result is not a text")),
        }
    }
}

/// Selector, digest, where the bytes begin, how many they are, and the bytes, filled up to whole words.
fn call_data(question: &WalletQuestion) -> Vec<u8> {
    let word = |n: usize| {
        let mut out = [0; 32];
        let bytes = n.to_be_bytes();
        if let Some(tail) = out.last_chunk_mut() {
            *tail = bytes;
        }
        out
    };
    let length = question.signature.len();
    let mut out = IS_VALID_SIGNATURE.to_vec();
    out.extend(question.digest);
    out.extend(word(64));
    out.extend(word(length));
    out.extend(&question.signature);
    out.resize(
        out.len()
            .saturating_add(length.next_multiple_of(32).saturating_sub(length)),
        0,
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_is_encoded_as_contracts_read_it() {
        let data = call_data(&WalletQuestion {
            wallet: [1; 20],
            digest: [2; 32],
            signature: vec![3; 65],
        });
        let expected = format!(
            "1626ba7e{}{:064x}{:064x}{}{}",
            "02".repeat(32),
            0x40,
            65,
            "03".repeat(65),
            "00".repeat(31)
        );
        assert_eq!(hex::encode(data), expected);
    }
}
