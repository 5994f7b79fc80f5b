//! The face to the validator client: before the chain is known, and after.
//!
//! Not here: the routes (`trireme-vapi`), what is answered before the start (`early`).

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trireme_beacon::Topic;
use trireme_core::life::Life;
use trireme_vapi::TlsError;

use crate::{NodeConfig, NodeError, about, early, workflow::Workflow};

/// The settings of the validator API, with the files that they name.
///
/// # Errors
///
/// If a certificate, a key or a token cannot be used.
pub(crate) fn settings(config: &NodeConfig) -> Result<trireme_vapi::Config, NodeError> {
    let asked = &config.validator_api;
    let mut settings = trireme_vapi::Config::new(about::node_version(&config.version));
    (settings.allow_list, settings.json_only) = (asked.allow_list, asked.json_only);
    settings.origins = asked.origins.clone();
    if let Some((certificate, key)) = &asked.tls {
        let tls = trireme_vapi::Tls::read(certificate, key).map_err(|e| NodeError::Setting {
            flag: match e {
                TlsError::Certificate { .. } | TlsError::Pair(_) => "--vc-tls-cert-file",
                TlsError::Key { .. } => "--vc-tls-key-file",
            },
            reason: e.to_string(),
        })?;
        settings.tls = Some(tls);
    }
    if let Some(file) = &asked.token_file {
        let bad = |reason: String| NodeError::Setting {
            flag: "--vapi-token-file",
            reason: format!("{}: {reason}", file.display()),
        };
        let text = std::fs::read_to_string(file).map_err(|e| bad(e.to_string()))?;
        settings.token = Some(trireme_vapi::Token::new(&text).map_err(|e| bad(e.to_string()))?);
    }
    Ok(settings)
}

/// Pages of the address that is listened at may read answers, if no others are named.
pub(crate) fn listens_at(settings: &mut trireme_vapi::Config, listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        settings.origins = std::mem::take(&mut settings.origins).at(address, settings.tls.is_some());
    }
}

/// The returned token is cancelled when the early server has given its listener back. With TLS there is none: clients'
/// connections wait until the node is ready.
pub(crate) fn serve_early(
    life: &Life,
    listener: TcpListener,
    settings: &trireme_vapi::Config,
    stop: CancellationToken,
) -> CancellationToken {
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    if settings.tls.is_some() {
        return ended;
    }
    let version = settings.node_version.clone();
    life.task("validator API before the start", async move {
        let _ends = guard;
        if let Err(error) = early::serve(listener, version, stop.cancelled_owned()).await {
            tracing::warn!(%error, "The validator API could not be served before the start");
        }
    });
    ended
}

/// What the pool of beacon nodes knows, for the proxy.
struct Known(Arc<trireme_beacon::Pool>);

impl trireme_vapi::Standing for Known {
    fn groups(&self) -> Vec<Vec<usize>> {
        self.0.groups()
    }

    fn look_again(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.look_again())
    }

    fn subscribes_all(&self) -> bool {
        self.0.broadcasts(Topic::Subscriptions)
    }
}

/// The server of the workflow's validator API; what it passes on goes to the beacon nodes as `beacons` knows them.
pub(crate) fn server(
    config: &NodeConfig,
    settings: trireme_vapi::Config,
    workflow: &Workflow,
    beacons: Arc<trireme_beacon::Pool>,
    requests: Arc<AtomicU64>,
    life: &Life,
    registry: &Mutex<Registry>,
) -> Result<trireme_vapi::Server, NodeError> {
    const FLAG: &str = "--beacon-node-headers";
    let setting = |reason: String| NodeError::Setting { flag: FLAG, reason };
    let headers = config.beacon.headers.iter().map(|(name, value)| {
        let name: http::HeaderName = name
            .parse()
            .map_err(|_| setting(format!("{name:?} is no header name")))?;
        let value = http::HeaderValue::from_str(value).map_err(|_| setting(format!("the value of {name} is none")))?;
        Ok((name, value))
    });
    let headers: http::HeaderMap = headers.collect::<Result<_, NodeError>>()?;
    let upstream = |url: &url::Url| trireme_vapi::Upstream {
        url: url.clone(),
        headers: headers.clone(),
    };
    let proxy = trireme_vapi::Proxy::new(
        config.beacon.endpoints.iter().map(upstream).collect(),
        config.beacon.fallbacks.iter().map(upstream).collect(),
        Some(Arc::new(Known(beacons))),
        &config.beacon.certificates,
    )
    .map_err(|e| NodeError::Setting {
        flag: "--beacon-node-endpoints",
        reason: e.to_string(),
    })?;
    let metrics = trireme_vapi::Metrics::register(&mut registry.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(trireme_vapi::Server::new(
        Arc::clone(&workflow.vapi),
        proxy,
        settings,
        metrics,
        requests,
        life.clone(),
    ))
}

/// Serves the validator API until `stop`.
pub(crate) fn serve(
    life: &Life,
    listener: TcpListener,
    server: trireme_vapi::Server,
    workflow: Workflow,
    stop: CancellationToken,
) {
    let life_of_connections = life.clone();
    life.task("validator API", async move {
        // The workflow is served as long as somebody may ask it.
        let _workflow = workflow;
        trireme_vapi::serve(listener, Arc::new(server), life_of_connections, stop).await;
    });
}
