//! `/v1/shops`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Clashing, Invalid, NotFound};
use super::fields::{
    AddressRange, AuthWord, CurrencyCode, Edit, HmacSecret, Host, ParameterName, RefusalWord, ShopId,
    ShopReference, Slug, given, set,
};
use super::pages::{Page, PageQuery};
use super::{Acting, Created, Life, created, example_object};
use crate::domain::campaign::{Shop, ShopAuth};
use crate::domain::draft::ShopDraft;
use crate::edge::problem::Problem;
use crate::edge::request::{Id, Json, Query};
use crate::flow::objects::ObjectsFlow;

/// The routes.
pub fn routes() -> OpenApiRouter<ObjectsFlow> {
    OpenApiRouter::new()
        .routes(routes!(create_shop, list_shops))
        .routes(routes!(read_shop, change_shop, archive_shop))
}

/// A shop. Its HMAC secrets are never shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Shop)]
pub struct ShopBody {
    /// Its id.
    id: ShopId,
    /// Its name in files.
    slug: Slug,
    /// The public reference for `/postback/{shop}`.
    reference: ShopReference,
    /// Hosts that landing pages and deep links may be on.
    #[schema(max_items = 50)]
    landing_hosts: Vec<Host>,
    /// The parameter that carries the token to the landing page.
    token_parameter: ParameterName,
    /// The default currency.
    currency: CurrencyCode,
    /// Every currency that it takes, the default one included.
    #[schema(max_items = 201)]
    currencies: Vec<CurrencyCode>,
    /// Overrides how the tenant answers refusals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusal: Option<RefusalWord>,
    /// How its server proves who it is.
    auth: AuthWord,
    /// Where its postbacks may come from; empty: anywhere.
    #[schema(max_items = 50)]
    ip_allow: Vec<AddressRange>,
    /// When it was made, changed and archived.
    #[serde(flatten)]
    life: Life,
}

impl ShopBody {
    fn of(shop: &Shop) -> Self {
        Self {
            id: shop.object.id.into(),
            slug: Slug(shop.slug.clone()),
            reference: ShopReference(shop.reference.clone()),
            landing_hosts: shop.landing_hosts.iter().cloned().map(Host).collect(),
            token_parameter: ParameterName(shop.token_parameter.clone()),
            currency: CurrencyCode(shop.currency.clone()),
            currencies: shop.currencies.iter().cloned().map(CurrencyCode).collect(),
            refusal: shop.refusal.map(RefusalWord),
            auth: AuthWord(shop.auth),
            ip_allow: shop.ip_allow.iter().cloned().map(AddressRange).collect(),
            life: Life::of(&shop.object),
        }
    }

    fn example() -> Self {
        Self::of(&Shop {
            object: example_object(),
            slug: "main".to_owned(),
            reference: "shp_Q7mZ2kT9xWbL4nRc".to_owned(),
            landing_hosts: vec!["shop.example".to_owned()],
            token_parameter: "s2s".to_owned(),
            currency: "EUR".to_owned(),
            currencies: vec!["EUR".to_owned()],
            refusal: None,
            auth: ShopAuth::Bearer,
            ip_allow: Vec::new(),
        })
    }
}

/// A new shop.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"slug": "main", "landing_hosts": ["shop.example"], "currency": "EUR"}))]
pub struct ShopCreate {
    /// Its name in files; unique in the tenant.
    slug: Slug,
    /// The public reference for `/postback/{shop}`, unique on the server; made if left out.
    reference: Option<ShopReference>,
    /// Hosts that landing pages and deep links may be on.
    #[schema(min_items = 1, max_items = 50)]
    landing_hosts: Vec<Host>,
    /// The parameter that carries the token to the landing page; `s2s` if left out.
    token_parameter: Option<ParameterName>,
    /// The default currency.
    currency: CurrencyCode,
    /// Further currencies that it takes.
    #[serde(default)]
    #[schema(max_items = 200)]
    currencies: Vec<CurrencyCode>,
    /// Overrides how the tenant answers refusals.
    refusal: Option<RefusalWord>,
    /// How its server proves who it is; `bearer` if left out.
    auth: Option<AuthWord>,
    /// Where its postbacks may come from; empty: anywhere.
    #[serde(default)]
    #[schema(max_items = 50)]
    ip_allow: Vec<AddressRange>,
    /// The live HMAC secrets: two while rotating. Needed if `auth` is `hmac`.
    #[serde(default)]
    #[schema(max_items = 2)]
    hmac_secrets: Vec<HmacSecret>,
}

impl ShopCreate {
    fn draft(self) -> ShopDraft {
        ShopDraft {
            slug: self.slug.0,
            reference: self.reference.map(|reference| reference.0),
            landing_hosts: plain(self.landing_hosts, |host| host.0),
            token_parameter: self
                .token_parameter
                .map_or_else(|| "s2s".to_owned(), |name| name.0),
            currency: self.currency.0,
            currencies: plain(self.currencies, |code| code.0),
            refusal: self.refusal.map(|word| word.0),
            auth: self.auth.map_or_else(ShopAuth::default, |word| word.0),
            ip_allow: plain(self.ip_allow, |range| range.0),
            hmac_secrets: Some(plain(self.hmac_secrets, |secret| secret.0)),
        }
    }
}

fn plain<T, P>(items: Vec<T>, inner: impl FnMut(T) -> P) -> Vec<P> {
    items.into_iter().map(inner).collect()
}

/// A change of a shop; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"auth": "hmac", "hmac_secrets": ["a-secret-of-at-least-24-characters"]}))]
pub struct ShopChange {
    /// Its name in files; unique in the tenant.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    slug: Option<Slug>,
    /// The public reference for `/postback/{shop}`; the old one is unknown from then on.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    reference: Option<ShopReference>,
    /// Hosts that landing pages and deep links may be on.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_items = 1, max_items = 50)]
    landing_hosts: Option<Vec<Host>>,
    /// The parameter that carries the token to the landing page.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    token_parameter: Option<ParameterName>,
    /// The default currency.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    currency: Option<CurrencyCode>,
    /// Every currency that it takes; the default one is always one of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 200)]
    currencies: Option<Vec<CurrencyCode>>,
    /// Overrides how the tenant answers refusals; `null`: as the tenant does.
    #[serde(default)]
    #[schema(value_type = Option<RefusalWord>)]
    refusal: Edit<RefusalWord>,
    /// How its server proves who it is.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    auth: Option<AuthWord>,
    /// Where its postbacks may come from; empty: anywhere.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 50)]
    ip_allow: Option<Vec<AddressRange>>,
    /// Replaces the live HMAC secrets.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, max_items = 2)]
    hmac_secrets: Option<Vec<HmacSecret>>,
}

impl ShopChange {
    fn onto(self, draft: &mut ShopDraft) {
        set(&mut draft.slug, self.slug.map(|slug| slug.0));
        set(&mut draft.reference, self.reference.map(|text| Some(text.0)));
        let hosts = self.landing_hosts.map(|hosts| plain(hosts, |host| host.0));
        set(&mut draft.landing_hosts, hosts);
        set(
            &mut draft.token_parameter,
            self.token_parameter.map(|name| name.0),
        );
        set(&mut draft.currency, self.currency.map(|code| code.0));
        let codes = self.currencies.map(|codes| plain(codes, |code| code.0));
        set(&mut draft.currencies, codes);
        self.refusal.onto(&mut draft.refusal, |word| word.0);
        set(&mut draft.auth, self.auth.map(|word| word.0));
        let ranges = self.ip_allow.map(|ranges| plain(ranges, |range| range.0));
        set(&mut draft.ip_allow, ranges);
        draft.hmac_secrets = self.hmac_secrets.map(|secrets| plain(secrets, |secret| secret.0));
    }
}

/// Create a shop
///
/// A shop's server sends postbacks: with an API key of the role `shop`, with an HMAC signature, or, during a migration,
/// with the token alone.
#[utoipa::path(post, path = "/v1/shops", operation_id = "create_shop", tag = "shops",
    security(("bearer" = [])),
    request_body(content = ShopCreate, description = "The shop."),
    responses(
        (status = 201, description = "The new shop.", body = ShopBody,
            headers(("Location" = String, description = "Where it is read.")),
            example = json!(ShopBody::example())),
        Invalid, Clashing,
    ))]
pub async fn create_shop(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Json(body): Json<ShopCreate>,
) -> Result<Created<ShopBody>, Problem> {
    let shop: Shop = flow.create(&caller, body.draft()).await?;
    let body = ShopBody::of(&shop);
    Ok(created("/v1/shops", body.id, body))
}

/// Change a shop
///
/// What the body leaves out stays as it is. The hosts that the shop's campaigns lead to cannot be taken away.
#[utoipa::path(patch, path = "/v1/shops/{id}", operation_id = "change_shop", tag = "shops",
    security(("bearer" = [])),
    params(("id" = ShopId, Path, description = "The shop's id.")),
    request_body(content = ShopChange, description = "What is to be different."),
    responses(
        (status = 200, description = "The changed shop.", body = ShopBody, example = json!(ShopBody::example())),
        Invalid, NotFound, Clashing,
    ))]
pub async fn change_shop(
    State(flow): State<ObjectsFlow>,
    Acting(caller): Acting,
    Id(id): Id<ShopId>,
    Json(body): Json<ShopChange>,
) -> Result<axum::Json<ShopBody>, Problem> {
    let shop: Shop = flow.change(&caller, id.into(), |draft| body.onto(draft)).await?;
    Ok(axum::Json(ShopBody::of(&shop)))
}

standing_operations! {
    Shop => ShopBody, ShopId, tag "shops", "a" "shop", path "/v1/shops",
    read_shop, list_shops, archive_shop
}
