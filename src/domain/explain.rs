//! Why a click or a postback is decided as it is: every signal as it was understood, every check in its order, and what
//! is kept.
//!
//! Promise: nothing here decides. The findings are what the deciding reader told; the checks are the ones that decide
//! (`consent::ClickCheck`, `attribution::Check`), asked one by one; so an explanation cannot say otherwise than the
//! decision, and a test holds it to that. Sentences speak English and German and hold nothing that a client sent.

mod found;
mod kept;
mod words;

pub use found::Found;
pub use kept::{Kept, kept_of_click, kept_of_postback};
pub use words::Words;

use super::attribution::{self, Check, Facts};
use super::consent::{Answer, Assessment, ClickCheck, ConsentState, Ground};
use super::policy::{Mode, Policy, Purpose};
use super::refusal::{Outcome, Reason, RefusalMode, Untracked};
use super::signal::finding::{Finding, StringFacts, Understood};

/// One signal in an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalLine {
    /// The parameter's name.
    pub kind: &'static str,
    /// The section of a GPP string.
    pub section: Option<u16>,
    /// `read`, `malformed` or `unusable`.
    pub taken: &'static str,
    /// Why it is malformed or unusable.
    pub because: Option<&'static str>,
    /// What it says about access, measurement and personalisation, where it says anything about them.
    pub answers: Option<[&'static str; 3]>,
    /// What a TC string says of itself.
    pub string: Option<StringFacts>,
    /// Where the rule stands that it was read by.
    pub source: &'static str,
    /// The same for a person.
    pub words: Words,
}

/// One check in an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The check's code.
    pub rule: &'static str,
    /// Where it stands.
    pub source: &'static str,
    /// Whether it gave the answer; else nothing stood against going on.
    pub decides: bool,
    /// What it asks, for a person.
    pub words: Words,
}

/// What all signals come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// The state.
    pub state: ConsentState,
    /// What makes it so.
    pub ground: &'static str,
    /// The purpose that it turns on.
    pub purpose: Option<&'static str>,
    /// The regime that the request is decided under.
    pub regime: Mode,
    /// What is said about access, measurement and personalisation.
    pub answers: [&'static str; 3],
    /// Where the rule stands.
    pub source: &'static str,
    /// The same for a person.
    pub words: Words,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// `tracked` or `untracked`; of a postback `recorded`, `duplicate`, `dropped` or `refused`.
    pub outcome: &'static str,
    /// The stable code.
    pub reason: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Whether the click is ended by it.
    pub ends_click: bool,
    /// The same for a person.
    pub words: Words,
}

/// A decision with all that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Every signal, in the order in which it was read.
    pub signals: Vec<SignalLine>,
    /// What they come to.
    pub merged: Merged,
    /// Every check up to the one that gave the answer.
    pub steps: Vec<Step>,
    /// The answer.
    pub verdict: Verdict,
    /// What would be stored.
    pub stored: Vec<Kept>,
    /// What would not.
    pub not_stored: Vec<Kept>,
}

/// A click as far as its decision goes.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// Whether the link's campaign takes clicks.
    pub runs: bool,
    /// Where it does not: whether there is another page to go to.
    pub has_fallback: bool,
    /// Whether nobody visited: a robot, or a program that asks for the head alone.
    pub no_visit: bool,
    /// The merged signals.
    pub assessment: &'a Assessment,
    /// The policy in force.
    pub policy: &'a Policy,
}

/// Explains a click.
pub fn click(visit: &Visit<'_>, findings: &[Finding]) -> Explanation {
    let (state, mode) = (
        visit.assessment.state(visit.policy),
        visit.assessment.mode(visit.policy),
    );
    let mut steps = vec![Step {
        rule: "campaign_runs",
        source: "einklang/4.1/answers",
        decides: !visit.runs,
        words: words::RUNS,
    }];
    if !visit.runs {
        return not_running(visit, findings, steps);
    }
    steps.push(Step {
        rule: "visitor",
        source: "einklang/4.1/robots",
        decides: visit.no_visit,
        words: words::VISITOR,
    });
    let mut stopped = visit.no_visit.then_some(Untracked::Bot);
    for check in ClickCheck::ALL {
        if stopped.is_some() {
            break;
        }
        stopped = check.stops(state, mode);
        let (rule, source, words) = words::click_check(check);
        steps.push(Step {
            rule,
            source,
            decides: stopped.is_some(),
            words,
        });
    }
    let (outcome, reason) = match stopped {
        None => ("tracked", Reason::Accepted.code()),
        Some(reason) => ("untracked", reason.code()),
    };
    let (stored, not_stored) = kept_of_click(stopped.is_none(), visit.policy);
    Explanation {
        signals: findings.iter().map(line).collect(),
        merged: merged(visit.assessment, visit.policy),
        steps,
        verdict: Verdict {
            outcome,
            reason,
            status: 302,
            ends_click: false,
            words: words::click_verdict(stopped),
        },
        stored,
        not_stored,
    }
}

/// A link whose campaign has ended or is paused: nothing is asked any more.
fn not_running(visit: &Visit<'_>, findings: &[Finding], steps: Vec<Step>) -> Explanation {
    let (_, not_stored) = kept_of_click(false, visit.policy);
    Explanation {
        signals: findings.iter().map(line).collect(),
        merged: merged(visit.assessment, visit.policy),
        steps,
        verdict: Verdict {
            outcome: "not_running",
            reason: Reason::Gone.code(),
            status: if visit.has_fallback {
                302
            } else {
                Reason::Gone.status()
            },
            ends_click: false,
            words: words::NOT_RUNNING,
        },
        stored: Vec::new(),
        not_stored,
    }
}

/// Explains a postback.
pub fn postback(facts: &Facts<'_>, mode: RefusalMode, findings: &[Finding]) -> Explanation {
    let state = facts.consent.state(facts.policy);
    let mut steps = Vec::new();
    let mut answer = None;
    for check in Check::ALL {
        answer = check.stops(facts, state);
        let (rule, source, words) = words::postback_check(check);
        steps.push(Step {
            rule,
            source,
            decides: answer.is_some(),
            words,
        });
        if answer.is_some() {
            break;
        }
    }
    let reason = answer.unwrap_or(Reason::Accepted);
    let ends_click = attribution::decide(facts).erase_click;
    let outcome = mode.outcome(reason);
    let (stored, not_stored) = kept_of_postback(outcome, ends_click, facts.policy);
    Explanation {
        signals: findings.iter().map(line).collect(),
        merged: merged(facts.consent, facts.policy),
        steps,
        verdict: Verdict {
            outcome: outcome.code(),
            reason: reason.code(),
            status: if outcome == Outcome::Dropped {
                200
            } else {
                reason.status()
            },
            ends_click,
            words: words::postback_verdict(reason),
        },
        stored,
        not_stored,
    }
}

fn line(finding: &Finding) -> SignalLine {
    let (taken, because, answers) = match finding.understood {
        Understood::Says(answers) => ("read", None, Some(answers.map(Answer::code))),
        Understood::Applies(_) => ("read", None, None),
        Understood::PrivacyControl => ("read", None, Some([Answer::Denied.code(); 3])),
        Understood::Malformed(why) => ("malformed", Some(why), None),
        Understood::Unusable(why) => ("unusable", Some(why), None),
    };
    SignalLine {
        kind: finding.kind.code(),
        section: finding.section,
        taken,
        because,
        answers,
        string: finding.string,
        source: words::source_of(finding),
        words: words::finding(&finding.understood),
    }
}

fn merged(assessment: &Assessment, policy: &Policy) -> Merged {
    let ground = assessment.ground(policy);
    let purpose = match ground {
        Ground::Declined(purpose) | Ground::NotGranted(purpose) => Some(purpose.code()),
        _ => None,
    };
    let (code, source, words) = words::ground(ground);
    Merged {
        state: ground.state(),
        ground: code,
        purpose,
        regime: assessment.mode(policy),
        answers: Purpose::ALL.map(|purpose| assessment.answer(purpose).code()),
        source,
        words,
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribution::{ClickFact, PriorFact, TokenFact};
    use super::super::consent::{SignalKind, decide_click};
    use super::super::policy::GpcHandling;
    use super::*;

    const NOW_S: i64 = 1_795_000_000;

    /// A number's digits, one for each question, so that every combination comes once.
    struct Digits(usize);

    impl Digits {
        fn next<T: Copy>(&mut self, choices: &[T]) -> T {
            let place = self.0 % choices.len();
            self.0 /= choices.len();
            choices[place]
        }
    }

    fn assessment(digits: &mut Digits, policy: &Policy) -> Assessment {
        let mut assessment = Assessment::on(policy.terms());
        match digits.next(&[0, 1, 2, 3, 4, 5, 6, 7]) {
            0 => {}
            1 => assessment.add_all(SignalKind::Explicit, Answer::Granted),
            2 => assessment.add_all(SignalKind::Explicit, Answer::Denied),
            3 => assessment.add_malformed(SignalKind::Gpp),
            4 => assessment.add_unusable(SignalKind::Tcf),
            5 => assessment.add_gpc(),
            6 => assessment.add_tc_string(
                SignalKind::Tcf,
                [Answer::Granted, Answer::Denied, Answer::Unknown],
            ),
            _ => {
                assessment.add_tc_string(SignalKind::Tcf, [Answer::Granted; 3]);
                assessment.add_gpc();
            }
        }
        match digits.next(&[None, Some(true), Some(false)]) {
            None => {}
            Some(applies) => assessment.add_gdpr(applies),
        }
        assessment
    }

    fn policy(digits: &mut Digits) -> Policy {
        Policy {
            mode: digits.next(&[Mode::StrictOptIn, Mode::InheritClick, Mode::OptOut]),
            gpc: digits.next(&[GpcHandling::Deny, GpcHandling::TcfOverrides]),
            ..Policy::default()
        }
    }

    #[test]
    fn a_click_is_explained_as_it_is_decided() {
        for number in 0..3 * 2 * 8 * 3 {
            let mut digits = Digits(number);
            let policy = policy(&mut digits);
            let assessment = assessment(&mut digits, &policy);
            let mut visit = Visit {
                runs: true,
                has_fallback: false,
                no_visit: false,
                assessment: &assessment,
                policy: &policy,
            };
            let decided = decide_click(&assessment, &policy);
            let wanted = decided.map_or_else(Untracked::code, |_| "accepted");
            let explained = click(&visit, &[]);
            assert_eq!(explained.verdict.reason, wanted, "{policy:?} {assessment:?}");
            assert_eq!(explained.merged.state, assessment.state(&policy));
            let deciding: Vec<bool> = explained.steps.iter().map(|step| step.decides).collect();
            let (last, before) = deciding.split_last().expect("steps");
            assert_eq!((*last, before.contains(&true)), (decided.is_err(), false));
            visit.no_visit = true;
            assert_eq!(click(&visit, &[]).verdict.reason, "bot");
            visit.runs = false;
            let stopped = click(&visit, &[]);
            assert_eq!(
                (
                    stopped.verdict.reason,
                    stopped.verdict.status,
                    stopped.stored.len()
                ),
                ("gone", 410, 0)
            );
        }
    }

    #[test]
    fn a_postback_is_explained_as_it_is_decided() {
        const WINDOW_S: i64 = 86_400;
        let mut reasons = std::collections::BTreeSet::new();
        for number in 0..3 * 2 * 8 * 3 * 3 * 4 * 3 * 4 * 8 * 2 {
            let mut digits = Digits(number);
            let policy = policy(&mut digits);
            let assessment = assessment(&mut digits, &policy);
            let token = digits.next(&[
                TokenFact::Opened { issued_at_s: NOW_S },
                TokenFact::Missing,
                TokenFact::Unreadable,
            ]);
            let live = |granted, restricted| ClickFact::Live { granted, restricted };
            let click = digits.next(&[
                live(true, false),
                live(false, false),
                ClickFact::Erased,
                ClickFact::Missing,
            ]);
            let click = if number % 97 == 0 { live(true, true) } else { click };
            let prior = digits.next(&[PriorFact::None, PriorFact::Same, PriorFact::Other]);
            let (late_s, now_s) =
                digits.next(&[(0, 0), (WINDOW_S + 1, WINDOW_S + 1), (-301, 0), (0, 9 * 86_400)]);
            let flaw = digits.next(&[0, 0, 0, 0, 0, 1, 2, 3]);
            let facts = Facts {
                goal_known: flaw != 1,
                currency_taken: flaw != 2,
                consent: &assessment,
                policy: &policy,
                token,
                click,
                order_suppressed: flaw == 3,
                prior,
                window_seconds: WINDOW_S,
                occurred_at_s: NOW_S + late_s,
                now_s: NOW_S + now_s,
            };
            let mode = digits.next(&[RefusalMode::Refuse, RefusalMode::Drop]);
            let decided = attribution::decide(&facts);
            let explained = postback(&facts, mode, &[]);
            assert_eq!(explained.verdict.reason, decided.reason.code(), "{facts:?}");
            assert_eq!(explained.verdict.outcome, mode.outcome(decided.reason).code());
            assert_eq!(explained.verdict.ends_click, decided.erase_click);
            let decides = explained.steps.last().is_some_and(|step| step.decides);
            assert_eq!(decides, decided.reason != Reason::Accepted);
            let same = Found::from(&facts).under(&assessment, &policy);
            assert_eq!(attribution::decide(&same), decided);
            reasons.insert(decided.reason);
        }
        assert_eq!(
            reasons.len(),
            14,
            "every reason of a decision occurs: {reasons:?}"
        );
    }

    #[test]
    fn every_sentence_stands_in_both_languages() {
        let policy = Policy::default();
        let assessment = Assessment::on(policy.terms());
        let visit = Visit {
            runs: true,
            has_fallback: false,
            no_visit: false,
            assessment: &assessment,
            policy: &policy,
        };
        let explained = click(&visit, &[]);
        let kept = explained.stored.iter().chain(&explained.not_stored);
        let words = explained
            .steps
            .iter()
            .map(|step| step.words)
            .chain(kept.map(|kept| kept.words));
        for Words { en, de } in words {
            assert!(!en.is_empty() && en != de && !de.is_empty(), "{en} / {de}");
        }
    }
}
