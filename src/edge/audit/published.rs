//! The log as existing clients read it: C2SP tlog-tiles under `/audit/{tenant}/{epoch}`.
//!
//! Tiles never change once they are full, and a partial one names its width, so both may be kept by the caller for ever;
//! not by anybody between, since the log is one tenant's.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::{NotThere, Places, decimal, plain};
use crate::audit::tiles::{TileId, parse_tile_path};
use crate::domain::refusal::Reason;
use crate::edge::auth::Authenticated;
use crate::edge::objects::answers::Invalid;
use crate::edge::problem::Problem;
use crate::flow::audit::AuditFlow;
use crate::flow::audit::published::LogPath;

const FOR_EVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// A text of the log, byte for byte as C2SP lays it out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(max_length = 16_384, pattern = "^[\\s\\S]+$")]
pub(super) struct LogText(String);

/// Bytes of the log as C2SP lays them out.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(format = Binary, max_length = 16_777_728)]
pub(super) struct LogBytes(String);

fn epoch(places: &Places) -> Result<i64, Problem> {
    places.read("epoch", "must be the number of an epoch", |text| {
        decimal(text).and_then(|number| i32::try_from(number).ok().map(i64::from))
    })
}

/// The tile's number and the width of a partial one.
fn tile(places: &Places) -> Result<(u64, Option<u16>), Problem> {
    let words = "must be the number of a tile as tlog-tiles writes it: 000, x001/234, 000.p/12";
    let found = places.read("path", words, parse_tile_path)?;
    // No log has a tile beyond; its first index would not fit.
    if found.0 > super::PLACE_MAX / 256 {
        return Err(Problem::new(Reason::NotFound));
    }
    Ok(found)
}

fn bytes(content: Vec<u8>) -> Response {
    let mut response = content.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CACHE_CONTROL, FOR_EVER);
    response
}

/// Read the log's checkpoint
///
/// The latest signed note of an epoch (C2SP tlog-tiles, "Checkpoints"). The log's name is the tenant's id, or `server` for
/// the operator.
#[utoipa::path(get, path = "/audit/{tenant}/{epoch}/checkpoint", operation_id = "read_log_checkpoint", tag = "audit",
    security(("bearer" = [])),
    params(
        ("tenant" = String, Path, description = "The tenant's id, or `server`.", max_length = 36,
            pattern = "^(server|tnt_[0-9a-f]{32})$"),
        ("epoch" = i64, Path, description = "The epoch.", minimum = 0, maximum = 2_147_483_647),
    ),
    responses(
        (status = 200, description = "The signed note.", body = LogText, content_type = "text/plain",
            example = "ads.example/audit/server/0\n1\np6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c=\n"),
        Invalid, NotThere,
    ))]
pub(super) async fn read_log_checkpoint(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    places: Places,
) -> Result<Response, Problem> {
    let path = LogPath {
        tenant: places.text("tenant"),
        epoch: epoch(&places)?,
    };
    Ok(plain(flow.published_checkpoint(&principal, path).await?))
}

/// Read a tile of the log
///
/// Up to 256 hashes of 32 bytes (C2SP tlog-tiles, "Merkle Tree"). `path` is the tile's number in groups of three digits,
/// with slashes between them, and `.p/W` behind it for the first W hashes of a tile. Nothing beyond the latest checkpoint
/// is given out.
#[utoipa::path(get, path = "/audit/{tenant}/{epoch}/tile/{level}/{*path}", operation_id = "read_log_tile", tag = "audit",
    security(("bearer" = [])),
    params(
        ("tenant" = String, Path, description = "The tenant's id, or `server`.", max_length = 36,
            pattern = "^(server|tnt_[0-9a-f]{32})$"),
        ("epoch" = i64, Path, description = "The epoch.", minimum = 0, maximum = 2_147_483_647),
        ("level" = i64, Path, description = "The level; 0 holds the entries' hashes.", minimum = 0, maximum = 63),
        ("path" = String, Path, description = "The tile's number; it may hold slashes.", max_length = 64,
            pattern = "^(x([1-9][0-9]{2}|0[1-9][0-9]|00[1-9])/(x[0-9]{3}/){0,4})?[0-9]{3}(\\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$"),
    ),
    responses(
        (status = 200, description = "The hashes, one behind the other.", body = LogBytes,
            content_type = "application/octet-stream"),
        Invalid, NotThere,
    ))]
pub(super) async fn read_log_tile(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    places: Places,
) -> Result<Response, Problem> {
    let path = LogPath {
        tenant: places.text("tenant"),
        epoch: epoch(&places)?,
    };
    let level = places.read("level", "must be 0 to 63", |text| {
        decimal(text)
            .filter(|level| *level < 64)
            .and_then(|level| u8::try_from(level).ok())
    })?;
    let (tile, width) = tile(&places)?;
    let id = TileId { level, tile };
    Ok(bytes(flow.published_tile(&principal, path, id, width).await?))
}

/// Read a bundle of entries
///
/// Up to 256 entries, each behind its length in two bytes (C2SP tlog-tiles, "Log Entries"), named as the tile of level 0
/// with their hashes.
#[utoipa::path(get, path = "/audit/{tenant}/{epoch}/tile/entries/{*path}", operation_id = "read_log_bundle",
    tag = "audit", security(("bearer" = [])),
    params(
        ("tenant" = String, Path, description = "The tenant's id, or `server`.", max_length = 36,
            pattern = "^(server|tnt_[0-9a-f]{32})$"),
        ("epoch" = i64, Path, description = "The epoch.", minimum = 0, maximum = 2_147_483_647),
        ("path" = String, Path, description = "The bundle's number; it may hold slashes.", max_length = 64,
            pattern = "^(x([1-9][0-9]{2}|0[1-9][0-9]|00[1-9])/(x[0-9]{3}/){0,4})?[0-9]{3}(\\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$"),
    ),
    responses(
        (status = 200, description = "The entries.", body = LogBytes, content_type = "application/octet-stream"),
        Invalid, NotThere,
    ))]
pub(super) async fn read_log_bundle(
    State(flow): State<AuditFlow>,
    Authenticated(principal): Authenticated,
    places: Places,
) -> Result<Response, Problem> {
    let path = LogPath {
        tenant: places.text("tenant"),
        epoch: epoch(&places)?,
    };
    let (tile, width) = tile(&places)?;
    Ok(bytes(flow.published_bundle(&principal, path, tile, width).await?))
}
