//! The export: a tar that is made while it is sent.

use std::collections::BTreeMap;
use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use serde::Deserialize;
use utoipa::IntoParams;

use super::published::LogBytes;
use super::{EpochNumber, NotThere, Place, check_words, is_text};
use crate::edge::auth::Authenticated;
use crate::edge::objects::answers::Invalid;
use crate::edge::objects::fields::Moment;
use crate::edge::problem::Problem;
use crate::edge::request::{Named, Query};
use crate::edge::time::rfc3339;
use crate::flow::audit::AuditFlow;
use crate::flow::audit::export::{Content, ExportQuery};
use crate::flow::audit::list::EntryFilter;

/// What is to be exported.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportParameters {
    /// From this index; 0 if left out.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 9_007_199_254_740_991_i64, nullable = false)]
    from: Option<Place>,
    /// Up to before this index; all that the latest checkpoint covers if left out.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 9_007_199_254_740_991_i64, nullable = false)]
    to: Option<Place>,
    /// With the proof that the log continues the checkpoint of this size: one that you kept.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 9_007_199_254_740_991_i64, nullable = false)]
    since: Option<Place>,
    /// Of this epoch; the latest if left out.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    epoch: Option<EpochNumber>,
    /// The form of the entries: `jsonl`, each line one entry's stored bytes, or `csv`. `jsonl` if left out.
    #[param(value_type = Option<String>, max_length = 5, pattern = "^(jsonl|csv)$", nullable = false)]
    format: Option<Content>,
    /// A filter: of this time or later.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-11-01T00:00:00Z")]
    from_time: Option<Moment>,
    /// A filter: before this time.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-12-01T00:00:00Z")]
    to_time: Option<Moment>,
    /// A filter: by this actor.
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^[a-z_]+(:([0-9]{1,19}|[0-9a-f]{32}))?$",
        nullable = false
    )]
    actor: Option<String>,
    /// A filter: with this action.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z_.]+$", nullable = false)]
    action: Option<String>,
    /// A filter: with this outcome.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z_]+$", nullable = false)]
    outcome: Option<String>,
    /// A filter: with this reason.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z_]+$", nullable = false)]
    reason: Option<String>,
    /// A filter: about this object.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    object: Option<String>,
}

impl ExportParameters {
    fn checked(self) -> Result<ExportQuery, Problem> {
        let words = [
            ("actor", &self.actor),
            ("action", &self.action),
            ("outcome", &self.outcome),
            ("reason", &self.reason),
        ];
        check_words(words)?;
        if self.object.as_deref().is_some_and(|text| !is_text(text)) {
            return Err(Problem::invalid("object", "is empty, too long or unprintable"));
        }
        let named = words.into_iter().chain([("object", &self.object)]);
        let named = named.filter_map(|(name, text)| Some((name.to_owned(), text.clone()?)));
        let mut filters: BTreeMap<String, String> = named.collect();
        for (name, moment) in [("from_time", &self.from_time), ("to_time", &self.to_time)] {
            if let Some(Moment(at_ms)) = moment {
                filters.insert(name.to_owned(), rfc3339(*at_ms));
            }
        }
        Ok(ExportQuery {
            epoch: self.epoch.map(|EpochNumber(epoch)| epoch),
            from: self.from.map(|Place(index)| index),
            to: self.to.map(|Place(index)| index),
            since: self.since.map(|Place(size)| size),
            from_ms: self.from_time.map(|Moment(at_ms)| at_ms),
            until_ms: self.to_time.map(|Moment(at_ms)| at_ms),
            filter: EntryFilter {
                actor: self.actor,
                action: self.action,
                outcome: self.outcome,
                reason: self.reason,
                object: self.object,
            },
            filters,
            content: self.format.unwrap_or(Content::Jsonl),
        })
    }
}

/// Export the log
///
/// A tar of entries, their hashes or proofs, the signed checkpoint and a signed manifest, which
/// `einklang audit verify` and standard tools check without a server. Without a filter it holds every entry of the range,
/// and that none is missing can be verified; with one it holds at most 10,000 entries, each with its proof. Every export
/// is entered in the log before it is sent. An export that breaks off has no manifest and does not verify.
#[utoipa::path(get, path = "/v1/audit/export", operation_id = "export_audit_log", tag = "audit",
    security(("bearer" = [])), params(ExportParameters),
    responses(
        (status = 200, description = "The export.", body = LogBytes, content_type = "application/x-tar"),
        Invalid, NotThere,
    ))]
pub(super) async fn export_audit_log(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    Query(query): Query<ExportParameters>,
) -> Result<Response, Problem> {
    let export = flow.export(&principal, &query.checked()?, request).await?;
    let disposition = format!("attachment; filename=\"{}\"", export.file_name);
    let parts = stream::try_unfold(export, |mut export| async move {
        match export.next().await {
            Ok(part) => Ok(part.map(|bytes| (Bytes::from(bytes), export))),
            // The status has left: the connection ends, and the tar without its manifest verifies nowhere.
            Err(error) => {
                tracing::error!(%error, "an export was broken off");
                Err(io::Error::other("broken off"))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-tar"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
