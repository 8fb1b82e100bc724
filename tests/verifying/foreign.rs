//! A log on disk for programs of others: checkpoint, tiles and bundles as C2SP lays them out, proofs, and exports.

use std::fs;
use std::path::{Path, PathBuf};

use einklang::audit::bundle::bundle;
use einklang::audit::export::Kind;
use einklang::audit::export::row::Content;
use einklang::audit::growth::Edge;
use einklang::audit::merkle::{Hash, leaf_hash};
use einklang::audit::note::public_pem;
use einklang::audit::proof::proof_file;
use einklang::audit::tiles::{TILE_WIDTH, TileId, tile_path_number};

use super::exported::{Log, body};
use super::{as_tar, write};

/// Beyond 65,536, so that there are tiles of three levels.
const SIZE: u64 = 66_100;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/verifier/log")
}

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("written");
}

/// `tile/<level>/<number>[.p/<width>]`.
fn path_of(level: &str, tile: u64, width: u64) -> String {
    let partial = if width < TILE_WIDTH {
        format!(".p/{width}")
    } else {
        String::new()
    };
    format!("tile/{level}/{}{partial}", tile_path_number(tile))
}

fn write_tiles(folder: &Path) {
    let leaves: Vec<Hash> = (0..SIZE).map(|index| leaf_hash(&body(index))).collect();
    let mut changed = Edge::default().append(&leaves);
    let partial = leaves.chunks(256).next_back().expect("leaves").to_vec();
    let id = TileId {
        level: 0,
        tile: SIZE / TILE_WIDTH,
    };
    changed.push(einklang::audit::growth::Changed { id, hashes: partial });
    for changed in changed {
        let path = path_of(
            &changed.id.level.to_string(),
            changed.id.tile,
            changed.hashes.len() as u64,
        );
        put(&folder.join(path), changed.hashes.concat());
    }
    for tile in 0..SIZE.div_ceil(TILE_WIDTH) {
        let bodies: Vec<Vec<u8>> = (tile * TILE_WIDTH..SIZE.min((tile + 1) * TILE_WIDTH))
            .map(body)
            .collect();
        let bytes = bundle(bodies.iter().map(Vec::as_slice)).expect("a bundle");
        put(&folder.join(path_of("entries", tile, bodies.len() as u64)), bytes);
    }
}

#[test]
fn a_log_is_laid_out_for_the_programs_of_others() {
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("removed");
    }
    let log = Log::of(SIZE);
    write_tiles(&folder);
    put(&folder.join("key.vkey"), log.vkey() + "\n");
    put(&folder.join("key.pem"), public_pem(&log.public()));
    put(&folder.join("checkpoint"), log.checkpoint(SIZE));
    put(&folder.join("earlier-checkpoint"), log.checkpoint(12_345));
    for index in [0, 255, 256, 40_000, SIZE - 1] {
        let proof = log.tiles.inclusion(index, SIZE).expect("a proof");
        put(
            &folder.join(format!("proofs/{index}.tlog-proof")),
            proof_file(index, &proof, &log.checkpoint(SIZE)),
        );
        put(&folder.join(format!("proofs/{index}.entry")), body(index));
    }
    let mut head = log.head(Kind::Full, Content::Jsonl, 20_000, 60_000);
    let consistency = log.tiles.consistency(12_345, SIZE).expect("a proof");
    head.earlier = Some((log.checkpoint(12_345), consistency));
    let some: Vec<u64> = (0..SIZE).step_by(997).collect();
    let exports = [
        ("full", log.full(Content::Jsonl, 0, SIZE)),
        ("range", log.written(head, 20_000..60_000)),
        ("csv", log.full(Content::Csv, 65_000, SIZE)),
        ("filtered", log.filtered(Content::Jsonl, &some)),
        ("filtered-csv", log.filtered(Content::Csv, &some)),
    ];
    for (name, members) in exports {
        let path = folder.join("exports").join(name);
        fs::create_dir_all(&path).expect("a folder");
        write(&path, &members);
        if name == "range" {
            put(&folder.join("exports/range.tar"), as_tar(&members));
        }
    }
}
