//! Rules, sources and sentences of explanations.
//!
//! Codes and sources are part of the contract (`docs/consent.md` lists them): they may be added to, never renamed. A
//! source is a specification or Einklang's own design, and the place in it.

use crate::domain::attribution::Check;
use crate::domain::consent::{ClickCheck, Ground, SignalKind};
use crate::domain::refusal::{Reason, Untracked};
use crate::domain::signal::finding::{Finding, Understood};

/// A sentence in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// German.
    pub de: &'static str,
}

const fn words(en: &'static str, de: &'static str) -> Words {
    Words { en, de }
}

/// A code, its source and its sentence.
type Rule = (&'static str, &'static str, Words);

/// Whether clicks are taken at all.
pub const RUNS: Words = words(
    "Does the link's campaign take clicks now?",
    "Nimmt die Kampagne des Links jetzt Klicks an?",
);

/// What becomes of a click that is not taken.
pub const NOT_RUNNING: Words = words(
    "The campaign does not run: to its fallback page if it has one, and nothing is kept.",
    "Die Kampagne läuft nicht: zu ihrer Ausweichseite, falls es sie gibt, und nichts wird gespeichert.",
);

/// The second check of a click.
pub const VISITOR: Words = words(
    "Was it a visitor, and not a robot or a request for the head alone?",
    "War es ein Besucher und kein Roboter und keine reine Kopfanfrage?",
);

/// A check of a click.
pub fn click_check(check: ClickCheck) -> Rule {
    match check {
        ClickCheck::Declined => ("consent_denied", "einklang/4.1/merging", DECLINED),
        ClickCheck::Readable => ("consent_malformed", "einklang/4.1/malformed", READABLE),
        ClickCheck::Enough => (
            "consent_missing",
            "einklang/4.1/policy",
            words(
                "Is what was said enough under the policy?",
                "Genügt das Gesagte nach der Policy?",
            ),
        ),
    }
}

const DECLINED: Words = words(
    "Was nothing declined that the policy requires?",
    "Wurde nichts abgelehnt, was die Policy verlangt?",
);

const READABLE: Words = words("Can every signal be read?", "Ist jedes Signal lesbar?");

/// A check of a postback.
pub fn postback_check(check: Check) -> Rule {
    let of = |rule: &'static str, words| (rule, "einklang/4.2/order-of-checks", words);
    match check {
        Check::Goal => of(
            "goal",
            words(
                "Is the goal one of the campaign's?",
                "Gehört das Ziel zur Kampagne?",
            ),
        ),
        Check::Currency => of(
            "currency",
            words(
                "Does the shop take the currency?",
                "Nimmt der Shop die Währung an?",
            ),
        ),
        Check::Readable => of("consent_malformed", READABLE),
        Check::Token => of(
            "token_present",
            words(
                "Did a token come? Without one the click was not tracked.",
                "Kam ein Token? Ohne ihn wurde der Klick nicht erfasst.",
            ),
        ),
        Check::Opens => of(
            "token_opens",
            words(
                "Does the token open for this shop?",
                "Öffnet sich der Token für diesen Shop?",
            ),
        ),
        Check::Withdrawn => of(
            "withdrawn",
            words(
                "Are neither the click nor the order withdrawn or erased?",
                "Sind weder Klick noch Bestellung widerrufen oder gelöscht?",
            ),
        ),
        Check::Restricted => (
            "restricted",
            "gdpr/article-18",
            words(
                "Is processing not restricted?",
                "Ist die Verarbeitung nicht eingeschränkt?",
            ),
        ),
        Check::Declined => ("consent_denied", "gdpr/article-7-3", DECLINED),
        Check::Age => of(
            "token_age",
            words(
                "Is the click still there, and the token not older than the window and its margin?",
                "Ist der Klick noch da und der Token nicht älter als das Fenster und seine Nachfrist?",
            ),
        ),
        Check::Window => of(
            "window",
            words(
                "Did the goal happen within the attribution window?",
                "Fiel das Ziel in das Zuordnungsfenster?",
            ),
        ),
        Check::Enough => of(
            "consent_missing",
            words(
                "Is the postback's signal, or the click's own grant, enough under the policy?",
                "Genügt das Signal des Postbacks oder die Einwilligung beim Klick nach der Policy?",
            ),
        ),
        Check::First => of(
            "first",
            words(
                "Was the order not recorded before?",
                "Wurde die Bestellung noch nicht erfasst?",
            ),
        ),
    }
}

/// What a state rests on.
pub fn ground(ground: Ground) -> Rule {
    match ground {
        Ground::Declined(_) => (
            "declined",
            "einklang/4.1/merging",
            words(
                "A required purpose was declined; a refusal stands above everything else.",
                "Ein verlangter Zweck wurde abgelehnt; eine Ablehnung geht allem anderen vor.",
            ),
        ),
        Ground::PrivacyControl => (
            "privacy_control",
            "gpc/sec-gpc",
            words(
                "The browser sends Global Privacy Control, which is a refusal here.",
                "Der Browser sendet Global Privacy Control, hier eine Ablehnung.",
            ),
        ),
        Ground::Unreadable => (
            "unreadable",
            "einklang/4.1/malformed",
            words(
                "A signal cannot be read; nothing is guessed and nothing else counts as a grant.",
                "Ein Signal ist unlesbar; nichts wird geraten, und nichts anderes gilt als Einwilligung.",
            ),
        ),
        Ground::Unusable => (
            "unusable",
            "einklang/4.1/unusable",
            words(
                "A signal is well formed and proves nothing; no other word overrides it.",
                "Ein Signal ist wohlgeformt und beweist nichts; kein anderes Wort geht ihm vor.",
            ),
        ),
        Ground::NotGranted(_) => (
            "not_granted",
            "gdpr/article-7-1",
            words(
                "Nothing grants a required purpose; silence is no consent.",
                "Nichts erlaubt einen verlangten Zweck; Schweigen ist keine Einwilligung.",
            ),
        ),
        Ground::OtherTerms => (
            "other_terms",
            "einklang/4.3/policy-version",
            words(
                "The signals were read on other terms than the policy's.",
                "Die Signale wurden unter anderen Bedingungen gelesen als denen der Policy.",
            ),
        ),
        Ground::Granted => (
            "granted",
            "einklang/4.1/merging",
            words(
                "Everything that the policy requires was granted.",
                "Alles, was die Policy verlangt, wurde erlaubt.",
            ),
        ),
    }
}

/// How a signal was understood.
pub fn finding(understood: &Understood) -> Words {
    match understood {
        Understood::Says(_) => words(
            "Readable; it says this about each purpose.",
            "Lesbar; es sagt dies zu jedem Zweck.",
        ),
        Understood::Applies(true) => words(
            "The sender says that the GDPR applies.",
            "Der Absender sagt, dass die DSGVO gilt.",
        ),
        Understood::Applies(false) => words(
            "The sender says that the GDPR does not apply; whether that relaxes anything is the policy's to say.",
            "Der Absender sagt, dass die DSGVO nicht gilt; ob das etwas lockert, bestimmt die Policy.",
        ),
        Understood::PrivacyControl => words(
            "Global Privacy Control is on.",
            "Global Privacy Control ist eingeschaltet.",
        ),
        Understood::Malformed("macro_not_replaced") => words(
            "The sender's ad server left a macro unreplaced; nobody's answer is in it.",
            "Der Adserver des Absenders hat einen Platzhalter nicht ersetzt; darin steht niemandes Antwort.",
        ),
        Understood::Malformed(_) => words(
            "It cannot be read as what it should be.",
            "Es ist nicht als das lesbar, was es sein soll.",
        ),
        Understood::Unusable("expired") => words(
            "The answer is older than the policy allows.",
            "Die Antwort ist älter, als die Policy erlaubt.",
        ),
        Understood::Unusable("cmp_deleted" | "cmp_not_registered") => words(
            "The consent platform that made it is not, or no more, on the list.",
            "Die Consent-Plattform, die es erzeugt hat, steht nicht oder nicht mehr auf der Liste.",
        ),
        Understood::Unusable(_) => words(
            "Well formed, and it proves neither a yes nor a no.",
            "Wohlgeformt, und es beweist weder ein Ja noch ein Nein.",
        ),
    }
}

/// Where the rule stands by which a signal was read.
pub fn source_of(finding: &Finding) -> &'static str {
    match (&finding.understood, finding.kind) {
        (Understood::Malformed("macro_not_replaced" | "empty" | "repeated" | "too_long"), _) => {
            "einklang/4.1/malformed"
        }
        (Understood::Unusable("disclosed_vendors_missing"), _) => "tcf/2.3/disclosed-vendors",
        (Understood::Unusable("global_scope"), _) => "tcf/2.2/is-service-specific",
        (Understood::Unusable("policy_version_too_old"), _) => "tcf/2.2/tcf-policy-version",
        (Understood::Unusable("cmp_id_invalid" | "cmp_deleted" | "cmp_not_registered"), _) => {
            "tcf/2.2/cmp-id"
        }
        (Understood::Unusable("expired"), _) => "einklang/4.3/max-consent-age",
        (Understood::Unusable("section_not_known" | "section_not_in_force"), _) => "gpp/1.1/gpp-sid",
        (Understood::Unusable(_), SignalKind::Tcf) => "tcf/2.2/created-last-updated",
        (_, kind) => match kind {
            SignalKind::Explicit => "einklang/4.1/explicit-consent",
            SignalKind::Gdpr => "tcf/2.2/url-gdpr",
            SignalKind::Tcf => "tcf/2.2/vendor-permission",
            SignalKind::AdditionalConsent => "google/additional-consent/2",
            SignalKind::Gpp => "gpp/1.1/sections",
            SignalKind::GppSid => "gpp/1.1/gpp-sid",
            SignalKind::UsPrivacy => "us-privacy/1/string",
            SignalKind::Gcs | SignalKind::Gcd | SignalKind::ConsentMode => "google/consent-mode/2",
            SignalKind::Gpc => "gpc/sec-gpc",
        },
    }
}

/// The verdict on a click.
pub fn click_verdict(stopped: Option<Untracked>) -> Words {
    match stopped {
        None => words(
            "The click is tracked: it is stored, and then the landing page's URL carries a token.",
            "Der Klick wird erfasst: Er wird gespeichert, dann trägt die URL der Zielseite einen Token.",
        ),
        Some(Untracked::ConsentDenied) => words(
            "The person declined: plain redirect, a count and nothing else.",
            "Die Person hat abgelehnt: schlichte Weiterleitung, ein Zählwert, sonst nichts.",
        ),
        Some(Untracked::ConsentMissing) => words(
            "No usable consent: plain redirect, a count and nothing else.",
            "Keine brauchbare Einwilligung: schlichte Weiterleitung, ein Zählwert, sonst nichts.",
        ),
        Some(Untracked::ConsentMalformed) => words(
            "A signal cannot be read: plain redirect, a count and nothing else.",
            "Ein Signal ist unlesbar: schlichte Weiterleitung, ein Zählwert, sonst nichts.",
        ),
        Some(Untracked::Bot) => words(
            "Nobody visited: plain redirect, a count and nothing else.",
            "Niemand war zu Besuch: schlichte Weiterleitung, ein Zählwert, sonst nichts.",
        ),
        Some(Untracked::Unavailable) => words(
            "The ledger cannot be reached: plain redirect.",
            "Das Hauptbuch ist nicht erreichbar: schlichte Weiterleitung.",
        ),
    }
}

/// The verdict on a postback.
pub fn postback_verdict(reason: Reason) -> Words {
    let de = match reason {
        Reason::Accepted => "Die Conversion wird erfasst.",
        Reason::Duplicate => "Diese Bestellung wurde bereits erfasst.",
        Reason::DuplicateConflict => {
            "Diese Bestellung wurde bereits mit anderem Inhalt erfasst; PATCH ändert sie."
        }
        Reason::ConsentDenied => "Die Person hat abgelehnt; der Klick zählt nicht mehr.",
        Reason::ConsentMissing => "Die Policy braucht ein Einwilligungssignal, und es kam kein brauchbares.",
        Reason::ConsentWithdrawn => "Die Einwilligung endete nach dem Klick; er zählt nicht mehr.",
        Reason::ConsentMalformed => {
            "Ein Einwilligungssignal ist unlesbar; bitte berichtigen und erneut senden."
        }
        Reason::NoToken => "Es kam kein Token: Der Klick wurde nicht erfasst.",
        Reason::UnknownToken => "Der Token öffnet sich hier nicht.",
        Reason::TokenExpired => "Der Token ist älter als das Zuordnungsfenster und seine Nachfrist.",
        Reason::OutsideWindow => "Das Ziel lag außerhalb des Zuordnungsfensters.",
        Reason::UnknownGoal => "Das Ziel gehört nicht zur Kampagne.",
        Reason::CurrencyMismatch => "Der Shop nimmt diese Währung nicht an.",
        Reason::Restricted => "Die Verarbeitung ist eingeschränkt (Art. 18 DSGVO).",
        _ => "Die Anfrage wird nicht angenommen.",
    };
    words(reason.sentence(), de)
}
