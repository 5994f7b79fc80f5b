//! Data of duties against bytes from live nodes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use trireme_core::{
    Duty, DutyType, PubKey, ShareIdx,
    consensus::hash,
    data::{
        DataError, ParSignedData, ParSignedDataSet, SignedData, UnsignedData, UnsignedDataSet, decode_bare_signature,
        decode_parsigex, encode_bare_signature, encode_parsigex,
    },
};
use trireme_eth2::{
    BlsSignature, ChainSpec, ContributionAndProof, DomainType, Epoch, Fork, ForkVersion, Genesis, Root, Slot,
    Versioned as _,
    ssz::{Decode as _, Encode as _},
};
use trireme_tbls as tbls;

fn bytes_of(hex_text: &str) -> Vec<u8> {
    let digits = hex_text.trim();
    hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).unwrap()
}

fn root_of(v: &Value) -> Root {
    v.as_str().unwrap().parse().unwrap()
}

/// Any object of the workflow, decoded by the name of its type in the vectors.
#[derive(Debug, PartialEq)]
enum Object {
    Signed(SignedData),
    Unsigned(UnsignedData),
    Bare(Vec<u8>),
    Inner(ContributionAndProof),
}

impl Object {
    fn decode(kind: &str, bytes: &[u8]) -> Result<Self, DataError> {
        use {SignedData as S, UnsignedData as U};

        let signed = |duty, fits: fn(&S) -> bool| {
            let object = S::decode(duty, bytes)?;
            assert!(fits(&object), "decoded as another kind: {object:?}");
            Ok(Self::Signed(object))
        };
        let unsigned = |duty, fits: fn(&U) -> bool| {
            let object = U::decode(duty, bytes)?;
            assert!(fits(&object), "decoded as another kind: {object:?}");
            Ok(Self::Unsigned(object))
        };
        match kind {
            "VersionedSignedProposal" => signed(DutyType::Proposer, |s| matches!(s, S::Proposal(_))),
            "VersionedAttestation" => signed(DutyType::Attester, |s| matches!(s, S::Attestation(_))),
            "Attestation" => signed(DutyType::Attester, |s| matches!(s, S::UnversionedAttestation(_))),
            "SignedVoluntaryExit" => signed(DutyType::Exit, |s| matches!(s, S::Exit(_))),
            "VersionedSignedValidatorRegistration" => {
                signed(DutyType::BuilderRegistration, |s| matches!(s, S::Registration(_)))
            }
            "SignedRandao" => signed(DutyType::Randao, |s| matches!(s, S::Randao(_))),
            "BeaconCommitteeSelection" => signed(DutyType::PrepareAggregator, |s| {
                matches!(s, S::BeaconCommitteeSelection(_))
            }),
            "VersionedSignedAggregateAndProof" => signed(DutyType::Aggregator, |s| matches!(s, S::Aggregate(_))),
            "SignedAggregateAndProof" => signed(DutyType::Aggregator, |s| matches!(s, S::UnversionedAggregate(_))),
            "SignedSyncMessage" => signed(DutyType::SyncMessage, |s| matches!(s, S::SyncMessage(_))),
            "SyncCommitteeSelection" => signed(DutyType::PrepareSyncContribution, |s| {
                matches!(s, S::SyncCommitteeSelection(_))
            }),
            "SignedSyncContributionAndProof" => signed(DutyType::SyncContribution, |s| matches!(s, S::Contribution(_))),
            "Signature" => decode_bare_signature(bytes).map(Self::Bare),
            "SyncContributionAndProof" => Ok(Self::Inner(match serde_json::from_slice(bytes) {
                Ok(object) => object,
                Err(_) => ContributionAndProof::from_ssz_bytes(bytes).unwrap(),
            })),
            "AttestationData" => unsigned(DutyType::Attester, |u| matches!(u, U::Attestation(_))),
            "VersionedProposal" => unsigned(DutyType::Proposer, |u| matches!(u, U::Proposal(_))),
            "VersionedAggregatedAttestation" => unsigned(DutyType::Aggregator, |u| matches!(u, U::Aggregate(_))),
            "SyncContribution" => unsigned(DutyType::SyncContribution, |u| matches!(u, U::Contribution(_))),
            "SyncContributions" => unsigned(DutyType::SyncContribution, |u| matches!(u, U::Contributions(_))),
            other => panic!("the vectors have a type that this test does not know: {other}"),
        }
    }

    fn ssz(&self) -> Vec<u8> {
        match self {
            Self::Signed(s) => s.encode(),
            Self::Unsigned(u) => u.encode(),
            Self::Bare(_) => panic!("a bare signature has no SSZ form"),
            Self::Inner(c) => c.as_ssz_bytes(),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Signed(s) => s.to_json(),
            Self::Unsigned(u) => u.to_json(),
            Self::Bare(b) => encode_bare_signature(b),
            Self::Inner(c) => serde_json::to_string(c).unwrap(),
        }
    }

    fn fork(&self) -> Option<Fork> {
        match self {
            Self::Signed(SignedData::Proposal(p)) => Some(p.fork()),
            Self::Signed(SignedData::Attestation(a)) => Some(a.attestation.fork()),
            Self::Signed(SignedData::Aggregate(a)) => Some(a.fork()),
            Self::Signed(SignedData::UnversionedAttestation(_) | SignedData::UnversionedAggregate(_)) => {
                Some(Fork::Phase0)
            }
            Self::Unsigned(UnsignedData::Proposal(p)) => Some(p.fork()),
            Self::Unsigned(UnsignedData::Aggregate(a)) => Some(a.attestation.fork()),
            Self::Signed(_) | Self::Unsigned(_) | Self::Bare(_) | Self::Inner(_) => None,
        }
    }

    fn blinded(&self) -> Option<bool> {
        match self {
            Self::Signed(SignedData::Proposal(p)) => Some(p.is_blinded()),
            Self::Unsigned(UnsignedData::Proposal(p)) => Some(p.is_blinded()),
            Self::Signed(_) | Self::Unsigned(_) | Self::Bare(_) | Self::Inner(_) => None,
        }
    }

    fn validator_index(&self) -> Option<u64> {
        match self {
            Self::Signed(SignedData::Attestation(a)) | Self::Unsigned(UnsignedData::Aggregate(a)) => {
                a.validator_index.map(|i| i.0)
            }
            Self::Signed(_) | Self::Unsigned(_) | Self::Bare(_) | Self::Inner(_) => None,
        }
    }
}

/// The compact form of a JSON text: the same tokens without the space between them.
fn compact(text: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        if quoted || !c.is_whitespace() {
            out.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    out
}

fn number(v: Option<Value>) -> Option<u64> {
    let v = v?;
    v.as_u64().or_else(|| v.as_str().and_then(|s| s.parse().ok()))
}

fn one_object(e: &trireme_vectors::Entry) {
    let kind: String = e.field("type");
    let form: String = e.field("form");
    let raw = match form.as_str() {
        "json" => compact(&e.text()).into_bytes(),
        "ssz" => e.bytes(),
        "ssz_hex" => bytes_of(&e.text()),
        other => panic!("form {other} is not known"),
    };
    let object = Object::decode(&kind, &raw).unwrap();
    if let Some(fork) = e.opt::<Fork>("fork") {
        assert_eq!(object.fork(), Some(fork));
    }
    if object.blinded().is_some() {
        assert_eq!(object.blinded(), Some(e.flag("blinded")));
    }
    if let Some(index) = number(e.opt("validator_index")) {
        assert_eq!(object.validator_index(), Some(index));
    }
    if e.flag("receive_only") {
        return;
    }
    if form == "json" {
        assert_eq!(object.json(), String::from_utf8(raw).unwrap());
    } else {
        assert_eq!(hex::encode(object.ssz()), hex::encode(&raw));
    }
    if let Some(twin) = e.twin() {
        if form == "json" {
            let twin = match twin.path().extension().and_then(|x| x.to_str()) {
                Some("hex") => bytes_of(&twin.text()),
                _ => twin.bytes(),
            };
            assert_eq!(hex::encode(object.ssz()), hex::encode(twin));
        } else {
            assert_eq!(object.json(), compact(&twin.text()));
        }
    }
}

#[test]
fn signed_data() {
    trireme_vectors::each("core", "signed-data", one_object);
}

#[test]
fn unsigned_data() {
    trireme_vectors::each("core", "unsigned-data", one_object);
}

#[derive(Deserialize)]
struct EncodingCase {
    #[serde(rename = "type")]
    kind: String,
    case: String,
    form: String,
    ssz_hex: Option<String>,
    text: Option<String>,
}

/// The values that a case's name promises. A name without a rule promises none.
fn promised_values(c: &EncodingCase, object: &Object) {
    let data = match object {
        Object::Signed(SignedData::Attestation(a)) | Object::Unsigned(UnsignedData::Aggregate(a)) => Some(*a.data()),
        Object::Signed(SignedData::Aggregate(a)) => Some(*a.data()),
        _ => None,
    };
    let bits = match object {
        Object::Signed(SignedData::Attestation(a)) | Object::Unsigned(UnsignedData::Aggregate(a)) => {
            Some(a.attestation.set_bits())
        }
        _ => None,
    };
    let numbers = data.map(|d| [d.slot.0, d.index.0, d.source.epoch.0, d.target.epoch.0]);
    if let Some(n) = c
        .case
        .strip_prefix("valIdx")
        .or_else(|| c.case.rsplit_once("valIdx").map(|(_, n)| n))
    {
        let digits: String = n.chars().take_while(char::is_ascii_digit).collect();
        assert_eq!(object.validator_index(), digits.parse().ok());
    }
    for fork in Fork::ALL {
        if c.case.split('_').next() == Some(fork.name()) && object.fork().is_some() {
            assert_eq!(object.fork(), Some(fork));
        }
    }
    if c.case.ends_with("phase0_non_zero") {
        assert_eq!(numbers, Some([1000, 5, 10, 11]));
        // 0x03 is one bit, set, below the length bit.
        assert!(bits.is_none_or(|b| b == [0]));
    } else if c.case.ends_with("electra_non_zero") {
        assert_eq!(numbers, Some([2000, 3, 20, 21]));
        // 0x07 is two bits, set, below the length bit.
        assert!(bits.is_none_or(|b| b == [0, 1]));
    } else if c.case.ends_with("zeros")
        && let Some(numbers) = numbers
    {
        assert_eq!(numbers, [0; 4]);
        assert!(bits.is_none_or(|b| b.is_empty()));
    }
    let Object::Unsigned(UnsignedData::Attestation(a)) = object else {
        return;
    };
    let d = &a.duty;
    let position = [d.committee_length, d.committees_at_slot, d.validator_committee_index];
    match c.case.as_str() {
        "full" => {
            assert_eq!((a.data.slot.0, a.data.index.0), (u64::from(u32::MAX), 255));
            assert_eq!((a.data.source.epoch.0, a.data.target.epoch.0), (999, 1000));
            assert_eq!((d.validator_index.0, d.committee_index.0), (1_000_000, 511));
            assert_eq!(position, [1024, 512, 255]);
            let roots = [a.data.beacon_block_root, a.data.source.root, a.data.target.root];
            assert_eq!(roots, [Root([0xab; 32]), Root([0xcd; 32]), Root([0xef; 32])]);
            assert_eq!(d.pubkey.0, [1; 48]);
        }
        "all_duty_fields" => {
            assert_eq!((d.slot.0, d.validator_index.0, d.committee_index.0), (9999, 42, 3));
            assert_eq!(position, [128, 64, 7]);
            assert_eq!(d.pubkey.0, [1; 48]);
        }
        "zeros" => {
            assert_eq!(a.data, trireme_eth2::AttestationData::default());
            assert!(d.pubkey.is_zero());
            assert_eq!(position, [0; 3]);
        }
        _ => {}
    }
}

#[test]
fn encoding_cases() {
    trireme_vectors::each("core", "encoding-cases", |e| {
        for c in e.parse::<Vec<EncodingCase>>() {
            let (raw, json) = match (c.form.as_str(), &c.ssz_hex, &c.text) {
                ("ssz", Some(hex_text), _) => (bytes_of(hex_text), false),
                ("json", _, Some(text)) => (text.clone().into_bytes(), true),
                other => panic!("{} {}: form {other:?}", c.kind, c.case),
            };
            let object = Object::decode(&c.kind, &raw).unwrap_or_else(|why| panic!("{} {}: {why}", c.kind, c.case));
            let again = if json { object.json().into_bytes() } else { object.ssz() };
            assert_eq!(hex::encode(again), hex::encode(&raw), "{} {}", c.kind, c.case);
            promised_values(&c, &object);
        }
    });
}

#[test]
fn malformed_ssz() {
    #[derive(Deserialize)]
    struct Case {
        duty_type: i64,
        value_hex: String,
    }

    trireme_vectors::each("core", "malformed-ssz", |e| {
        for c in serde_json::from_value::<Vec<Case>>(e.json()["cases"].clone()).unwrap() {
            let kind = DutyType::try_from(c.duty_type).unwrap();
            assert!(
                UnsignedData::decode(kind, &bytes_of(&c.value_hex)).is_err(),
                "{}",
                c.value_hex
            );
        }
    });
}

/// The chain of a live file: its fork schedule as the beacon node's configuration would say it.
fn chain(file: &Value) -> ChainSpec {
    let genesis_version: ForkVersion = file["genesis_fork_version"].as_str().unwrap().parse().unwrap();
    let mut map = Map::new();
    map.insert("SECONDS_PER_SLOT".into(), "12".into());
    map.insert("SLOTS_PER_EPOCH".into(), file["slots_per_epoch"].clone());
    for (n, fork) in file["fork_schedule"].as_array().unwrap().iter().enumerate() {
        let name = Fork::ALL
            .get(n)
            .map_or_else(|| format!("LATER{n}"), |f| f.name().to_uppercase());
        map.insert(format!("{name}_FORK_VERSION"), fork["current_version"].clone());
        map.insert(format!("{name}_FORK_EPOCH"), fork["epoch"].clone());
    }
    let genesis = Genesis {
        genesis_time: 0,
        genesis_validators_root: root_of(&file["genesis_validators_root"]),
        genesis_fork_version: genesis_version,
    };
    ChainSpec::read(&map, genesis).unwrap()
}

fn wire_bytes(o: &Value) -> Vec<u8> {
    match o["encoding"].as_str().unwrap() {
        "ssz" => bytes_of(o["data"].as_str().unwrap()),
        "json" => o["data_text"].as_str().unwrap().as_bytes().to_vec(),
        other => panic!("encoding {other} is not known"),
    }
}

fn duty_type(o: &Value) -> DutyType {
    let number = o["duty_type"]
        .as_i64()
        .or_else(|| o["duty_type"].as_str().unwrap().parse().ok());
    let kind = DutyType::try_from(number.unwrap()).unwrap();
    if let Some(name) = o["duty"].as_str() {
        assert_eq!(kind.name(), name);
    }
    kind
}

fn as_u64(v: &Value) -> u64 {
    number(Some(v.clone())).unwrap()
}

fn verifies(key: &str, root: Root, signature: BlsSignature) -> bool {
    let key = tbls::PublicKey::from_bytes(&bytes_of(key).try_into().unwrap()).unwrap();
    tbls::verify(&key, &root.0, &tbls::Signature::from_bytes(&signature.0).unwrap())
}

fn live_signed(file: &Value, spec: &ChainSpec, o: &Value) {
    let kind = duty_type(o);
    let raw = wire_bytes(o);
    let data = SignedData::decode(kind, &raw).unwrap();
    assert_eq!(hex::encode(data.encode()), hex::encode(&raw));
    // JSON: the same object, and the same members and values when written.
    let json = o["json"].to_string();
    assert_eq!(SignedData::decode(kind, json.as_bytes()).unwrap(), data);
    assert_eq!(serde_json::from_str::<Value>(&data.to_json()).unwrap(), o["json"]);
    assert_eq!(data.message_root(), Some(root_of(&o["message_root"])));

    if !o["domain"].is_string() {
        assert!(o["note"].is_string(), "neither a domain nor a note why");
        return;
    }
    let epoch = data.epoch(spec);
    assert_eq!(epoch, Epoch(as_u64(&o["domain_epoch"])));
    let domain = data.domain_type().unwrap();
    assert_eq!(domain.spec_key(), o["domain_name"].as_str().unwrap());
    assert_eq!(spec.domain(domain, epoch).to_string(), o["domain"].as_str().unwrap());
    let signing_root = data.signing_root(spec).unwrap();
    assert_eq!(signing_root, root_of(&o["signing_root"]));

    let partial: BlsSignature = o["partial_signature"].as_str().unwrap().parse().unwrap();
    let group: BlsSignature = o["group_signature"].as_str().unwrap().parse().unwrap();
    assert_eq!(data.signature(), partial);
    let shares = file["shares"].as_array().unwrap();
    let share = shares.iter().find(|s| s["share_idx"] == o["share_idx"]).unwrap();
    assert!(verifies(share["pubkey"].as_str().unwrap(), signing_root, partial));
    assert!(verifies(file["group_pubkey"].as_str().unwrap(), signing_root, group));
    assert!(!verifies(file["group_pubkey"].as_str().unwrap(), signing_root, partial));
    let aggregated = data.clone().with_signature(group);
    assert_eq!(aggregated.signature(), group);
    assert_eq!(aggregated.message_root(), data.message_root());

    let duty = Duty::new(Slot(as_u64(&o["slot"])), kind);
    let share = ShareIdx(u8::try_from(as_u64(&o["share_idx"])).unwrap());
    let key: PubKey = file["group_pubkey"].as_str().unwrap().parse().unwrap();
    let set = ParSignedDataSet(BTreeMap::from([(key, ParSignedData { data, share })]));
    let message = bytes_of(o["parsigex_msg"].as_str().unwrap());
    assert_eq!(hex::encode(encode_parsigex(duty, &set)), hex::encode(&message));
    assert_eq!(decode_parsigex(Bytes::from(message)).unwrap(), (duty, set));
}

#[test]
fn live_signed_data() {
    trireme_vectors::each("core", "live-signed-data", |e| {
        let file = e.json();
        let spec = chain(&file);
        for o in file["objects"].as_array().unwrap() {
            println!("{}", o["name"]);
            live_signed(&file, &spec, o);
        }
    });
}

/// SSZ = head and a run of equal bytes; hashes and lengths stand for the rest.
fn blob_contents(o: &Value) {
    let mut raw = bytes_of(o["ssz_head"].as_str().unwrap());
    let fill = bytes_of(o["fill"].as_str().unwrap());
    let [fill] = fill[..] else {
        panic!("fill is not one byte")
    };
    raw.resize(raw.len() + usize::try_from(as_u64(&o["fill_len"])).unwrap(), fill);
    let sha256 = |bytes: &[u8]| format!("0x{}", hex::encode(Sha256::digest(bytes)));
    assert_eq!(sha256(&raw), o["ssz_sha256"].as_str().unwrap());

    let object = match SignedData::decode(DutyType::Proposer, &raw) {
        Ok(signed) => Object::Signed(signed),
        Err(_) => Object::Unsigned(UnsignedData::decode(DutyType::Proposer, &raw).unwrap()),
    };
    assert_eq!(sha256(&object.ssz()), o["ssz_sha256"].as_str().unwrap());
    let json = object.json();
    assert_eq!(json.len(), usize::try_from(as_u64(&o["json_len"])).unwrap());
    assert_eq!(sha256(json.as_bytes()), o["json_sha256"].as_str().unwrap());
    let root = match &object {
        Object::Signed(signed) => signed.message_root(),
        Object::Unsigned(unsigned) => unsigned.root(),
        Object::Bare(_) | Object::Inner(_) => None,
    };
    assert_eq!(root, Some(root_of(&o["message_root"])));
}

fn set_bytes(set: &UnsignedDataSet) -> Vec<u8> {
    hash::set_bytes(&set.to_proto())
}

fn value_hash_of(set: &UnsignedDataSet) -> Root {
    Root(hash::digest(&set_bytes(set)))
}

fn unsigned_set(s: &Value) {
    let kind = duty_type(s);
    let raw = bytes_of(s["bytes"].as_str().unwrap());
    let message = prost::Message::decode(&raw[..]).unwrap();
    let set = UnsignedDataSet::from_proto(kind, &message).unwrap();
    assert_eq!(hex::encode(set_bytes(&set)), hex::encode(&raw));
    assert_eq!(value_hash_of(&set).to_string(), s["value_hash"].as_str().unwrap());
    if let Some(entries) = s["entries"].as_object() {
        let decode = |v: &Value| UnsignedData::decode(kind, v.to_string().as_bytes()).unwrap();
        let told = entries
            .iter()
            .map(|(key, v)| (key.parse().unwrap(), decode(v)))
            .collect();
        assert_eq!(set, UnsignedDataSet(told));
    }
}

fn partial_set(s: &Value) {
    let kind = duty_type(s);
    let raw = bytes_of(s["bytes"].as_str().unwrap());
    let message = prost::Message::decode(&raw[..]).unwrap();
    let set = ParSignedDataSet::from_proto(kind, &message).unwrap();
    assert_eq!(
        hex::encode(prost::Message::encode_to_vec(&set.to_proto())),
        hex::encode(&raw)
    );
    if let (Some(text), Some(partial)) = (s["json"].as_str(), set.0.values().next()) {
        assert_eq!(partial.data.to_json(), format!("\"{text}\""));
    }
}

#[test]
fn live_unsigned_data() {
    trireme_vectors::each("core", "live-unsigned-data", |e| {
        let file = e.json();
        let key: PubKey = file["group_pubkey"].as_str().unwrap().parse().unwrap();
        for o in file["objects"].as_array().unwrap() {
            println!("{}", o["name"]);
            let kind = duty_type(o);
            let raw = wire_bytes(o);
            let data = UnsignedData::decode(kind, &raw).unwrap();
            assert_eq!(hex::encode(data.encode()), hex::encode(&raw));
            let mut from_json = UnsignedData::decode(kind, o["json"].to_string().as_bytes()).unwrap();
            if let UnsignedData::Aggregate(a) = &mut from_json {
                // The SSZ form has no place for it.
                a.validator_index = None;
            }
            assert_eq!(from_json, data);
            assert_eq!(serde_json::from_str::<Value>(&data.to_json()).unwrap(), o["json"]);
            if o["hash_tree_root"].is_string() {
                assert_eq!(data.root(), Some(root_of(&o["hash_tree_root"])));
            }
            let set = UnsignedDataSet(BTreeMap::from([(key, data)]));
            if let Some(bytes) = o["set"].as_str() {
                assert_eq!(hex::encode(set_bytes(&set)), hex::encode(bytes_of(bytes)));
            }
            assert_eq!(UnsignedDataSet::from_proto(kind, &set.to_proto()).unwrap(), set);
            assert_eq!(value_hash_of(&set).to_string(), o["value_hash"].as_str().unwrap());
        }
        for s in file["sets"].as_array().unwrap() {
            println!("{}", s["name"]);
            match s["message"].as_str().unwrap() {
                "UnsignedDataSet" => unsigned_set(s),
                "ParSignedDataSet" => partial_set(s),
                other => panic!("message {other} is not known"),
            }
        }
        file["blob_contents"].as_array().unwrap().iter().for_each(blob_contents);
    });
}

#[test]
fn value_hash() {
    #[derive(Deserialize)]
    struct Case {
        unsigned_data_set_proto_hex: String,
        expected_hash: String,
    }

    trireme_vectors::each("core", "value-hash", |e| {
        let c: Case = e.parse();
        let entries: BTreeMap<String, Value> = e.input("set").parse();
        let decode = |v: &Value| UnsignedData::decode(DutyType::Attester, v.to_string().as_bytes()).unwrap();
        let set = UnsignedDataSet(entries.iter().map(|(k, v)| (k.parse().unwrap(), decode(v))).collect());
        assert_eq!(hex::encode(set_bytes(&set)), c.unsigned_data_set_proto_hex);
        assert_eq!(hex::encode(value_hash_of(&set).0), c.expected_hash);
    });
}

#[test]
fn parsigex_msg() {
    #[derive(Deserialize)]
    struct Case {
        pubkey: PubKeyText,
        share_idx: u8,
        duty: DutyFields,
        data_hex: String,
        parsigex_msg_hex: String,
    }

    #[derive(Deserialize)]
    #[serde(transparent)]
    struct PubKeyText(String);

    #[derive(Deserialize)]
    struct DutyFields {
        slot: u64,
        #[serde(rename = "type")]
        kind: i64,
    }

    trireme_vectors::each("core", "parsigex-msg", |e| {
        let file = e.json();
        // One case, or several.
        let cases = file
            .get("cases")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_else(|| vec![file.clone()]);
        for case in cases {
            let c: Case = serde_json::from_value(case).unwrap();
            let duty = Duty::new(Slot(c.duty.slot), DutyType::try_from(c.duty.kind).unwrap());
            let data = SignedData::decode(duty.kind, &bytes_of(&c.data_hex)).unwrap();
            assert_eq!(hex::encode(data.encode()), c.data_hex);
            let partial = ParSignedData {
                data,
                share: ShareIdx(c.share_idx),
            };
            let set = ParSignedDataSet(BTreeMap::from([(c.pubkey.0.parse().unwrap(), partial)]));
            assert_eq!(hex::encode(encode_parsigex(duty, &set)), c.parsigex_msg_hex);
            let message = Bytes::from(bytes_of(&c.parsigex_msg_hex));
            assert_eq!(decode_parsigex(message).unwrap(), (duty, set));
        }
    });
}

#[test]
fn builder_registration() {
    #[derive(Deserialize)]
    struct Case {
        genesis_fork_version: ForkVersion,
        expected_domain: Option<String>,
        secret_key: Option<String>,
        registration: Option<Value>,
    }

    trireme_vectors::each("core", "builder-registration", |e| {
        let c: Case = e.parse();
        let mut map = Map::new();
        map.insert("SECONDS_PER_SLOT".into(), "12".into());
        map.insert("SLOTS_PER_EPOCH".into(), "32".into());
        map.insert("DENEB_FORK_VERSION".into(), "0xabababab".into());
        map.insert("DENEB_FORK_EPOCH".into(), "5".into());
        let genesis = Genesis {
            genesis_time: 0,
            genesis_validators_root: Root([9; 32]),
            genesis_fork_version: c.genesis_fork_version,
        };
        let spec = ChainSpec::read(&map, genesis).unwrap();
        if let Some(expected) = &c.expected_domain {
            for epoch in [0, 5, u64::MAX] {
                assert_eq!(
                    spec.domain(DomainType::ApplicationBuilder, Epoch(epoch)).to_string(),
                    *expected
                );
            }
        }
        if let (Some(secret), Some(registration)) = (&c.secret_key, &c.registration) {
            let registration = serde_json::from_value(registration.clone()).unwrap();
            let data = SignedData::Registration(registration);
            let secret = tbls::SecretKey::from_bytes(&bytes_of(secret).try_into().unwrap()).unwrap();
            let root = data.signing_root(&spec).unwrap();
            assert_eq!(secret.sign(&root.0).to_bytes(), data.signature().0);
        } else {
            assert!(c.expected_domain.is_some(), "the case asserts nothing");
        }
    });
}
