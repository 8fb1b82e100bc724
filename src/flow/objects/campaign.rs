//! Campaigns, goals and tracking links.

use super::{Caller, Managed, ObjectsFlow, Session};
use crate::domain::campaign::{Campaign, Goal, Link, Object, Publisher, Shop};
use crate::domain::draft::{CampaignDraft, Fault, GoalDraft, LinkDraft, Name};
use crate::flow::FlowError;

impl Managed for Campaign {
    common!(CampaignDraft, "campaign");

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &CampaignDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        let held = old.map(|old| old.shop);
        let shop: Shop = session.resolve("shop", &draft.shop, held).await?;
        // Tokens and figures name the shop: clicks that are out would come home to a stranger.
        if held.is_some_and(|held| held.id != shop.object.id) {
            return Err(Fault::Clash("shop", "a campaign stays with its shop").into());
        }
        draft.check_hosts(&shop)?;
        Ok(draft.onto(object, shop.reference()))
    }
}

impl Managed for Goal {
    common!(GoalDraft, "goal");

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &GoalDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        let held = old.map(|old| old.campaign);
        let campaign: Campaign = session.resolve("campaign", &draft.campaign, held).await?;
        Ok(draft.onto(object, campaign.reference()))
    }
}

impl Managed for Link {
    common!(LinkDraft, "link");

    async fn build(
        session: &Session<'_>,
        object: Object,
        draft: &LinkDraft,
        old: Option<&Self>,
    ) -> Result<Self, FlowError> {
        let held = old.map(|old| old.campaign);
        let campaign: Campaign = session.resolve("campaign", &draft.campaign, held).await?;
        let held = old.map(|old| old.publisher);
        let publisher: Publisher = session.resolve("publisher", &draft.publisher, held).await?;
        Ok(draft.onto(object, campaign.reference(), publisher.reference()))
    }
}

impl ObjectsFlow {
    /// Makes a campaign with its goals: without one, no postback could ever count.
    pub async fn create_campaign(
        &self,
        caller: &Caller,
        draft: CampaignDraft,
        goals: Vec<String>,
    ) -> Result<Campaign, FlowError> {
        let mut session = Session::begin(&self.live, caller).await?;
        let (campaign, _): (Campaign, _) = session.put(None, &draft).await?;
        for slug in goals {
            let goal = GoalDraft {
                campaign: Name::Id(campaign.object.id),
                slug,
            };
            session.put::<Goal>(None, &goal).await?;
        }
        session.finish().await?;
        Ok(campaign)
    }
}
