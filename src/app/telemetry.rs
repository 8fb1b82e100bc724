//! Logs and metrics. Log lines hold request ids, routes and counts; never an address, a URL, a token or a signal.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use super::config::LogFormat;

/// Buckets of the batch size histogram.
const BATCH_BUCKETS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Starts logging to standard error. An invalid filter falls back to `info` and says so.
pub fn log(filter: &str, format: LogFormat) {
    let parsed = EnvFilter::try_new(filter);
    let wrong = parsed.is_err();
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let mut lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A line that cannot be written, on a full disk or to a reader that is gone, is lost. To complain of that on the same
        // standard error panics, and the note of that panic ends the process.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        // Colours are for people; in a file they only hide what is searched for.
        lines = lines.with_ansi(false);
    }
    std::panic::set_hook(Box::new(note_panic));
    let started = match format {
        LogFormat::Pretty => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if started.is_ok() && wrong {
        tracing::warn!("the log filter cannot be read; logging at info");
    }
}

/// Says where a panic happened. Its message is left out: it could hold anything that a client sent.
fn note_panic(info: &std::panic::PanicHookInfo<'_>) {
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    tracing::error!(file, line, "panicked");
}

/// Starts recording metrics. A second call in one process gives a recorder of its own that sees nothing new.
pub fn metrics() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    let builder = match builder.set_buckets(&BATCH_BUCKETS) {
        Ok(builder) => builder,
        Err(_) => PrometheusBuilder::new(),
    };
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    let _ = ::metrics::set_global_recorder(recorder);
    handle
}
