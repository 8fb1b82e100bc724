//! What each signal says about us: from texts to [`Evidence`].
//!
//! Promise: a signal says no more than its specification lets it, and the stricter of two wins. A TC string speaks for
//! one vendor. Google's consent mode and the sender's own word grant only as far as the sender may speak for people. An
//! opt-out of the United States is a no; not having opted out is no yes. A section that is not in force relaxes nothing;
//! what `gdpr=0` relaxes, and what Global Privacy Control means, is the policy's to say.

use super::super::consent::{Answer, SignalKind};
use super::super::gpp::sid::InForce;
use super::super::gpp::{self, Content, OptOut};
use super::super::tcf::{self, TcFacts};
use super::additional_consent::AdditionalConsent;
use super::consent_mode::{self, Gcd, Gcs};
use super::evidence::Evidence;
use super::us_privacy::{UsPrivacy, UsPrivacyState};
use super::{MAX_SIGNAL_CHARS, Occurrence, Signals, switches};

/// What a TC string says about access, measurement and personalisation.
type Answers = [Answer; 3];

pub(super) fn read(signals: &Signals<'_>, vendor: Option<u16>) -> Evidence {
    let mut reader = Reader {
        into: Evidence::default(),
        signals,
        vendor,
    };
    reader.into.gpc = signals.sec_gpc;
    reader.into.gpc_header = signals.sec_gpc;
    for kind in SignalKind::ALL {
        reader.read_plain(kind);
    }
    reader.read_consent_mode();
    reader.read_frameworks();
    reader.into
}

struct Reader<'a> {
    into: Evidence,
    signals: &'a Signals<'a>,
    /// For whom TC strings are read.
    vendor: Option<u16>,
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
                "granted" | "1" => Some([Answer::Granted; 3]),
                "denied" | "0" => Some([Answer::Denied; 3]),
                _ => None,
            },
            // Says nothing of the person; whether `0` relaxes anything is the policy's to say (consent.md 0, rule 12).
            SignalKind::Gdpr => match switches::gdpr(value) {
                Some(applies) => {
                    self.into.gdpr = Some(applies);
                    Some([Answer::Unknown; 3])
                }
                None => None,
            },
            SignalKind::Gpc => match switches::gpc(value) {
                Some(on) => {
                    self.into.gpc |= on;
                    Some([Answer::Unknown; 3])
                }
                None => None,
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
        self.into
            .add(SignalKind::ConsentMode, consent_mode::answers(said));
        if !all_readable {
            self.into.add_malformed(SignalKind::ConsentMode);
        }
    }

    /// The TC string and the GPP string.
    fn read_frameworks(&mut self) {
        match self.text(SignalKind::Tcf).map(tcf::decode) {
            Some(Ok(string)) => {
                self.into.add_all(SignalKind::Tcf, Answer::Unknown);
                self.into.alone = Some(TcFacts::of(&string, self.vendor));
            }
            Some(Err(_)) => self.into.add_malformed(SignalKind::Tcf),
            None => {}
        }
        self.read_gpp();
    }

    fn read_gpp(&mut self) {
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
        let Some(text) = self.text(SignalKind::Gpp) else {
            return;
        };
        let Ok(gpp) = gpp::decode(text) else {
            self.into.add_malformed(SignalKind::Gpp);
            return;
        };
        self.into.add_all(SignalKind::Gpp, Answer::Unknown);
        let listed = in_force.iter().flat_map(InForce::ids);
        if listed.into_iter().any(|id| gpp.section(*id).is_none()) {
            self.into.add_malformed(SignalKind::Gpp);
        }
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
                Some(Ok(Content::Tcf(string))) => {
                    self.into.within = Some(TcFacts::of(&string, self.vendor));
                }
                // An opt-out was made by somebody, whichever law it was made under.
                Some(Ok(Content::UsPrivacy(said))) => self.into.add(SignalKind::Gpp, us_privacy(said)),
                Some(Ok(Content::Us(section))) => {
                    let out = section.opt_out() == OptOut::OptedOut;
                    self.into.add_all(SignalKind::Gpp, no_if(out));
                }
                None | Some(Err(_)) => {}
            }
        }
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
