//! Entries: lists, single ones, their proofs and their openings.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{AuditEntry, AuditEntryPage, AuditProof};
use super::opened::AuditOpening;
use super::{
    EpochNumber, Erased, NotOpened, NotThere, Place, Places, check_words, is_text, plain, prefers_text,
};
use crate::audit::proof::proof_file;
use crate::domain::ids::{AuditEntryId, ConversionId};
use crate::edge::auth::Authenticated;
use crate::edge::objects::answers::Invalid;
use crate::edge::objects::fields::Moment;
use crate::edge::problem::Problem;
use crate::edge::request::{Named, Query};
use crate::flow::FlowError;
use crate::flow::audit::AuditFlow;
use crate::flow::audit::list::{EntryFilter, EntryQuery};
use crate::flow::audit::opening::Known;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;

/// Which entries are asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EntriesQuery {
    /// Of this time or later; the list is then in the order of time. What is kept by the day counts from its beginning,
    /// 00:00 UTC.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-11-01T00:00:00Z")]
    from: Option<Moment>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-12-01T00:00:00Z")]
    to: Option<Moment>,
    /// Of this epoch; of all if left out.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    epoch: Option<EpochNumber>,
    /// By this actor, for example `key:3` or `link`.
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^[a-z_]+(:([0-9]{1,19}|[0-9a-f]{32}))?$",
        nullable = false
    )]
    actor: Option<String>,
    /// With this action, for example `postback.verdict`.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z_.]+$", nullable = false)]
    action: Option<String>,
    /// With this outcome, for example `recorded`.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z_]+$", nullable = false)]
    outcome: Option<String>,
    /// With this reason, for example `consent_missing`.
    #[param(min_length = 1, max_length = 64, pattern = "^[a-z_]+$", nullable = false)]
    reason: Option<String>,
    /// About this object, as entries name it: its kind and its number, for example `campaign:3`.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    object: Option<String>,
    /// The entry in which this conversion was recorded. Takes no time, epoch or cursor beside it.
    #[param(value_type = Option<String>, max_length = 36, pattern = "^cnv_[0-9a-f]{32}$", nullable = false)]
    conversion: Option<ConversionId>,
    /// The entries in which this order was recorded, as long as it may be repeated. Takes no time, epoch, cursor or
    /// conversion beside it.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    order_id: Option<String>,
    /// Entries on a page; 50 if left out.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 100, nullable = false, example = 50)]
    limit: Option<usize>,
    /// `next_cursor` of the page before: the id of the last entry that was looked at.
    #[param(value_type = Option<String>, max_length = 36, pattern = "^aud_[0-9a-f]{32}$", nullable = false)]
    cursor: Option<AuditEntryId>,
}

/// What the entries are about.
enum About {
    All,
    Conversion(ConversionId),
    Order(String),
}

impl EntriesQuery {
    fn checked(self) -> Result<(EntryQuery, About), Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::invalid("limit", "must be 1 to 100"));
        }
        check_words([
            ("actor", &self.actor),
            ("action", &self.action),
            ("outcome", &self.outcome),
            ("reason", &self.reason),
        ])?;
        for (name, text) in [("object", &self.object), ("order_id", &self.order_id)] {
            if text.as_deref().is_some_and(|text| !is_text(text)) {
                return Err(Problem::invalid(name, "is empty, too long or unprintable"));
            }
        }
        let alone = self.from.is_none() && self.to.is_none() && self.epoch.is_none() && self.cursor.is_none();
        let words = "names single entries: it stands without from, to, epoch, cursor and the like";
        let about = match (self.conversion, self.order_id) {
            (None, None) => About::All,
            (Some(id), None) if alone => About::Conversion(id),
            (None, Some(order_id)) if alone => About::Order(order_id),
            (Some(_), _) => return Err(Problem::invalid("conversion", words)),
            (None, Some(_)) => return Err(Problem::invalid("order_id", words)),
        };
        let query = EntryQuery {
            from_ms: self.from.map(|Moment(at_ms)| at_ms),
            until_ms: self.to.map(|Moment(at_ms)| at_ms),
            epoch: self.epoch.map(|EpochNumber(epoch)| epoch),
            filter: EntryFilter {
                actor: self.actor,
                action: self.action,
                outcome: self.outcome,
                reason: self.reason,
                object: self.object,
            },
            cursor: self.cursor.map(|id| id.0),
            limit,
        };
        Ok((query, about))
    }
}

/// List audit entries
///
/// The caller's log: a tenant's roles read their tenant's, the operator the server's own. By epoch and index, or by time
/// where `from` or `to` is given. An entry is listed once it has its place, a moment after its commit. The filters other
/// than time look at the entries themselves, 5,000 for a page at most: a page may be short, or empty, and still have a
/// `next_cursor`.
#[utoipa::path(get, path = "/v1/audit/entries", operation_id = "list_audit_entries", tag = "audit",
    security(("bearer" = [])), params(EntriesQuery),
    responses(
        (status = 200, description = "A page.", body = AuditEntryPage, example = json!(AuditEntryPage::example())),
        Invalid, NotThere, Erased,
    ))]
pub(super) async fn list_audit_entries(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    Query(query): Query<EntriesQuery>,
) -> Result<Json<AuditEntryPage>, Problem> {
    let (query, about) = query.checked()?;
    let page = match about {
        About::All => flow.list(&principal, &query).await?,
        About::Conversion(id) => flow.entry_of_conversion(&principal, id.0, &query).await?,
        About::Order(order_id) => flow.entries_of_order(&principal, &order_id, &query).await?,
    };
    Ok(Json(AuditEntryPage::of(&page)))
}

/// Which epoch an index is of.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EpochQuery {
    /// The epoch of an index; the latest if left out. An id needs none.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    pub(super) epoch: Option<EpochNumber>,
}

/// Read an audit entry
///
/// By its index, or by its id. What is committed and has no place yet is answered with `not_yet_sequenced`.
#[utoipa::path(get, path = "/v1/audit/entries/{entry}", operation_id = "read_audit_entry", tag = "audit",
    security(("bearer" = [])),
    params(("entry" = String, Path, description = "An index, or an entry's id.", max_length = 36,
        pattern = "^(0|[1-9][0-9]{0,14}|aud_[0-9a-f]{32})$"), EpochQuery),
    responses(
        (status = 200, description = "The entry.", body = AuditEntry, example = json!(AuditEntry::example())),
        Invalid, NotThere,
    ))]
pub(super) async fn read_audit_entry(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    places: Places,
    Query(query): Query<EpochQuery>,
) -> Result<Json<AuditEntry>, Problem> {
    let epoch = query.epoch.map(|EpochNumber(epoch)| epoch);
    let leaf = flow.entry(&principal, places.entry()?, epoch).await?;
    Ok(Json(AuditEntry::of(&leaf)))
}

/// In which tree.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofQuery {
    /// The size of the tree; that of the latest checkpoint if left out.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 9_007_199_254_740_991_i64, nullable = false)]
    size: Option<Place>,
    /// The epoch of an index; the latest if left out.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    epoch: Option<EpochNumber>,
}

/// Prove an audit entry
///
/// The inclusion proof of RFC 6962 in the tree of a size, with the checkpoint of that size. Asked for `text/plain` it is
/// the C2SP tlog-proof file, which holds the checkpoint: such a size must have one.
#[utoipa::path(get, path = "/v1/audit/entries/{entry}/proof", operation_id = "prove_audit_entry", tag = "audit",
    security(("bearer" = [])),
    params(("entry" = String, Path, description = "An index, or an entry's id.", max_length = 36,
        pattern = "^(0|[1-9][0-9]{0,14}|aud_[0-9a-f]{32})$"), ProofQuery),
    responses(
        (status = 200, description = "The proof.", content(
            (AuditProof = "application/json", example = json!(AuditProof::example())),
            (super::published::LogText = "text/plain", example = "c2sp.org/tlog-proof@v1\nindex 0\n\nads.example/audit/server/0\n1\np6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c=\n"),
        )),
        Invalid, NotThere,
    ))]
pub(super) async fn prove_audit_entry(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    headers: HeaderMap,
    places: Places,
    Query(query): Query<ProofQuery>,
) -> Result<Response, Problem> {
    let epoch = query.epoch.map(|EpochNumber(epoch)| epoch);
    let size = query.size.map(|Place(size)| size);
    let proof = flow.prove(&principal, places.entry()?, epoch, size).await?;
    if !prefers_text(&headers) {
        return Ok(Json(AuditProof::of(&proof)).into_response());
    }
    let signed = proof.checkpoint.ok_or(FlowError::Missing("size"))?;
    Ok(plain(proof_file(proof.leaf.index, &proof.hashes, &signed.note)))
}

/// What the caller knows of the entry.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OpeningQuery {
    /// The order that the entry is said to be about. Needed for a repetition, which has no conversion of its own.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    order_id: Option<String>,
    /// The conversion that the entry is said to be about. Needed for a correction.
    #[param(value_type = Option<String>, max_length = 36, pattern = "^cnv_[0-9a-f]{32}$", nullable = false)]
    conversion: Option<ConversionId>,
    /// The epoch of an index; the latest if left out.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 2_147_483_647, nullable = false, example = 0)]
    epoch: Option<EpochNumber>,
}

/// Open an audit entry
///
/// Shows what the commitment of a verdict or a correction is the hash of: the entry's key, the click, and the order or
/// conversion. Each opening is entered in the log before it is shown. Once the person is erased there is none: what the
/// key was derived from is gone.
#[utoipa::path(get, path = "/v1/audit/entries/{entry}/opening", operation_id = "open_audit_entry", tag = "audit",
    security(("bearer" = [])),
    params(("entry" = String, Path, description = "An index, or an entry's id.", max_length = 36,
        pattern = "^(0|[1-9][0-9]{0,14}|aud_[0-9a-f]{32})$"), OpeningQuery),
    responses(
        (status = 200, description = "The opening.", body = AuditOpening, example = json!(AuditOpening::example())),
        Invalid, NotThere, NotOpened, Erased,
    ))]
pub(super) async fn open_audit_entry(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    Named(request): Named,
    places: Places,
    Query(query): Query<OpeningQuery>,
) -> Result<Json<AuditOpening>, Problem> {
    if query.order_id.as_deref().is_some_and(|text| !is_text(text)) {
        return Err(Problem::invalid("order_id", "is empty, too long or unprintable"));
    }
    let epoch = query.epoch.map(|EpochNumber(epoch)| epoch);
    let known = Known {
        order_id: query.order_id,
        conversion: query.conversion.map(|id| id.0),
    };
    let opening = flow
        .open(&principal, places.entry()?, epoch, &known, request)
        .await?;
    Ok(Json(AuditOpening::of(&opening)))
}
