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
