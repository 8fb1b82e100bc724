//! What each signal says about us: from texts to [`Evidence`].
//!
//! Promise: a signal says no more than its specification lets it, and the stricter of two wins. A TC string speaks for
//! one vendor. Google's consent mode and the sender's own word grant only as far as the sender may speak for people. An
//! opt-out of the United States is a no; not having opted out is no yes. A section that is not in force relaxes nothing;
//! what `gdpr=0` relaxes, and what Global Privacy Control means, is the policy's to say.

use super::super::consent::{Answer, SignalKind};
use super::super::gpp::sid::InForce;
use super::super::gpp::{self, Content, OptOut};
use super::super::tcf::{self, TcFacts, TcString};
use super::additional_consent::AdditionalConsent;
use super::consent_mode::{self, Gcd, Gcs};
use super::evidence::Evidence;
use super::finding::{Finding, Notes, OfSection, Understood};
use super::us_privacy::{UsPrivacy, UsPrivacyState};
use super::{MAX_SIGNAL_CHARS, Occurrence, Reading, Signals, switches};

/// What a TC string says about access, measurement and personalisation.
type Answers = [Answer; 3];

/// Reads everything; whoever wants to know how it was understood is told.
pub(super) fn read<N: Notes>(signals: &Signals<'_>, reading: Reading<'_>, notes: &mut N) -> Evidence {
    let mut reader = Reader {
        into: Evidence::default(),
        signals,
        reading,
        notes,
    };
    reader.into.gpc_header = signals.sec_gpc;
    if signals.sec_gpc {
        reader.privacy_control();
    }
    for kind in SignalKind::ALL {
        reader.read_plain(kind);
    }
    reader.read_consent_mode();
    reader.read_frameworks();
    reader.into
}

struct Reader<'a, N> {
    into: Evidence,
    signals: &'a Signals<'a>,
    reading: Reading<'a>,
    notes: &'a mut N,
}

impl<'a, N: Notes> Reader<'a, N> {
    /// The text of a kind that is there once and readable; one that is there in any other way is malformed.
    fn text(&mut self, kind: SignalKind) -> Option<&'a str> {
        let why = match self.signals.get(kind) {
            Occurrence::Absent => return None,
            Occurrence::Once(value) => match unreadable(value) {
                None => return Some(value),
                Some(why) => why,
            },
            Occurrence::Repeated => "repeated",
        };
        self.malformed(kind, why);
        None
    }

    fn tell(&mut self, kind: SignalKind, understood: impl FnOnce() -> Understood) {
        self.notes.note(|| Finding::of(kind, understood()));
    }

    fn says(&mut self, kind: SignalKind, answers: Answers) {
        self.into.add(kind, answers);
        self.tell(kind, || Understood::Says(answers));
    }

    fn malformed(&mut self, kind: SignalKind, why: &'static str) {
        self.into.add_malformed(kind);
        self.tell(kind, || Understood::Malformed(why));
    }

    fn privacy_control(&mut self) {
        self.into.gpc = true;
        self.tell(SignalKind::Gpc, || Understood::PrivacyControl);
    }

    /// Notes what a kind says about every purpose alike, or that it cannot be read.
    fn note(&mut self, kind: SignalKind, answers: Option<Answers>) {
        match answers {
            Some(answers) => self.says(kind, answers),
            None => self.malformed(kind, "not_of_its_form"),
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
                "granted" | "1" => Some([Answer::Granted; 3]),
                "denied" | "0" => Some([Answer::Denied; 3]),
                _ => None,
            },
            // Says nothing of the person; whether `0` relaxes anything is the policy's to say (consent.md 0, rule 12).
            SignalKind::Gdpr => match switches::gdpr(value) {
                Some(applies) => {
                    self.into.gdpr = Some(applies);
                    self.into.add_all(kind, Answer::Unknown);
                    return self.tell(kind, || Understood::Applies(applies));
                }
                None => None,
            },
            SignalKind::Gpc => match switches::gpc(value) {
                Some(true) => {
                    self.into.add_all(kind, Answer::Unknown);
                    return self.privacy_control();
                }
                off => off.map(|_| [Answer::Unknown; 3]),
            },
            // Google's providers only: it never speaks for us.
            SignalKind::AdditionalConsent => AdditionalConsent::parse(value).map(|_| [Answer::Unknown; 3]),
            SignalKind::UsPrivacy => UsPrivacy::parse(value).map(us_privacy),
            SignalKind::Gcs => Gcs::parse(value).map(Gcs::answers),
            SignalKind::Gcd => Gcd::parse(value).map(Gcd::answers),
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
        self.says(SignalKind::ConsentMode, consent_mode::answers(said));
        if !all_readable {
            self.malformed(SignalKind::ConsentMode, "not_of_its_form");
        }
    }

    /// The TC string and the GPP string.
    fn read_frameworks(&mut self) {
        match self.text(SignalKind::Tcf).map(tcf::decode) {
            Some(Ok(string)) => {
                self.into.add_all(SignalKind::Tcf, Answer::Unknown);
                self.into.alone = Some(self.read_tc(SignalKind::Tcf, &string));
            }
            Some(Err(error)) => self.malformed(SignalKind::Tcf, error.code()),
            None => {}
        }
        self.read_gpp();
    }

    fn read_gpp(&mut self) {
        let in_force = match self.text(SignalKind::GppSid).map(InForce::parse) {
            None => None,
            Some(Some(list)) => {
                self.says(SignalKind::GppSid, [Answer::Unknown; 3]);
                Some(list)
            }
            Some(None) => {
                self.malformed(SignalKind::GppSid, "not_of_its_form");
                None
            }
        };
        let Some(text) = self.text(SignalKind::Gpp) else {
            return;
        };
        let gpp = match gpp::decode(text) {
            Ok(gpp) => gpp,
            Err(error) => return self.malformed(SignalKind::Gpp, error.code()),
        };
        self.says(SignalKind::Gpp, [Answer::Unknown; 3]);
        let listed = in_force.iter().flat_map(InForce::ids);
        if listed.into_iter().any(|id| gpp.section(*id).is_none()) {
            self.malformed(SignalKind::Gpp, "section_in_force_is_missing");
        }
        for section in gpp.sections() {
            // Nothing says which law applies: then each may.
            let applies = in_force.as_ref().is_none_or(|list| list.contains(section.id));
            let mut within = Reader {
                into: self.into,
                signals: self.signals,
                reading: self.reading,
                notes: &mut OfSection(section.id, &mut *self.notes),
            };
            match section.read() {
                // A section of a kind that is not known proves nothing, but only where it is the one that counts.
                None if in_force.is_some() && applies => {
                    within.unusable(SignalKind::Gpp, "section_not_known");
                }
                Some(Err(_)) if applies => within.malformed(SignalKind::Gpp, "section_unreadable"),
                // What a person was or was not asked under a law that is said not to apply is no answer to us; but no
                // other word may be taken for one beside it.
                Some(Err(_) | Ok(Content::Tcf(_))) if section.id == gpp::TCF_EU && !applies => {
                    within.unusable(SignalKind::Gpp, "section_not_in_force");
                }
                Some(Ok(Content::Tcf(string))) => {
                    within.into.within = Some(within.read_tc(SignalKind::Gpp, &string));
                }
                // An opt-out was made by somebody, whichever law it was made under.
                Some(Ok(Content::UsPrivacy(said))) => within.says(SignalKind::Gpp, us_privacy(said)),
                Some(Ok(Content::Us(section))) => {
                    let out = section.opt_out() == OptOut::OptedOut;
                    within.says(SignalKind::Gpp, [no_if(out); 3]);
                }
                None | Some(Err(_)) => {}
            }
            self.into = within.into;
        }
    }

    fn unusable(&mut self, kind: SignalKind, why: &'static str) {
        self.into.add_unusable(kind);
        self.tell(kind, || Understood::Unusable(why));
    }

    /// What a TC string comes to for our vendor, by what the registries know of it.
    fn read_tc(&mut self, kind: SignalKind, string: &TcString) -> TcFacts {
        let Reading {
            terms,
            registries,
            now_s,
            ..
        } = self.reading;
        let facts = TcFacts::of(string, terms.vendor, registries, now_s);
        self.notes.note(|| Finding {
            string: Some(string.into()),
            ..Finding::of(
                kind,
                match facts.verdict(terms, now_s) {
                    Ok(answers) => Understood::Says(answers),
                    Err(why) => Understood::Unusable(why.code()),
                },
            )
        });
        facts
    }
}

/// Why a text is not looked at: empty, overlong, or a macro that the sender's ad server left unexpanded.
fn unreadable(value: &str) -> Option<&'static str> {
    let in_macro = |byte: u8| matches!(byte, b'$' | b'{' | b'}' | b'[' | b']' | b'%' | b'<' | b'>');
    if value.is_empty() {
        Some("empty")
    } else if value.len() > MAX_SIGNAL_CHARS {
        Some("too_long")
    } else if value.bytes().any(in_macro) {
        Some("macro_not_replaced")
    } else if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("bad_character")
    } else {
        None
    }
}

fn no_if(out: bool) -> Answer {
    if out { Answer::Denied } else { Answer::Unknown }
}

fn us_privacy(said: UsPrivacy) -> Answers {
    [no_if(said.state() == UsPrivacyState::Denied); 3]
}
