//! The disk is full, or takes no write at all.

use std::fs;

use crate::account::{Exact, settle};
use crate::load::{LATER, Load, PLAIN, Phase};
use crate::site::{Server, Site};
use crate::turn;

/// The length of the longest file, from which on the disk has no more room.
fn longest(site: &Site) -> u64 {
    let files = fs::read_dir(site.data()).expect("a folder").flatten();
    let lengths = files.map(|file| file.metadata().expect("a length").len());
    lengths.max().expect("a file")
}

/// No write succeeds that ends beyond so many bytes of a file.
fn no_room_beyond(server: &Server, bytes: u64) {
    server.limit(&format!("--fsize={bytes}:"));
}

fn room_again(server: &Server) {
    server.limit("--fsize=unlimited:");
}

/// Until clicks and postbacks have felt it for a while, and the audit log's keeper, whose transactions are management's, more than
/// once.
async fn is_felt(load: &Load, server: &Server) {
    server.logs("cannot be placed or signed yet", 3).await;
    clients_feel_it(load).await;
}

async fn clients_feel_it(load: &Load) {
    load.until("answers while nothing can be written", |known| {
        known.count("click", Phase::During, PLAIN) >= 30 && known.count("postback", Phase::During, LATER) >= 30
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_beside_sqlite() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    no_room_beyond(&server, longest(&site) + 16 * 1_024);
    is_felt(&load, &server).await;
    load.fault_ends();
    room_again(&server);
    let known = load.finish(&server).await;
    settle("disk full, SQLite", &site, server, &known, Exact::Yes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_write_not_even_of_the_log() {
    let _turn = turn().await;
    let site = Site::sqlite();
    let server = site.serve_logging_to_a_file(&[]);
    let load = Load::start(&server).await;
    load.fault_begins();
    no_room_beyond(&server, 0);
    clients_feel_it(&load).await;
    load.fault_ends();
    room_again(&server);
    let known = load.finish(&server).await;
    settle("no write succeeds, SQLite, log on the same disk", &site, server, &known, Exact::Yes).await;
}
