//! What is held of a person, as it is answered: machine-readable, and masked unless it is asked for whole.

use serde::Serialize;
use utoipa::ToSchema;

use super::values::{NamedValue, details};
use crate::domain::campaign::Controller;
use crate::domain::ids::ConversionId;
use crate::domain::money::{Currency, format_amount};
use crate::domain::policy::Purpose;
use crate::domain::retention::{CLICK_MARGIN_DAYS, Class, Rule, days_of};
use crate::edge::objects::fields::{Moment, RequestKindWord, SubjectRequestId};
use crate::edge::records::answer::ConsentRecord;
use crate::flow::records::Shown;
use crate::flow::requests::{Held, HeldOfClick, HeldOfConversion};

/// A conversion of a person's.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectConversion {
    /// Its id.
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$")]
    id: String,
    /// The goal.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_-]*$")]
    goal: String,
    /// `pending`, `confirmed` or `cancelled`.
    #[schema(max_length = 9, pattern = "^(pending|confirmed|cancelled)$")]
    status: String,
    /// The amount as a decimal string.
    #[schema(max_length = 24, pattern = "^[0-9]+(\\.[0-9]+)?$")]
    amount: String,
    /// ISO 4217.
    #[schema(max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: String,
    /// When it happened.
    occurred_at: Moment,
    /// Whether it is a test.
    test: bool,
    /// What the shop sent with it.
    #[schema(max_items = 1_000)]
    details: Vec<NamedValue>,
    /// The consent that it was recorded on; absent where it was inherited from the click.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    consent_record: Option<ConsentRecord>,
}

/// A click of a person's.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectClick {
    /// When it happened.
    clicked_at: Moment,
    /// The campaign.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_-]*$")]
    campaign: String,
    /// Who showed the link.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_-]*$")]
    publisher: String,
    /// The advertiser's shop.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_-]*$")]
    shop: String,
    /// The link.
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9_-]*$")]
    link: String,
    /// Whether processing is restricted.
    restricted: bool,
    /// For how many days it counts.
    #[schema(minimum = 0, maximum = 90)]
    window_days: i64,
    /// What came with the click.
    #[schema(max_items = 1_000)]
    details: Vec<NamedValue>,
    /// The consent that it was tracked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    consent_record: Option<ConsentRecord>,
    /// Consent that the shop forwarded later.
    #[schema(max_items = 10_000)]
    consent_signals: Vec<ConsentRecord>,
    /// What it led to.
    #[schema(max_items = 10_000)]
    conversions: Vec<SubjectConversion>,
}

/// Who decides over the data.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectController {
    /// The company.
    #[schema(max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    name: String,
    /// The data protection contact.
    #[schema(max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    contact: String,
    /// The country whose law applies.
    #[schema(max_length = 2, pattern = "^[A-Z]{2}$")]
    jurisdiction: String,
    /// Where people read what is done with their data.
    #[schema(max_length = 2048, pattern = "^[!-~]+$")]
    notice_url: String,
}

/// What the data is used for, and on which basis.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectPurpose {
    /// `access` to the device, `measure`ment of advertising, `personalise`d advertising.
    #[schema(max_length = 11, pattern = "^(access|measure|personalise)$")]
    purpose: &'static str,
    /// The legal basis (GDPR Art. 6(1)(a)).
    #[schema(max_length = 16, pattern = "^consent$")]
    legal_basis: &'static str,
}

/// Who gets the data.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectRecipient {
    /// Who: the `controller`, its `processor` (this server), a `shop` that sent orders.
    #[schema(max_length = 10, pattern = "^(controller|processor|shop)$")]
    role: &'static str,
    /// The name, where there is one.
    #[schema(max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    name: String,
    /// What of it.
    #[schema(max_length = 128, pattern = "^[ -~]+$")]
    data: &'static str,
}

/// How long something is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectRetention {
    /// What.
    #[schema(max_length = 32, pattern = "^[a-z_]+$")]
    class: &'static str,
    /// For how long, or by which criterion.
    #[schema(max_length = 160, pattern = "^[ -~]+$")]
    period: String,
}

impl SubjectRetention {
    /// Every class that can be a person's, as the tenant's rules have it.
    fn all(rules: &[Rule]) -> Vec<Self> {
        let days = |class| days_of(class, rules.iter().find(|rule| rule.class == class)).unwrap_or(0);
        let [click, details, proof, request] = [
            Class::Click,
            Class::ConversionDetails,
            Class::MinimalProof,
            Class::SubjectRequest,
        ]
        .map(days);
        let told = [
            (
                Class::Click,
                format!(
                    "{click} days, or until {CLICK_MARGIN_DAYS} days after its attribution window, whichever is later"
                ),
            ),
            (
                Class::ConversionDetails,
                format!("{details} days; amount, status and times stay for the figures, without the person"),
            ),
            (Class::ConsentRecord, "as long as what it is about".to_owned()),
            (
                Class::MinimalProof,
                format!("{proof} days: when and what was decided, without the click"),
            ),
            (
                Class::Idempotency,
                "the order's number as a keyed hash, until it can no longer be sent again".to_owned(),
            ),
            (
                Class::Suppression,
                "after an erasure: as long as a token could be valid, and seven days, as a keyed hash"
                    .to_owned(),
            ),
            (
                Class::SubjectRequest,
                format!("{request} days after it was closed, without the person's names"),
            ),
        ];
        told.into_iter()
            .map(|(class, period)| Self {
                class: class.code(),
                period,
            })
            .collect()
    }
}

/// What is held of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectData {
    /// The request.
    request: SubjectRequestId,
    /// What was asked for.
    kind: RequestKindWord,
    /// When this was put together.
    generated_at: Moment,
    /// Whether values are masked.
    masked: bool,
    /// Whether anything is held.
    held: bool,
    /// Who decides over the data, where it is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    controller: Option<SubjectController>,
    /// What the data is used for.
    #[schema(max_items = 3)]
    purposes: Vec<SubjectPurpose>,
    /// Who gets it.
    #[schema(max_items = 1_000)]
    recipients: Vec<SubjectRecipient>,
    /// How long it is kept.
    #[schema(max_items = 16)]
    retention: Vec<SubjectRetention>,
    /// Where the data comes from, if not from the person (GDPR Art. 15(1)(g)).
    #[schema(max_items = 4)]
    sources: Vec<SourceText>,
    /// Whether decisions about the person are made by it alone (Art. 22): never.
    automated_decisions: bool,
    /// The clicks.
    #[schema(max_items = 100_000)]
    clicks: Vec<SubjectClick>,
    /// Conversions whose click has had its time, while what the shop sent with them has not.
    #[schema(max_items = 100_000)]
    conversions: Vec<SubjectConversion>,
}

/// Where data comes from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, max_length = 128, pattern = "^[ -~]+$", example = "the shop's server, with an order")]
pub struct SourceText(&'static str);

fn purpose_word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Access => "access",
        Purpose::Measure => "measure",
        Purpose::Personalise => "personalise",
    }
}

impl SubjectData {
    /// What is held.
    pub fn of(held: &Held, unmasked: bool) -> Self {
        let controller = held.controller.as_ref();
        let name = controller.map_or_else(String::new, |controller| controller.name.clone());
        let mut recipients = vec![
            SubjectRecipient {
                role: "controller",
                name,
                data: "everything below",
            },
            SubjectRecipient {
                role: "processor",
                name: String::new(),
                data: "everything below, on the controller's behalf",
            },
        ];
        let mut shops: Vec<&str> = held
            .clicks
            .iter()
            .map(|click| click.row.names[2].as_str())
            .collect();
        shops.sort_unstable();
        shops.dedup();
        recipients.extend(shops.into_iter().map(|shop| SubjectRecipient {
            role: "shop",
            name: shop.to_owned(),
            data: "the token of the click, and whether an order counts",
        }));
        Self {
            request: held.case.case.id.into(),
            kind: RequestKindWord(held.case.case.kind),
            generated_at: Moment(held.at_ms),
            masked: !unmasked,
            held: held.is_any(),
            controller: controller.map(SubjectController::of),
            purposes: held
                .policy
                .require
                .iter()
                .map(|purpose| SubjectPurpose {
                    purpose: purpose_word(*purpose),
                    legal_basis: "consent",
                })
                .collect(),
            recipients,
            retention: SubjectRetention::all(&held.rules),
            sources: vec![
                SourceText("the person's browser, with the click"),
                SourceText("the publisher's page, with the click: its consent signals"),
                SourceText("the shop's server, with an order or a consent signal"),
            ],
            automated_decisions: false,
            clicks: held
                .clicks
                .iter()
                .map(|click| SubjectClick::of(click, unmasked))
                .collect(),
            conversions: held
                .conversions
                .iter()
                .map(|conversion| SubjectConversion::of(conversion, unmasked))
                .collect(),
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            request: uuid::Uuid::from_u128(0x01a0_b1c2_d3e4_7f00_a1b2_c3d4_e5f6_0718).into(),
            kind: RequestKindWord(crate::domain::subject_request::RequestKind::Access),
            generated_at: Moment(1_790_805_600_000),
            masked: true,
            held: true,
            controller: None,
            purposes: vec![SubjectPurpose {
                purpose: "measure",
                legal_basis: "consent",
            }],
            recipients: vec![SubjectRecipient {
                role: "shop",
                name: "main".to_owned(),
                data: "the token of the click, and whether an order counts",
            }],
            retention: SubjectRetention::all(&[]),
            sources: vec![SourceText("the shop's server, with an order or a consent signal")],
            automated_decisions: false,
            clicks: vec![SubjectClick {
                clicked_at: Moment(1_790_805_600_000),
                campaign: "autumn".to_owned(),
                publisher: "news".to_owned(),
                shop: "main".to_owned(),
                link: "Ab3xK9".to_owned(),
                restricted: false,
                window_days: 30,
                details: vec![NamedValue::example()],
                consent_record: Some(ConsentRecord::example()),
                consent_signals: Vec::new(),
                conversions: Vec::new(),
            }],
            conversions: Vec::new(),
        }
    }
}

impl SubjectController {
    fn of(controller: &Controller) -> Self {
        Self {
            name: controller.name.clone(),
            contact: controller.contact.clone(),
            jurisdiction: controller.jurisdiction.clone(),
            notice_url: controller.notice_url.clone(),
        }
    }
}

impl SubjectClick {
    fn of(click: &HeldOfClick, unmasked: bool) -> Self {
        let record = |shown: &Shown| ConsentRecord::of(shown, unmasked);
        let [campaign, publisher, shop, link] = click.row.names.clone();
        Self {
            clicked_at: Moment(click.row.clicked_at_ms),
            campaign,
            publisher,
            shop,
            link,
            restricted: click.row.restricted,
            window_days: click.row.window_days,
            details: details(click.details.as_ref(), unmasked),
            consent_record: click.record.as_ref().map(record),
            consent_signals: click.signals.iter().map(record).collect(),
            conversions: click
                .conversions
                .iter()
                .map(|conversion| SubjectConversion::of(conversion, unmasked))
                .collect(),
        }
    }
}

impl SubjectConversion {
    fn of(conversion: &HeldOfConversion, unmasked: bool) -> Self {
        let record = |shown: &Shown| ConsentRecord::of(shown, unmasked);
        let row = &conversion.row;
        let amount = match Currency::parse(&row.currency) {
            Ok(currency) => format_amount(row.amount_minor, currency),
            Err(_) => row.amount_minor.to_string(),
        };
        Self {
            id: ConversionId(row.id).to_string(),
            goal: row.goal.clone(),
            status: row.status.clone(),
            amount,
            currency: row.currency.clone(),
            occurred_at: Moment(row.occurred_at_ms),
            test: row.test,
            details: details(conversion.details.as_ref(), unmasked),
            consent_record: conversion.record.as_ref().map(record),
        }
    }
}
