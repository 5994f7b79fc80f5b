//! Frames of a stream: a frame within the limit is read whole, anything else is refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_p2p::frame::read_frame;

fuzz_target!(|bytes: &[u8]| {
    const MAX: usize = 4_096;
    let mut stream = futures::io::Cursor::new(bytes);
    if let Ok(frame) = futures::executor::block_on(read_frame(&mut stream, MAX)) {
        assert!(frame.len() <= MAX && frame.len() < bytes.len());
    }
});
