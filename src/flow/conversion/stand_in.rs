//! Somebody who may look at a shop's postbacks stands in for the shop: for questions, never for verdicts.

use std::sync::Arc;

use super::{ConversionFlow, Sender};
use crate::domain::access::Principal;
use crate::domain::routing::TenantRoute;
use crate::flow::FlowError;

impl Sender {
    /// The shop's tenant.
    pub(in crate::flow) fn tenant(&self) -> &Arc<TenantRoute> {
        &self.tenant
    }
}

impl ConversionFlow {
    /// A shop of the caller's tenant as if it sent something: its own key's, or the one that the reference names.
    pub(in crate::flow) fn stand_in(
        &self,
        principal: &Principal,
        reference: Option<&str>,
    ) -> Result<Sender, FlowError> {
        let routing = self.live.routing();
        let named = reference.map(|reference| routing.shop_references.get(reference));
        let shop = match (principal.shop, named) {
            (Some(own), None) => own,
            (own, Some(Some((tenant, shop))))
                if *tenant == principal.tenant && own.is_none_or(|own| own == *shop) =>
            {
                *shop
            }
            (_, Some(_)) => return Err(FlowError::Missing("shop")),
            (None, None) => return Err(FlowError::Clash("shop", "is who sends a postback")),
        };
        let tenant = routing.tenants.get(&principal.tenant);
        let found = tenant.and_then(|tenant| Some((tenant, tenant.shops.get(&shop)?)));
        let (tenant, shop) = found.ok_or(FlowError::Missing("shop"))?;
        Ok(Sender {
            tenant: Arc::clone(tenant),
            shop: Arc::clone(shop),
            actor: principal.actor(),
            in_order: false,
        })
    }
}
