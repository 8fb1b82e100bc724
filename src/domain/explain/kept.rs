//! What is kept of a click or a postback, and what is not, by stable codes.

use super::Words;
use crate::domain::policy::{DenialErases, Policy, UntrackedCounts};
use crate::domain::refusal::Outcome;

/// One thing that is kept or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its code.
    pub code: &'static str,
    /// The same for a person.
    pub words: Words,
}

macro_rules! kept {
    ($($name:ident, $code:literal, $en:literal, $de:literal;)*) => {
        $(const $name: Kept = Kept { code: $code, words: Words { en: $en, de: $de } };)*
    };
}

kept! {
    CLICK, "click", "Time, link, campaign, publisher and policy version of the click.",
        "Zeit, Link, Kampagne, Publisher und Policy-Version des Klicks.";
    CONSENT_RECORD, "consent_record", "What the signals came to for each purpose, and which kinds of signal there were.",
        "Was die Signale je Zweck ergaben, und welche Arten von Signalen es gab.";
    SEALED_DETAILS, "sealed_details",
        "Sub-ids, class of the user agent, truncated address, notice reference and what identifies the TC string's banner, \
         sealed under the click's own key.",
        "Sub-IDs, Klasse des User-Agents, gekürzte Adresse, Hinweisreferenz und was das Banner des TC-Strings bezeichnet, \
         versiegelt mit dem eigenen Schlüssel des Klicks.";
    AUDIT, "audit_entry", "An audit entry without personal data.", "Ein Eintrag im Prüfprotokoll ohne personenbezogene Daten.";
    TOTALS, "totals", "Amount, currency, goal, status, times, campaign and publisher of the conversion, and its counts.",
        "Betrag, Währung, Ziel, Status, Zeiten, Kampagne und Publisher der Conversion sowie ihre Zählwerte.";
    ORDER_HASH, "order_hash", "A keyed hash of the order, against counting it twice.",
        "Ein mit Schlüssel gebildeter Hash der Bestellung, gegen doppelte Zählung.";
    SEALED_ORDER, "sealed_order_details", "Order id, coupon, items and the shop's own values, sealed under the click's own key.",
        "Bestellnummer, Gutschein, Artikel und eigene Werte des Shops, versiegelt mit dem eigenen Schlüssel des Klicks.";
    COUNT_CAMPAIGN, "count_by_campaign", "A count by campaign, day and reason.",
        "Ein Zählwert je Kampagne, Tag und Grund.";
    COUNT_TENANT, "count_by_tenant", "A count by tenant, day and reason.", "Ein Zählwert je Mandant, Tag und Grund.";
    COUNT_REFUSED, "count_of_refusals", "A count by shop, campaign, day and reason.",
        "Ein Zählwert je Shop, Kampagne, Tag und Grund.";
    COUNT_DUPLICATE, "count_of_duplicates", "A count of the repetition.", "Ein Zählwert der Wiederholung.";
    SUPPRESSION, "suppression", "A keyed hash that keeps late postbacks about the click out.",
        "Ein mit Schlüssel gebildeter Hash, der spätere Postbacks zu diesem Klick fernhält.";
    NO_SIGNAL_TEXTS, "signal_texts", "The texts of the signals.", "Die Texte der Signale.";
    NO_ADDRESS, "full_address", "The full address.", "Die vollständige Adresse.";
    NO_AGENT, "user_agent", "The user agent's text.", "Der Text des User-Agents.";
    NO_CLICK, "click", "The click, its time and its sub-ids.", "Der Klick, seine Zeit und seine Sub-IDs.";
    NO_TOKEN, "token", "No token is made.", "Es entsteht kein Token.";
    NO_AMOUNT, "amount", "The amount.", "Der Betrag.";
    NO_ORDER, "order", "The order id, items and every other value of the postback.",
        "Bestellnummer, Artikel und alle weiteren Werte des Postbacks.";
    NO_CLICK_AFTER, "click_data", "The click with its key and its conversions: they are erased.",
        "Der Klick mit seinem Schlüssel und seinen Conversions: sie werden gelöscht.";
    NO_PERSON_AFTER, "clicks_of_the_person", "Every click of the person at this shop, as far as the customer reference tells: erased.",
        "Jeder Klick der Person bei diesem Shop, soweit die Kundenreferenz reicht: gelöscht.";
}

/// What is kept of a click, and what is not.
pub fn kept_of_click(tracked: bool, policy: &Policy) -> (Vec<Kept>, Vec<Kept>) {
    if tracked {
        let stored = vec![CLICK, CONSENT_RECORD, SEALED_DETAILS, AUDIT];
        return (stored, vec![NO_SIGNAL_TEXTS, NO_ADDRESS, NO_AGENT]);
    }
    let count = match policy.untracked_counts {
        UntrackedCounts::Campaign => COUNT_CAMPAIGN,
        UntrackedCounts::Tenant => COUNT_TENANT,
    };
    let nothing = vec![NO_CLICK, NO_TOKEN, NO_SIGNAL_TEXTS, NO_ADDRESS, NO_AGENT];
    (vec![count], nothing)
}

/// What is kept of a postback, and what is not.
pub fn kept_of_postback(outcome: Outcome, ends_click: bool, policy: &Policy) -> (Vec<Kept>, Vec<Kept>) {
    match outcome {
        Outcome::Recorded => (
            vec![TOTALS, ORDER_HASH, SEALED_ORDER, CONSENT_RECORD, AUDIT],
            vec![NO_SIGNAL_TEXTS, NO_ADDRESS],
        ),
        Outcome::Duplicate => (
            vec![COUNT_DUPLICATE, AUDIT],
            vec![NO_AMOUNT, NO_ORDER, NO_SIGNAL_TEXTS, NO_ADDRESS],
        ),
        Outcome::Dropped | Outcome::Refused => {
            let mut stored = vec![COUNT_REFUSED, AUDIT];
            let mut not_stored = vec![NO_AMOUNT, NO_ORDER, NO_SIGNAL_TEXTS, NO_ADDRESS];
            if ends_click {
                stored.push(SUPPRESSION);
                match policy.shop_denial_erases {
                    DenialErases::Click => not_stored.push(NO_CLICK_AFTER),
                    DenialErases::Person => not_stored.extend([NO_CLICK_AFTER, NO_PERSON_AFTER]),
                    DenialErases::Nothing => {}
                }
            }
            (stored, not_stored)
        }
    }
}
