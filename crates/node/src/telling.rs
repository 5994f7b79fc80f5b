//! Starts what tells about a node besides its log and its metrics: log lines to Loki, traces, health checks, and the debug
//! address.

use std::sync::Arc;

use tokio::net::TcpListener;
use trireme_core::{consensus::Consensus, life::Life};
use trireme_telemetry::{
    Push,
    debug::Debug,
    health::{HealthMetrics, HealthWatch, Setup},
    metrics::SharedRegistry,
};

use crate::{NodeConfig, NodeError, about, cluster::Loaded, listen};

const DEBUG_FLAG: &str = "--debug-address";

/// Lines and spans may go out from now on: it is known whose they are.
pub(crate) fn open_outlets(config: &NodeConfig, loaded: &Loaded, life: &Life) -> Result<(), NodeError> {
    if let Some(traces) = &config.outlets.traces {
        traces.start(&loaded.short_hash()).map_err(|e| NodeError::Setting {
            flag: "--otlp-address",
            reason: e.to_string(),
        })?;
    }
    if let Some(loki) = &config.outlets.loki {
        for pusher in loki.pushers(&about::labels(config, loaded).pairs()) {
            life.task("loki", pusher.run(life.token().cancelled_owned()));
        }
    }
    Ok(())
}

/// Sends the last spans. Blocks.
pub(crate) fn close_outlets(config: &NodeConfig) {
    if let Some(traces) = &config.outlets.traces {
        traces.stop();
    }
}

/// Starts the health checks.
pub(crate) fn watch_health(
    registry: &SharedRegistry,
    metrics: HealthMetrics,
    config: &NodeConfig,
    loaded: &Loaded,
    life: &Life,
) {
    let setup = Setup {
        threshold: loaded.cluster.threshold,
        validators: loaded.cluster.validators().len(),
        peer: loaded.cluster.me.0,
        builder_api: config.proposals.builder_api,
    };
    life.task(
        "health checks",
        HealthWatch::new(Arc::clone(registry), setup, metrics).run(),
    );
}

/// Pushes figures to a monitoring service, if one is named.
pub(crate) fn push_figures(registry: &SharedRegistry, config: &NodeConfig, life: &Life) {
    if let Some(to) = &config.push {
        let built = config.version.git_time.parse::<jiff::Timestamp>();
        let push = Push {
            config: to.clone(),
            registry: Arc::clone(registry),
            version: config.version.text.clone(),
            build: built.map_or(0, jiff::Timestamp::as_second),
            disk: config.data_dir.clone(),
        };
        life.task("monitoring service", push.run());
    }
}

/// The debug address, if one is wanted.
pub(crate) async fn bind_debug(config: &NodeConfig) -> Result<Option<TcpListener>, NodeError> {
    match &config.debug_address {
        Some(address) => Ok(Some(listen::bind(DEBUG_FLAG, address).await?)),
        None => Ok(None),
    }
}

/// Serves it.
pub(crate) fn serve_debug(listener: TcpListener, consensus: Arc<Consensus>, config: &NodeConfig, life: &Life) {
    let git_hash = config.version.git_hash.clone();
    let debug = Debug {
        consensus: Arc::new(move || consensus.sniffed(&git_hash)),
    };
    let stop = life.token();
    life.task("debug", async move {
        if let Err(error) = debug.serve(listener, stop.cancelled_owned()).await {
            tracing::warn!(%error, "The debug address is not served any more");
        }
    });
}
