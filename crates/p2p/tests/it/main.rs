//! Hosts and relays over real sockets on the loopback device.

mod cluster;
mod hosts;
mod lookups;
mod relayed;
mod vectors;
