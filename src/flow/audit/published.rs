//! A log as C2SP tlog-tiles lays it out: a checkpoint, tiles, entry bundles.
//!
//! Promise: nothing beyond the latest checkpoint is given out, so that whoever reads can verify all of it.

use super::GAP;
use super::read::{AuditFlow, Epoch};
use crate::audit::bundle::bundle;
use crate::audit::tiles::{TILE_WIDTH, TileId};
use crate::domain::access::Principal;
use crate::domain::refusal::Reason;
use crate::flow::FlowError;

/// Which log a path names: the tenant's id or `server`, and the epoch.
#[derive(Debug, Clone, Copy)]
pub struct LogPath<'a> {
    /// `tnt_…` or `server`.
    pub tenant: &'a str,
    /// The epoch.
    pub epoch: i64,
}

/// A level that no tree of 2^63 entries reaches.
const LEVELS: u8 = 8;

impl AuditFlow {
    /// The latest checkpoint's note.
    pub async fn published_checkpoint(
        &self,
        principal: &Principal,
        path: LogPath<'_>,
    ) -> Result<String, FlowError> {
        let state = self.published(principal, path).await?;
        let found = self
            .live
            .store()
            .reader(state.log.scope())
            .latest_checkpoint(state.log)
            .await?;
        Ok(found.ok_or(FlowError::Refused(Reason::NotFound))?.note)
    }

    /// The hashes of a tile, `width` of them; 256 if it is asked for as a full one.
    pub async fn published_tile(
        &self,
        principal: &Principal,
        path: LogPath<'_>,
        id: TileId,
        width: Option<u16>,
    ) -> Result<Vec<u8>, FlowError> {
        let state = self.published(principal, path).await?;
        let width = self.width(&state, id, width).await?;
        let tiles = self
            .live
            .store()
            .reader(state.log.scope())
            .log_tiles(state.log, &[id])
            .await?;
        let hashes = tiles.get(id).and_then(|hashes| hashes.get(..width)).ok_or(GAP)?;
        Ok(hashes.concat())
    }

    /// The entries below a tile of level 0.
    pub async fn published_bundle(
        &self,
        principal: &Principal,
        path: LogPath<'_>,
        tile: u64,
        width: Option<u16>,
    ) -> Result<Vec<u8>, FlowError> {
        let state = self.published(principal, path).await?;
        let width = self.width(&state, TileId { level: 0, tile }, width).await?;
        let begin = tile * TILE_WIDTH;
        let reader = self.live.store().reader(state.log.scope());
        let bodies = reader.log_bodies(state.log, begin, begin + width as u64).await?;
        if bodies.len() != width {
            return Err(GAP.into());
        }
        let bytes = bundle(bodies.iter().map(Vec::as_slice)).ok_or(GAP)?;
        Ok(bytes)
    }

    /// The caller's own log, if that is what the path names.
    async fn published(&self, principal: &Principal, path: LogPath<'_>) -> Result<Epoch, FlowError> {
        if path.tenant != self.log_text(principal)? {
            return Err(FlowError::Refused(Reason::NotFound));
        }
        let found = self.state(principal, Some(path.epoch)).await;
        found.map_err(|error| match error {
            FlowError::Missing(_) => FlowError::Refused(Reason::NotFound),
            other => other,
        })
    }

    /// How many hashes are given out, if the latest checkpoint covers so many.
    async fn width(&self, state: &Epoch, id: TileId, asked: Option<u16>) -> Result<usize, FlowError> {
        let missing = FlowError::Refused(Reason::NotFound);
        let signed = self
            .live
            .store()
            .reader(state.log.scope())
            .latest_checkpoint(state.log)
            .await?;
        let covered = match signed {
            Some(signed) if id.level < LEVELS => id.width(signed.size),
            _ => return Err(missing),
        };
        let asked = asked.map_or(TILE_WIDTH, u64::from);
        if asked > covered {
            return Err(missing);
        }
        usize::try_from(asked).map_err(|_| missing)
    }
}
