//! Looking into one signal: what it says, field by field, and whether it counts.
//!
//! Promise: the three answers stay three. `expect` says whether the text is well formed, `usable` whether a TC string
//! may be relied on at a time, and each check whether it lets a vendor process for a purpose. The decoders are those of
//! the decisions; this file only writes down what they found. Nothing of it is kept or logged.

mod gpp;
mod tcf;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::consent::Answer;
use super::gpp::sid::InForce;
use super::signal::additional_consent::AdditionalConsent;
use super::signal::consent_mode::{Change, FIELDS, Gcd, Gcs, Setting};
use super::signal::switches;
use super::signal::us_privacy::UsPrivacy;
use super::tcf::{Basis, CmpList};

/// The kinds of text that can be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A TC string.
    Tcf,
    /// A GPP string.
    Gpp,
    /// `gpp_sid`.
    GppSid,
    /// A US Privacy string.
    Usp,
    /// Google's Additional Consent string.
    Ac,
    /// `gcs`.
    Gcs,
    /// `gcd`.
    Gcd,
    /// The value of one `Sec-GPC` header.
    SecGpc,
    /// The values of several `Sec-GPC` headers.
    SecGpcMulti,
    /// `gdpr`; `null` stands for a parameter that is not there.
    GdprParam,
}

/// The text or texts of a signal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// One text.
    Text(String),
    /// The values of several headers.
    Texts(Vec<String>),
}

/// Whether a vendor may process for a purpose, given what it registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The vendor's id on the Global Vendor List.
    pub vendor: u16,
    /// The purpose, 1 to 24.
    pub purpose: u8,
    /// The legal basis that it registered.
    pub declared: Declared,
    /// Whether it registered the purpose as flexible.
    pub flexible: bool,
}

/// A registered legal basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declared {
    /// Consent.
    Consent,
    /// Legitimate interest.
    Li,
}

impl Declared {
    fn basis(self) -> Basis {
        match self {
            Self::Consent => Basis::Consent,
            Self::Li => Basis::LegitimateInterest,
        }
    }
}

/// Another time at which to judge a TC string.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct At {
    /// The time, in RFC 3339.
    pub now: String,
}

/// A consent platform on a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// When it was taken off the list, in RFC 3339.
    #[serde(default, rename = "deletedDate")]
    pub deleted_date: Option<String>,
}

/// What is asked about one signal. Members that are not listed are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Question {
    /// Comes back with the answer.
    #[serde(default)]
    pub id: Option<Value>,
    /// What the text is.
    pub kind: Kind,
    /// The text.
    #[serde(default)]
    pub input: Option<Input>,
    /// The time at which to judge a TC string, in RFC 3339; the present one if left out.
    #[serde(default)]
    pub now: Option<String>,
    /// Further times at which to judge it.
    #[serde(default)]
    pub also_at: Option<Vec<At>>,
    /// The registered consent platforms by id; left out, each is taken for registered.
    #[serde(default)]
    pub cmp_list: Option<BTreeMap<String, Platform>>,
    /// What to look up in a TC string.
    #[serde(default)]
    pub checks: Option<Vec<Check>>,
}

/// A check with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The check.
    #[serde(flatten)]
    pub check: Check,
    /// Whether the string is usable and its bits allow it.
    pub allowed: bool,
}

/// Whether a TC string is usable at another time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsableAt {
    /// The time as it was asked for.
    pub now: String,
    /// Whether the string may be relied on then.
    pub usable: bool,
    /// Why not: stable codes, the gravest first.
    pub because: Vec<&'static str>,
}

/// What can be said of a TC string beyond its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Whether the string may be relied on.
    pub usable: bool,
    /// Why not: stable codes, the gravest first.
    pub not_usable_because: Vec<&'static str>,
    /// The same at the other times that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also_at: Option<Vec<UsableAt>>,
    /// The checks that were asked for, with their answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<Checked>>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// As it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// As it came.
    pub kind: Kind,
    /// `valid` or `invalid`: whether the text is well formed.
    pub expect: &'static str,
    /// Why it is not: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What it says, field by field; `null` for a text that is not well formed.
    pub decoded: Value,
    /// Sections 24 to 27 of a GPP string, which have a form of their own; `decoded` holds the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer_us_sections: Option<Value>,
    /// Of a well-formed TC string.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

/// The member of a question that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadQuestion(pub &'static str);

impl Report {
    fn of(question: &Question, decoded: Result<Value, &'static str>) -> Self {
        let (expect, reason, decoded) = match decoded {
            Ok(decoded) => ("valid", None, decoded),
            Err(reason) => ("invalid", Some(reason), Value::Null),
        };
        Self {
            id: question.id.clone(),
            kind: question.kind,
            expect,
            reason,
            decoded,
            newer_us_sections: None,
            judgement: None,
        }
    }
}

/// The times and platforms of a question, read. They are read whatever the kind: a member that cannot be is named.
struct Circumstances {
    now_s: i64,
    also_at: Option<Vec<(String, i64)>>,
    cmps: Option<CmpList>,
}

impl Circumstances {
    fn of(question: &Question, now_s: i64) -> Result<Self, BadQuestion> {
        let at = |at: &At| Ok((at.now.clone(), epoch_s("also_at", &at.now)?));
        let also_at = question.also_at.as_ref();
        let platform = |(id, platform): (&String, &Platform)| {
            let id: u16 = id.parse().map_err(|_| BadQuestion("cmp_list"))?;
            let deleted = platform.deleted_date.as_ref();
            Ok((id, deleted.map(|text| epoch_s("cmp_list", text)).transpose()?))
        };
        let cmps = question.cmp_list.as_ref();
        Ok(Self {
            now_s: match &question.now {
                Some(text) => epoch_s("now", text)?,
                None => now_s,
            },
            also_at: also_at.map(|times| times.iter().map(at).collect()).transpose()?,
            cmps: cmps.map(|list| list.iter().map(platform).collect()).transpose()?,
        })
    }
}

/// Answers a question. `now_s` is the time at which a TC string is judged that comes without one.
pub fn answer(question: &Question, now_s: i64) -> Result<Report, BadQuestion> {
    let circumstances = Circumstances::of(question, now_s)?;
    let text = match &question.input {
        Some(Input::Text(text)) => Some(text.as_str()),
        Some(Input::Texts(_)) | None => None,
    };
    Ok(match (question.kind, text) {
        (Kind::Tcf, Some(text)) => tcf::report(question, text, circumstances),
        (Kind::Gpp, Some(text)) => gpp::report(question, text),
        _ => Report::of(question, small(question, text)),
    })
}

/// The kinds that are a few characters.
fn small(question: &Question, text: Option<&str>) -> Result<Value, &'static str> {
    match (question.kind, text, &question.input) {
        (Kind::SecGpcMulti, None, Some(Input::Texts(values))) => {
            let on = switches::sec_gpc(values.iter().map(String::as_bytes));
            Ok(json!({ "opt_out": on }))
        }
        (Kind::SecGpc | Kind::SecGpcMulti, Some(value), _) => {
            Ok(json!({ "opt_out": switches::sec_gpc([value.as_bytes()]) }))
        }
        (Kind::GdprParam, None, None) => Ok(json!({ "gdpr_applies": null })),
        (Kind::GdprParam, Some(text), _) => {
            let applies = switches::gdpr(text).ok_or("bad_gdpr")?;
            Ok(json!({ "gdpr_applies": applies }))
        }
        (Kind::GppSid, Some(text), _) => {
            let list = InForce::parse(text).ok_or("bad_gpp_sid")?;
            Ok(json!(list.ids()))
        }
        (Kind::Usp, Some(text), _) => UsPrivacy::parse(text).map(us_privacy).ok_or("bad_us_privacy"),
        (Kind::Ac, Some(text), _) => {
            let read = AdditionalConsent::parse(text).ok_or("bad_additional_consent")?;
            Ok(json!({
                "version": read.version(),
                "consented": read.consented().collect::<Vec<_>>(),
                "disclosed": read.disclosed().map(Iterator::collect::<Vec<_>>),
            }))
        }
        (Kind::Gcs, Some(text), _) => {
            let gcs = Gcs::parse(text).ok_or("bad_gcs")?;
            Ok(json!({
                "ad_storage": gcs.ad_storage.code(),
                "analytics_storage": gcs.analytics_storage.code(),
            }))
        }
        (Kind::Gcd, Some(text), _) => {
            let Gcd(changes) = Gcd::parse(text).ok_or("bad_gcd")?;
            let fields = FIELDS.iter().zip(changes);
            Ok(fields
                .map(|(name, change)| ((*name).to_owned(), change_of(change)))
                .collect())
        }
        _ => Err("no_text"),
    }
}

fn us_privacy(read: UsPrivacy) -> Value {
    json!({
        "ccpa_applies": read.applies(),
        "notice": read.notice.code(),
        "opt_out_sale": read.opt_out_sale.code(),
        "lspa": read.lspa.code(),
        "state": read.state().code(),
    })
}

fn change_of(change: Change) -> Value {
    let word = |setting, none| match setting {
        Setting::None => none,
        Setting::Granted => Answer::Granted.code(),
        Setting::Denied => Answer::Denied.code(),
        Setting::Unknown => Answer::Unknown.code(),
    };
    json!({
        "default": word(change.default, "not_set"),
        "update": word(change.update, "none"),
        "effective": change.effective().code(),
    })
}

/// A time in RFC 3339 as epoch seconds.
fn epoch_s(member: &'static str, text: &str) -> Result<i64, BadQuestion> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| BadQuestion(member))?;
    Ok(time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Report, BadQuestion> {
        answer(&serde_json::from_str(text).expect("a question"), 1_795_000_000)
    }

    #[test]
    fn what_is_no_text_is_invalid_and_not_a_fault() {
        for kind in ["tcf", "gpp", "gpp_sid", "usp", "ac", "gcs", "gcd", "sec_gpc"] {
            for input in ["null", "[]", "[\"1\"]"] {
                let report = asked(&format!("{{\"kind\":\"{kind}\",\"input\":{input}}}")).expect("an answer");
                assert_eq!(
                    (report.expect, report.reason),
                    ("invalid", Some("no_text")),
                    "{kind}"
                );
            }
        }
    }

    #[test]
    fn a_time_that_is_none_is_named() {
        const TC: &str = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA";
        for (member, text) in [
            ("now", "\"now\":\"yesterday\""),
            ("also_at", "\"also_at\":[{\"now\":\"\"}]"),
            ("cmp_list", "\"cmp_list\":{\"x\":{}}"),
            ("cmp_list", "\"cmp_list\":{\"31\":{\"deletedDate\":\"never\"}}"),
        ] {
            let report = asked(&format!("{{\"kind\":\"tcf\",\"input\":\"{TC}\",{text}}}"));
            assert_eq!(report.err(), Some(BadQuestion(member)), "{text}");
        }
    }
}
