//! Free ports on loopback.

use std::net::{SocketAddr, TcpListener};

use crate::config::DevnetError;

/// So many different addresses of 127.0.0.1 that nobody listens on now.
pub(crate) fn free(count: usize) -> Result<Vec<SocketAddr>, DevnetError> {
    // All are held until all are known, so that none is given twice.
    let bind = |_| TcpListener::bind(("127.0.0.1", 0));
    let held: Result<Vec<TcpListener>, _> = (0..count).map(bind).collect();
    let held = held.map_err(DevnetError::io("looking for free ports on 127.0.0.1"))?;
    let addresses: Result<Vec<SocketAddr>, _> = held.iter().map(TcpListener::local_addr).collect();
    addresses.map_err(DevnetError::io("looking for free ports on 127.0.0.1"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn no_port_is_given_twice() {
        let ports = super::free(40).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 40);
    }
}
