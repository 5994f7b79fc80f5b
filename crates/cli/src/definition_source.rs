//! A cluster definition from a file or an HTTP server.

use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;

/// Largest answer of a server, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// Time limit of the whole download.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a path, or downloads an `http://` or `https://` URL.
///
/// # Errors
/// If it cannot be read, takes too long, is too large, or the server refuses.
pub(crate) fn read(source: &str) -> anyhow::Result<Vec<u8>> {
    if source.starts_with("http://") || source.starts_with("https://") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(download(source));
    }
    std::fs::read(source).with_context(|| format!("the cluster definition {source} cannot be read"))
}

async fn download(url: &str) -> anyhow::Result<Vec<u8>> {
    let shown = trireme_telemetry::redacted(url);
    // A second call in one process finds the provider set, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let failed = || format!("the cluster definition cannot be downloaded from {shown}");
    let response = client
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)
        .with_context(failed)?;
    if !response.status().is_success() {
        anyhow::bail!("{}: the server answered {}", failed(), response.status());
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(reqwest::Error::without_url).with_context(failed)?;
        if body.len().saturating_add(chunk.len()) > MAX_ANSWER {
            anyhow::bail!("{}: the answer is larger than {MAX_ANSWER} bytes", failed());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
