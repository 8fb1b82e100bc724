//! What the entries of a period add up to: decisions, erasures, purges, changes, keys, access, and what one credential did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sample::Sampler;

/// A period in milliseconds since 1970, with the days that lie in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// From this moment.
    pub from_ms: i64,
    /// Up to before this one.
    pub to_ms: i64,
    /// The first day, in the tenant's time zone, as entries write it.
    pub first_day: String,
    /// The last day.
    pub last_day: String,
}

/// The members of an entry that are counted; the others are left alone.
#[derive(Debug, Deserialize)]
struct Seen<'a> {
    action: &'a str,
    actor: String,
    at_ms: Option<i64>,
    count: Option<i64>,
    #[serde(default)]
    counts: Vec<Reason>,
    day: Option<&'a str>,
    object: Option<String>,
    outcome: &'a str,
    policy_version: Option<i64>,
    reason: Option<&'a str>,
    #[serde(default)]
    test: bool,
}

#[derive(Debug, Deserialize)]
struct Reason {
    count: i64,
    reason: String,
}

/// How many decisions of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DecisionKey {
    /// The day: in UTC where an entry has a time, else in the tenant's time zone.
    pub day: String,
    /// What was decided.
    pub action: String,
    /// What came of it.
    pub outcome: String,
    /// Why, where the entry says.
    pub reason: Option<String>,
    /// The policy version.
    pub policy_version: Option<i64>,
    /// Whether it was a test.
    pub test: bool,
}

/// An entry that is listed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its place in the log.
    pub index: u64,
    /// What was done.
    pub action: String,
    /// What came of it.
    pub outcome: String,
    /// By whom.
    pub actor: String,
    /// When, RFC 3339 in UTC, where that is kept.
    pub at: Option<String>,
    /// The day, where only that is kept.
    pub day: Option<String>,
    /// What it is about.
    pub object: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How many.
    pub count: Option<i64>,
}

/// What belongs to one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chapter {
    /// Policies and the words of other users on them.
    Policies,
    /// Tenants, shops, campaigns and the rest of the configuration.
    Configuration,
    /// Erasures and withdrawals.
    Erasures,
    /// What was purged, and holds.
    Retention,
    /// Requests of people.
    Requests,
    /// Keys.
    Keys,
    /// Who was given access, who was turned away, who looked at what.
    Access,
    /// The log and the server itself.
    Log,
}

impl Chapter {
    /// Where an entry with this action is listed; decisions are only counted.
    pub fn of(action: &str) -> Option<Self> {
        let kind = action.split_once('.').map_or(action, |(kind, _)| kind);
        Some(match kind {
            "postback" | "clicks" | "conversion" | "consent" => return None,
            "click" if action == "click.batch" => return None,
            "click" | "suppression" => Self::Erasures,
            "policy" | "approval" => Self::Policies,
            "conversions" | "retention" | "hold" | "subject_requests" => Self::Retention,
            "subject_request" => Self::Requests,
            "key" | "backup" => Self::Keys,
            "user" | "api_key" | "operator_grant" | "access" | "token" | "consent_record"
            | "consent_receipt" | "audit_entry" | "audit" | "evidence_pack" | "report" => Self::Access,
            "log" | "server" => Self::Log,
            _ => Self::Configuration,
        })
    }
}

/// What a credential did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Done {
    /// By action and outcome.
    pub actions: BTreeMap<String, u64>,
    /// The first moment, in milliseconds since 1970.
    #[serde(skip)]
    pub first_ms: Option<i64>,
    /// The last one.
    #[serde(skip)]
    pub last_ms: Option<i64>,
}

/// The sums of a period.
#[derive(Debug)]
pub struct Tally {
    period: Period,
    /// Decisions.
    pub decisions: BTreeMap<DecisionKey, i64>,
    /// What is listed.
    pub chapters: BTreeMap<Chapter, Vec<Line>>,
    /// What every actor did.
    pub actors: BTreeMap<String, Done>,
    /// The sample.
    pub sampler: Sampler,
    /// Entries of the period.
    pub entries: u64,
    /// Entries that are no event.
    pub unreadable: u64,
}

impl Tally {
    /// Of nothing so far.
    pub fn new(period: Period, sampler: Sampler) -> Self {
        Self {
            period,
            decisions: BTreeMap::new(),
            chapters: BTreeMap::new(),
            actors: BTreeMap::new(),
            sampler,
            entries: 0,
            unreadable: 0,
        }
    }

    /// Takes the entries of a log in their order.
    pub fn take(&mut self, index: u64, body: &[u8]) {
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(body) else {
            self.unreadable += 1;
            return;
        };
        if !self.is_within(&seen) {
            return;
        }
        self.entries += 1;
        let done = self.actors.entry(seen.actor.clone()).or_default();
        let name = format!("{} {}", seen.action, seen.outcome);
        *done.actions.entry(name).or_default() += 1;
        done.first_ms = done.first_ms.or(seen.at_ms);
        done.last_ms = seen.at_ms.or(done.last_ms);
        if matches!(seen.action, "postback.verdict" | "click.batch") {
            self.sampler.offer(index);
        }
        match Chapter::of(seen.action) {
            Some(chapter) => {
                let line = line(index, seen);
                self.chapters.entry(chapter).or_default().push(line);
            }
            None => self.count(&seen),
        }
    }

    fn is_within(&self, seen: &Seen<'_>) -> bool {
        match (seen.at_ms, seen.day) {
            (Some(at_ms), _) => (self.period.from_ms..self.period.to_ms).contains(&at_ms),
            (None, Some(day)) => {
                (self.period.first_day.as_str()..=self.period.last_day.as_str()).contains(&day)
            }
            (None, None) => false,
        }
    }

    fn count(&mut self, seen: &Seen<'_>) {
        let key = DecisionKey {
            day: seen
                .at_ms
                .map_or_else(|| seen.day.unwrap_or_default().to_owned(), day_of),
            action: seen.action.to_owned(),
            outcome: seen.outcome.to_owned(),
            reason: seen.reason.map(str::to_owned),
            policy_version: seen.policy_version,
            test: seen.test,
        };
        if seen.counts.is_empty() {
            *self.decisions.entry(key).or_default() += seen.count.unwrap_or(1);
            return;
        }
        for Reason { count, reason } in &seen.counts {
            let key = DecisionKey {
                reason: Some(reason.clone()),
                ..key.clone()
            };
            *self.decisions.entry(key).or_default() += count;
        }
    }
}

fn line(index: u64, seen: Seen<'_>) -> Line {
    Line {
        index,
        action: seen.action.to_owned(),
        outcome: seen.outcome.to_owned(),
        actor: seen.actor,
        at: seen.at_ms.map(moment),
        day: seen.day.map(str::to_owned),
        object: seen.object,
        reason: seen.reason.map(str::to_owned),
        count: seen.count,
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub fn moment(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms).map_or_else(String::new, |at| {
        at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    })
}

fn day_of(at_ms: i64) -> String {
    moment(at_ms).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::Chapter::{Access, Configuration, Erasures, Keys, Policies};
    use super::*;

    const NOON: i64 = 1_795_003_200_000; // 2026-11-18T12:00:00Z

    fn tally() -> Tally {
        let period = Period {
            from_ms: NOON,
            to_ms: NOON + 86_400_000,
            first_day: "2026-11-18".to_owned(),
            last_day: "2026-11-19".to_owned(),
        };
        Tally::new(period, Sampler::new([7; 32], 2))
    }

    fn entry(action: &str, more: &str) -> Vec<u8> {
        format!(
            r#"{{"action":"{action}","actor":"key:3","nonce":"00","outcome":"o","tenant":1,"v":1{more}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn what_is_outside_of_the_period_is_not_counted() {
        let mut tally = tally();
        tally.take(
            0,
            &entry("click.batch", &format!(r#","at_ms":{},"count":5"#, NOON - 1)),
        );
        tally.take(1, &entry("click.batch", &format!(r#","at_ms":{NOON},"count":5"#)));
        tally.take(
            2,
            &entry(
                "click.batch",
                &format!(r#","at_ms":{},"count":7"#, NOON + 86_400_000),
            ),
        );
        tally.take(
            3,
            &entry("postback.verdict", r#","day":"2026-11-17","reason":"no_token""#),
        );
        tally.take(
            4,
            &entry("postback.verdict", r#","day":"2026-11-19","reason":"no_token""#),
        );
        tally.take(5, b"no event");
        let counts: Vec<_> = tally.decisions.values().collect();
        assert_eq!((counts, tally.entries, tally.unreadable), (vec![&5, &1], 2, 1));
        assert_eq!(tally.sampler.finish(), (2, vec![1, 4]));
    }

    #[test]
    fn untracked_clicks_are_counted_by_reason() {
        let mut tally = tally();
        let counts = r#","day":"2026-11-18","count":5,"counts":[{"count":3,"reason":"denied"},{"count":2,"reason":"bot"}]"#;
        tally.take(9, &entry("clicks.untracked", counts));
        let found: Vec<_> = tally
            .decisions
            .iter()
            .map(|(key, count)| (key.reason.as_deref(), *count))
            .collect();
        assert_eq!(found, [(Some("bot"), 2), (Some("denied"), 3)]);
    }

    #[test]
    fn what_is_no_decision_stands_in_its_chapter() {
        let mut tally = tally();
        let at = format!(r#","at_ms":{NOON},"object":"policy:2""#);
        for action in [
            "policy.created",
            "click.erased",
            "key.created",
            "shop.changed",
            "consent_record.read",
        ] {
            tally.take(1, &entry(action, &at));
        }
        let chapters: Vec<Chapter> = tally.chapters.keys().copied().collect();
        assert_eq!(chapters, [Policies, Configuration, Erasures, Keys, Access]);
        assert_eq!(tally.actors["key:3"].actions.len(), 5);
        assert_eq!(
            tally.chapters[&Policies][0].at.as_deref(),
            Some("2026-11-18T12:00:00.000Z")
        );
    }
}
