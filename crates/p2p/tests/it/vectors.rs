//! The network vectors that concern addresses, framing, versions and waits.

mod frames;

use std::{
    cmp::Ordering,
    sync::{Arc, Mutex},
};

use futures::{executor::block_on, io::Cursor};
use libp2p::{Multiaddr, PeerId};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use trireme_keys::Enr;
use trireme_p2p::{
    addr::{self, AddrError},
    backoff::Profile,
    frame,
    hysteresis::SendState,
    version::{Version, any_at_least, is_supported},
};

#[derive(Deserialize)]
struct Cases<T> {
    cases: Vec<T>,
}

fn each<T: for<'a> Deserialize<'a>>(area: &str, kind: &str, visit: impl Fn(T)) {
    trireme_vectors::each(area, kind, |e| {
        for case in e.parse::<Cases<T>>().cases {
            visit(case);
        }
    });
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Framing {
    Made {
        payload_len: usize,
        prefix_hex: String,
        payload_sha256: String,
        frame_sha256: String,
    },
    Read {
        stream_hex: String,
        expect: String,
    },
}

#[test]
fn framing() {
    each("p2p", "framing", |case| match case {
        Framing::Made {
            payload_len,
            prefix_hex,
            payload_sha256,
            frame_sha256,
        } => {
            let payload: Vec<u8> = (0..payload_len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            assert_eq!(hex::encode(Sha256::digest(&payload)), payload_sha256, "payload rule");
            let mut wire = Vec::new();
            block_on(frame::write_frame(&mut wire, &payload)).unwrap();
            assert!(wire.starts_with(&hex(&prefix_hex)));
            assert_eq!(hex::encode(Sha256::digest(&wire)), frame_sha256);
            let back = block_on(frame::read_frame(&mut Cursor::new(wire), frame::MAX_FRAME)).unwrap();
            assert_eq!(back, payload);
        }
        Framing::Read { stream_hex, expect } => {
            let got = block_on(frame::read_frame(&mut Cursor::new(hex(&stream_hex)), frame::MAX_FRAME));
            assert_eq!(got.is_err(), expect == "reject", "{stream_hex}");
        }
    });
}

#[derive(Deserialize)]
struct Multistream {
    protocol: String,
    application_bytes_hex: String,
    lazy_dialer_first_write_hex: String,
    listener_reply_supported_hex: String,
    listener_reply_unsupported_hex: String,
}

/// A stream that keeps what is written and gives what it was made with.
struct Tape {
    input: Cursor<Vec<u8>>,
    output: Arc<Mutex<Vec<u8>>>,
}

impl futures::AsyncRead for Tape {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut [u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl futures::AsyncWrite for Tape {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.output.lock().unwrap().extend_from_slice(buf);
        std::task::Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_close(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

fn tape(input: &[u8]) -> (Tape, Arc<Mutex<Vec<u8>>>) {
    let output = Arc::<Mutex<Vec<u8>>>::default();
    (
        Tape {
            input: Cursor::new(input.to_vec()),
            output: Arc::clone(&output),
        },
        output,
    )
}

fn token(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len() + 1).unwrap()][..], text.as_bytes(), b"\n"].concat()
}

#[test]
fn multistream() {
    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use multistream_select::{Version, dialer_select_proto, listener_select_proto};
    each("p2p", "multistream", |case: Multistream| {
        let (data, header) = (hex(&case.application_bytes_hex), token("/multistream/1.0.0"));
        let opening = hex(&case.lazy_dialer_first_write_hex);
        let (yes, no) = (
            hex(&case.listener_reply_supported_hex),
            hex(&case.listener_reply_unsupported_hex),
        );
        // The bytes themselves.
        assert_eq!(opening, [&header[..], &token(&case.protocol), &data].concat());
        assert_eq!(yes, [&header[..], &token(&case.protocol)].concat());
        assert_eq!(no, [&header[..], &token("na")].concat());
        // The library as dialer, lazily, and as listener.
        let (stream, written) = tape(&yes);
        let dial = block_on(dialer_select_proto(stream, [&case.protocol], Version::V1Lazy));
        if !case.protocol.starts_with('/') {
            // Pitfall 1.
            assert!(
                dial.is_err(),
                "the library has learnt to dial {}; use it",
                case.protocol
            );
            return;
        }
        let (_, mut stream) = dial.unwrap();
        block_on(async {
            stream.write_all(&data).await.unwrap();
            stream.flush().await.unwrap();
            // The answer is read with the first read.
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        });
        assert_eq!(*written.lock().unwrap(), opening);
        let refused = dialer_select_proto(tape(&no).0, [&case.protocol], Version::V1Lazy);
        let (_, mut stream) = block_on(refused).unwrap();
        assert!(
            block_on(stream.read(&mut [0])).is_err(),
            "a refusal shows on the first read"
        );
        let (stream, written) = tape(&opening);
        let (name, mut stream) = block_on(listener_select_proto(stream, [&case.protocol])).unwrap();
        let mut got = vec![0; data.len()];
        block_on(stream.read_exact(&mut got)).unwrap();
        assert_eq!(
            (name, &got),
            (&case.protocol, &data),
            "data right behind the token is not lost"
        );
        assert_eq!(*written.lock().unwrap(), yes);
    });
}

#[derive(Deserialize)]
struct Address {
    op: String,
    #[serde(default)]
    result: Value,
    error: Option<String>,
    #[serde(flatten)]
    fields: serde_json::Map<String, Value>,
}

impl Address {
    fn texts(&self, name: &str) -> Vec<String> {
        serde_json::from_value(self.fields[name].clone()).unwrap()
    }

    fn addrs(&self, name: &str) -> Vec<Multiaddr> {
        self.texts(name).iter().map(|t| addr::parse(t).unwrap()).collect()
    }

    fn peer(&self, name: &str) -> PeerId {
        self.fields[name].as_str().unwrap().parse().unwrap()
    }

    fn apply(&self) -> Result<Vec<String>, AddrError> {
        let show = |list: Vec<Multiaddr>| list.iter().map(ToString::to_string).collect();
        let text = |name: &str| self.fields[name].as_str().unwrap();
        Ok(match self.op.as_str() {
            "advertise" => {
                let exclude = self.fields["exclude_private"].as_bool().unwrap();
                show(addr::advertised(
                    &self.addrs("internal"),
                    &self.addrs("external"),
                    exclude,
                ))
            }
            "protocol_label" => vec![addr::transport_label(&addr::parse(text("addr"))?).to_owned()],
            "listen" => {
                let mut out = Vec::new();
                for t in self.texts("tcp") {
                    out.push(addr::tcp(addr::parse_listen(&t)?));
                }
                for t in self.texts("udp") {
                    out.push(addr::quic(addr::parse_listen(&t)?));
                }
                show(out)
            }
            "relay_enr_to_addrs" => {
                let enr: Enr = text("enr").parse().unwrap();
                let mut list = addr::of_relay_record(&enr)?;
                if let Some(sorted) = self.fields.get("sorted") {
                    let mut by_text = list.clone();
                    by_text.sort_by_key(ToString::to_string);
                    assert_eq!(serde_json::to_value(show(by_text)).unwrap(), *sorted);
                }
                show(std::mem::take(&mut list))
            }
            "circuit" => show(addr::circuits(
                self.peer("relay_id"),
                &self.addrs("relay_addrs"),
                self.peer("peer_id"),
            )),
            "protocol_prefix" => {
                let ids = self.texts("ids");
                vec![addr::shared_name(&ids.iter().map(String::as_str).collect::<Vec<_>>())]
            }
            other => panic!("no operation {other}"),
        })
    }
}

#[test]
fn addresses() {
    each("p2p", "addresses", |case: Address| {
        let got = case.apply();
        if let Some(error) = &case.error {
            assert!(got.is_err(), "{error}");
            return;
        }
        let want: Vec<String> = match &case.result {
            Value::String(one) => vec![one.clone()],
            list => serde_json::from_value(list.clone()).unwrap(),
        };
        assert_eq!(got.unwrap(), want, "{}", case.op);
    });
}

#[derive(Deserialize)]
struct Direction {
    #[serde(rename = "self")]
    own: String,
    remote: String,
    self_dials_via_relay: bool,
}

#[test]
fn relay_dial_direction() {
    each("p2p", "relay-dial-direction", |case: Direction| {
        let got = addr::dials_through_relay(&case.own.parse().unwrap(), &case.remote.parse().unwrap());
        assert_eq!(got, case.self_dials_via_relay, "{} {}", case.own, case.remote);
        // Pitfall 34: the library's order, the order of our IDs and that of the texts are the same.
        let ours = |t: &str| t.parse::<trireme_keys::PeerId>().unwrap().to_bytes();
        assert_eq!(ours(&case.own) < ours(&case.remote), got);
        assert_eq!(case.own < case.remote, got);
        assert_eq!(
            case.own.parse::<PeerId>().unwrap() < case.remote.parse::<PeerId>().unwrap(),
            got
        );
    });
}

#[derive(Deserialize)]
struct Waits {
    config: String,
    base_ms: f64,
    max_ms: f64,
    random: f64,
    delays_ms: Vec<f64>,
}

#[test]
fn backoff() {
    each("p2p", "backoff", |case: Waits| {
        let profile = Profile {
            base: std::time::Duration::from_secs_f64(case.base_ms / 1000.0),
            max: std::time::Duration::from_secs_f64(case.max_ms / 1000.0),
        };
        match case.config.as_str() {
            "default" => assert_eq!(profile, Profile::DEFAULT),
            "fast" => assert_eq!(profile, Profile::FAST),
            "ping" => assert_eq!(profile, Profile::PING),
            // Profiles of parts that are not here.
            _ => {}
        }
        for (retry, want) in (0..).zip(case.delays_ms) {
            let got = profile.delay(retry, case.random).as_secs_f64() * 1000.0;
            assert!(
                (got - want).abs() <= 1.0,
                "{} retry {retry}: {got} and not {want}",
                case.config
            );
        }
    });
}

#[derive(Deserialize)]
struct Hysteresis {
    results: Vec<String>,
    failing_after_each: Vec<bool>,
}

#[test]
fn sender_hysteresis() {
    each("p2p", "sender-hysteresis", |case: Hysteresis| {
        let mut state = SendState::default();
        let got: Vec<bool> = case
            .results
            .iter()
            .map(|r| {
                state.note(r == "ok");
                state.failing()
            })
            .collect();
        assert_eq!(got, case.failing_after_each);
    });
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Versions {
    Parse {
        text: String,
        ok: bool,
        rendered: Option<String>,
    },
    Compare {
        a: String,
        b: String,
        result: i8,
    },
    SupportedPeer {
        peer_version: String,
        supported: Vec<String>,
        ok: bool,
    },
    AnyAtLeast {
        min: String,
        versions: Vec<String>,
        result: bool,
    },
}

fn versions(texts: &[String]) -> Vec<Version> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

#[test]
fn version() {
    each("p2p", "version", |case: Versions| match case {
        Versions::Parse { text, ok, rendered } => {
            let got = text.parse::<Version>();
            assert_eq!(got.is_ok(), ok, "{text}");
            assert_eq!(got.ok().map(|v| v.to_string()), rendered);
        }
        Versions::Compare { a, b, result } => {
            let (va, vb): (Version, Version) = (a.parse().unwrap(), b.parse().unwrap());
            let want = match result {
                0 => Ordering::Equal,
                n if n < 0 => Ordering::Less,
                _ => Ordering::Greater,
            };
            assert_eq!(va.compare(&vb), want, "{a} {b}");
        }
        Versions::SupportedPeer {
            peer_version,
            supported,
            ok,
        } => {
            let got = peer_version
                .parse()
                .is_ok_and(|peer| is_supported(&peer, &versions(&supported)));
            assert_eq!(got, ok, "{peer_version} {supported:?}");
        }
        Versions::AnyAtLeast {
            min,
            versions: list,
            result,
        } => {
            assert_eq!(
                any_at_least(&min.parse().unwrap(), &versions(&list)),
                result,
                "{min} {list:?}"
            );
        }
    });
}

#[derive(Deserialize)]
struct Named {
    addr: String,
    result: String,
}

#[test]
fn named_addr() {
    each("p2p", "named-addr", |case: Named| {
        assert_eq!(addr::named(&addr::parse(&case.addr).unwrap()), case.result);
    });
}
