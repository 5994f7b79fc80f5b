//! The vector kinds of keys, records and keystores; one test per kind.

use serde::Deserialize;
use serde_json::Value;
use trireme_keys::{
    Enr, EnrAddress, IdentityKey, K1PublicKey, Keystore, PeerId, keccak256,
    keystore::{Cost, KeystoreError, Nonces},
    peer_name, peer_name_of_text, recover, verify,
};
use trireme_vectors::each;

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

fn hex_array<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    hex::decode_to_slice(text.trim_start_matches("0x"), &mut out).unwrap_or_else(|e| panic!("{text}: {e}"));
    out
}

fn key(text: &str) -> IdentityKey {
    IdentityKey::from_bytes(&hex_array(text)).unwrap()
}

fn public(text: &str) -> K1PublicKey {
    text.trim_start_matches("0x").parse().unwrap()
}

#[derive(Deserialize)]
struct ParseCase {
    enr: String,
    valid: bool,
    seq_hex: Option<String>,
    signature_hex: Option<String>,
    pubkey_hex: Option<String>,
    ip: Option<String>,
    tcp: Option<u64>,
    udp: Option<u64>,
    peer_id: Option<String>,
    peer_id_bytes_hex: Option<String>,
    peer_name: Option<String>,
}

#[test]
fn enr_parse() {
    each("p2p", "enr-parse", |e| {
        for case in e.parse::<Cases<ParseCase>>().cases {
            let parsed = case.enr.parse::<Enr>();
            if !case.valid {
                assert!(parsed.is_err(), "{}", case.enr);
                continue;
            }
            let enr = parsed.unwrap_or_else(|e| panic!("{}: {e}", case.enr));
            assert_eq!(hex::encode(enr.seq()), case.seq_hex.unwrap());
            assert_eq!(hex::encode(enr.signature()), case.signature_hex.unwrap());
            assert_eq!(enr.public_key(), public(&case.pubkey_hex.unwrap()));
            let ip = case.ip.map(|ip| ip.parse::<std::net::IpAddr>().unwrap());
            let ip_bytes = ip.map(|ip| match ip {
                std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
                std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
            });
            assert_eq!(enr.ip(), ip_bytes.as_deref());
            assert_eq!((enr.tcp(), enr.udp()), (case.tcp, case.udp));
            let id = PeerId::from_public_key(enr.public_key());
            assert_eq!(id.to_string(), case.peer_id.unwrap());
            assert_eq!(hex::encode(id.to_bytes()), case.peer_id_bytes_hex.unwrap());
            assert_eq!(peer_name(&id), case.peer_name.unwrap());
            // Padding is the only part of an accepted text that is not kept.
            assert_eq!(enr.to_string(), case.enr.trim_end_matches('='));
        }
    });
}

#[derive(Deserialize)]
struct CreateCase {
    private_key_hex: String,
    ip: Option<String>,
    tcp: Option<u16>,
    udp: Option<u16>,
    unsigned_rlp_hex: String,
    keccak256_hex: String,
    signature_hex: String,
    enr: String,
}

#[test]
fn enr_create() {
    each("p2p", "enr-create", |e| {
        for case in e.parse::<Cases<CreateCase>>().cases {
            let address = EnrAddress {
                ip: case.ip.map(|ip| ip.parse().unwrap()),
                tcp: case.tcp,
                udp: case.udp,
            };
            let enr = Enr::create(&key(&case.private_key_hex), address);
            assert_eq!(hex::encode(enr.content()), case.unsigned_rlp_hex);
            assert_eq!(hex::encode(keccak256(&enr.content())), case.keccak256_hex);
            assert_eq!(hex::encode(enr.signature()), case.signature_hex);
            assert_eq!(enr.to_string(), case.enr);
        }
    });
}

#[derive(Deserialize)]
struct PeerCase {
    private_key_hex: Option<String>,
    pubkey_hex: Option<String>,
    libp2p_pubkey_protobuf_hex: Option<String>,
    peer_id_bytes_hex: Option<String>,
    peer_id: String,
    peer_name: String,
}

#[test]
fn peer_id() {
    each("p2p", "peer-id", |e| {
        for case in e.parse::<Cases<PeerCase>>().cases {
            assert_eq!(peer_name_of_text(&case.peer_id), case.peer_name);
            let mut forms = Vec::new();
            if let Some(secret) = &case.private_key_hex {
                forms.push(PeerId::from_public_key(key(secret).public_key()));
            }
            if let Some(bytes) = &case.pubkey_hex {
                forms.push(PeerId::from_public_key(public(bytes)));
            }
            if let Some(bytes) = &case.peer_id_bytes_hex {
                forms.push(PeerId::from_bytes(&hex::decode(bytes).unwrap()).unwrap());
            }
            // Ids that are hashes of a key are names only.
            if case.peer_id.starts_with("16Uiu2HA") {
                forms.push(case.peer_id.parse().unwrap());
            }
            for id in forms {
                assert_eq!(id.to_string(), case.peer_id);
                assert_eq!(peer_name(&id), case.peer_name);
                let of_key = PeerId::from_public_key(id.public_key());
                assert_eq!(of_key, id);
                if let Some(protobuf) = &case.libp2p_pubkey_protobuf_hex {
                    assert_eq!(hex::encode(&id.to_bytes()[2..]), *protobuf);
                }
            }
        }
    });
}

#[derive(Deserialize)]
struct KeyFileCase {
    content: String,
    private_key_hex: Option<String>,
    error: Option<Value>,
}

#[test]
fn key_file() {
    each("p2p", "key-file", |e| {
        for case in e.parse::<Cases<KeyFileCase>>().cases {
            let read = IdentityKey::from_file_text(&case.content);
            match case.private_key_hex {
                Some(secret) => {
                    let key = read.unwrap();
                    assert_eq!(key.to_file_text().as_str(), secret);
                }
                None => {
                    assert!(case.error.is_some(), "a case has a key or an error");
                    assert!(read.is_err(), "{:?}", case.content);
                }
            }
        }
    });
}

#[derive(Deserialize)]
struct SignCase {
    private_key_hex: String,
    digest_hex: String,
    pubkey_hex: String,
    signature_hex: String,
}

#[test]
fn k1_sign() {
    each("p2p", "k1-sign", |e| {
        for case in e.parse::<Cases<SignCase>>().cases {
            let key = key(&case.private_key_hex);
            assert_eq!(key.public_key(), public(&case.pubkey_hex));
            let signature = key.sign_digest(&hex_array(&case.digest_hex));
            assert_eq!(hex::encode(signature), case.signature_hex);
        }
    });
}

#[derive(Deserialize)]
struct VerifyCase {
    description: String,
    digest_hex: String,
    signature_hex: String,
    pubkey_hex: String,
    result: String,
}

#[test]
fn k1_verify() {
    each("p2p", "k1-verify", |e| {
        for case in e.parse::<Cases<VerifyCase>>().cases {
            let signature = hex::decode(&case.signature_hex).unwrap();
            let result = match verify(&public(&case.pubkey_hex), &hex_array(&case.digest_hex), &signature) {
                Ok(fits) => fits.to_string(),
                Err(_) => "error".to_owned(),
            };
            assert_eq!(result, case.result, "{}", case.description);
        }
    });
}

#[derive(Deserialize)]
struct K1Signature {
    private_key: String,
    public_key_compressed: String,
    digest: String,
    signature_rsv: String,
}

#[test]
fn k1_signature() {
    each("core", "k1-signature", |e| {
        let case: K1Signature = e.parse();
        let signature = key(&case.private_key).sign_digest(&hex_array(&case.digest));
        assert_eq!(hex::encode(signature), case.signature_rsv);
        assert_eq!(
            recover(&hex_array(&case.digest), &signature),
            Ok(public(&case.public_key_compressed))
        );
    });
}

#[derive(Deserialize)]
struct Words {
    algorithm: Algorithm,
    nouns: Vec<String>,
    adjectives: Vec<String>,
}

#[derive(Deserialize)]
struct Algorithm {
    prime: u64,
    modulus: u64,
    initial_hash: u64,
    initial_power: u64,
}

#[test]
fn peer_name_words() {
    each("p2p", "peer-name-words", |e| {
        let file: Words = e.parse();
        let (adjectives, nouns) = trireme_keys::peer_name_words();
        assert_eq!(adjectives, file.adjectives);
        assert_eq!(nouns, file.nouns);
        // The constants show in the names: a name by the file's constants is ours.
        let by_file = |text: &str| {
            let Algorithm {
                prime,
                modulus,
                initial_hash,
                initial_power,
            } = file.algorithm;
            let (hash, _) = text.bytes().fold((initial_hash, initial_power), |(hash, power), byte| {
                ((hash + u64::from(byte) * power) % modulus, power * prime % modulus)
            });
            let pick = |words: &[String]| words[usize::try_from(hash).unwrap() % words.len()].clone();
            format!("{}-{}", pick(&file.adjectives), pick(&file.nouns))
        };
        for seed in 1..=100 {
            let id = PeerId::from_public_key(IdentityKey::from_bytes(&[seed; 32]).unwrap().public_key());
            assert_eq!(peer_name(&id), by_file(&id.to_string()));
        }
    });
}

/// The compressed public key of a secret, in hex.
fn bls_public(secret: &[u8; 32]) -> String {
    hex::encode(
        blst::min_pk::SecretKey::from_bytes(secret)
            .unwrap()
            .sk_to_pk()
            .compress(),
    )
}

#[test]
fn keystore_file() {
    each("cluster", "keystore-file", |e| {
        let keystore = Keystore::from_json(&e.bytes()).unwrap();
        let secret = keystore.decrypt(&e.input("password").bytes()).unwrap();
        assert_eq!(bls_public(&secret), keystore.pubkey().trim_start_matches("0x"));
    });
}

#[derive(Deserialize)]
struct KeystoreCase {
    password: String,
    secret: String,
    keystore: Value,
}

#[test]
fn keystore_cases() {
    each("cluster", "keystore-cases", |e| {
        for case in e.parse::<Vec<KeystoreCase>>() {
            let keystore = Keystore::from_json(case.keystore.to_string().as_bytes()).unwrap();
            let secret = keystore.decrypt(case.password.as_bytes()).unwrap();
            assert_eq!(hex::encode(secret.as_slice()), case.secret);
            let wrong = format!("{}x", case.password);
            assert_eq!(keystore.decrypt(wrong.as_bytes()), Err(KeystoreError::WrongPassword));

            let crypto = &case.keystore["crypto"];
            let text = |at: &str| crypto.pointer(at).and_then(Value::as_str).unwrap().to_owned();
            let cost = match crypto["kdf"]["params"]["c"].as_u64() {
                Some(262_144) => Cost::Full,
                Some(16) => Cost::Insecure,
                other => panic!("neither of our costs: {other:?}"),
            };
            let nonces = Nonces {
                salt: hex_array(&text("/kdf/params/salt")),
                iv: hex_array(&text("/cipher/params/iv")),
                uuid: hex_array(&case.keystore["uuid"].as_str().unwrap().replace('-', "")),
            };
            let public = hex_array(&bls_public(&secret));
            let ours = Keystore::encrypt(&secret, &public, &case.password, cost, &nonces);
            assert_eq!(serde_json::from_slice::<Value>(&ours.to_json()).unwrap(), case.keystore);
        }
    });
}
