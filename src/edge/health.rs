//! Health: whether the process lives, and whether it can work. `/metrics` is on the management listener only.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::flow::health::{HealthFlow, Readiness};

/// The routes that both listeners have.
pub fn routes() -> OpenApiRouter<HealthFlow> {
    OpenApiRouter::new()
        .routes(routes!(check_life))
        .routes(routes!(check_readiness))
}

/// The state of the process.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"status": "ok", "checks": []}))]
pub struct HealthView {
    /// `ok` or `failing`.
    #[schema(value_type = String, max_length = 8, pattern = "^(ok|failing)$")]
    status: &'static str,
    /// The checks that fail, by name.
    #[schema(max_items = 8)]
    checks: Vec<CheckName>,
}

/// A check that fails: `database`, `migrations` or `queue`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 16, pattern = "^[a-z]+$", example = "database")]
pub struct CheckName(&'static str);

/// Is the process alive
///
/// Answers as long as the process runs. Asks nothing of the database.
#[utoipa::path(get, path = "/livez", operation_id = "check_life", tag = "health",
    responses((status = 200, description = "It lives.", body = HealthView)))]
pub async fn check_life() -> axum::Json<HealthView> {
    axum::Json(HealthView {
        status: "ok",
        checks: Vec::new(),
    })
}

/// Can the server work
///
/// 200 when the database answers, its schema is the one that this version knows, and the queue takes commands.
#[utoipa::path(get, path = "/readyz", operation_id = "check_readiness", tag = "health",
    responses(
        (status = 200, description = "It can.", body = HealthView),
        (status = 503, description = "It cannot; the failing checks are named.", body = HealthView,
            example = json!({"status": "failing", "checks": ["database"]}))
    ))]
pub async fn check_readiness(State(flow): State<HealthFlow>) -> Response {
    let Readiness { failing } = flow.check().await;
    let (status, word) = if failing.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    };
    (
        status,
        axum::Json(HealthView {
            status: word,
            checks: failing.into_iter().map(CheckName).collect(),
        }),
    )
        .into_response()
}

/// Renders the metrics; `app` has the recorder.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The management listener's routes: health and metrics.
pub fn management(flow: HealthFlow, render: Render) -> Router {
    let (health, _) = routes().with_state(flow).split_for_parts();
    let metrics = move || {
        let text = render();
        async move {
            (
                [(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
                )],
                text,
            )
        }
    };
    health.route("/metrics", get(metrics))
}
