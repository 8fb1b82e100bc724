//! The shop's pages, in German and in plain HTML. Every text that goes into one is escaped here, whatever it is.

use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode, header};

use super::tracker::Report;
use super::visitor::{Consent, Visitor};

const STYLE: &str = include_str!("stil.css");

/// A page in the making.
pub struct Page(String);

impl Page {
    fn put(&mut self, html: std::fmt::Arguments<'_>) {
        use std::fmt::Write;
        // Writing into a string cannot fail.
        let _ = self.0.write_fmt(html);
    }

    /// Begins a page with its heading.
    pub fn new(title: &str) -> Self {
        let title = escaped(title);
        Self(format!(
            "<!doctype html>\n<html lang=\"de\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title} · Musterhaus</title>\
             <link rel=\"stylesheet\" href=\"/stil.css\"></head><body>\n\
             <header><strong>Musterhaus Versicherung</strong> (Demo, kein echter Laden)\
             <nav><a href=\"/\">Start</a><a href=\"/sms\">Per SMS bestellen</a><a href=\"/konto\">Konto</a></nav></header>\n\
             <h1>{title}</h1>\n"
        ))
    }

    /// A paragraph.
    pub fn text(mut self, words: &str) -> Self {
        self.put(format_args!("<p>{}</p>\n", escaped(words)));
        self
    }

    /// Something with a name, to be found by the name.
    pub fn fact(mut self, id: &'static str, label: &str, value: &str) -> Self {
        let (label, value) = (escaped(label), escaped(value));
        self.put(format_args!(
            "<p>{label}: <strong id=\"{id}\">{value}</strong></p>\n"
        ));
        self
    }

    /// A link to another page of the shop.
    pub fn link(mut self, id: &str, to: &str, words: &str) -> Self {
        let (id, to, words) = (escaped(id), escaped(to), escaped(words));
        self.put(format_args!("<p><a id=\"{id}\" href=\"{to}\">{words}</a></p>\n"));
        self
    }

    /// A form with fixed values and a button for each choice: (id, name, value, words).
    pub fn form(mut self, to: &str, fixed: &[(&str, &str)], choices: &[(&str, &str, &str, &str)]) -> Self {
        self.put(format_args!("<form method=\"post\" action=\"{}\">", escaped(to)));
        for (name, value) in fixed {
            let (name, value) = (escaped(name), escaped(value));
            self.put(format_args!(
                "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
            ));
        }
        for (id, name, value, words) in choices {
            let [id, name, value, words] = [id, name, value, words].map(|text| escaped(text));
            self.put(format_args!(
                "<button id=\"{id}\" name=\"{name}\" value=\"{value}\">{words}</button>"
            ));
        }
        self.0.push_str("</form>\n");
        self
    }

    /// Asks for the decision, or says which it was. Yes and no weigh the same.
    pub fn consent(mut self, visitor: &Visitor, visit: Option<&str>, product: &str) -> Self {
        match visitor.consent {
            Consent::Granted => {
                let kept = if visitor.token().is_some() {
                    "liegt in unserem Cookie"
                } else {
                    "keines"
                };
                self.fact("einwilligung", "Einwilligung", "erteilt")
                    .fact("token", "Tracking-Token", kept)
                    .form(
                        "/widerruf",
                        &[],
                        &[("widerruf", "wahl", "nein", "Einwilligung widerrufen")],
                    )
            }
            Consent::Denied => self.fact("einwilligung", "Einwilligung", "abgelehnt"),
            Consent::Open => {
                self.0
                    .push_str("<aside id=\"banner\" aria-label=\"Einwilligung\">");
                let page = self.text(
                    "Dürfen wir messen, ob unsere Werbung zu Abschlüssen führt? Wir speichern dafür ein Kennzeichen \
                     in einem Cookie dieser Seite und melden einen Abschluss an unseren Ad-Server. Ohne Ihre \
                     Zustimmung geschieht nichts davon.",
                );
                let fixed = [("besuch", visit.unwrap_or_default()), ("produkt", product)];
                let choices = [
                    ("zustimmen", "wahl", "ja", "Zustimmen"),
                    ("ablehnen", "wahl", "nein", "Ablehnen"),
                ];
                let mut page = page.form("/einwilligung", &fixed, &choices);
                page.0.push_str("</aside>\n");
                page
            }
        }
    }

    /// What came of telling the ad server. A real shop would not show this to its customers.
    pub fn report(self, report: &Report) -> Self {
        let (words, reason) = spoken(report);
        let page = self.fact("meldung", "Meldung an den Ad-Server", words);
        if reason.is_empty() {
            page
        } else {
            page.fact("grund", "Grund", reason)
        }
    }
}

/// A report as (outcome, reason).
pub fn spoken(report: &Report) -> (&str, &str) {
    match report {
        Report::NotSent => ("nicht gesendet", ""),
        Report::Answered(outcome, reason) => (outcome, reason),
        Report::Failed => ("nicht erreichbar", ""),
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let end = "<footer>Demo von Einklang. Keine Daten an Dritte, keine Skripte.</footer></body></html>\n";
        Html(self.0 + end).into_response()
    }
}

/// On to another page, by GET.
pub fn go(to: &str) -> Response {
    Redirect::to(to).into_response()
}

/// The style sheet.
pub async fn style() -> Response {
    (
        [(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/css; charset=utf-8"),
        )],
        STYLE,
    )
        .into_response()
}

/// For every path that there is not.
pub async fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        Page::new("Nicht gefunden").text("Diese Seite gibt es nicht."),
    )
        .into_response()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_place() {
        let evil = "\"'><script>alert(1)</script>&";
        let page = Page::new(evil)
            .text(evil)
            .fact("x", evil, evil)
            .link(evil, evil, evil);
        let page = page.form(evil, &[(evil, evil)], &[(evil, evil, evil, evil)]);
        assert!(
            !page.0.contains("<script") && !page.0.contains("'>") && !page.0.contains("\"'"),
            "{}",
            page.0
        );
    }
}
