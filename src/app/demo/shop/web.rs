//! The shop in the browser: landing, consent, checkout, account.

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::memory::Account;
use super::page::{Page, go, not_found};
use super::tracker::Report;
use super::visitor::{Consent, Cookies, Visitor, is_token};
use super::{PRODUCTS, Shared, letters, product};

/// What a landing URL says. Other parameters are somebody else's.
#[derive(Deserialize)]
pub struct Landing {
    s2s: Option<String>,
    kampagne: Option<String>,
}

/// A visit whose token waits for a decision.
#[derive(Deserialize)]
pub struct Waiting {
    besuch: Option<String>,
}

/// The consent dialogue's answer.
#[derive(Deserialize)]
pub struct Decision {
    wahl: String,
    besuch: String,
    produkt: String,
}

/// A choice of product.
#[derive(Deserialize)]
pub struct Choice {
    produkt: String,
}

/// The front page.
pub async fn home(visitor: Visitor) -> Response {
    let mut page = Page::new("Gut versichert").consent(&visitor, None, "");
    for product in &PRODUCTS {
        let words = format!(
            "{} ab {} € im Jahr",
            product.name,
            product.premium.replace('.', ",")
        );
        page = page.link(product.slug, &format!("/produkt/{}", product.slug), &words);
    }
    page.into_response()
}

/// Where clicks arrive. The token leaves the URL before any page is shown, so that it is in no history, no referrer
/// and no log of anyone else's.
pub async fn land(State(shop): State<Shared>, visitor: Visitor, Query(landing): Query<Landing>) -> Response {
    let is_bicycle = landing
        .kampagne
        .is_some_and(|campaign| campaign.starts_with("fahrrad"));
    let page = format!("/produkt/{}", if is_bicycle { "fahrrad" } else { "hausrat" });
    let Some(token) = landing.s2s.filter(|token| is_token(token)) else {
        return go(&page);
    };
    match visitor.consent {
        Consent::Granted => {
            if let Some(session) = &visitor.session {
                shop.memory.keep(session, &token);
            }
            Cookies::none().token(&token).onto(go(&page))
        }
        Consent::Denied => {
            shop.forget(&token).await;
            go(&page)
        }
        Consent::Open => {
            let visit = letters(20);
            let page = format!("{page}?besuch={visit}");
            shop.memory.hold(visit, token);
            go(&page)
        }
    }
}

/// The decision about the shop's own tracking.
pub async fn consent(
    State(shop): State<Shared>,
    visitor: Visitor,
    Form(decision): Form<Decision>,
) -> Response {
    let page =
        product(&decision.produkt).map_or("/".to_owned(), |product| format!("/produkt/{}", product.slug));
    let waiting = shop.memory.decide(&decision.besuch);
    if decision.wahl == "ja" {
        let mut cookies = Cookies::none().decided(Consent::Granted);
        if let Some(token) = &waiting {
            cookies = cookies.token(token);
            if let Some(session) = &visitor.session {
                shop.memory.keep(session, token);
            }
        }
        return cookies.onto(go(&page));
    }
    // The click was tracked with the publisher's consent; this "no" ends that too.
    if let Some(token) = &waiting {
        shop.forget(token).await;
    }
    Cookies::none().decided(Consent::Denied).onto(go(&page))
}

/// A product.
pub async fn product_page(
    State(shop): State<Shared>,
    visitor: Visitor,
    Path(slug): Path<String>,
    Query(waiting): Query<Waiting>,
) -> Response {
    let Some(product) = product(&slug) else {
        return not_found().await;
    };
    let visit = waiting.besuch.filter(|visit| shop.memory.is_waiting(visit));
    // Whoever decides only at the checkout still has the token waiting there.
    let query = visit
        .as_ref()
        .map_or(String::new(), |visit| format!("?besuch={visit}"));
    Page::new(product.name)
        .consent(&visitor, visit.as_deref(), product.slug)
        .fact(
            "beitrag",
            "Jahresbeitrag in Euro",
            &product.premium.replace('.', ","),
        )
        .link(
            "zur-kasse",
            &format!("/kasse/{}{query}", product.slug),
            "Zum Abschluss",
        )
        .into_response()
}

/// The checkout.
pub async fn checkout(
    State(shop): State<Shared>,
    visitor: Visitor,
    Path(slug): Path<String>,
    Query(waiting): Query<Waiting>,
) -> Response {
    let Some(product) = product(&slug) else {
        return not_found().await;
    };
    let visit = waiting.besuch.filter(|visit| shop.memory.is_waiting(visit));
    let choices = [(
        "bestellen",
        "produkt",
        product.slug,
        "Kostenpflichtig abschließen",
    )];
    Page::new("Abschluss")
        .consent(&visitor, visit.as_deref(), product.slug)
        .text(&format!(
            "{}, {} € im Jahr",
            product.name,
            product.premium.replace('.', ",")
        ))
        .form("/bestellung", &[], &choices)
        .into_response()
}

/// An order from the browser: the token comes from the shop's own cookie.
pub async fn order(State(shop): State<Shared>, visitor: Visitor, Form(choice): Form<Choice>) -> Response {
    let Some(product) = product(&choice.produkt) else {
        return not_found().await;
    };
    let account = visitor
        .session
        .as_deref()
        .and_then(|session| shop.memory.account_of(session));
    let customer = account.as_ref().map(|account| account.number.as_str());
    let order = shop.order(product, visitor.token(), customer).await;
    Page::new("Vielen Dank")
        .text(&format!("Ihr Abschluss: {}", order.product.name))
        .fact("bestellnummer", "Vertragsnummer", &order.id)
        .report(&order.report)
        .into_response()
}

/// A change of mind: nothing is kept, here or at the ad server.
pub async fn withdraw(State(shop): State<Shared>, visitor: Visitor) -> Response {
    let mut report = Report::NotSent;
    if let Some(token) = visitor.token() {
        report = shop.forget(token).await;
    }
    // The account may have had other clicks; its number is the handle for all of them.
    if let Some(account) = visitor
        .session
        .as_deref()
        .and_then(|session| shop.memory.account_of(session))
    {
        if let Some(token) = &account.token {
            shop.forget(token).await;
        }
        report = shop.tracker.report_customer_denial(&account.number).await;
    }
    let page = Page::new("Widerrufen")
        .text("Wir haben Ihre Einwilligung gelöscht.")
        .report(&report);
    Cookies::none()
        .decided(Consent::Denied)
        .onto(page.into_response())
}

/// The account, if this browser has one.
pub async fn account(State(shop): State<Shared>, visitor: Visitor) -> Response {
    let page = Page::new("Konto").consent(&visitor, None, "");
    if let Some(account) = visitor
        .session
        .as_deref()
        .and_then(|session| shop.memory.account_of(session))
    {
        return with_account(page, &account).into_response();
    }
    let page = page.text("Mit einem Konto bestellen Sie auch in unserer App.");
    page.form(
        "/konto",
        &[],
        &[("konto-anlegen", "konto", "neu", "Konto anlegen")],
    )
    .into_response()
}

/// Opens an account, which from now on carries the token to other devices.
pub async fn open_account(State(shop): State<Shared>, visitor: Visitor) -> Response {
    let account = Account {
        number: format!("K-{}", letters(6)),
        pin: letters(8),
        session: letters(24),
        token: visitor.token().map(str::to_owned),
    };
    let page = with_account(Page::new("Ihr Konto"), &account).into_response();
    let cookies = Cookies::none().session(&account.session);
    shop.memory.add_account(account);
    cookies.onto(page)
}

fn with_account(page: Page, account: &Account) -> Page {
    page.fact("kontonummer", "Kontonummer", &account.number)
        .fact("pin", "PIN", &account.pin)
        .text("Melden Sie sich damit in der App an.")
}
