//! A GPP string, section by section.

use serde_json::{Map, Value, json};

use super::super::gpp::{Content, FieldValue, GppString, OptOut, Section, UsSection, decode};
use super::{Question, Report, tcf, us_privacy};

/// From here on a section of the United States has the newer form.
const FIRST_NEWER: u16 = 24;

/// Decodes the envelope and every section that can be read.
pub(super) fn report(question: &Question, text: &str) -> Report {
    let gpp = match decode(text) {
        Ok(gpp) => gpp,
        Err(error) => return Report::of(question, Err(error.code())),
    };
    let newer = contents(&gpp, |section| section.id >= FIRST_NEWER);
    let sections = contents(&gpp, |section| section.id < FIRST_NEWER);
    let ids: Vec<u16> = gpp.sections().iter().map(|section| section.id).collect();
    let raw: Map<String, Value> = gpp
        .sections()
        .iter()
        .map(|section| (section.id.to_string(), json!(section.text)))
        .collect();
    let decoded = json!({ "section_ids": ids, "raw": raw, "sections": sections });
    let mut report = Report::of(question, Ok(decoded));
    report.newer_us_sections = (!newer.is_empty()).then_some(Value::Object(newer));
    report
}

/// Sections by id. One of a kind that is not known is left out, one that cannot be read says why.
fn contents(gpp: &GppString<'_>, wanted: impl Fn(&Section<'_>) -> bool) -> Map<String, Value> {
    let read = |section: &Section<'_>| {
        let content = match section.read()? {
            Ok(Content::Tcf(string)) => tcf::fields(&string),
            Ok(Content::UsPrivacy(read)) => us_privacy(read),
            Ok(Content::Us(read)) => us_section(&read),
            Err(error) => json!({ "error": error.code() }),
        };
        Some((section.id.to_string(), content))
    };
    gpp.sections()
        .iter()
        .filter(|section| wanted(section))
        .filter_map(read)
        .collect()
}

fn us_section(section: &UsSection) -> Value {
    let fields: Map<String, Value> = section
        .fields()
        .map(|(name, value)| {
            let value = match value {
                FieldValue::One(value) => json!(value),
                FieldValue::List(values) => json!(values),
                FieldValue::Flag(on) => json!(on),
            };
            (name.to_owned(), value)
        })
        .collect();
    let state = match section.opt_out() {
        OptOut::OptedOut => "denied",
        OptOut::NotOptedOut => "not_opted_out",
        OptOut::Unknown => "unknown",
    };
    json!({ "fields": fields, "state": state })
}
