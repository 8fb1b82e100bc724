//! Requests of people (GDPR Art. 15 to 21): what is asked for, by whom it is known, and what may become of it.
//!
//! A case holds ids, kinds, dates and outcomes. What names the person stands in [`Subject`], as keyed hashes and never as it
//! was sent, sealed under a key of the case that goes when the case is closed.

mod person;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use person::{Handle, Name, Person, Subject, Wish};

use super::keyring::KeyRing;
use super::keys::{KeyError, NONCE_BYTES, Place, Secret};

/// How long what an access or portability request found may be read, in milliseconds.
pub const RESULTS_MS: i64 = 7 * 86_400_000;
/// How long before its deadline an open request counts as due soon, in milliseconds.
pub const SOON_MS: i64 = 7 * 86_400_000;
/// The most names of one person in a request.
pub const HANDLES_MAX: usize = 20;

/// Words that stand in rows, answers and the trail.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$one:meta])* $variant:ident = $word:literal),+ $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$one])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word.
            pub fn code(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }

            /// The one with this word.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.code() == code)
            }
        }
    )*};
}

codes! {
    /// What is asked for.
    RequestKind {
        /// To see what is held (Art. 15).
        Access = "access",
        /// To take it along (Art. 20).
        Portability = "portability",
        /// To have it corrected (Art. 16).
        Rectification = "rectification",
        /// To have nothing more done with it (Art. 18), or to end that.
        Restriction = "restriction",
        /// That it be used no more (Art. 21): works as a withdrawal.
        Objection = "objection",
        /// To have it erased (Art. 17).
        Erasure = "erasure",
    }

    /// What has become of it.
    RequestStatus {
        /// Nobody has begun.
        Pending = "pending",
        /// It is being carried out.
        InProgress = "in_progress",
        /// It was carried out.
        Completed = "completed",
        /// It was declined, on a ground.
        Rejected = "rejected",
        /// The person took it back.
        Cancelled = "cancelled",
    }

    /// Which door it came through.
    RequestSource {
        /// Our own API.
        Api = "api",
        /// OpenDSR 2.0.
        OpenDsr = "opendsr",
        /// OpenDSR under its old name, with its old routes and headers.
        OpenGdpr = "opengdpr",
    }

    /// Which law it rests on. The deadline is the GDPR's for both: it is the shorter one.
    Regulation {
        /// The General Data Protection Regulation.
        Gdpr = "gdpr",
        /// The California Consumer Privacy Act.
        Ccpa = "ccpa",
    }

    /// Why the deadline was extended (Art. 12(3)).
    ExtensionReason {
        /// The request is complex.
        Complexity = "complexity",
        /// There are many of them.
        Number = "number_of_requests",
    }

    /// On what ground a request was declined.
    Ground {
        /// Manifestly unfounded (Art. 12(5)).
        Unfounded = "art_12_5_unfounded",
        /// Excessive (Art. 12(5)).
        Excessive = "art_12_5_excessive",
        /// The person cannot be identified (Art. 11(2), 12(2)).
        NotIdentified = "art_11_2_not_identified",
        /// Freedom of expression and information (Art. 17(3)(a)).
        Expression = "art_17_3_a",
        /// A legal obligation (Art. 17(3)(b)).
        LegalObligation = "art_17_3_b",
        /// Public health (Art. 17(3)(c)).
        PublicHealth = "art_17_3_c",
        /// Archiving, research, statistics (Art. 17(3)(d)).
        Archiving = "art_17_3_d",
        /// Legal claims (Art. 17(3)(e)).
        LegalClaims = "art_17_3_e",
        /// Rights of others, where a copy is asked for (Art. 15(4), 20(4)).
        RightsOfOthers = "art_15_4_rights_of_others",
        /// Compelling grounds of the controller's, against an objection (Art. 21(1)).
        CompellingGrounds = "art_21_1_compelling",
    }

    /// Why somebody looks at what is held of a person.
    LookReason {
        /// To answer the person.
        Answer = "answer",
        /// To see whether the right person is meant.
        Verification = "verification",
        /// A complaint.
        Complaint = "complaint",
        /// An authority asked.
        Authority = "authority",
    }
}

impl RequestKind {
    /// Whether it asks for a copy.
    pub fn asks_for_a_copy(self) -> bool {
        matches!(self, RequestKind::Access | RequestKind::Portability)
    }
}

impl RequestStatus {
    /// Whether something is still to be done.
    pub fn is_open(self) -> bool {
        matches!(self, RequestStatus::Pending | RequestStatus::InProgress)
    }
}

impl Ground {
    /// Whether this ground may be held against a request of this kind.
    pub fn fits(self, kind: RequestKind) -> bool {
        match self {
            Ground::Unfounded | Ground::Excessive | Ground::NotIdentified => true,
            Ground::Expression
            | Ground::LegalObligation
            | Ground::PublicHealth
            | Ground::Archiving
            | Ground::LegalClaims => kind == RequestKind::Erasure,
            Ground::RightsOfOthers => kind.asks_for_a_copy(),
            Ground::CompellingGrounds => kind == RequestKind::Objection,
        }
    }
}

/// A request with everything that is kept of it beside the person's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The tenant's number.
    pub tenant: i64,
    /// Its number within the tenant.
    pub number: i64,
    /// Its id.
    pub id: Uuid,
    /// The id that an OpenDSR controller gave it.
    pub external_id: Option<Uuid>,
    /// Which door it came through.
    pub source: RequestSource,
    /// What is asked for.
    pub kind: RequestKind,
    /// Whether a restriction is to end.
    pub lift: bool,
    /// Which law it rests on.
    pub regulation: Regulation,
    /// What has become of it.
    pub status: RequestStatus,
    /// When the person asked.
    pub submitted_at_ms: i64,
    /// When it came here.
    pub received_at_ms: i64,
    /// The last day for an answer.
    pub due_on: String,
    /// The end of that day.
    pub due_at_ms: i64,
    /// Why the deadline was extended.
    pub extension: Option<ExtensionReason>,
    /// The user who works on it, by number.
    pub assignee: Option<i64>,
    /// On what ground it was declined.
    pub ground: Option<Ground>,
    /// How many things it found or concerned.
    pub results_count: Option<i64>,
    /// When it was completed, declined or taken back.
    pub done_at_ms: Option<i64>,
    /// When the person's names go, or went.
    pub closed_at_ms: Option<i64>,
    /// When it was last changed.
    pub updated_at_ms: i64,
    /// The key of the case, wrapped.
    pub case_key: Option<Vec<u8>>,
    /// What names the person, sealed.
    pub subject: Option<Vec<u8>>,
}

impl Case {
    /// Whether its deadline has passed with nothing done.
    pub fn is_overdue(&self, now_ms: i64) -> bool {
        self.status.is_open() && now_ms >= self.due_at_ms
    }

    /// Whether its deadline is near.
    pub fn is_due_soon(&self, now_ms: i64) -> bool {
        self.status.is_open() && !self.is_overdue(now_ms) && now_ms >= self.due_at_ms - SOON_MS
    }

    /// Forgets the person: what is left is the case file.
    pub fn forget(&mut self) {
        self.case_key = None;
        self.subject = None;
    }
}

/// A subject under its case's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSubject {
    /// The key of the case, wrapped by the tenant's.
    pub case_key: Vec<u8>,
    /// The subject.
    pub subject: Vec<u8>,
}

fn place<'a>(keys: &KeyRing, column: &'static str, row: &'a [u8; 16]) -> Place<'a> {
    Place {
        tenant: keys.tenant(),
        table: "subject_request",
        column,
        row,
        key_version: 1,
    }
}

impl Subject {
    /// Seals it under a key of the case's own.
    pub fn seal(
        &self,
        keys: &KeyRing,
        case: Uuid,
        case_key: &Secret,
        nonces: [[u8; NONCE_BYTES]; 2],
    ) -> SealedSubject {
        let row = case.into_bytes();
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        SealedSubject {
            case_key: keys
                .secrets_key()
                .seal(nonces[0], &place(keys, "case_key", &row), case_key.expose()),
            subject: case_key.seal(nonces[1], &place(keys, "subject", &row), &plain),
        }
    }

    /// Opens a case's; nothing where the person was forgotten.
    pub fn open(keys: &KeyRing, case: &Case) -> Result<Option<Self>, KeyError> {
        let (Some(wrapped), Some(sealed)) = (&case.case_key, &case.subject) else {
            return Ok(None);
        };
        let row = case.id.into_bytes();
        let key = keys.secrets_key().open(&place(keys, "case_key", &row), wrapped)?;
        let plain = Secret::from_slice(&key)?.open(&place(keys, "subject", &row), sealed)?;
        serde_json::from_slice(&plain)
            .map(Some)
            .map_err(|_| KeyError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keyring::tests::ring;
    use super::*;

    fn case() -> Case {
        Case {
            tenant: 7,
            number: 1,
            id: Uuid::from_u128(5),
            external_id: None,
            source: RequestSource::Api,
            kind: RequestKind::Access,
            lift: false,
            regulation: Regulation::Gdpr,
            status: RequestStatus::Pending,
            submitted_at_ms: 0,
            received_at_ms: 0,
            due_on: "2026-12-28".to_owned(),
            due_at_ms: 10 * SOON_MS,
            extension: None,
            assignee: None,
            ground: None,
            results_count: None,
            done_at_ms: None,
            closed_at_ms: None,
            updated_at_ms: 0,
            case_key: None,
            subject: None,
        }
    }

    #[test]
    fn a_subject_opens_in_its_own_case_and_tenant_until_it_is_forgotten() {
        let subject = Subject {
            names: vec![Name::Customer(vec![*b"canary..canary.."])],
            ..Subject::default()
        };
        let mut case = case();
        let sealed = subject.seal(&ring(7, 1), case.id, &Secret::new([9; 32]), [[1; 12], [2; 12]]);
        assert!(!sealed.subject.windows(6).any(|six| six == b"canary"));
        (case.case_key, case.subject) = (Some(sealed.case_key), Some(sealed.subject));
        assert_eq!(Subject::open(&ring(7, 1), &case), Ok(Some(subject)));
        assert!(Subject::open(&ring(8, 1), &case).is_err(), "another tenant");
        let mut other = case.clone();
        other.id = Uuid::from_u128(6);
        assert!(Subject::open(&ring(7, 1), &other).is_err(), "another case");
        case.forget();
        assert_eq!(Subject::open(&ring(7, 1), &case), Ok(None));
    }

    #[test]
    fn an_open_request_is_due_soon_and_then_overdue() {
        let mut case = case();
        let states = |case: &Case, now_ms: i64| (case.is_due_soon(now_ms), case.is_overdue(now_ms));
        assert_eq!(states(&case, 9 * SOON_MS - 1), (false, false));
        assert_eq!(states(&case, 9 * SOON_MS), (true, false));
        assert_eq!(states(&case, 10 * SOON_MS - 1), (true, false));
        assert_eq!(states(&case, 10 * SOON_MS), (false, true));
        case.status = RequestStatus::Completed;
        assert_eq!(states(&case, 10 * SOON_MS), (false, false));
    }

    #[test]
    fn a_ground_fits_the_right_that_it_limits() {
        assert!(Ground::LegalClaims.fits(RequestKind::Erasure));
        assert!(!Ground::LegalClaims.fits(RequestKind::Access));
        assert!(!Ground::RightsOfOthers.fits(RequestKind::Erasure));
        for kind in RequestKind::ALL {
            assert!(Ground::Excessive.fits(*kind) && RequestKind::from_code(kind.code()) == Some(*kind));
        }
    }
}
