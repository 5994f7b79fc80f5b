//! Listeners, bound before anything needs them, with the flag in the error.

use tokio::net::TcpListener;

use crate::NodeError;

/// Binds `address`, a `host:port` text; an empty host (`:3600`) means all addresses, as in Charon.
pub(crate) async fn bind(flag: &'static str, address: &str) -> Result<TcpListener, NodeError> {
    let target = if address.starts_with(':') {
        format!("0.0.0.0{address}")
    } else {
        address.to_owned()
    };
    let fail = |reason: String| NodeError::Listen {
        flag,
        address: address.to_owned(),
        reason,
    };
    TcpListener::bind(&target).await.map_err(|e| fail(e.to_string()))
}

/// A second handle of the same listener, for somebody who serves it in the meantime.
pub(crate) fn share(listener: TcpListener) -> std::io::Result<(TcpListener, TcpListener)> {
    let first = listener.into_std()?;
    let second = first.try_clone()?;
    Ok((TcpListener::from_std(first)?, TcpListener::from_std(second)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Binds there, and says whether a client that connects to `host` at the same port arrives.
    async fn reached(address: &str, host: &str) -> bool {
        let listener = bind("--validator-api-address", address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = tokio::net::TcpStream::connect(format!("{host}:{port}")).await;
        client.is_ok() && listener.accept().await.is_ok()
    }

    #[tokio::test]
    async fn vc_110_addresses_of_ipv6_are_listened_at_and_all_of_them_serves_ipv4_too() {
        assert!(reached("[::1]:0", "[::1]").await);
        assert!(!reached("[::1]:0", "127.0.0.1").await);
        assert!(reached("[::]:0", "[::1]").await);
        assert!(reached("[::]:0", "127.0.0.1").await);
        assert!(reached(":0", "127.0.0.1").await);
    }

    #[tokio::test]
    async fn vc_110_text_that_is_no_address_is_an_error() {
        for bad in ["::1:0", "[::1]", "[::g]:0", "[::1:0"] {
            let error = bind("--monitoring-address", bad).await.unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("--monitoring-address"), "{error}");
        }
    }

    #[tokio::test]
    async fn port_that_is_taken_is_an_error_with_address_and_flag() {
        let first = bind("--validator-api-address", "127.0.0.1:0").await.unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = bind("--validator-api-address", &address).await.unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("--validator-api-address"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn address_that_is_none_is_an_error_with_the_flag() {
        for bad in ["", "nonsense", "127.0.0.1:99999", "127.0.0.1"] {
            let error = bind("--monitoring-address", bad).await.unwrap_err().to_string();
            assert!(error.contains("--monitoring-address"), "{error}");
        }
    }
}
