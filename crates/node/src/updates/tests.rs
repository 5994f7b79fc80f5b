use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::Uri};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use trireme_core::{
    PeerIdx,
    cluster::Validator,
    entropy::OsEntropy,
    scheme::{CannotCombine, Refusal},
};
use trireme_eth2::{ForkVersion, Genesis};

use super::*;

const KEY: PubKey = PubKey([1; 48]);
const GROUP: u8 = 100;

/// Share n signs with bytes n, the group with bytes 100, and any parts combine to that.
struct Plain;

impl Scheme for Plain {
    fn verify_set(&self, claims: &[Claim], _: &[u8; 32]) -> Vec<Result<(), Refusal>> {
        let verdict = |c: &Claim| {
            let expected = match c.signer {
                Signer::Group(_) => GROUP,
                Signer::Share(_, share) => share.0,
            };
            (c.signature.0 == [expected; 96]).then_some(()).ok_or(Refusal::Wrong)
        };
        claims.iter().map(verdict).collect()
    }
    fn combine(&self, _: &BTreeMap<ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine> {
        Ok(BlsSignature([GROUP; 96]))
    }
}

fn combine(parts: &Parts) -> Whole {
    let validator = Validator {
        key: KEY,
        shares: vec![[1; 48]; 4],
        fee_recipient: [5; 20],
    };
    let cluster = Cluster::new([0; 32], 4, 3, PeerIdx(0), vec![validator]);
    let spec = json!({"SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32"});
    let genesis = Genesis {
        genesis_time: 0,
        genesis_validators_root: Root([0; 32]),
        genesis_fork_version: ForkVersion([0; 4]),
    };
    let chain = ChainSpec::read(spec.as_object().unwrap(), genesis).unwrap();
    parts.combine(&cluster, &chain, &Plain, &OsEntropy)
}

fn hex_of(byte: u8, n: usize) -> String {
    format!("0x{}", hex::encode(vec![byte; n]))
}

/// A registration of validator `of`, signed by these shares, each as it says.
fn registration(of: u8, timestamp: u64, parts: &[(u8, u8)], quorum: bool) -> Value {
    let parts = parts
        .iter()
        .map(|(share, signed)| json!({"share_index": share, "signature": hex_of(*signed, 96)}));
    json!({
        "message": {"fee_recipient": hex_of(9, 20), "gas_limit": "36000000", "timestamp": timestamp.to_string(), "pubkey": hex_of(of, 48)},
        "partial_signatures": parts.collect::<Vec<_>>(),
        "quorum": quorum,
    })
}

fn answer(of: u8, registrations: &[Value]) -> Value {
    json!({"validators": [{"pubkey": hex_of(of, 48), "builder_registrations": registrations}]})
}

fn parts(answer: Value) -> Parts {
    serde_json::from_value(answer).unwrap()
}

const ALL: [(u8, u8); 3] = [(1, 1), (2, 2), (4, 4)];

#[test]
fn what_enough_operators_have_signed_becomes_a_registration_of_the_group() {
    let whole = combine(&parts(answer(1, &[registration(1, 50, &ALL, true)])));
    let [signed] = &whole.registrations[..] else {
        panic!("{whole:?}");
    };
    assert_eq!((signed.message.timestamp, signed.signature.0), (50, [GROUP; 96]));
    assert!(!whole.incomplete);
}

#[test]
fn forged_parts_are_left_out_and_too_few_good_ones_make_nothing() {
    let one_forged = registration(1, 50, &[(1, 1), (2, 9), (3, 3), (4, 4)], true);
    assert_eq!(combine(&parts(answer(1, &[one_forged]))).registrations.len(), 1);
    let two_forged = registration(1, 50, &[(1, 1), (2, 9), (3, 9), (4, 4)], true);
    let whole = combine(&parts(answer(1, &[two_forged])));
    assert!(whole.registrations.is_empty() && whole.incomplete);
}

#[test]
fn what_is_not_complete_is_said_and_what_is_of_others_is_left_out() {
    let whole = combine(&parts(answer(1, &[registration(1, 50, &ALL[..1], false)])));
    assert!(whole.registrations.is_empty() && whole.incomplete);
    let foreign = combine(&parts(answer(2, &[registration(2, 50, &ALL, true)])));
    assert_eq!(foreign, Whole::default());
    let wrongly_listed = combine(&parts(answer(1, &[registration(2, 50, &ALL, true)])));
    assert_eq!(wrongly_listed, Whole::default());
}

/// An API that answers so, what it was asked, and the way to it.
async fn api(status: u16, body: String) -> (Updates, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    type Asked = Arc<Mutex<Vec<String>>>;
    async fn serve(
        State((asked, status, body)): State<(Asked, StatusCode, String)>,
        uri: Uri,
        question: String,
    ) -> (StatusCode, String) {
        asked.lock().unwrap().push(format!("{} {question}", uri.path()));
        (status, body)
    }
    let asked = Asked::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://me:secret@{}/v1", listener.local_addr().unwrap());
    let state = (Arc::clone(&asked), StatusCode::from_u16(status).unwrap(), body);
    let app = Router::new().fallback(serve).with_state(state);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    let config = UpdatesConfig {
        address: address.parse().unwrap(),
        timeout: Duration::from_secs(10),
    };
    assert!(!format!("{config:?}").contains("secret"));
    (Updates::new(&config, &[0xab; 32]).unwrap(), asked, tasks)
}

#[tokio::test]
async fn api_is_asked_for_the_whole_cluster_in_the_place_of_the_base_path() {
    let expected = answer(1, &[registration(1, 50, &ALL, true)]);
    let (updates, asked, _tasks) = api(200, expected.to_string()).await;
    assert_eq!(updates.ask().await, Ok(parts(expected)));
    let path = format!("/fee_recipient/0x{}", "ab".repeat(32));
    assert_eq!(*asked.lock().unwrap(), [format!("{path} {{\"pubkeys\":null}}")]);
}

#[tokio::test]
async fn api_that_has_nothing_yet_is_no_failure_and_every_other_refusal_is_one_without_credentials() {
    let (updates, _, _tasks) = api(404, r#"{"message":"no partial registrations found"}"#.to_owned()).await;
    assert_eq!(updates.ask().await, Ok(Parts::default()));
    for (status, body, expected) in [
        (404, "lock not found", "lock not found"),
        (500, "oops", "500"),
        (200, "[1", "cannot be read"),
        (200, r#"{"validators":[{"pubkey":"0x01"}]}"#, "cannot be read"),
    ] {
        let (updates, _, _tasks) = api(status, body.to_owned()).await;
        let error = updates.ask().await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
}
