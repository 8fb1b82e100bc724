//! Requests of people as they are answered: ids, kinds, dates and outcomes, and nobody's name.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::access::{Principal, Role};
use crate::domain::subject_request::{Case, Regulation, RequestKind, RequestSource, RequestStatus};
use crate::edge::objects::fields::{
    ActorText, ExtensionWord, GroundWord, Moment, RequestKindWord, RequestStatusWord, SubjectRequestId,
    UserId,
};
use crate::flow::requests::{CaseCounts, CaseEvent, Shown, ShownWhole};

/// A request of a person.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "OpenDSR's name for its id")]
pub struct SubjectRequest {
    /// Its id.
    id: SubjectRequestId,
    /// What is asked for.
    kind: RequestKindWord,
    /// Whether a restriction is to end; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lift: bool,
    /// Which door it came through.
    #[schema(max_length = 8, pattern = "^(api|opendsr|opengdpr)$")]
    source: &'static str,
    /// Which law it rests on.
    #[schema(max_length = 4, pattern = "^(gdpr|ccpa)$")]
    regulation: &'static str,
    /// The id that an OpenDSR controller gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 36, pattern = "^[0-9a-f-]{36}$", nullable = false)]
    subject_request_id: Option<String>,
    /// What has become of it.
    status: RequestStatusWord,
    /// When the person asked.
    submitted_at: Moment,
    /// When it came here.
    received_at: Moment,
    /// The last day for an answer, in the tenant's time zone.
    #[schema(max_length = 10, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    due_on: String,
    /// The end of that day: from this moment on it is late.
    due_at: Moment,
    /// Whether it is open and late.
    overdue: bool,
    /// Whether it is open and due within seven days.
    due_soon: bool,
    /// Why the deadline was extended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    extension: Option<ExtensionWord>,
    /// The user who works on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    assignee: Option<UserId>,
    /// On what ground it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ground: Option<GroundWord>,
    /// How many things of the person's it found or concerned; for the role privacy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000, nullable = false)]
    results_count: Option<i64>,
    /// When it was carried out, rejected or taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    done_at: Option<Moment>,
    /// When the person's names go from the case, or went: for a copy, when it can be read no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    closed_at: Option<Moment>,
    /// When it was last changed.
    updated_at: Moment,
}

impl SubjectRequest {
    /// A case.
    pub fn of(shown: &Shown) -> Self {
        let case = &shown.case;
        Self {
            id: case.id.into(),
            kind: RequestKindWord(case.kind),
            lift: case.lift,
            source: case.source.code(),
            regulation: case.regulation.code(),
            subject_request_id: case.external_id.map(|id| id.to_string()),
            status: RequestStatusWord(case.status),
            submitted_at: Moment(case.submitted_at_ms),
            received_at: Moment(case.received_at_ms),
            due_on: case.due_on.clone(),
            due_at: Moment(case.due_at_ms),
            overdue: shown.overdue,
            due_soon: shown.due_soon,
            extension: case.extension.map(ExtensionWord),
            assignee: shown.assignee.map(Into::into),
            ground: case.ground.map(GroundWord),
            results_count: case.results_count,
            done_at: case.done_at_ms.map(Moment),
            closed_at: case.closed_at_ms.map(Moment),
            updated_at: Moment(case.updated_at_ms),
        }
    }

    /// The same for whoever must not learn whether anything is held.
    fn for_caller(shown: &Shown, principal: &Principal) -> Self {
        let mut body = Self::of(shown);
        if principal.role != Role::Privacy {
            body.results_count = None;
        }
        body
    }

    /// Its id.
    pub fn id(&self) -> SubjectRequestId {
        self.id
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self::of(&example())
    }
}

fn example() -> Shown {
    let at_ms = 1_790_805_600_000;
    Shown {
        case: Case {
            tenant: 1,
            number: 1,
            id: Uuid::from_u128(0x01a0_b1c2_d3e4_7f00_a1b2_c3d4_e5f6_0718),
            external_id: None,
            source: RequestSource::Api,
            kind: RequestKind::Access,
            lift: false,
            regulation: Regulation::Gdpr,
            status: RequestStatus::Pending,
            submitted_at_ms: at_ms,
            received_at_ms: at_ms,
            due_on: "2026-11-02".to_owned(),
            due_at_ms: 1_793_660_400_000,
            extension: None,
            assignee: None,
            ground: None,
            results_count: None,
            done_at_ms: None,
            closed_at_ms: None,
            updated_at_ms: at_ms,
            case_key: None,
            subject: None,
        },
        assignee: None,
        overdue: false,
        due_soon: false,
    }
}

/// How many requests wait.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct SubjectRequestCounts {
    /// Open ones.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    open: u64,
    /// Open ones that are due within seven days.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    due_soon: u64,
    /// Open ones that are late.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    overdue: u64,
}

/// A page of requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectRequestPage {
    /// The requests, oldest first.
    #[schema(max_items = 100)]
    items: Vec<SubjectRequest>,
    /// Of all of the tenant's.
    counts: SubjectRequestCounts,
    /// Names the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 11,
        max_length = 11,
        pattern = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$",
        nullable = false
    )]
    next_cursor: Option<String>,
}

impl SubjectRequestPage {
    /// A page.
    pub fn of(
        shown: &[Shown],
        counts: CaseCounts,
        next_cursor: Option<String>,
        principal: &Principal,
    ) -> Self {
        Self {
            items: shown
                .iter()
                .map(|one| SubjectRequest::for_caller(one, principal))
                .collect(),
            counts: SubjectRequestCounts {
                open: counts.open,
                due_soon: counts.due_soon,
                overdue: counts.overdue,
            },
            next_cursor,
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        Self {
            items: vec![SubjectRequest::example()],
            counts: SubjectRequestCounts {
                open: 1,
                due_soon: 0,
                overdue: 0,
            },
            next_cursor: Some("AAAAAAAAADI".to_owned()),
        }
    }
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectRequestEvent {
    /// When.
    at: Moment,
    /// What.
    #[schema(max_length = 16, pattern = "^[a-z_]+$")]
    event: String,
    /// Who did it.
    actor: ActorText,
    /// A word about it: a reason, a ground, a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[a-z0-9_:]+$", nullable = false)]
    code: Option<String>,
}

impl SubjectRequestEvent {
    fn of(event: &CaseEvent) -> Self {
        Self {
            at: Moment(event.at_ms),
            event: event.event.clone(),
            actor: ActorText(event.actor.clone()),
            code: event.code.clone(),
        }
    }
}

/// A request with its history.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubjectRequestWhole {
    /// The request.
    request: SubjectRequest,
    /// What happened, in order.
    #[schema(max_items = 10_000)]
    history: Vec<SubjectRequestEvent>,
    /// Callbacks to an OpenDSR controller that wait to be sent.
    #[schema(minimum = 0, maximum = 1_000_000)]
    callbacks_waiting: u64,
}

impl SubjectRequestWhole {
    /// A case.
    pub fn of(whole: &ShownWhole, principal: &Principal) -> Self {
        Self {
            request: SubjectRequest::for_caller(&whole.shown, principal),
            history: whole.history.iter().map(SubjectRequestEvent::of).collect(),
            callbacks_waiting: whole.callbacks_waiting,
        }
    }

    /// The answer in the document.
    pub fn example() -> Self {
        let created = CaseEvent {
            at_ms: 1_790_805_600_000,
            event: "created".to_owned(),
            actor: "key:4".to_owned(),
            code: None,
        };
        Self {
            request: SubjectRequest::example(),
            history: vec![SubjectRequestEvent::of(&created)],
            callbacks_waiting: 0,
        }
    }
}
