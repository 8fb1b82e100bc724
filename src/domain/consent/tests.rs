//! What merging and states promise, case by case.

use super::super::policy::Jurisdiction;
use super::super::refusal::Untracked;
use super::*;

fn one(answer: Answer) -> Assessment {
    let mut assessment = Assessment::default();
    assessment.add_all(SignalKind::Explicit, answer);
    assessment
}

#[test]
fn the_stricter_signal_wins() {
    let policy = Policy::default();
    let mut both = one(Answer::Granted);
    assert_eq!(both.state(&policy), ConsentState::Granted);
    both.add_malformed(SignalKind::Gpp);
    assert_eq!(both.state(&policy), ConsentState::Malformed);
    both.add_gpc();
    assert_eq!(both.state(&policy), ConsentState::Denied);
}

#[test]
fn only_a_tc_string_that_grants_us_everything_overrides_gpc_and_only_where_the_policy_says_so() {
    let lenient = Policy {
        gpc: GpcHandling::TcfOverrides,
        ..Policy::default()
    };
    let mut word = one(Answer::Granted);
    word.add_gpc();
    assert_eq!(word.state(&lenient), ConsentState::Denied, "the word alone");
    let mut partial = word;
    partial.add_tc_string(
        SignalKind::Tcf,
        [Answer::Granted, Answer::Unknown, Answer::Granted],
    );
    assert_eq!(partial.state(&lenient), ConsentState::Denied, "a purpose is open");
    let mut string = word;
    string.add_tc_string(
        SignalKind::Gpp,
        [Answer::Granted, Answer::Granted, Answer::Denied],
    );
    assert_eq!(string.state(&lenient), ConsentState::Granted);
    assert_eq!(string.state(&Policy::default()), ConsentState::Denied);
    string.add_all(SignalKind::Explicit, Answer::Denied);
    assert_eq!(string.state(&lenient), ConsentState::Denied, "another no");
}

#[test]
fn what_the_sender_says_of_the_law_counts_where_the_tenant_has_such_visitors() {
    let with = |gdpr: bool| {
        let mut assessment = Assessment::default();
        assessment.add_gdpr(gdpr);
        assessment
    };
    let home = Policy::default();
    let both = Policy {
        jurisdictions: vec![Jurisdiction::Eea, Jurisdiction::Us],
        ..Policy::default()
    };
    let us = Policy {
        mode: Mode::OptOut,
        ..Policy::default()
    };
    let missing = Err(Untracked::ConsentMissing);
    let open = Ok(ConsentState::Unknown);
    assert_eq!(decide_click(&with(false), &home), missing, "relaxes nothing here");
    assert_eq!(decide_click(&with(false), &both), open);
    assert_eq!(decide_click(&with(true), &both), missing);
    assert_eq!(
        decide_click(&Assessment::default(), &both),
        missing,
        "nothing said"
    );
    assert_eq!(decide_click(&Assessment::default(), &us), open);
    assert_eq!(decide_click(&with(true), &us), missing, "asked first after all");
    let mut contradictory = with(false);
    contradictory.add_all(SignalKind::Tcf, Answer::Unknown);
    assert_eq!(decide_click(&contradictory, &both), missing);
    let mut unusable = with(false);
    unusable.add_unusable(SignalKind::Gcd);
    assert_eq!(decide_click(&unusable, &both), missing);
    let mut denied = with(false);
    denied.add_all(SignalKind::Explicit, Answer::Denied);
    assert_eq!(decide_click(&denied, &both), Err(Untracked::ConsentDenied));
}

#[test]
fn a_signal_that_proves_nothing_is_not_overridden_by_a_word() {
    let mut both = one(Answer::Granted);
    both.add_unusable(SignalKind::Tcf);
    assert_eq!(both.state(&Policy::default()), ConsentState::Unknown);
}

#[test]
fn an_assessment_on_other_terms_grants_nothing() {
    let policy = Policy {
        tcf_vendor_id: Some(755),
        ..Policy::default()
    };
    assert_eq!(one(Answer::Granted).state(&policy), ConsentState::Unknown);
    let mut read_for_us = Assessment::on(policy.terms());
    read_for_us.add_all(SignalKind::Explicit, Answer::Granted);
    assert_eq!(read_for_us.state(&policy), ConsentState::Granted);
    let younger = Policy {
        max_consent_age_days: 180,
        ..policy
    };
    assert_eq!(read_for_us.state(&younger), ConsentState::Unknown);
}

#[test]
fn a_purpose_that_is_not_required_does_not_stop_the_rest() {
    let mut partial = Assessment::default();
    partial.add(
        SignalKind::Tcf,
        [Answer::Granted, Answer::Granted, Answer::Denied],
    );
    assert_eq!(partial.state(&Policy::default()), ConsentState::Granted);
    let strict = Policy {
        require: Purpose::ALL.to_vec(),
        ..Policy::default()
    };
    assert_eq!(partial.state(&strict), ConsentState::Denied);
}

#[test]
fn only_signals_about_the_person_count_as_present() {
    let mut gdpr = Assessment::default();
    gdpr.add_gdpr(true);
    assert!(gdpr.absent());
    gdpr.add_all(SignalKind::Explicit, Answer::Unknown);
    assert!(!gdpr.absent());
}

#[test]
fn bits_hold_the_state_and_each_answer() {
    let mut partial = Assessment::default();
    partial.add(
        SignalKind::Tcf,
        [Answer::Granted, Answer::Granted, Answer::Denied],
    );
    let bits = i64::from(partial.bits(ConsentState::Granted));
    assert!(is_granted(bits));
    assert_eq!(purpose_word(bits, Purpose::Measure), "granted");
    assert_eq!(purpose_word(bits, Purpose::Personalise), "denied");
}
