//! Wire messages: decoding, the presence check and canonical encoding never panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use prost::Message;
use trireme_proto::{core::v1 as core, dkg::v1 as dkg, peerinfo::v1 as peerinfo, presence::Presence};

fn check<M: Message + Default + Presence>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        let _ = message.present();
        let again = M::decode(message.encode_to_vec().as_slice()).expect("what we write, we read");
        let _ = again.present();
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => check::<core::QbftConsensusMsg>(rest),
        1 => check::<core::ParSigExMsg>(rest),
        2 => check::<core::PriorityMsg>(rest),
        3 => check::<core::PriorityResult>(rest),
        4 => check::<peerinfo::PeerInfo>(rest),
        5 => check::<dkg::MsgSync>(rest),
        6 => check::<dkg::FrostRound1Casts>(rest),
        _ => check::<dkg::BCastMessage>(rest),
    }
});
