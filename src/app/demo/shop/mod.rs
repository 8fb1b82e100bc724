//! The demo shop: what an advertiser's server has to do for S2S tracking, small enough to be read at one sitting.
//!
//! It is a demo tool and no product: it forgets everything when it stops, sells nothing, and has no payment, no
//! stock and no passwords. What it does about consent is meant to be copied: the token leaves the URL at once, is kept
//! only after the shop's own consent, and every word to the ad server goes from server to server.

mod elsewhere;
mod memory;
mod page;
mod tracker;
mod visitor;
mod web;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderValue, header};

use crate::app::system::SystemEntropy;
use crate::flow::Entropy;
use memory::Memory;
use tracker::{Report, Tracker};

/// The largest form, in bytes.
const FORM_BYTES: usize = 4 * 1024;
/// Nothing from anywhere else: no script at all, no image, no frame, and forms that only lead here.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// What can be bought.
struct Product {
    slug: &'static str,
    name: &'static str,
    /// A decimal string, as postbacks carry it.
    premium: &'static str,
}

const PRODUCTS: [Product; 2] = [
    Product {
        slug: "hausrat",
        name: "Hausratversicherung Komfort",
        premium: "89.90",
    },
    Product {
        slug: "fahrrad",
        name: "Fahrrad-Schutzbrief",
        premium: "48.00",
    },
];

fn product(slug: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.slug == slug)
}

/// The shop.
struct Shop {
    memory: Memory,
    tracker: Tracker,
}

type Shared = Arc<Shop>;

/// What an order came to.
struct Order {
    id: String,
    product: &'static Product,
    report: Report,
}

impl Shop {
    /// Takes an order, and reports it if there is a token to report it with. The order stands whatever the ad server
    /// says. A real shop would put the postback into a queue of its own instead of keeping the customer waiting.
    async fn order(&self, product: &'static Product, token: Option<&str>, customer: Option<&str>) -> Order {
        let id = format!("MH-{}", letters(8));
        let report = match token {
            Some(token) => {
                self.tracker
                    .report_order(token, &id, product.premium, customer)
                    .await
            }
            // Declined, never asked, or never tracked: there is nobody to tell anything about.
            None => Report::NotSent,
        };
        Order { id, product, report }
    }

    /// Ends everything about a token, here and at the ad server.
    async fn forget(&self, token: &str) -> Report {
        self.memory.forget(token);
        self.tracker.report_denial(token).await
    }
}

/// The shop's pages, for an ad server at `ad_url` that knows this shop by `key`.
pub fn router(ad_url: &str, key: &str) -> Router {
    let shop: Shared = Arc::new(Shop {
        memory: Memory::default(),
        tracker: Tracker::new(ad_url, key),
    });
    Router::new()
        .route("/", get(web::home))
        .route("/landung", get(web::land))
        .route("/einwilligung", post(web::consent))
        .route("/produkt/{product}", get(web::product_page))
        .route("/kasse/{product}", get(web::checkout))
        .route("/bestellung", post(web::order))
        .route("/widerruf", post(web::withdraw))
        .route("/konto", get(web::account).post(web::open_account))
        .route("/sms", get(elsewhere::sms_page).post(elsewhere::sms_order))
        .route("/app/bestellung", post(elsewhere::app_order))
        .route("/stil.css", get(page::style))
        .fallback(page::not_found)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(middleware::map_response(with_headers))
        .with_state(shop)
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Random letters and digits, without those that people mistake for one another.
fn letters(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let mut bytes = vec![0; length];
    SystemEntropy.fill(&mut bytes);
    let letter = |byte: u8| {
        ALPHABET
            .get(usize::from(byte % 32))
            .map_or('2', |letter| char::from(*letter))
    };
    bytes.into_iter().map(letter).collect()
}
