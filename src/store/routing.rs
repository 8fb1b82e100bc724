//! Reading the routing snapshot: all live configuration, keys unwrapped, as one value.

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::connect::{Store, StoreError};
use super::keys::assemble;
use super::policies;
use super::roots::Roots;
use crate::domain::access::{Bearer, Principal, Role};
use crate::domain::campaign::{Object, ShopAuth, Tenant};
use crate::domain::credential::PasswordHash;
use crate::domain::keyring::KeyRing;
use crate::domain::keys::Place;
use crate::domain::landing::Template;
use crate::domain::money::Currency;
use crate::domain::refusal::RefusalMode;
use crate::domain::routing::{CampaignRoute, LinkRoute, Routing, ShopRoute, Subject, TenantRoute};
use crate::domain::scope::TenantScope;

/// A configuration document that does not read back names its table and column.
pub(super) fn parse<T: DeserializeOwned>(
    text: &str,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Inconsistent { table, column })
}

/// The word of a small enum as it stands in a row.
pub(super) fn word<T: DeserializeOwned>(
    text: &str,
    table: &'static str,
    column: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| StoreError::Inconsistent { table, column })
}

impl Store {
    /// The version of the routing data.
    pub async fn routing_version(&self) -> Result<i64, StoreError> {
        let connection = self.reader(TenantScope::Server);
        let connection = connection.connection();
        let select = Statement::from_string(
            connection.get_database_backend(),
            "SELECT version FROM routing WHERE id = 1",
        );
        let row = connection.query_one_raw(select).await?;
        let row = row.ok_or(StoreError::Inconsistent {
            table: "routing",
            column: "version",
        })?;
        Ok(row.try_get("", "version")?)
    }

    /// Reads everything. `now_ms` chooses the policy versions that are still needed. Of a tenant whose root key is not here
    /// or whose rows are damaged the keys of `before` stay in use; without them it is locked, or this fails.
    pub async fn load_routing(
        &self,
        roots: &Roots,
        now_ms: i64,
        before: Option<&Routing>,
    ) -> Result<Routing, StoreError> {
        // The version first: a change that comes in between is then noticed at the next look.
        let version = self.routing_version().await?;
        let reader = self.reader(TenantScope::Server);
        let connection = reader.connection();
        let mut routing = Routing {
            version,
            ..Routing::default()
        };
        for row in entity::tenant::Entity::find().all(connection).await? {
            let number = row.tenant;
            let before = before.and_then(|before| before.tenants.get(&number));
            let tenant = load_tenant(connection, row, roots, now_ms, before.map(AsRef::as_ref)).await?;
            for (reference, shop) in tenant.1 {
                routing.shop_references.insert(reference, (number, shop));
            }
            routing.tenants.insert(number, Arc::new(tenant.0));
        }
        load_links(connection, &mut routing).await?;
        load_api_keys(connection, &mut routing).await?;
        load_users(connection, &mut routing).await?;
        routing.revoked_tokens = super::tokens::revoked(connection, now_ms.div_euclid(1_000)).await?;
        Ok(routing)
    }
}

async fn load_tenant<C: ConnectionTrait>(
    connection: &C,
    row: entity::tenant::Model,
    roots: &Roots,
    now_ms: i64,
    before: Option<&TenantRoute>,
) -> Result<(TenantRoute, Vec<(String, i64)>), StoreError> {
    let number = row.tenant;
    let rows = super::keys::key_rows(connection, number).await?;
    let opened = match assemble(&rows, number, roots).await {
        // Who starts now must not serve without it; who has the keys need not do without them.
        Err(error @ StoreError::KeyRow { .. }) if before.is_some() => {
            tracing::error!(%error, "a tenant's keys of before stay in use");
            None
        }
        opened => opened?,
    };
    let rootless = opened.is_none();
    let before = before.map(|before| before.keys.clone());
    let keys = opened.or(before).unwrap_or_else(|| KeyRing::locked(number));
    let (policies, shadow) = policies::load(connection, number, now_ms).await?;
    let campaigns = load_campaigns(connection, number).await?;
    let (shops, references) = load_shops(connection, number, &keys).await?;
    let zone = row.time_zone.parse().map_err(|_| StoreError::Inconsistent {
        table: "tenant",
        column: "time_zone",
    })?;
    let controller = row
        .controller
        .as_deref()
        .map(|text| parse(text, "tenant", "controller"))
        .transpose()?;
    let object = Object {
        tenant: number,
        number,
        id: row.id,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
        archived_at_ms: row.archived_at_ms,
    };
    let tenant = Tenant {
        object,
        slug: row.slug,
        time_zone: row.time_zone,
        controller,
        four_eyes: row.four_eyes,
    };
    Ok((
        TenantRoute {
            tenant,
            zone,
            policies,
            shadow,
            keys,
            rootless,
            shops,
            campaigns,
        },
        references,
    ))
}

type Shops = (HashMap<i64, Arc<ShopRoute>>, Vec<(String, i64)>);

async fn load_shops<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    keys: &KeyRing,
) -> Result<Shops, StoreError> {
    let mut shops = HashMap::new();
    let mut references = Vec::new();
    let rows = entity::shop::Entity::find()
        .filter(entity::shop::Column::Tenant.eq(tenant))
        .all(connection)
        .await?;
    for row in rows {
        let secrets = load_secrets(connection, tenant, row.shop, keys).await?;
        let currency = |code: &str| {
            Currency::parse(code).map_err(|_| StoreError::Inconsistent {
                table: "shop",
                column: "currencies",
            })
        };
        let codes: Vec<String> = parse(&row.currencies, "shop", "currencies")?;
        let auth: ShopAuth = word(&row.auth, "shop", "auth")?;
        let refusal: Option<RefusalMode> = row
            .refusal
            .as_deref()
            .map(|text| word(text, "shop", "refusal"))
            .transpose()?;
        references.push((row.reference, row.shop));
        let route = ShopRoute {
            number: row.shop,
            landing_hosts: parse(&row.landing_hosts, "shop", "landing_hosts")?,
            token_parameter: row.token_parameter,
            currency: currency(row.currency.trim())?,
            currencies: codes
                .iter()
                .map(|code| currency(code))
                .collect::<Result<_, _>>()?,
            refusal,
            auth,
            ip_allow: parse(&row.ip_allow, "shop", "ip_allow")?,
            secrets,
            archived: row.archived_at_ms.is_some(),
        };
        shops.insert(row.shop, Arc::new(route));
    }
    Ok((shops, references))
}

/// Where a shop's HMAC secret stands.
pub(super) fn secret_place(tenant: i64, row: &[u8]) -> Place<'_> {
    Place {
        tenant,
        table: "shop_secret",
        column: "sealed",
        row,
        key_version: 1,
    }
}

/// The row's part of a secret's place.
pub(super) fn secret_row(shop: i64, slot: i64) -> [u8; 16] {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&shop.to_be_bytes());
    row[8..].copy_from_slice(&slot.to_be_bytes());
    row
}

pub(super) async fn load_secrets<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
    shop: i64,
    keys: &KeyRing,
) -> Result<Vec<Zeroizing<Vec<u8>>>, StoreError> {
    use entity::shop_secret::Column;
    let rows = entity::shop_secret::Entity::find()
        .filter(Column::Tenant.eq(tenant))
        .filter(Column::Shop.eq(shop))
        .order_by_asc(Column::Slot)
        .all(connection)
        .await?;
    if keys.is_locked() {
        return Ok(Vec::new());
    }
    let open = |row: &entity::shop_secret::Model| {
        keys.secrets_key()
            .open(&secret_place(tenant, &secret_row(shop, row.slot)), &row.sealed)
    };
    rows.iter()
        .map(open)
        .collect::<Result<_, _>>()
        .map_err(StoreError::from)
}

async fn load_campaigns<C: ConnectionTrait>(
    connection: &C,
    tenant: i64,
) -> Result<HashMap<i64, Arc<CampaignRoute>>, StoreError> {
    let mut goals: HashMap<i64, Vec<(String, i64)>> = HashMap::new();
    let goal_rows = entity::goal::Entity::find()
        .filter(entity::goal::Column::Tenant.eq(tenant))
        .filter(entity::goal::Column::ArchivedAtMs.is_null())
        .all(connection)
        .await?;
    for row in goal_rows {
        goals.entry(row.campaign).or_default().push((row.slug, row.goal));
    }
    let mut campaigns = HashMap::new();
    let rows = entity::campaign::Entity::find()
        .filter(entity::campaign::Column::Tenant.eq(tenant))
        .all(connection)
        .await?;
    for row in rows {
        let template = Template::parse(&row.landing_url).map_err(|_| StoreError::Inconsistent {
            table: "campaign",
            column: "landing_url",
        })?;
        let route = CampaignRoute {
            number: row.campaign,
            slug: row.slug,
            shop: row.shop,
            template,
            deep_links: row.deep_links,
            window_seconds: row.window_days * 86_400,
            fallback_url: row.fallback_url,
            starts_at_ms: row.starts_at_ms,
            ends_at_ms: row.ends_at_ms,
            stopped: row.paused || row.archived_at_ms.is_some(),
            goals: goals.remove(&row.campaign).unwrap_or_default(),
        };
        campaigns.insert(row.campaign, Arc::new(route));
    }
    Ok(campaigns)
}

async fn load_links<C: ConnectionTrait>(connection: &C, routing: &mut Routing) -> Result<(), StoreError> {
    let mut publishers = HashMap::new();
    for row in entity::publisher::Entity::find().all(connection).await? {
        publishers.insert((row.tenant, row.publisher), row);
    }
    for row in entity::link::Entity::find().all(connection).await? {
        let broken = StoreError::Inconsistent {
            table: "link",
            column: "campaign",
        };
        let Some(tenant) = routing.tenants.get(&row.tenant) else {
            return Err(broken);
        };
        let Some(campaign) = tenant.campaigns.get(&row.campaign) else {
            return Err(broken);
        };
        let Some(shop) = tenant.shops.get(&campaign.shop) else {
            return Err(broken);
        };
        let Some(publisher) = publishers.get(&(row.tenant, row.publisher)) else {
            return Err(broken);
        };
        let stopped = row.archived_at_ms.is_some()
            || publisher.archived_at_ms.is_some()
            || shop.archived
            || tenant.tenant.object.archived_at_ms.is_some();
        let route = LinkRoute {
            number: row.link,
            slug: row.slug.clone(),
            tenant: Arc::clone(tenant),
            campaign: Arc::clone(campaign),
            shop: Arc::clone(shop),
            publisher: row.publisher,
            publisher_slug: publisher.slug.clone(),
            contract: publisher.explicit_consent.is_some(),
            stopped,
            subs: parse(&row.subs, "link", "subs")?,
        };
        routing.links.insert(row.slug, route);
    }
    Ok(())
}

async fn load_api_keys<C: ConnectionTrait>(connection: &C, routing: &mut Routing) -> Result<(), StoreError> {
    use entity::api_key::Column;
    let rows = entity::api_key::Entity::find()
        .filter(Column::ArchivedAtMs.is_null())
        .all(connection)
        .await?;
    for row in rows {
        let wrong = |column| StoreError::Inconsistent {
            table: "api_key",
            column,
        };
        let hash: [u8; 32] = row.hash.as_slice().try_into().map_err(|_| wrong("hash"))?;
        let role = Role::from_code(&row.role).ok_or(wrong("role"))?;
        if !signs_in(routing, row.tenant, role, row.shop) {
            continue;
        }
        let principal = Principal {
            tenant: row.tenant,
            role,
            bearer: Bearer::Key(row.api_key),
            shop: row.shop,
            publisher: row.publisher,
        };
        let subject = Subject {
            principal: principal.clone(),
            changed_at_ms: row.updated_at_ms,
            password: None,
        };
        routing.subjects.insert(row.id, subject);
        routing.api_keys.insert(hash, principal);
    }
    Ok(())
}

/// Users and keys of archived tenants and shops do not sign in; nor does a tenant's role outside any tenant.
fn signs_in(routing: &Routing, tenant: i64, role: Role, shop: Option<i64>) -> bool {
    let Some(tenant) = routing.tenants.get(&tenant) else {
        return role == Role::Operator;
    };
    let shop_archived = shop.is_some_and(|shop| tenant.shops.get(&shop).is_none_or(|shop| shop.archived));
    tenant.tenant.object.archived_at_ms.is_none() && !shop_archived
}

async fn load_users<C: ConnectionTrait>(connection: &C, routing: &mut Routing) -> Result<(), StoreError> {
    use entity::account::Column;
    let rows = entity::account::Entity::find()
        .filter(Column::ArchivedAtMs.is_null())
        .all(connection)
        .await?;
    for row in rows {
        let wrong = |column| StoreError::Inconsistent {
            table: "account",
            column,
        };
        let role = Role::from_code(&row.role).ok_or(wrong("role"))?;
        let tenant = routing.tenants.get(&row.tenant).ok_or(wrong("tenant"))?;
        let slug = tenant.tenant.slug.clone();
        if !signs_in(routing, row.tenant, role, row.shop) {
            continue;
        }
        let password = match row.password_hash.as_deref() {
            Some(text) => Some(PasswordHash::parse(text).ok_or(wrong("password_hash"))?),
            None => None,
        };
        let principal = Principal {
            tenant: row.tenant,
            role,
            bearer: Bearer::User(row.account),
            shop: row.shop,
            publisher: row.publisher,
        };
        let subject = Subject {
            principal,
            changed_at_ms: row.updated_at_ms,
            password,
        };
        routing.subjects.insert(row.id, subject);
        routing.users.insert((slug, row.name), row.id);
    }
    Ok(())
}
