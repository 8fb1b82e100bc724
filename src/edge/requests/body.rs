//! Requests of people as they are sent, and what is checked of them before anything is done.

use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::deadline::day;
use crate::domain::ids::ConversionId;
use crate::domain::money::is_decimal;
use crate::domain::postback::Status;
use crate::domain::subject_request::{
    Handle, Person, Regulation, RequestKind, RequestSource, RequestStatus, Wish,
};
use crate::edge::objects::fields::{
    Edit, ExtensionWord, GroundWord, Moment, RequestKindWord, RequestStatusWord, ShopId, UserId, given,
};
use crate::edge::person::PersonNames;
use crate::edge::problem::Problem;
use crate::flow::consent::About;
use crate::flow::requests::{Change, Decision, Edit as FlowEdit, NewRequest};

/// The most public holidays that a request may name.
const HOLIDAYS_MAX: usize = 60;

/// What is to be corrected, for a rectification.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"conversion": "cnv_019a0000000070008000000000000000", "amount": "39.90"}))]
pub struct RectificationWish {
    /// The conversion; one that is not the person's is left alone.
    #[schema(max_length = 36, pattern = "^cnv_[0-9a-f]{32}$")]
    conversion: String,
    /// Its right status.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 9, pattern = "^(pending|confirmed|cancelled)$", nullable = false)]
    status: Option<String>,
    /// Its right amount, not above the present one.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 17, pattern = "^[0-9]{1,12}(\\.[0-9]{1,4})?$", nullable = false)]
    amount: Option<String>,
}

/// A person's request. Names the person by exactly one of `token`, `order_id` and `customer_ref`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "access", "order_id": "A-1001"}))]
pub struct NewSubjectRequest {
    /// What is asked for.
    kind: RequestKindWord,
    /// The tracking token.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 120,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    token: Option<String>,
    /// A shop's order id.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    order_id: Option<String>,
    /// The order's goal; `order` if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    goal: Option<String>,
    /// The order's shop; any if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    shop: Option<ShopId>,
    /// A shop's pseudonym for the person: all of the person's clicks.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    customer_ref: Option<String>,
    /// When the person asked; now if left out. The deadline counts from then.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    submitted_at: Option<Moment>,
    /// For a restriction: `true` ends one.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    lift: Option<bool>,
    /// For a rectification: what is to be corrected.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    correction: Option<RectificationWish>,
    /// Public holidays, besides those of the server's configuration, as days such as `2026-12-25`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<HolidayDay>>, max_items = 60, nullable = false)]
    holidays: Option<Vec<String>>,
}

/// A day.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, max_length = 10, min_length = 10, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    example = "2026-12-25")]
pub struct HolidayDay(#[expect(dead_code, reason = "it stands for its schema")] String);

/// A checked request, with the shop's id that the flow has to find.
#[derive(Debug)]
pub struct CheckedRequest {
    /// The request.
    pub request: NewRequest,
    /// The shop that an order is narrowed to.
    pub shop: Option<Uuid>,
}

impl RectificationWish {
    fn checked(self) -> Result<Wish, Problem> {
        let conversion: ConversionId = self
            .conversion
            .parse()
            .map_err(|_| Problem::invalid("correction.conversion", "must be a conversion's id"))?;
        if self
            .status
            .as_deref()
            .is_some_and(|text| Status::from_code(text).is_none())
        {
            let words = "is not pending, confirmed or cancelled";
            return Err(Problem::invalid("correction.status", words));
        }
        if self.amount.as_deref().is_some_and(|text| !is_decimal(text)) {
            let words = "is not a decimal number such as 49.90";
            return Err(Problem::invalid("correction.amount", words));
        }
        Ok(Wish {
            conversion: conversion.0,
            status: self.status,
            amount: self.amount,
        })
    }
}

impl NewSubjectRequest {
    /// Checks each value, and then what goes together.
    pub fn checked(self) -> Result<CheckedRequest, Problem> {
        let kind = self.kind.0;
        let names = PersonNames {
            token: self.token.as_deref(),
            order_id: self.order_id.as_deref(),
            goal: self.goal.as_deref(),
            customer_ref: self.customer_ref.as_deref(),
        };
        names.check()?;
        let wish = self.correction.map(RectificationWish::checked).transpose()?;
        let holidays = holidays(self.holidays.as_deref().unwrap_or_default())?;
        let lonely = "only narrows an order_id down";
        if self.order_id.is_none() && self.goal.is_some() {
            return Err(Problem::invalid("goal", lonely));
        }
        if self.order_id.is_none() && self.shop.is_some() {
            return Err(Problem::invalid("shop", lonely));
        }
        if wish.is_some() != (kind == RequestKind::Rectification) {
            let words = "belongs to a rectification, and to nothing else";
            return Err(Problem::invalid("correction", words));
        }
        let lift = self.lift.unwrap_or(false);
        if lift && kind != RequestKind::Restriction {
            return Err(Problem::invalid("lift", "belongs to a restriction"));
        }
        let handle = match names.about()? {
            About::Token(token) => Handle::Token(token.to_owned()),
            About::Order { order_id, goal } => Handle::Order {
                order_id: order_id.to_owned(),
                goal: goal.map(str::to_owned),
                shop: None,
            },
            About::Customer(reference) => Handle::Customer(reference.to_owned()),
        };
        let request = NewRequest {
            source: RequestSource::Api,
            external_id: None,
            kind,
            lift,
            regulation: Regulation::Gdpr,
            submitted_at_ms: self.submitted_at.map(|Moment(at_ms)| at_ms),
            person: Person {
                handles: vec![handle],
                wish,
                callbacks: Vec::new(),
            },
            holidays,
        };
        Ok(CheckedRequest {
            request,
            shop: self.shop.map(Into::into),
        })
    }
}

fn holidays(texts: &[String]) -> Result<Vec<NaiveDate>, Problem> {
    if texts.len() > HOLIDAYS_MAX {
        return Err(Problem::invalid("holidays", "are too many"));
    }
    let days: Option<Vec<NaiveDate>> = texts.iter().map(|text| day(text)).collect();
    days.ok_or_else(|| Problem::invalid("holidays", "must be days such as 2026-12-25"))
}

/// Why a deadline is extended.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The person is told it, too.
    reason: ExtensionWord,
}

/// What changes about a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"note": "identity_checked"}))]
pub struct SubjectRequestChange {
    /// The user of the role privacy who works on it; `null` for nobody.
    #[serde(default)]
    #[schema(value_type = Option<UserId>)]
    assignee: Edit<UserId>,
    /// Extends the deadline by two months, counted from the receipt.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    extension: Option<Extension>,
    /// A word for the history, as a code: it must not hold personal data.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[a-z0-9_]{1,64}$", nullable = false)]
    note: Option<String>,
    /// `cancelled` or `rejected`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 9, pattern = "^(cancelled|rejected)$", nullable = false)]
    status: Option<RequestStatusWord>,
    /// On what ground it is rejected.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    ground: Option<GroundWord>,
}

impl SubjectRequestChange {
    /// Checks each value, and then what goes together.
    pub fn checked(self) -> Result<Change, Problem> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_code = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(plain);
        if self.note.as_deref().is_some_and(|text| !is_code(text)) {
            return Err(Problem::invalid("note", "is not a code of a-z, 0-9 and _"));
        }
        let decision = match (self.status.map(|word| word.0), self.ground.map(|word| word.0)) {
            (None, None) => None,
            (Some(RequestStatus::Cancelled), None) => Some(Decision::Cancelled),
            (Some(RequestStatus::Rejected), Some(ground)) => Some(Decision::Rejected(ground)),
            (Some(RequestStatus::Cancelled | RequestStatus::Rejected) | None, _) => {
                let words = "belongs to status rejected, and is needed for it";
                return Err(Problem::invalid("ground", words));
            }
            (Some(_), _) => {
                let words = "can only be set to cancelled or rejected";
                return Err(Problem::invalid("status", words));
            }
        };
        Ok(Change {
            assignee: match self.assignee {
                Edit::Keep => FlowEdit::Keep,
                Edit::Clear => FlowEdit::Clear,
                Edit::Set(id) => FlowEdit::Set(id.into()),
            },
            extension: self.extension.map(|extension| extension.reason.0),
            note: self.note,
            decision,
        })
    }
}
