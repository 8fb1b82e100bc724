//! Rows of shops, their HMAC secrets, and publishers.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use zeroize::Zeroizing;

use super::connect::StoreError;
use super::objects::{ColumnOf, Columns, Ids, Kept, Named, RowOf};
use super::routing::{load_secrets, parse, secret_place, secret_row, word};
use super::rows::{document, object};
use super::tx::Tx;
use crate::domain::campaign::{Publisher, Shop};
use crate::domain::keyring::{KeyPurpose, KeyRing};
use crate::domain::keys::NONCE_BYTES;
use entity::{publisher, shop, shop_secret};

impl Kept for Shop {
    type Entity = shop::Entity;
    type Row = shop::ActiveModel;

    fn columns() -> Columns<shop::Column> {
        Columns {
            tenant: shop::Column::Tenant,
            number: shop::Column::Shop,
            id: shop::Column::Id,
        }
    }

    fn row(&self) -> Result<shop::ActiveModel, StoreError> {
        Ok(shop::ActiveModel {
            tenant: Set(self.object.tenant),
            shop: Set(self.object.number),
            id: Set(self.object.id),
            slug: Set(self.slug.clone()),
            reference: Set(self.reference.clone()),
            landing_hosts: Set(document(&self.landing_hosts, "shop", "landing_hosts")?),
            token_parameter: Set(self.token_parameter.clone()),
            currency: Set(self.currency.clone()),
            currencies: Set(document(&self.currencies, "shop", "currencies")?),
            refusal: Set(self.refusal.map(|mode| mode.code().to_owned())),
            auth: Set(self.auth.code().to_owned()),
            ip_allow: Set(document(&self.ip_allow, "shop", "ip_allow")?),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn read(row: RowOf<Self>, _: &Ids) -> Result<Self, StoreError> {
        let refusal = row.refusal.as_deref();
        Ok(Shop {
            object: object!(row, row.shop),
            landing_hosts: parse(&row.landing_hosts, "shop", "landing_hosts")?,
            currencies: parse(&row.currencies, "shop", "currencies")?,
            refusal: refusal.map(|text| word(text, "shop", "refusal")).transpose()?,
            auth: word(&row.auth, "shop", "auth")?,
            ip_allow: parse(&row.ip_allow, "shop", "ip_allow")?,
            slug: row.slug,
            reference: row.reference,
            token_parameter: row.token_parameter,
            currency: row.currency,
        })
    }

    fn taken(constraint: &str) -> &'static str {
        if constraint.contains("reference") {
            "reference"
        } else {
            "slug"
        }
    }
}

impl Named for Shop {
    fn name() -> ColumnOf<Self> {
        shop::Column::Slug
    }
}

impl Kept for Publisher {
    type Entity = publisher::Entity;
    type Row = publisher::ActiveModel;

    fn columns() -> Columns<publisher::Column> {
        Columns {
            tenant: publisher::Column::Tenant,
            number: publisher::Column::Publisher,
            id: publisher::Column::Id,
        }
    }

    fn row(&self) -> Result<publisher::ActiveModel, StoreError> {
        Ok(publisher::ActiveModel {
            tenant: Set(self.object.tenant),
            publisher: Set(self.object.number),
            id: Set(self.object.id),
            slug: Set(self.slug.clone()),
            explicit_consent: Set(self.explicit_consent.clone()),
            created_at_ms: Set(self.object.created_at_ms),
            updated_at_ms: Set(self.object.updated_at_ms),
            archived_at_ms: Set(self.object.archived_at_ms),
        })
    }

    fn read(row: RowOf<Self>, _: &Ids) -> Result<Self, StoreError> {
        Ok(Publisher {
            object: object!(row, row.publisher),
            slug: row.slug,
            explicit_consent: row.explicit_consent,
        })
    }
}

impl Named for Publisher {
    fn name() -> ColumnOf<Self> {
        publisher::Column::Slug
    }
}

impl Tx {
    /// A shop's live HMAC secrets, opened.
    pub async fn hmac_secrets(
        &self,
        tenant: i64,
        shop: i64,
        keys: &KeyRing,
    ) -> Result<Vec<Zeroizing<Vec<u8>>>, StoreError> {
        load_secrets(self.connection(), tenant, shop, keys).await
    }

    /// Replaces a shop's HMAC secrets, each sealed where it stands.
    pub async fn replace_hmac_secrets(
        &self,
        tenant: i64,
        shop: i64,
        keys: &KeyRing,
        secrets: &[(Zeroizing<String>, [u8; NONCE_BYTES])],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        shop_secret::Entity::delete_many()
            .filter(shop_secret::Column::Tenant.eq(tenant))
            .filter(shop_secret::Column::Shop.eq(shop))
            .exec(self.connection())
            .await?;
        for (slot, (secret, nonce)) in (1..).zip(secrets) {
            let place_row = secret_row(shop, slot);
            let place = secret_place(tenant, &place_row);
            let row = shop_secret::ActiveModel {
                tenant: Set(tenant),
                shop: Set(shop),
                slot: Set(slot),
                sealed: Set(keys.secrets_key().seal(*nonce, &place, secret.as_bytes())),
                created_at_ms: Set(now_ms),
            };
            shop_secret::Entity::insert(row)
                .exec_without_returning(self.connection())
                .await?;
        }
        let uses = i64::try_from(secrets.len()).unwrap_or(i64::MAX);
        self.add_uses(tenant, KeyPurpose::Secrets, 1, uses).await?;
        Ok(())
    }
}
