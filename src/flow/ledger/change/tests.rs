//! Corrections go one way.

use super::*;
use crate::domain::event::Actor;
use crate::domain::ids::RequestId;

fn planned(old: &str, status: Option<&'static str>, amount: Option<&str>, erased: bool) -> Planned {
    let amend = AmendCommand {
        tenant: 1,
        shop: None,
        actor: Actor::Key(1),
        target: Target::Conversion(Uuid::nil()),
        status,
        amount: amount.map(Into::into),
        reason: None,
        now_ms: 0,
        request: RequestId(Uuid::nil()),
        nonce: [0; 16],
    };
    let recorded = Recorded {
        conversion_id: Uuid::nil(),
        shop: 1,
        campaign: 1,
        publisher: 1,
        link: 1,
        goal: 1,
        status: old.to_owned(),
        amount_minor: 5_000,
        currency: "EUR".to_owned(),
        test: false,
        erased,
        purged: false,
        updated_at_ms: 0,
        click: None,
    };
    plan(&amend, &recorded)
}

#[test]
fn corrections_go_one_way() {
    assert_eq!(
        planned("pending", Some("confirmed"), None, false),
        Ok(("confirmed", 5_000))
    );
    assert_eq!(
        planned("confirmed", Some("cancelled"), None, false),
        Ok(("cancelled", 5_000))
    );
    assert_eq!(
        planned("confirmed", None, Some("49.99"), false),
        Ok(("confirmed", 4_999))
    );
    assert_eq!(
        planned("confirmed", None, Some("50.01"), false),
        Err(Reason::Conflict)
    );
    assert_eq!(
        planned("confirmed", Some("pending"), None, false),
        Err(Reason::Conflict)
    );
    assert_eq!(
        planned("cancelled", Some("confirmed"), None, false),
        Err(Reason::Conflict)
    );
    assert_eq!(
        planned("cancelled", None, Some("1"), false),
        Err(Reason::Conflict)
    );
    assert_eq!(
        planned("cancelled", Some("cancelled"), None, false),
        Ok(("cancelled", 5_000))
    );
    assert_eq!(
        planned("confirmed", None, Some("1.001"), false),
        Err(Reason::InvalidRequest)
    );
    assert_eq!(
        planned("confirmed", Some("cancelled"), None, true),
        Err(Reason::ConsentWithdrawn)
    );
}
