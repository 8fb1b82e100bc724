//! A receipt for the person: the fields of ISO/IEC TS 27560:2023 in terms of W3C's Data Privacy Vocabulary.
//!
//! Only the receipt's own members are mandatory there; the rest is what this server knows. What only the controller knows
//! (recipients, storage places) is for its notice to say, to which the receipt points.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{ConsentRecord, example_id};
use crate::domain::campaign::Controller;
use crate::domain::consent::{ConsentState, purpose_word};
use crate::domain::look::{masked_text, masked_time};
use crate::domain::policy::Purpose;
use crate::domain::record::Opened;
use crate::domain::signal::record::Inputs;
use crate::domain::tcf::TcFacts;
use crate::edge::objects::fields::{Address, Country, FreeText, Moment};
use crate::flow::records::Receipt;

/// What the receipt says it is.
const SCHEMA_VERSION: &str = "ISO/IEC TS 27560:2023";

/// A purpose and what the person said of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptPurpose {
    /// The purpose in this server's words.
    #[schema(max_length = 11, pattern = "^(access|measure|personalise)$")]
    purpose: &'static str,
    /// The purpose in the vocabulary.
    #[schema(max_length = 64, pattern = "^dpv:[A-Za-z]+$")]
    purpose_type: &'static str,
    /// The legal basis in the vocabulary; left out where it is not the person's consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^dpv:[A-Za-z]+$", nullable = false)]
    lawful_basis: Option<&'static str>,
    /// The state of consent in the vocabulary.
    #[schema(max_length = 64, pattern = "^dpv:[A-Za-z]+$")]
    consent_status: &'static str,
    /// Whether the policy required it.
    required: bool,
    /// The kinds of data, in the vocabulary.
    #[schema(max_items = 8)]
    pii_information: Vec<Term>,
    /// What is done with them.
    #[schema(max_items = 8)]
    processing_method: Vec<Term>,
}

/// A term of the vocabulary.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(max_length = 64, pattern = "^(dpv|pd):[A-Za-z]+$")]
pub struct Term(&'static str);

/// The controller.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptParty {
    /// Its part.
    #[schema(max_length = 32, pattern = "^dpv:[A-Za-z]+$")]
    role: &'static str,
    /// The company.
    name: FreeText,
    /// The data protection contact; also where consent is withdrawn.
    contact: FreeText,
    /// The country whose law applies.
    jurisdiction: Country,
}

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptEvent {
    /// When.
    event_time: Moment,
    /// `click`, `postback` or `signal`.
    #[schema(max_length = 8, pattern = "^(click|postback|signal)$")]
    event_type: &'static str,
    /// The state of consent in the vocabulary.
    #[schema(max_length = 64, pattern = "^dpv:[A-Za-z]+$")]
    event_state: &'static str,
    /// Until when it may be relied on, where a TC string says when it was given; masked, the day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    valid_until: Option<Moment>,
}

/// An ISO/IEC TS 27560 consent receipt.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentReceipt {
    /// The vocabulary's context.
    #[serde(rename = "@context")]
    #[schema(max_length = 64, pattern = "^https://w3id.org/dpv$")]
    context: &'static str,
    /// The standard that the receipt follows.
    #[schema(max_length = 64, pattern = "^ISO/IEC TS 27560:2023$")]
    schema_version: &'static str,
    /// The receipt's id: the record's, since a record has one receipt.
    #[schema(min_length = 64, max_length = 96, pattern = "^csr_[A-Za-z0-9_-]{60,92}$")]
    receipt_id: String,
    /// The record's.
    #[schema(min_length = 64, max_length = 96, pattern = "^csr_[A-Za-z0-9_-]{60,92}$")]
    record_id: String,
    /// Controllers; none where the tenant's configuration names none.
    #[schema(max_items = 1)]
    pii_controllers: Vec<ReceiptParty>,
    /// Where the controller's notice is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    privacy_notice: Option<Address>,
    /// The notice that the publisher named; a masked one ends in `***`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, pattern = "^[\\s\\S]*$", nullable = false)]
    notice_version: Option<String>,
    /// The language in which the person was asked, where a TC string says so; left out where it is masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2, pattern = "^[A-Z]{2}$", nullable = false)]
    language: Option<String>,
    /// The purposes.
    #[schema(max_items = 3)]
    purposes: Vec<ReceiptPurpose>,
    /// What happened.
    event: ReceiptEvent,
    /// The record without personal data of other people; its evidence included.
    record: ConsentRecord,
}

fn status(word: &str) -> &'static str {
    match word {
        "granted" => "dpv:ConsentGiven",
        "denied" => "dpv:ConsentRefused",
        _ => "dpv:ConsentUnknown",
    }
}

fn purpose(purpose: Purpose, bits: i64, required: bool) -> ReceiptPurpose {
    let word = purpose_word(bits, purpose);
    let (purpose_type, pii_information) = match purpose {
        Purpose::Access => ("dpv:Advertising", vec![Term("pd:DeviceBased")]),
        Purpose::Measure => (
            "dpv:Advertising",
            vec![Term("pd:DeviceBased"), Term("pd:Transactional")],
        ),
        Purpose::Personalise => ("dpv:PersonalisedAdvertising", Vec::new()),
    };
    ReceiptPurpose {
        purpose: purpose.code(),
        purpose_type,
        lawful_basis: (word == "granted").then_some("dpv:Consent"),
        consent_status: status(word),
        required,
        // This server personalises nothing: it only keeps what was said of it.
        processing_method: if purpose == Purpose::Personalise {
            Vec::new()
        } else {
            vec![Term("dpv:Collect"), Term("dpv:Store"), Term("dpv:Use")]
        },
        pii_information,
    }
}

impl ConsentReceipt {
    /// The receipt.
    pub fn of(receipt: &Receipt, unmasked: bool) -> Self {
        let Receipt {
            shown,
            policy,
            controller,
        } = receipt;
        let stored = &shown.record;
        let record = ConsentRecord::of(shown, unmasked);
        let inputs = |opened: &Opened| opened.inputs;
        let tc = shown
            .opened
            .as_ref()
            .and_then(inputs)
            .and_then(|inputs: Inputs| inputs.evidence.tc().copied());
        let notice = shown.opened.as_ref().and_then(|opened| opened.notice.as_ref());
        let lasts_s = policy.terms().max_consent_age_seconds();
        let valid_until = |facts: TcFacts| {
            let at_ms = (facts.last_updated_s() + lasts_s) * 1_000;
            Moment(if unmasked { at_ms } else { masked_time(at_ms) })
        };
        let event_state = match stored.state() {
            ConsentState::Granted => "dpv:ConsentGiven",
            ConsentState::Denied => "dpv:ConsentRefused",
            ConsentState::Unknown | ConsentState::Malformed => "dpv:ConsentUnknown",
        };
        let party = |controller: &Controller| ReceiptParty {
            role: "dpv:DataController",
            name: FreeText(controller.name.clone()),
            contact: FreeText(controller.contact.clone()),
            jurisdiction: Country(controller.jurisdiction.clone()),
        };
        let of_policy = |one| purpose(one, stored.consent_bits, policy.require.contains(&one));
        Self {
            context: "https://w3id.org/dpv",
            schema_version: SCHEMA_VERSION,
            receipt_id: record.id.clone(),
            record_id: record.id.clone(),
            pii_controllers: controller.iter().map(party).collect(),
            privacy_notice: controller.as_ref().map(|one| Address(one.notice_url.clone())),
            notice_version: notice.map(|text| if unmasked { text.clone() } else { masked_text(text) }),
            language: tc
                .filter(|_| unmasked)
                .map(|facts| facts.language.iter().collect()),
            purposes: Purpose::ALL.into_iter().map(of_policy).collect(),
            event: ReceiptEvent {
                event_time: Moment(stored.decided_at_ms),
                event_type: stored.key.kind().code(),
                event_state,
                valid_until: tc.map(valid_until),
            },
            record,
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        let record = ConsentRecord::example();
        Self {
            context: "https://w3id.org/dpv",
            schema_version: SCHEMA_VERSION,
            receipt_id: example_id(),
            record_id: example_id(),
            pii_controllers: vec![ReceiptParty {
                role: "dpv:DataController",
                name: FreeText("Acme Versicherung AG".to_owned()),
                contact: FreeText("datenschutz@acme.example".to_owned()),
                jurisdiction: Country("DE".to_owned()),
            }],
            privacy_notice: Some(Address("https://acme.example/datenschutz".to_owned())),
            notice_version: Some("no***".to_owned()),
            language: None,
            // All three purposes granted: five, twice two bits and the state.
            purposes: vec![purpose(Purpose::Access, 0b0101_0101, true)],
            event: ReceiptEvent {
                event_time: record.decided_at,
                event_type: "click",
                event_state: "dpv:ConsentGiven",
                valid_until: None,
            },
            record,
        }
    }
}
