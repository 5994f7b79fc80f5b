//! The relay's page: its addresses as JSON, and its node record.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use libp2p::multiaddr::Protocol;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use trireme_core::life::Life;
use trireme_keys::{Enr, EnrAddress};

use super::Page;
use crate::addr::{self, Scope};

/// Connections served at once; further ones wait.
const CONNECTIONS: usize = 256;
/// Longest wait for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Longest life of a connection.
const LIFE: Duration = Duration::from_secs(60);
/// Longest look-up of the external host name.
const RESOLVE: Duration = Duration::from_secs(5);

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, page: Arc<Page>, life: Life) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, for example; trying again at once would burn a core.
                tracing::warn!(%error, "the relay's page cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let page = Arc::clone(&page);
        life.task("relay.page", async move {
            let service = service_fn(move |request| {
                let page = Arc::clone(&page);
                async move { Ok::<_, Infallible>(answer(&page, &request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever goes wrong is the asker's trouble.
            let _ = timeout(LIFE, connection).await;
            drop(slot);
        });
    }
}

async fn answer(page: &Page, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let body = if request.uri().path() == "/enr" {
        record(page).await
    } else {
        addresses(page)
    };
    let (status, body) = body.map_or((StatusCode::INTERNAL_SERVER_ERROR, String::new()), |b| {
        (StatusCode::OK, b)
    });
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

/// A JSON array of the addresses, or `null` if there are none, as Charon answers.
fn addresses(page: &Page) -> Option<String> {
    let list: Vec<String> = page.multiaddrs().iter().map(ToString::to_string).collect();
    if list.is_empty() {
        Some("null".to_owned())
    } else {
        serde_json::to_string(&list).ok()
    }
}

/// The node record: the port of the first TCP address, public ones first, and the external IP address if there is one.
async fn record(page: &Page) -> Option<String> {
    let mut list = page.advertised();
    list.sort_by_key(|a| addr::scope(a) != Scope::Public);
    let port = list.iter().find_map(|a| {
        a.iter()
            .find_map(|p| if let Protocol::Tcp(p) = p { Some(p) } else { None })
    })?;
    let of_list = list.iter().find_map(|a| match a.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip),
        _ => None,
    });
    let ip = match (page.external_ip, &page.external_host) {
        (Some(IpAddr::V4(ip)), _) => Some(ip),
        (Some(IpAddr::V6(_)), _) | (None, None) => of_list,
        (None, Some(host)) => {
            let found = timeout(RESOLVE, tokio::net::lookup_host((host.as_str(), port)))
                .await
                .ok()?
                .ok()?;
            found
                .filter_map(|a| if let IpAddr::V4(ip) = a.ip() { Some(ip) } else { None })
                .next()
        }
    }?;
    let address = EnrAddress {
        ip: Some(ip),
        tcp: Some(port),
        udp: None,
    };
    Some(Enr::create(&page.key, address).to_string())
}
