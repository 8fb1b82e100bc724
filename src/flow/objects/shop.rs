//! Shops with their HMAC secrets, and publishers.

use zeroize::Zeroizing;

use super::{Managed, Session};
use crate::domain::campaign::{Object, Publisher, Shop, ShopAuth};
use crate::domain::credential::shop_reference;
use crate::domain::draft::{Fault, PublisherDraft, ShopDraft};
use crate::domain::event::Change;
use crate::flow::FlowError;
use crate::store::users::KeyOwner;

impl Managed for Shop {
    common!(ShopDraft, "shop");

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &ShopDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        let present = old.map(|old| old.reference.clone());
        let reference = draft.reference.clone().or(present);
        let reference = reference.unwrap_or_else(|| shop_reference(&session.live.random()));
        let shop = draft.onto(object, reference);
        if let Some(old) = old
            && old.landing_hosts != shop.landing_hosts
        {
            let campaigns = session
                .tx
                .campaigns_of(session.scope(), shop.object.number)
                .await?;
            if !campaigns
                .iter()
                .all(|campaign| campaign.is_on(&shop.landing_hosts))
            {
                let words = "must still hold the hosts that the shop's campaigns lead to";
                return Err(Fault::Clash("landing_hosts", words).into());
            }
        }
        Ok(shop)
    }

    async fn settle(
        session: &mut Session<'_>,
        _: Option<&Self>,
        new: &Self,
        draft: &ShopDraft,
    ) -> Result<Vec<Change>, FlowError> {
        let (tenant, shop) = (new.object.tenant, new.object.number);
        let ring = session.tx.ring(tenant, session.live.roots()).await?;
        let present = session.tx.hmac_secrets(tenant, shop, &ring).await?;
        let Some(wanted) = &draft.hmac_secrets else {
            if new.auth == ShopAuth::Hmac && present.is_empty() {
                return Err(
                    Fault::Clash("hmac_secrets", "must be given for a shop that signs with HMAC").into(),
                );
            }
            return Ok(Vec::new());
        };
        let same = wanted.len() == present.len()
            && wanted
                .iter()
                .zip(&present)
                .all(|(wanted, present)| wanted.as_bytes() == present.as_slice());
        if same {
            return Ok(Vec::new());
        }
        let sealed_with = |secret: &Zeroizing<String>| (secret.clone(), session.live.random());
        let secrets: Vec<_> = wanted.iter().map(sealed_with).collect();
        let now_ms = session.live.now_ms();
        session
            .tx
            .replace_hmac_secrets(tenant, shop, &ring, &secrets, now_ms)
            .await?;
        Ok(vec![Change {
            field: "hmac_secrets",
            old: None,
            new: None,
        }])
    }
}

impl Managed for Publisher {
    common!(PublisherDraft, "publisher");

    async fn build(
        _: &Session<'_>,
        object: Object,
        draft: &PublisherDraft,
        _: Option<&Self>,
    ) -> Result<Self, FlowError> {
        Ok(draft.onto(object))
    }

    async fn release(session: &mut Session<'_>, publisher: &Self) -> Result<(), FlowError> {
        session
            .archive_keys(KeyOwner::Publisher(publisher.object.number))
            .await
    }
}
