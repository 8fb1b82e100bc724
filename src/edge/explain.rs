//! `POST /v1/explain`: why a click or a postback would be decided as it would.
//!
//! Signals and tokens belong to a person: they come in a body, never in a URL, and no value comes back beyond what was
//! decoded from it. Parameters come as pairs, as they stand in a URL, since a repeated one is a signal too.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Authenticated;
use super::explain_answer::ExplainAnswer;
use super::inbound::{Owned, read_pairs};
use super::objects::answers::{Clashing, Invalid, Missing};
use super::pairs::Pair;
use super::problem::Problem;
use super::request::{Json, Named, given};
use super::{click, pairs};
use crate::domain::access::Principal;
use crate::domain::agent::AgentClass;
use crate::domain::object::many;
use crate::domain::signal::Signals;
use crate::flow::FlowError;
use crate::flow::click::ClickRequest;
use crate::flow::explain::{ExplainFlow, Explained};

/// The route.
pub fn routes() -> OpenApiRouter<ExplainFlow> {
    OpenApiRouter::new().routes(routes!(explain_decision))
}

/// Most parameters of one request.
const MAX_PARAMETERS: usize = 100;
/// The longest parameter name and value, in characters; what a signal may be is shorter.
const MAX_NAME_CHARS: usize = 64;
const MAX_VALUE_CHARS: usize = 32_768;

/// What is to be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainKind {
    /// A tracking link that is followed.
    Click,
    /// A postback.
    Postback,
}

/// What kind of program follows the link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainAgent {
    /// A crawler.
    Bot,
    /// A browser on a computer.
    #[default]
    Desktop,
    /// A browser or app on a telephone.
    Mobile,
    /// A browser or app on a tablet.
    Tablet,
    /// Something else that is known.
    Other,
    /// Something that is not known.
    Unknown,
}

/// A click or a postback, as it would arrive.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "click", "link": "Ab3xK9",
    "parameters": [{"name": "consent", "value": "granted"}, {"name": "us_privacy", "value": "1YNN"}]}))]
pub struct ExplainRequest {
    /// `click` or `postback`.
    #[schema(value_type = String, max_length = 8, pattern = "^(click|postback)$")]
    kind: ExplainKind,
    /// The link's slug; for clicks.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9_-]*$", nullable = false)]
    link: Option<String>,
    /// The shop's public reference; for postbacks. A shop's key needs none.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        max_length = 64,
        pattern = "^[A-Za-z0-9_-]{4,64}$",
        nullable = false,
        example = "shp_Q7mZ2kT9xWbL4nRc"
    )]
    shop: Option<String>,
    /// The parameters as they would stand in the URL, decoded, in their order.
    #[serde(default, deserialize_with = "many")]
    #[schema(max_items = 100)]
    parameters: Vec<ExplainParameter>,
    /// Whether a `Sec-GPC: 1` header comes with it.
    #[serde(default)]
    sec_gpc: bool,
    /// What kind of program follows the link; for clicks: `bot`, `desktop` (default), `mobile`, `tablet`, `other` or
    /// `unknown`.
    #[serde(default)]
    #[schema(value_type = String, max_length = 7, pattern = "^(bot|desktop|mobile|tablet|other|unknown)$",
        required = false)]
    agent: ExplainAgent,
    /// Whether only the head is asked for; for clicks.
    #[serde(default)]
    head: bool,
}

/// A parameter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainParameter {
    /// Its name.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_\\[\\]-]+$")]
    name: String,
    /// Its value; texts that no URL could carry are taken too.
    #[schema(max_length = 32768, pattern = "^[\\s\\S]*$")]
    value: String,
}

/// Explain a decision
///
/// What a click or a postback with these parameters would come to now: every signal as it is understood, every check in
/// its order with its source, the verdict, what would be stored and what would not. It is the live decision, asked and
/// not made: nothing is stored or counted and no token is made. A shop sees links to itself and its own postbacks only.
/// What a live request would be refused for before any check (a parameter that is not of its form) is a 400 here, too.
#[utoipa::path(post, path = "/v1/explain", operation_id = "explain_decision", tag = "consent",
    security(("bearer" = [])),
    request_body(content = ExplainRequest, description = "The click or postback.", content_type = "application/json"),
    responses((status = 200, description = "The decision and all that leads to it.", body = ExplainAnswer),
        Invalid, Missing, Clashing))]
pub async fn explain_decision(
    State(flow): State<ExplainFlow>,
    Authenticated(principal): Authenticated,
    named: Named,
    Json(body): Json<ExplainRequest>,
) -> Result<axum::Json<ExplainAnswer>, Problem> {
    body.check()?;
    let explained = match body.kind {
        ExplainKind::Click => click(&flow, &principal, &body)?,
        ExplainKind::Postback => {
            if body.link.is_some() {
                return Err(FlowError::Clash("link", "belongs to clicks").into());
            }
            let owned: Vec<Owned> = body.parameters.iter().map(ExplainParameter::owned).collect();
            let mut form = read_pairs(&owned, true, flow.now_ms())?;
            form.signals.sec_gpc = body.sec_gpc;
            flow.postback(&principal, body.shop.as_deref(), &form, named.0)
                .await?
        }
    };
    Ok(axum::Json(ExplainAnswer::of(body.kind, explained, named)))
}

fn click(flow: &ExplainFlow, principal: &Principal, body: &ExplainRequest) -> Result<Explained, Problem> {
    if body.shop.is_some() {
        return Err(FlowError::Clash("shop", "belongs to postbacks").into());
    }
    let Some(link) = body.link.as_deref() else {
        return Err(FlowError::Clash("link", "is what a click follows").into());
    };
    let pairs: Vec<Pair<'_>> = body.parameters.iter().map(ExplainParameter::pair).collect();
    let mut request = ClickRequest {
        link,
        signals: Signals::with_header(body.sec_gpc),
        subs: [None; 10],
        url: None,
        notice: None,
        agent: body.agent.class(),
        // Nothing is decided by it, and nothing is kept of it.
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        head: body.head,
    };
    click::fill(&mut request, &pairs);
    Ok(flow.click(principal, &request)?)
}

impl ExplainRequest {
    /// Whether every text is what the document says; the first that is not is named.
    fn check(&self) -> Result<(), Problem> {
        let word = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        let slug = |text: &String| {
            (1..=64).contains(&text.len())
                && word(text)
                && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        };
        if !self.link.as_ref().is_none_or(slug) {
            return Err(Problem::invalid("link", "is not a link's slug"));
        }
        if !self
            .shop
            .as_ref()
            .is_none_or(|text| (4..=64).contains(&text.len()) && word(text))
        {
            return Err(Problem::invalid("shop", "is not a shop's public reference"));
        }
        let fits = |parameter: &ExplainParameter| {
            let ExplainParameter { name, value } = parameter;
            (1..=MAX_NAME_CHARS).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-[]".contains(&byte))
                && value.chars().count() <= MAX_VALUE_CHARS
        };
        if self.parameters.len() > MAX_PARAMETERS || !self.parameters.iter().all(fits) {
            return Err(Problem::invalid(
                "parameters",
                "are more than 100, or one has no proper name or is too long",
            ));
        }
        Ok(())
    }
}

impl ExplainParameter {
    fn pair(&self) -> pairs::Pair<'_> {
        (Cow::Borrowed(&self.name), Some(Cow::Borrowed(&self.value)))
    }

    fn owned(&self) -> Owned {
        (self.name.clone(), Some(self.value.clone()))
    }
}

impl ExplainAgent {
    fn class(self) -> AgentClass {
        match self {
            Self::Bot => AgentClass::Bot,
            Self::Desktop => AgentClass::Desktop,
            Self::Mobile => AgentClass::Mobile,
            Self::Tablet => AgentClass::Tablet,
            Self::Other => AgentClass::Other,
            Self::Unknown => AgentClass::Unknown,
        }
    }
}
