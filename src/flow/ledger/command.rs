//! What handlers ask of the ledger, and what it answers.
//!
//! A command holds everything that its decision needs except the facts of the moment: values parsed at the edge, ids and
//! random bytes made for it, and the assessment of its signals. It never holds a signal's text.

use std::sync::Arc;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::consent::Assessment;
use crate::domain::erasure::{Door, Ground};
use crate::domain::event::Actor;
use crate::domain::explain::Found;
use crate::domain::ids::{ClickKey, RequestId};
use crate::domain::keys::NONCE_BYTES;
use crate::domain::money::Currency;
use crate::domain::refusal::{Outcome, Reason, Untracked};
use crate::domain::signal::record::Inputs;
use crate::store::batch::facts::OrderRef;
use crate::store::batch::rows::ClickRow;

/// One thing to be recorded.
pub enum Command {
    /// A click that may be tracked.
    Click(Box<ClickCommand>),
    /// A click that may not: a count.
    Untracked(UntrackedCommand),
    /// A postback.
    Postback(Box<PostbackCommand>),
    /// A consent change that the shop forwards.
    Consent(Box<ConsentCommand>),
    /// A change of a recorded conversion.
    Amend(Box<AmendCommand>),
    /// The erasure of a person.
    Erase(Box<EraseCommand>),
}

impl Command {
    /// Which of several lanes it goes to, by this number; none for clicks, which have their own. One person's commands
    /// take turns, as do the lines of one request.
    pub(super) fn turn(&self) -> Option<u8> {
        match self {
            Command::Click(_) | Command::Untracked(_) => None,
            Command::Postback(postback) => Some(match postback.token {
                _ if postback.in_order => 0,
                Token::Opened { click, .. } => click.click.0[0],
                Token::Missing | Token::Unreadable => 0,
            }),
            Command::Consent(consent) => Some(match consent.reference {
                Reference::Click(click) => click.click.0[0],
                Reference::Orders(_) | Reference::Customer(_) | Reference::Nothing => 0,
            }),
            // Together, so that many cost little more than one.
            Command::Amend(_) | Command::Erase(_) => Some(0),
        }
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The click is stored and its token may leave.
    Tracked,
    /// The click is counted; no token may leave.
    Counted,
    /// The verdict on a postback.
    Verdict(Answer),
    /// The facts of a postback that is only to be explained.
    Found(Found),
    /// Whether a consent change had an effect.
    Consent {
        /// Whether anything changed.
        applied: bool,
    },
    /// The conversion as it now stands, or why it does not change.
    Amended(Result<Amended, Reason>),
    /// What was erased.
    Erased {
        /// The act.
        erasure: Uuid,
        /// Clicks that were there.
        clicks: u64,
    },
}

/// The verdict on a postback, as it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// What came of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// The conversion, on `recorded` and `duplicate`.
    pub conversion: Option<Uuid>,
}

/// A conversion after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amended {
    /// Its id.
    pub conversion: Uuid,
    /// Its status.
    pub status: String,
    /// Its amount in minor units.
    pub amount_minor: i64,
    /// Its currency.
    pub currency: String,
    /// When it was last changed.
    pub updated_at_ms: i64,
}

/// A click that may be tracked under the policy that the handler saw.
pub struct ClickCommand {
    /// The click's row, payload sealed.
    pub row: ClickRow,
    /// The commitment to the click.
    pub commitment: [u8; 32],
    /// The merged signals, should the policy have changed meanwhile.
    pub assessment: Assessment,
    /// When it happened.
    pub now_ms: i64,
    /// Random bytes for the batch's audit event, should this be its first click.
    pub nonce: [u8; 16],
    /// What the draft policy says, if one runs.
    pub draft: Option<DraftSays>,
}

/// What a draft policy makes of a click. It changes nothing; where it differs is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftSays {
    /// The number of the draft's record.
    pub draft: i64,
    /// Tracked, or why not.
    pub click: Result<(), Untracked>,
}

/// A click that is only counted.
#[derive(Debug, Clone, Copy)]
pub struct UntrackedCommand {
    /// The tenant's number.
    pub tenant: i64,
    /// The campaign's number.
    pub campaign: i64,
    /// Why.
    pub reason: Untracked,
    /// When it happened: only its day is kept.
    pub now_ms: i64,
    /// What the draft policy says, if one runs.
    pub draft: Option<DraftSays>,
}

/// What the token turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// None was sent.
    Missing,
    /// It does not open here.
    Unreadable,
    /// It opened.
    Opened {
        /// The click.
        click: ClickKey,
        /// The campaign's number.
        campaign: i64,
        /// The publisher's number.
        publisher: i64,
    },
}

/// A postback.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one word of the request, and none of them excludes another"
)]
pub struct PostbackCommand {
    /// The tenant's number.
    pub tenant: i64,
    /// The shop's number.
    pub shop: i64,
    /// Who sent it.
    pub actor: Actor,
    /// The token.
    pub token: Token,
    /// The goal's number, where it is one of the campaign's (without a token: of any of the shop's).
    pub goal: Option<i64>,
    /// The order, where token and goal are known.
    pub order: Option<OrderRef>,
    /// What the audit log's commitment says of the order.
    pub order_digest: Option<[u8; 32]>,
    /// The digest of the content.
    pub content_hash: [u8; 16],
    /// The amount in minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
    /// Whether the shop takes it.
    pub currency_taken: bool,
    /// `pending`, `confirmed` or `cancelled`.
    pub status: &'static str,
    /// When the goal happened.
    pub occurred_at_ms: i64,
    /// When the postback came.
    pub now_ms: i64,
    /// The details, not yet sealed; wiped with the command.
    pub details: Zeroizing<Vec<u8>>,
    /// The keyed hash of the customer reference.
    pub customer_hash: Option<[u8; 16]>,
    /// The merged signals.
    pub assessment: Assessment,
    /// What they were merged from.
    pub inputs: Inputs,
    /// The same as the draft policy has them read, with the number of the draft's record, if one runs.
    pub draft: Option<(i64, Assessment)>,
    /// Whether it is a test.
    pub test: bool,
    /// Whether nothing may be kept of it.
    pub dry_run: bool,
    /// Whether only the facts are asked for; nothing is kept or counted.
    pub explain: bool,
    /// The request.
    pub request: RequestId,
    /// The id of the conversion, should it be recorded.
    pub conversion: Uuid,
    /// Whether it is a line of several, which are judged in their order.
    pub in_order: bool,
    /// The suppression entry of the click, where the token opened.
    pub click_entry: Option<[u8; 32]>,
    /// The suppression entry of the order, where there is one.
    pub order_entry: Option<[u8; 32]>,
    /// For sealing the details.
    pub payload_nonce: [u8; NONCE_BYTES],
    /// For the audit events.
    pub nonces: [[u8; 16]; 2],
}

/// How a consent change names its person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By the click of a token.
    Click(ClickKey),
    /// By an order of any of these goals.
    Orders(Vec<OrderRef>),
    /// By the keyed hash of the shop's customer reference.
    Customer([u8; 16]),
    /// By something that is not known here: no effect, and no word about it.
    Nothing,
}

/// A consent change.
pub struct ConsentCommand {
    /// The tenant's number.
    pub tenant: i64,
    /// The shop's number.
    pub shop: i64,
    /// Whether the shop sent it, and not the tenant's privacy officer.
    pub from_shop: bool,
    /// Who sent it.
    pub actor: Actor,
    /// Whom it is about.
    pub reference: Reference,
    /// The merged signals.
    pub assessment: Assessment,
    /// What they were merged from.
    pub inputs: Inputs,
    /// When it came.
    pub now_ms: i64,
    /// The request.
    pub request: RequestId,
    /// The id of a consent record.
    pub record: Uuid,
    /// For sealing the inputs, once under each click's key.
    pub payload_nonce: [u8; NONCE_BYTES],
    /// For the audit events.
    pub nonces: [[u8; 16]; 2],
}

/// Which conversion is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By its id.
    Conversion(Uuid),
    /// By its order.
    Order(OrderRef),
}

/// A change of a recorded conversion.
pub struct AmendCommand {
    /// The tenant's number.
    pub tenant: i64,
    /// The shop that may change it; a manager may change any.
    pub shop: Option<i64>,
    /// Who asks.
    pub actor: Actor,
    /// Which one.
    pub target: Target,
    /// The new status.
    pub status: Option<&'static str>,
    /// The new amount, as it was written, to be read in the conversion's currency.
    pub amount: Option<Arc<str>>,
    /// Why, as a code of the shop's.
    pub reason: Option<String>,
    /// When it came.
    pub now_ms: i64,
    /// The request.
    pub request: RequestId,
    /// For the audit event.
    pub nonce: [u8; 16],
}

/// The erasure of a person.
pub struct EraseCommand {
    /// The tenant's number.
    pub tenant: i64,
    /// The shop, where one of its own asks.
    pub shop: Option<i64>,
    /// Who asks.
    pub actor: Actor,
    /// Whom it is about, in all the ways in which what was given can be read.
    pub references: Vec<Reference>,
    /// Where it was asked for.
    pub door: Door,
    /// Why.
    pub ground: Ground,
    /// When it came.
    pub now_ms: i64,
    /// The request, where there was one.
    pub request: Option<RequestId>,
    /// For the audit event and the act's id.
    pub nonce: [u8; 16],
}
