//! An execution client with smart-contract wallets on its chain (EIP-1271, cluster.md 4.2).
//!
//! Guarantees: every call is decoded strictly, as a contract would; what does not decode reverts and is kept as a complaint.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::Response, routing::post};
use serde_json::{Value, json};

use crate::served::{self, Faults, Serving, lock, serve};

const MAGIC: &str = "1626ba7e";

/// What a contract accepts, and what it does with the rest.
#[derive(Debug, Clone, Default)]
pub struct Wallet {
    /// Digests with signatures.
    pub accepts: BTreeSet<([u8; 32], Vec<u8>)>,
    /// Whether a signature that is not accepted reverts, instead of giving another value.
    pub reverts: bool,
}

/// What is on the chain.
#[derive(Debug, Default)]
pub struct Chain {
    /// Its id.
    pub id: u64,
    /// Contracts by address; other addresses have no code.
    pub wallets: BTreeMap<[u8; 20], Wallet>,
    /// Calls that were not `isValidSignature` as contracts read it.
    pub complaints: Vec<String>,
    /// Methods that were called, in order.
    pub calls: Vec<String>,
}

/// The server; it stops when this is dropped.
#[derive(Debug)]
pub struct ExecutionMock {
    /// What goes wrong next.
    pub faults: Faults,
    chain: Arc<Mutex<Chain>>,
    serving: Serving,
}

impl ExecutionMock {
    /// Listens on a free port of 127.0.0.1, at the path `/v3/KEY`.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start(chain_id: u64) -> std::io::Result<Self> {
        let chain = Arc::new(Mutex::new(Chain {
            id: chain_id,
            ..Chain::default()
        }));
        let faults = Faults::default();
        let router = Router::new()
            .route("/v3/KEY", post(answer))
            .with_state(Arc::clone(&chain));
        let serving = serve(router, &faults).await?;
        Ok(Self { faults, chain, serving })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// What `--execution-client-rpc-endpoint` is given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v3/KEY", self.serving.address)
    }

    /// Looks at the chain, or changes it.
    pub fn look<T>(&self, at: impl FnOnce(&mut Chain) -> T) -> T {
        at(&mut lock(&self.chain))
    }
}

async fn answer(State(chain): State<Arc<Mutex<Chain>>>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut chain = lock(&chain);
    let method = request
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let result = match method.as_str() {
        "web3_clientVersion" => Ok(json!("mock/v1")),
        "eth_chainId" => Ok(json!(format!("{:#x}", chain.id))),
        "eth_call" => call(&mut chain, request.get("params").unwrap_or(&Value::Null)),
        _ => Err(json!({ "code": -32601, "message": "no such method" })),
    };
    chain.calls.push(method);
    let id = request.get("id").cloned().unwrap_or_default();
    let body = match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    };
    served::answer(StatusCode::OK, &body)
}

fn call(chain: &mut Chain, params: &Value) -> Result<Value, Value> {
    let revert = || json!({ "code": 3, "message": "execution reverted: GS026", "data": "0x" });
    let Some((to, digest, signature)) = decode(params) else {
        chain.complaints.push(params.to_string());
        return Err(revert());
    };
    let Some(wallet) = chain.wallets.get(&to) else {
        return Ok(json!("0x"));
    };
    if wallet.accepts.contains(&(digest, signature)) {
        return Ok(json!(format!("0x{MAGIC:0<64}")));
    }
    if wallet.reverts {
        Err(revert())
    } else {
        Ok(json!(format!("0xffffffff{:056}", 0)))
    }
}

/// Address, digest and signature, if the call is made as it should be.
fn decode(params: &Value) -> Option<([u8; 20], [u8; 32], Vec<u8>)> {
    let [call, Value::String(block)] = params.as_array()?.as_slice() else {
        return None;
    };
    let text = |name: &str| call.get(name)?.as_str()?.strip_prefix("0x");
    let from_nobody = text("from")?.bytes().all(|b| b == b'0');
    let mut to = [0; 20];
    hex::decode_to_slice(text("to")?, &mut to).ok()?;
    let data = text("data")?.strip_prefix(MAGIC)?;
    let data = hex::decode(data).ok()?;
    let (digest, rest) = data.split_first_chunk::<32>()?;
    let (offset, rest) = rest.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<32>()?;
    let number = |word: &[u8; 32]| {
        let (head, tail) = word.split_last_chunk::<8>()?;
        head.iter().all(|b| *b == 0).then(|| u64::from_be_bytes(*tail))
    };
    let length = usize::try_from(number(length)?).ok()?;
    let (signature, padding) = rest.split_at_checked(length)?;
    let fits = block == "latest"
        && from_nobody
        && number(offset)? == 64
        && rest.len() == length.next_multiple_of(32)
        && padding.iter().all(|b| *b == 0);
    fits.then(|| (to, *digest, signature.to_vec()))
}
