//! The client against HTTP servers: good ones, bad ones, and recorded ones.

mod bad;
mod calls;
mod replay;
mod vectors;

use std::time::Duration;

use replay::Replay;
use trireme_beacon::{Client, Config, Metrics, Timeouts};

/// A client of a server, with limits that no working test reaches.
fn client(server: &Replay) -> Client {
    client_with(server, Duration::from_secs(30))
}

fn client_with(server: &Replay, limit: Duration) -> Client {
    let timeouts = Timeouts {
        read: limit,
        submit: limit,
        block: limit,
        start: limit,
    };
    let config = Config {
        url: server.url(),
        headers: Vec::new(),
        timeouts,
    };
    Client::new(&config, Metrics::default()).unwrap()
}
