//! A relay as a process.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

/// Ends with the test, however that ends.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The next request's body, which is answered by "no content".
fn pushed(loki: &TcpListener) -> Vec<u8> {
    let (stream, _) = loki.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim().to_ascii_lowercase().split_once(':') {
            Some(("content-length", n)) => length = n.trim().parse().unwrap(),
            Some(_) => {}
            None if line.trim().is_empty() => break,
            None => assert!(line.starts_with("POST /loki/api/v1/push "), "{line}"),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (&stream)
        .write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        .unwrap();
    body
}

#[test]
fn a_relay_pushes_its_lines_to_loki_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let loki = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "--loki-addresses=http://{}/loki/api/v1/push",
        loki.local_addr().unwrap()
    );
    let relay = Command::new(env!("CARGO_BIN_EXE_trireme"))
        .args(["relay", "--p2p-tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"])
        .args(["--loki-service=watchtower", &address])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _relay = Relay(relay.unwrap());
    // The labels come first in a push, so nothing in them is compressed away.
    let body = pushed(&loki);
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("{service=\"watchtower\",relay_peer=\""), "{text}");
    assert!(text.contains("Parsed config"), "lines from before the labels: {text}");
}
