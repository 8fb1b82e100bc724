//! A TC string, field by field, and what can be asked of it.

use chrono::DateTime;
use serde_json::{Value, json};

use super::super::policy::Terms;
use super::super::tcf::{Flags, PublisherTc, TcString, Unusable, VERSION, VendorRange, VendorSet, decode};
use super::{Check, Checked, Circumstances, Judgement, Question, Report, UsableAt};

/// Decodes and, if the text is well formed, judges.
pub(super) fn report(question: &Question, text: &str, circumstances: Circumstances) -> Report {
    let string = match decode(text) {
        Ok(string) => string,
        Err(error) => return Report::of(question, Err(error.code())),
    };
    let mut report = Report::of(question, Ok(fields(&string)));
    report.judgement = Some(judge(question, &string, circumstances));
    report
}

fn judge(question: &Question, string: &TcString, circumstances: Circumstances) -> Judgement {
    let Circumstances { now_s, also_at, cmps } = circumstances;
    let objections = |at_s| {
        string
            .objections(at_s, Terms::default().max_consent_age_seconds(), cmps.as_ref())
            .map(Unusable::code)
            .collect::<Vec<_>>()
    };
    let not_usable_because = objections(now_s);
    let usable = not_usable_because.is_empty();
    let at = |(now, at_s)| {
        let because = objections(at_s);
        UsableAt {
            now,
            usable: because.is_empty(),
            because,
        }
    };
    let checked = |check: &Check| Checked {
        allowed: usable
            && string.allows(
                check.vendor,
                check.purpose,
                check.declared.basis(),
                check.flexible,
            ),
        check: check.clone(),
    };
    let checks = question.checks.as_ref();
    Judgement {
        usable,
        not_usable_because,
        also_at: also_at.map(|times| times.into_iter().map(at).collect()),
        checks: checks.map(|checks| checks.iter().map(checked).collect()),
    }
}

/// Every field under the name that the test vectors give it.
pub(super) fn fields(tc: &TcString) -> Value {
    let restrictions = tc.restrictions().map(|(purpose, kind, vendors)| {
        json!({ "purpose": purpose, "type": kind.number(), "vendors": pairs(vendors) })
    });
    json!({
        "version": VERSION,
        "created": time(tc.created_s()),
        "last_updated": time(tc.last_updated_s()),
        "cmp_id": tc.cmp_id(),
        "cmp_version": tc.cmp_version(),
        "consent_screen": tc.consent_screen(),
        "consent_language": tc.consent_language(),
        "vendor_list_version": tc.vendor_list_version(),
        "policy_version": tc.policy_version(),
        "is_service_specific": tc.is_service_specific(),
        "use_non_standard_texts": tc.use_non_standard_texts(),
        "special_feature_opt_ins": numbers(tc.special_feature_opt_ins()),
        "purposes_consent": numbers(tc.purposes_consent()),
        "purposes_li": numbers(tc.purposes_li()),
        "purpose_one_treatment": tc.purpose_one_treatment(),
        "publisher_cc": tc.publisher_cc(),
        "vendor_consent_max": tc.vendor_consents().max_vendor_id(),
        "vendor_consents": pairs(&tc.vendor_consents().ranges()),
        "vendor_consent_encoding": encoding(tc.vendor_consents()),
        "vendor_li_max": tc.vendor_li().max_vendor_id(),
        "vendor_li": pairs(&tc.vendor_li().ranges()),
        "vendor_li_encoding": encoding(tc.vendor_li()),
        "publisher_restrictions": restrictions.collect::<Vec<_>>(),
        "disclosed_vendors": tc.disclosed_vendors().map(|set| pairs(&set.ranges())),
        "publisher_tc": tc.publisher_tc().map(publisher),
    })
}

fn publisher(tc: &PublisherTc) -> Value {
    json!({
        "consents": numbers(tc.consents),
        "li": numbers(tc.li),
        "num_custom": tc.custom_consents.count(),
        "custom_consents": numbers(tc.custom_consents),
        "custom_li": numbers(tc.custom_li),
    })
}

fn numbers(flags: Flags) -> Vec<u8> {
    flags.iter().collect()
}

fn pairs(ranges: &[VendorRange]) -> Vec<[u16; 2]> {
    ranges.iter().map(|range| [range.first, range.last]).collect()
}

fn encoding(set: &VendorSet) -> &'static str {
    if set.is_range_encoded() {
        "range"
    } else {
        "bitfield"
    }
}

fn time(epoch_s: i64) -> Option<String> {
    DateTime::from_timestamp(epoch_s, 0).map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}
