//! What each signal says about us: from texts to an [`Assessment`].
//!
//! Promise: a signal says no more than its specification lets it, and the stricter of two wins. A TC string speaks for
//! one vendor. Google's consent mode and the sender's own word grant only as far as the sender may speak for people. An
//! opt-out of the United States is a no; not having opted out is no yes. A section that is not in force relaxes nothing;
//! what `gdpr=0` relaxes, and what Global Privacy Control means, is the policy's to say.

use super::super::consent::{Answer, Assessment, SignalKind};
use super::super::gpp::sid::InForce;
use super::super::gpp::{self, Content, OptOut};
use super::super::policy::Terms;
use super::super::tcf::{self, Basis, TcString};
use super::additional_consent::AdditionalConsent;
use super::consent_mode::{self, Gcd, Gcs};
use super::us_privacy::{UsPrivacy, UsPrivacyState};
use super::{Collector, MAX_SIGNAL_CHARS, Occurrence, Signals, switches};

/// What a TC string says about access, measurement and personalisation.
type Answers = [Answer; 3];

pub(super) fn assess(signals: &Signals<'_>, collector: Collector, terms: Terms, now_s: i64) -> Assessment {
    let mut reader = Reader {
        into: Assessment::on(terms),
        signals,
        collector,
        terms,
        now_s,
    };
    if signals.sec_gpc {
        reader.into.add_gpc();
    }
    for kind in SignalKind::ALL {
        reader.read_plain(kind);
    }
    reader.read_consent_mode();
    reader.read_frameworks();
    reader.into
}

struct Reader<'a> {
    into: Assessment,
    signals: &'a Signals<'a>,
    collector: Collector,
    terms: Terms,
    now_s: i64,
}

impl<'a> Reader<'a> {
    /// The text of a kind that is there once and readable; one that is there in any other way is malformed.
    fn text(&mut self, kind: SignalKind) -> Option<&'a str> {
        match self.signals.get(kind) {
            Occurrence::Absent => None,
            Occurrence::Once(value) if is_readable(value) => Some(value),
            Occurrence::Once(_) | Occurrence::Repeated => {
                self.into.add_malformed(kind);
                None
            }
        }
    }

    /// Notes what a kind says about every purpose alike, or that it cannot be read.
    fn note(&mut self, kind: SignalKind, answers: Option<Answers>) {
        match answers {
            Some(answers) => self.into.add(kind, answers),
            None => self.into.add_malformed(kind),
        }
    }

    /// The kinds that are read by themselves.
    fn read_plain(&mut self, kind: SignalKind) {
        if matches!(
            kind,
            SignalKind::Tcf | SignalKind::Gpp | SignalKind::GppSid | SignalKind::ConsentMode
        ) {
            return;
        }
        let Some(value) = self.text(kind) else { return };
        let answers = match kind {
            SignalKind::Explicit => match value {
                "granted" | "1" => Some([self.word(); 3]),
                "denied" | "0" => Some([Answer::Denied; 3]),
                _ => None,
            },
            // Says nothing of the person; whether `0` relaxes anything is the policy's to say (consent.md 0, rule 12).
            SignalKind::Gdpr => match switches::gdpr(value) {
                Some(applies) => return self.into.add_gdpr(applies),
                None => None,
            },
            SignalKind::Gpc => match switches::gpc(value) {
                Some(true) => return self.into.add_gpc(),
                off => off.map(|_| [Answer::Unknown; 3]),
            },
            // Google's providers only: it never speaks for us.
            SignalKind::AdditionalConsent => AdditionalConsent::parse(value).map(|_| [Answer::Unknown; 3]),
            SignalKind::UsPrivacy => UsPrivacy::parse(value).map(us_privacy),
            SignalKind::Gcs => Gcs::parse(value).map(|gcs| self.as_word(gcs.answers())),
            SignalKind::Gcd => Gcd::parse(value).map(|gcd| self.as_word(gcd.answers())),
            SignalKind::Tcf | SignalKind::Gpp | SignalKind::GppSid | SignalKind::ConsentMode => return,
        };
        self.note(kind, answers);
    }

    /// Google's four fields: each a word of its own, together one signal.
    fn read_consent_mode(&mut self) {
        let fields = self.signals.consent_mode();
        if fields.iter().all(|field| *field == Occurrence::Absent) {
            return;
        }
        let mut said = [Answer::Unknown; 4];
        let mut all_readable = true;
        for (said, field) in said.iter_mut().zip(fields) {
            match field {
                Occurrence::Absent => {}
                Occurrence::Once(value) => match consent_mode::word(value) {
                    Some(word) => *said = word,
                    None => all_readable = false,
                },
                Occurrence::Repeated => all_readable = false,
            }
        }
        // A field that can be read and says no still says it beside one that cannot.
        let answers = self.as_word(consent_mode::answers(said));
        self.into.add(SignalKind::ConsentMode, answers);
        if !all_readable {
            self.into.add_malformed(SignalKind::ConsentMode);
        }
    }

    /// The TC string and the GPP string. Where both hold a TC string, a yes must stand in both.
    fn read_frameworks(&mut self) {
        let alone = match self.text(SignalKind::Tcf).map(tcf::decode) {
            Some(Ok(string)) => self.read_tc(SignalKind::Tcf, &string),
            Some(Err(_)) => {
                self.into.add_malformed(SignalKind::Tcf);
                None
            }
            None => None,
        };
        let within = self.read_gpp();
        let joined = match (alone, within) {
            (Some(mut left), Some(right)) => {
                for (mine, other) in left.iter_mut().zip(right) {
                    *mine = mine.both(other);
                }
                Some(left)
            }
            (one, other) => one.or(other),
        };
        let kinds = [(SignalKind::Tcf, alone), (SignalKind::Gpp, within)];
        for (kind, said) in kinds {
            if let (Some(_), Some(answers)) = (said, joined) {
                self.into.add_tc_string(kind, answers);
            }
        }
    }

    /// Reads a GPP string; returns what its TC string says.
    fn read_gpp(&mut self) -> Option<Answers> {
        let in_force = match self.text(SignalKind::GppSid).map(InForce::parse) {
            None => None,
            Some(Some(list)) => {
                self.into.add_all(SignalKind::GppSid, Answer::Unknown);
                Some(list)
            }
            Some(None) => {
                self.into.add_malformed(SignalKind::GppSid);
                None
            }
        };
        let text = self.text(SignalKind::Gpp)?;
        let Ok(gpp) = gpp::decode(text) else {
            self.into.add_malformed(SignalKind::Gpp);
            return None;
        };
        self.into.add_all(SignalKind::Gpp, Answer::Unknown);
        let listed = in_force.iter().flat_map(InForce::ids);
        if listed.into_iter().any(|id| gpp.section(*id).is_none()) {
            self.into.add_malformed(SignalKind::Gpp);
        }
        let mut tc = None;
        for section in gpp.sections() {
            // Nothing says which law applies: then each may.
            let applies = in_force.as_ref().is_none_or(|list| list.contains(section.id));
            match section.read() {
                // A section of a kind that is not known proves nothing, but only where it is the one that counts.
                None if in_force.is_some() && applies => self.into.add_unusable(SignalKind::Gpp),
                Some(Err(_)) if applies => self.into.add_malformed(SignalKind::Gpp),
                // What a person was or was not asked under a law that is said not to apply is no answer to us; but no
                // other word may be taken for one beside it.
                Some(Err(_) | Ok(Content::Tcf(_))) if section.id == gpp::TCF_EU && !applies => {
                    self.into.add_unusable(SignalKind::Gpp);
                }
                Some(Ok(Content::Tcf(string))) => tc = self.read_tc(SignalKind::Gpp, &string),
                // An opt-out was made by somebody, whichever law it was made under.
                Some(Ok(Content::UsPrivacy(said))) => self.into.add(SignalKind::Gpp, us_privacy(said)),
                Some(Ok(Content::Us(section))) => {
                    let out = section.opt_out() == OptOut::OptedOut;
                    self.into.add_all(SignalKind::Gpp, no_if(out));
                }
                None | Some(Err(_)) => {}
            }
        }
        tc
    }

    /// What a TC string says for our vendor; one that may not be relied on is noted as such and says nothing.
    fn read_tc(&mut self, kind: SignalKind, string: &TcString) -> Option<Answers> {
        if string
            .usable(self.now_s, self.terms.max_consent_age_seconds(), None)
            .is_err()
        {
            self.into.add_unusable(kind);
            return None;
        }
        let said = |purpose: u8| {
            let (yes, answer) = match self.terms.vendor {
                Some(vendor) => (
                    string.allows(vendor, purpose, Basis::Consent, false),
                    Answer::Granted,
                ),
                // Nobody registered: the string cannot authorise us, but what was declined for all is declined.
                None => (string.purposes_consent().contains(purpose), Answer::Unknown),
            };
            if yes { answer } else { Answer::Denied }
        };
        // Purpose 1 was not asked where PurposeOneTreatment is set: nothing is proven for it.
        let access = if string.purpose_one_treatment() {
            Answer::Unknown
        } else {
            said(1)
        };
        Some([access, said(7), said(3).both(said(4))])
    }

    /// What the sender's own yes is worth.
    fn word(&self) -> Answer {
        match self.collector {
            Collector::Shop | Collector::Publisher { contract: true } => Answer::Granted,
            Collector::Publisher { contract: false } => Answer::Unknown,
        }
    }

    /// Answers that rest on nothing but the sender's word: consent mode names no vendor.
    fn as_word(&self, answers: Answers) -> Answers {
        answers.map(|answer| match answer {
            Answer::Granted => self.word(),
            other => other,
        })
    }
}

/// Neither empty nor overlong nor a macro that the sender's ad server left unexpanded.
fn is_readable(value: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'$' | b'{' | b'}' | b'[' | b']' | b'%' | b'<' | b'>')
    };
    !value.is_empty() && value.len() <= MAX_SIGNAL_CHARS && value.bytes().all(plain)
}

fn no_if(out: bool) -> Answer {
    if out { Answer::Denied } else { Answer::Unknown }
}

fn us_privacy(said: UsPrivacy) -> Answers {
    [no_if(said.state() == UsPrivacyState::Denied); 3]
}
