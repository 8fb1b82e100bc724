//! What a decision was made on, as a record shows it to those who may see it.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::PurposeAnswers;
use crate::domain::consent::SignalKind;
use crate::domain::look::{masked_text, masked_time};
use crate::domain::signal::record::Inputs;
use crate::domain::signal::{Collector, Said};
use crate::domain::tcf::{Flags, RestrictionType, TcFacts};
use crate::edge::objects::fields::Moment;

/// One kind of signal as it was understood.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordedSignal {
    /// The parameter's name.
    #[schema(max_length = 16, pattern = "^[a-z_]+$")]
    kind: &'static str,
    /// What it said by itself. What a TC string says is in `tcf`.
    says: PurposeAnswers,
    /// Whether some of it could not be read.
    malformed: bool,
    /// Whether it was well formed and proved nothing.
    unusable: bool,
}

/// A publisher's restriction that touched the tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordedRestriction {
    /// The purpose.
    #[schema(minimum = 1, maximum = 24, format = Int32)]
    purpose: u8,
    /// 0: not allowed, 1: only on consent, 2: only on legitimate interest.
    #[schema(minimum = 0, maximum = 2, format = Int32)]
    r#type: u8,
}

/// How the TC string stood to the tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordedStanding {
    /// The tenant's id on the Global Vendor List at that time.
    #[schema(minimum = 1, maximum = 65_535, format = Int32)]
    vendor: u16,
    /// Its consent bit.
    consent: bool,
    /// Its bit of legitimate interest.
    legitimate_interest: bool,
    /// Whether it was shown to the person; left out if the string did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    disclosed: Option<bool>,
    /// The publisher's restrictions that touched it.
    #[schema(max_items = 24)]
    restrictions: Vec<RecordedRestriction>,
}

/// A purpose of the framework, by its number.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(minimum = 1, maximum = 24, format = Int32)]
pub struct PurposeNumber(u8);

/// What a TC string proved beside its answers. The string itself is not kept.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordedTcf {
    /// The consent platform.
    #[schema(minimum = 0, maximum = 4_095, format = Int32)]
    cmp_id: u16,
    /// Its version.
    #[schema(minimum = 0, maximum = 4_095, format = Int32)]
    cmp_version: u16,
    /// The screen on which the person decided.
    #[schema(minimum = 0, maximum = 63, format = Int32)]
    screen: u8,
    /// The language in which the person was asked; left out where it is masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2, pattern = "^[A-Z]{2}$", nullable = false)]
    language: Option<String>,
    /// The version of the Global Vendor List.
    #[schema(minimum = 0, maximum = 4_095, format = Int32)]
    vendor_list_version: u16,
    /// The version of the framework's policies.
    #[schema(minimum = 0, maximum = 63, format = Int32)]
    policy_version: u8,
    /// When the string was first made; masked, the day.
    created_at: Moment,
    /// When it was last changed; masked, the day.
    last_updated_at: Moment,
    /// The purposes consented to.
    #[schema(max_items = 24)]
    purposes_consent: Vec<PurposeNumber>,
    /// The purposes with legitimate interest transparency.
    #[schema(max_items = 24)]
    purposes_legitimate_interest: Vec<PurposeNumber>,
    /// The special features opted in to.
    #[schema(max_items = 12)]
    special_features: Vec<PurposeNumber>,
    /// Whether purpose 1 was not asked at all.
    purpose_one_treatment: bool,
    /// Whether the publisher changed the standard texts.
    non_standard_texts: bool,
    /// The publisher's country.
    #[schema(max_length = 2, pattern = "^[A-Z]{2}$")]
    publisher_country: String,
    /// How it stood to the tenant; left out if the tenant was no vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    standing: Option<RecordedStanding>,
}

impl RecordedTcf {
    fn of(facts: &TcFacts, unmasked: bool) -> Self {
        let moment = |at_s: i64| {
            let at_ms = at_s * 1_000;
            Moment(if unmasked { at_ms } else { masked_time(at_ms) })
        };
        let numbers = |flags: Flags| flags.iter().map(PurposeNumber).collect();
        let restriction = |(purpose, kind): (u8, RestrictionType)| RecordedRestriction {
            purpose,
            r#type: kind.number(),
        };
        Self {
            cmp_id: facts.cmp_id(),
            cmp_version: facts.cmp_version,
            screen: facts.screen,
            language: unmasked.then(|| facts.language.iter().collect()),
            vendor_list_version: facts.vendor_list_version,
            policy_version: facts.policy_version(),
            created_at: moment(facts.created_s()),
            last_updated_at: moment(facts.last_updated_s()),
            purposes_consent: numbers(facts.purposes),
            purposes_legitimate_interest: numbers(facts.purposes_li),
            special_features: numbers(facts.special_features),
            purpose_one_treatment: facts.purpose_one_treatment,
            non_standard_texts: facts.non_standard_texts,
            publisher_country: facts.publisher_cc.iter().collect(),
            standing: facts.standing.map(|standing| RecordedStanding {
                vendor: standing.vendor,
                consent: standing.consent,
                legitimate_interest: standing.li,
                disclosed: standing.disclosed,
                restrictions: standing.restrictions().map(restriction).collect(),
            }),
        }
    }
}

/// What a decision was made on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordedEvidence {
    /// Whether what could lead to a person is masked: the notice, the language, the hour of the TC string's dates.
    masked: bool,
    /// The version of the decoder that read the signals.
    #[schema(minimum = 0, maximum = 255, format = Int32)]
    decoder_version: u8,
    /// Whether a contract let the publisher's own word grant; always so for a shop.
    contract: bool,
    /// Whether Global Privacy Control came in a header.
    gpc_header: bool,
    /// Whether the sender said that the GDPR applies; left out if it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    gdpr: Option<bool>,
    /// Every kind of signal that arrived.
    #[schema(max_items = 11)]
    signals: Vec<RecordedSignal>,
    /// What the TC string proved, if one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tcf: Option<RecordedTcf>,
    /// The reference to the notice that the person saw; a masked one ends in `***`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, pattern = "^[\\s\\S]*$", nullable = false)]
    notice: Option<String>,
}

impl RecordedEvidence {
    /// The part of an example.
    pub fn example(says: PurposeAnswers) -> Self {
        Self {
            masked: true,
            decoder_version: 1,
            contract: true,
            gpc_header: false,
            gdpr: Some(true),
            signals: vec![RecordedSignal {
                kind: "consent",
                says,
                malformed: false,
                unusable: false,
            }],
            tcf: None,
            notice: Some("no***".to_owned()),
        }
    }

    /// What a decision was made on.
    pub fn of(inputs: &Inputs, notice: Option<&String>, unmasked: bool) -> Self {
        let evidence = &inputs.evidence;
        let signal = |(kind, said): (SignalKind, Said)| RecordedSignal {
            kind: kind.code(),
            says: PurposeAnswers::of(said.answers),
            malformed: said.malformed,
            unusable: said.unusable,
        };
        Self {
            masked: !unmasked,
            decoder_version: inputs.decoder_version,
            contract: inputs.collector != Collector::Publisher { contract: false },
            gpc_header: evidence.gpc_header(),
            gdpr: evidence.gdpr(),
            signals: evidence.said().map(signal).collect(),
            tcf: evidence.tc().map(|facts| RecordedTcf::of(facts, unmasked)),
            notice: notice.map(|text| if unmasked { text.clone() } else { masked_text(text) }),
        }
    }
}
