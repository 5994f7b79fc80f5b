//! Hosts and relays over real sockets on the loopback device.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod relayed;
#[cfg(test)]
mod vectors;
