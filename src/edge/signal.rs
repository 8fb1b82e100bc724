//! `POST /v1/signals/decode`: what a consent signal says, field by field.
//!
//! The same question and the same answer as `einklang signal decode` has. A signal belongs to a person: it comes in a
//! body, never in a URL, and nothing of it is stored or logged.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema, SchemaFormat};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::objects::answers::Invalid;
use super::objects::fields::{given, whole};
use super::problem::Problem;
use super::request::Json;
use crate::domain::inspect::{
    self, Checked, Declared, Input, Judgement, Kind, Platform, Question, Report, UsableAt,
};
use crate::domain::object::Object;
use crate::flow::signal::SignalFlow;

/// The route.
pub fn routes() -> OpenApiRouter<SignalFlow> {
    OpenApiRouter::new().routes(routes!(decode_signal))
}

/// The longest text that a question may hold; what a signal may be is shorter, and beyond that it is `too_long`.
const MAX_INPUT_CHARS: usize = 32_768;
/// Most texts of one question, and the longest of them: they are the values of one header.
const MAX_INPUTS: usize = 16;
const MAX_HEADER_CHARS: usize = 255;

/// A signal, and what is asked about it. All but `kind` and `input` concern TC strings only.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "usp", "input": "1YNN"}))]
pub struct SignalQuestion {
    /// Comes back with the answer.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    id: Option<String>,
    /// What the text is: `tcf`, `gpp`, `gpp_sid`, `usp` (US Privacy), `ac` (Google's additional consent), `gcs`, `gcd`,
    /// `sec_gpc`, `sec_gpc_multi` (several headers) or `gdpr_param`.
    #[schema(value_type = String, max_length = 16,
        pattern = "^(tcf|gpp|gpp_sid|usp|ac|gcs|gcd|sec_gpc|sec_gpc_multi|gdpr_param)$")]
    kind: Kind,
    /// The text; several for `sec_gpc_multi`; `null` for a parameter that was not there.
    #[serde(default)]
    #[schema(schema_with = input_schema)]
    input: Option<Input>,
    /// When to judge a TC string; now, if left out.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 35, format = "date-time", nullable = false)]
    now: Option<String>,
    /// Further times at which to judge it.
    #[serde(default, deserialize_with = "few::<_, _, 16>")]
    #[schema(max_items = 16, nullable = false)]
    also_at: Option<Vec<SignalTime>>,
    /// The registered consent platforms by their ids; left out, each counts as registered.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = platforms_schema)]
    cmp_list: Option<BTreeMap<String, SignalPlatform>>,
    /// What to look up in it.
    #[serde(default, deserialize_with = "few::<_, _, 256>")]
    #[schema(max_items = 256, nullable = false)]
    checks: Option<Vec<SignalCheck>>,
}

/// A time at which to judge a TC string.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalTime {
    /// The time.
    #[schema(max_length = 35, format = "date-time")]
    now: String,
}

/// A consent platform on a list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalPlatform {
    /// When it was taken off the list.
    #[serde(default, rename = "deletedDate", deserialize_with = "given")]
    #[schema(max_length = 35, format = "date-time", nullable = false)]
    deleted_date: Option<String>,
}

/// May this vendor process for this purpose?
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalCheck {
    /// The vendor's id on the Global Vendor List.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 65535)]
    vendor: u16,
    /// The purpose.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 255)]
    purpose: u8,
    /// The legal basis that it registered: `consent` or `li`.
    #[schema(value_type = String, max_length = 7, pattern = "^(consent|li)$")]
    declared: Declared,
    /// Whether it registered the purpose as flexible.
    flexible: bool,
}

/// What the signal says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"kind": "usp", "expect": "valid", "decoded": {"ccpa_applies": true, "notice": "Y",
    "opt_out_sale": "N", "lspa": "N", "state": "not_opted_out"}}))]
pub struct SignalReport {
    /// As it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 128,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        nullable = false
    )]
    id: Option<String>,
    /// As it came.
    #[schema(value_type = String, max_length = 16, pattern = "^[a-z_]+$")]
    kind: Kind,
    /// Whether the text is well formed: `valid` or `invalid`.
    #[schema(value_type = String, max_length = 7, pattern = "^(valid|invalid)$")]
    expect: &'static str,
    /// Why it is not: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, max_length = 32, pattern = "^[a-z_]+$", nullable = false)]
    reason: Option<&'static str>,
    /// What it says: an object for most kinds, a list of numbers for `gpp_sid`, `null` where `expect` is `invalid`.
    #[schema(schema_with = decoded_schema)]
    decoded: Value,
    /// Sections 24 to 27 of a GPP string by id; `decoded` holds the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, nullable = false)]
    newer_us_sections: Option<Value>,
    /// Whether a TC string may be relied on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usable: Option<bool>,
    /// Why not, the gravest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = codes_schema, required = false)]
    not_usable_because: Option<Vec<&'static str>>,
    /// The same at the other times.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16, nullable = false)]
    also_at: Option<Vec<SignalUsable>>,
    /// The checks with their answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 256, nullable = false)]
    checks: Option<Vec<SignalChecked>>,
}

/// Whether a TC string may be relied on at another time.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignalUsable {
    /// The time, as it was asked for.
    #[schema(max_length = 35, format = "date-time")]
    now: String,
    /// Whether it may.
    usable: bool,
    /// Why not, the gravest first.
    #[schema(schema_with = codes_schema)]
    because: Vec<&'static str>,
}

/// A check with its answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignalChecked {
    /// The vendor.
    #[schema(minimum = 0, maximum = 65535)]
    vendor: u16,
    /// The purpose.
    #[schema(minimum = 0, maximum = 255)]
    purpose: u8,
    /// The legal basis that it registered.
    #[schema(value_type = String, max_length = 7, pattern = "^(consent|li)$")]
    declared: Declared,
    /// Whether it registered the purpose as flexible.
    flexible: bool,
    /// Whether the string is usable and its bits allow it.
    allowed: bool,
}

fn input_schema() -> Schema {
    let text = |longest: usize| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(longest))
            .pattern(Some("^[\\s\\S]*$"))
    };
    AnyOfBuilder::new()
        .item(text(MAX_INPUT_CHARS))
        .item(
            ArrayBuilder::new()
                .items(text(MAX_HEADER_CHARS))
                .max_items(Some(MAX_INPUTS)),
        )
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .examples([json!("1YNN")])
        .build()
        .into()
}

fn platforms_schema() -> Schema {
    let id = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(4))
        .pattern(Some("^(0|[1-9][0-9]{0,3})$"));
    ObjectBuilder::new()
        .property_names(Some(id))
        .additional_properties(Some(RefOr::<Schema>::from(
            utoipa::openapi::Ref::from_schema_name("SignalPlatform"),
        )))
        .max_properties(Some(4096))
        .build()
        .into()
}

fn codes_schema() -> Schema {
    let code = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(32))
        .pattern(Some("^[a-z_]+$"));
    ArrayBuilder::new().items(code).max_items(Some(9)).build().into()
}

fn decoded_schema() -> Schema {
    let id = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(1))
        .maximum(Some(65_535));
    AnyOfBuilder::new()
        .item(ObjectBuilder::new())
        .item(ArrayBuilder::new().items(id).max_items(Some(32)))
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .build()
        .into()
}

/// Look into a consent signal
///
/// Says whether the text is well formed, what it holds field by field, and for a TC string whether it may be relied on and
/// what it lets a vendor do. It decides nothing about a click or a postback: how signals are merged, and what a policy
/// makes of them, is another matter. Nothing is stored.
#[utoipa::path(post, path = "/v1/signals/decode", operation_id = "decode_signal", tag = "consent",
    security(("bearer" = [])),
    request_body(content = SignalQuestion, description = "The signal, and what is asked about it.",
        content_type = "application/json"),
    responses((status = 200, description = "What it says.", body = SignalReport), Invalid))]
pub async fn decode_signal(
    State(flow): State<SignalFlow>,
    Json(question): Json<SignalQuestion>,
) -> Result<axum::Json<SignalReport>, Problem> {
    let report = flow.decode(&question.read()?)?;
    Ok(axum::Json(SignalReport::of(report)))
}

impl SignalQuestion {
    fn read(self) -> Result<Question, Problem> {
        let longer = |text: &String, limit: usize| text.chars().count() > limit;
        let unacceptable = match &self.input {
            Some(Input::Text(text)) => longer(text, MAX_INPUT_CHARS),
            Some(Input::Texts(texts)) => {
                texts.len() > MAX_INPUTS || texts.iter().any(|text| longer(text, MAX_HEADER_CHARS))
            }
            None => false,
        };
        if unacceptable {
            return Err(Problem::invalid("input", "is too long"));
        }
        if self
            .id
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.chars().count() > 128 || id.chars().any(char::is_control))
        {
            return Err(Problem::invalid("id", "is empty, too long or unprintable"));
        }
        let platforms = |list: BTreeMap<String, SignalPlatform>| {
            list.into_iter()
                .map(|(id, SignalPlatform { deleted_date })| (id, Platform { deleted_date }))
                .collect()
        };
        Ok(Question {
            id: self.id.map(Value::String),
            kind: self.kind,
            input: self.input,
            now: self.now,
            also_at: self.also_at.map(|times| {
                times
                    .into_iter()
                    .map(|time| inspect::At { now: time.now })
                    .collect()
            }),
            cmp_list: self.cmp_list.map(platforms),
            checks: self
                .checks
                .map(|checks| checks.into_iter().map(SignalCheck::read).collect()),
        })
    }
}

impl SignalCheck {
    fn read(self) -> inspect::Check {
        inspect::Check {
            vendor: self.vendor,
            purpose: self.purpose,
            declared: self.declared,
            flexible: self.flexible,
        }
    }
}

impl SignalReport {
    fn of(report: Report) -> Self {
        let (usable, because, also_at, checks) = match report.judgement {
            None => (None, None, None, None),
            Some(Judgement {
                usable,
                not_usable_because,
                also_at,
                checks,
            }) => (Some(usable), Some(not_usable_because), also_at, checks),
        };
        Self {
            id: report.id.as_ref().and_then(Value::as_str).map(str::to_owned),
            kind: report.kind,
            expect: report.expect,
            reason: report.reason,
            decoded: report.decoded,
            newer_us_sections: report.newer_us_sections,
            usable,
            not_usable_because: because,
            also_at: also_at.map(|times| times.into_iter().map(SignalUsable::of).collect()),
            checks: checks.map(|checks| checks.into_iter().map(SignalChecked::of).collect()),
        }
    }
}

impl SignalUsable {
    fn of(at: UsableAt) -> Self {
        Self {
            now: at.now,
            usable: at.usable,
            because: at.because,
        }
    }
}

impl SignalChecked {
    fn of(Checked { check, allowed }: Checked) -> Self {
        Self {
            vendor: check.vendor,
            purpose: check.purpose,
            declared: check.declared,
            flexible: check.flexible,
            allowed,
        }
    }
}

/// Reads a list of objects that may be left out; `N` at most.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>, const N: usize>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let read: Vec<Object<T>> = Vec::deserialize(deserializer)?;
    if read.len() > N {
        return Err(serde::de::Error::custom("too many"));
    }
    Ok(Some(read.into_iter().map(|Object(value)| value).collect()))
}
