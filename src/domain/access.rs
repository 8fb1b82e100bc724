//! Who may do what: one table, and no other place decides it.
//!
//! A key carries one role and one tenant. Operations are named as in the OpenAPI document; a test holds that every
//! operation that needs a key stands here. Handlers ask [`may`] and nothing else; whether an object belongs to the
//! caller's tenant is asked by the store, which answers "not found" for every other tenant's.

use serde::{Deserialize, Serialize};

use super::event::Actor;
use super::scope::TenantScope;

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the server; creates tenants. Sees a tenant's data under a grant of the tenant's and not otherwise.
    Operator,
    /// Runs a tenant.
    Manager,
    /// A shop's server.
    Shop,
    /// A publisher, for its own figures.
    Publisher,
    /// Reads decisions and configuration, changes nothing.
    Auditor,
    /// Handles people's rights.
    Privacy,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] = [
        Role::Operator,
        Role::Manager,
        Role::Shop,
        Role::Publisher,
        Role::Auditor,
        Role::Privacy,
    ];

    /// The word in configuration, rows and answers.
    pub fn code(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Manager => "manager",
            Role::Shop => "shop",
            Role::Publisher => "publisher",
            Role::Auditor => "auditor",
            Role::Privacy => "privacy",
        }
    }

    /// The role with this word.
    pub fn from_code(code: &str) -> Option<Role> {
        Self::ALL.into_iter().find(|role| role.code() == code)
    }
}

use Role::{Auditor, Manager, Operator, Privacy, Publisher, Shop};

const RUN: &[Role] = &[Manager];
const READ: &[Role] = &[Manager, Auditor, Privacy];
/// Whoever reads a log: a tenant's roles their tenant's, the operator the server's own.
const READ_LOG: &[Role] = &[Operator, Manager, Auditor, Privacy];

/// Every operation that needs a key, with the roles that may call it.
pub const TABLE: &[(&str, &[Role])] = &[
    ("create_tenant", &[Operator]),
    ("list_tenants", &[Operator, Manager, Auditor, Privacy]),
    ("read_tenant", &[Operator, Manager, Auditor, Privacy]),
    ("change_tenant", RUN),
    ("archive_tenant", &[Operator]),
    ("create_shop", RUN),
    ("list_shops", READ),
    ("read_shop", READ),
    ("change_shop", RUN),
    ("archive_shop", RUN),
    ("create_publisher", RUN),
    ("list_publishers", READ),
    ("read_publisher", READ),
    ("change_publisher", RUN),
    ("archive_publisher", RUN),
    ("create_campaign", RUN),
    ("list_campaigns", READ),
    ("read_campaign", READ),
    ("change_campaign", RUN),
    ("archive_campaign", RUN),
    ("create_link", RUN),
    ("list_links", READ),
    ("read_link", READ),
    ("change_link", RUN),
    ("archive_link", RUN),
    ("create_goal", RUN),
    ("list_goals", READ),
    ("read_goal", READ),
    ("change_goal", RUN),
    ("archive_goal", RUN),
    ("create_user", RUN),
    ("list_users", READ),
    ("read_user", READ),
    ("change_user", RUN),
    ("archive_user", RUN),
    ("create_api_key", RUN),
    ("list_api_keys", READ),
    ("read_api_key", READ),
    ("change_api_key", RUN),
    ("archive_api_key", RUN),
    ("create_policy", RUN),
    ("list_policies", READ),
    ("read_policy", READ),
    ("archive_policy", RUN),
    ("read_shadow_report", READ),
    ("list_approvals", READ),
    ("read_approval", READ),
    // An auditor changes nothing; whose word counts beside that depends on who asked.
    ("give_approval", &[Manager, Privacy]),
    ("reject_approval", &[Manager, Privacy]),
    ("read_retention", READ),
    ("change_retention", RUN),
    ("create_hold", &[Manager, Privacy]),
    ("list_holds", READ),
    ("read_hold", READ),
    ("archive_hold", &[Manager, Privacy]),
    // Whoever handles people's rights lets the operator look; a manager may end it, too.
    ("create_operator_grant", &[Privacy]),
    ("list_operator_grants", READ),
    ("read_operator_grant", READ),
    ("archive_operator_grant", &[Manager, Privacy]),
    ("send_postback", &[Shop]),
    ("send_postback_form", &[Shop]),
    ("send_shop_postback", &[Shop]),
    ("send_shop_postback_form", &[Shop]),
    ("create_conversion", &[Shop]),
    ("create_conversions", &[Shop]),
    ("change_conversion", &[Shop, Manager]),
    // An order's name is a shop's own: a manager, who has many shops, names the conversion.
    ("change_conversion_by_order", &[Shop]),
    ("send_consent_signal", &[Shop, Privacy]),
    ("create_erasure", &[Privacy]),
    // None of them says who was erased.
    ("list_erasures", READ),
    ("read_erasure", READ),
    ("read_erasure_certificate", READ),
    ("list_consent_records", READ),
    // What was sealed is shown to those alone who may look (`look::DOORS`); to the operator nothing without a grant.
    ("read_consent_record", &[Operator, Manager, Auditor, Privacy]),
    ("read_consent_receipt", &[Privacy]),
    ("replay_consent_record", READ),
    ("read_consent_proof", READ),
    // Whoever handles signals may look into one; it says nothing of the tenant.
    ("decode_signal", &[Manager, Shop, Publisher, Auditor, Privacy]),
    ("explain_decision", &[Manager, Shop, Auditor, Privacy]),
    ("read_performance_report", &[Manager, Auditor, Publisher, Shop]),
    ("read_consent_report", READ),
    ("list_audit_entries", READ_LOG),
    ("read_audit_entry", READ_LOG),
    ("prove_audit_entry", READ_LOG),
    // The server's log names no person.
    ("open_audit_entry", READ),
    ("prove_click", READ),
    ("read_audit_checkpoint", READ_LOG),
    ("prove_audit_consistency", READ_LOG),
    ("list_audit_keys", READ_LOG),
    ("export_audit_log", READ_LOG),
    // What they hold is read from the tenant's log, and names nobody.
    ("order_evidence_pack", READ),
    ("list_evidence_packs", READ),
    ("read_evidence_pack", READ),
    ("fetch_evidence_pack", READ),
    ("read_log_checkpoint", READ_LOG),
    ("read_log_tile", READ_LOG),
    ("read_log_bundle", READ_LOG),
    ("read_audit_check", &[Operator, Manager, Auditor, Privacy]),
    // The operator sees the root keys, and no tenant's.
    ("list_keys", &[Operator, Manager, Auditor, Privacy]),
    ("create_subject_request", &[Privacy]),
    // A case names nobody.
    ("list_subject_requests", READ),
    ("read_subject_request", READ),
    ("change_subject_request", &[Privacy]),
    ("execute_subject_request", &[Privacy]),
    // The operator under a grant.
    ("read_subject_request_result", &[Operator, Privacy]),
    // A controller's own system: it speaks for people, as the privacy officer does.
    ("create_opendsr_request", &[Privacy]),
    ("read_opendsr_request", &[Privacy]),
    ("cancel_opendsr_request", &[Privacy]),
    ("create_opengdpr_request", &[Privacy]),
    ("read_opengdpr_request", &[Privacy]),
    ("cancel_opengdpr_request", &[Privacy]),
];

/// Every operation that needs no key, with the reason why it needs none.
pub const OPEN: &[(&str, &str)] = &[
    (
        "follow_link",
        "visitors have no key; nothing is shown to them but where the link leads",
    ),
    (
        "check_life",
        "whoever runs the server asks it before anybody has a key; it tells nothing but that",
    ),
    (
        "check_readiness",
        "as `check_life`; it names checks that fail and nothing of a tenant",
    ),
    (
        "issue_token",
        "the credentials are in the form itself, and guessing is slowed down",
    ),
    (
        "revoke_token",
        "the token itself is the credential, and all that can be done is to end it",
    ),
    ("read_token_keys", "public keys are public"),
    (
        "discover_opendsr",
        "the specification has it open; it tells what is taken, and nothing of a tenant",
    ),
    ("discover_opengdpr", "as `discover_opendsr`"),
];

/// Whether a role may call an operation. What does not stand in the table, nobody may.
pub fn may(role: Role, operation: &str) -> bool {
    TABLE
        .iter()
        .any(|(name, roles)| *name == operation && roles.contains(&role))
}

/// What a caller proved itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bearer {
    /// An API key, or a token that was given for it, by the key's number.
    Key(i64),
    /// A token that was given for a user's password, by the user's number.
    User(i64),
    /// A token of an outside issuer, by a keyed digest of issuer and subject.
    Outside([u8; 16]),
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The tenant's number; 0 for the server's operator.
    pub tenant: i64,
    /// The role.
    pub role: Role,
    /// What the caller showed, which the trail names.
    pub bearer: Bearer,
    /// The shop that a shop's key belongs to.
    pub shop: Option<i64>,
    /// The publisher that a publisher's key belongs to.
    pub publisher: Option<i64>,
}

impl Principal {
    /// For whom the caller's requests read and write: its tenant alone. An operator's is what belongs to the server.
    pub fn scope(&self) -> TenantScope {
        TenantScope::Only(self.tenant)
    }

    /// The caller as the trail names it.
    pub fn actor(&self) -> Actor {
        match (self.bearer, self.role) {
            (Bearer::Key(number), Role::Operator) => Actor::Operator(number),
            (Bearer::Key(number), _) => Actor::Key(number),
            (Bearer::User(number), _) => Actor::User(number),
            (Bearer::Outside(name), _) => Actor::Outside(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_stands_once() {
        for (place, (name, roles)) in TABLE.iter().enumerate() {
            assert!(!roles.is_empty());
            assert!(
                !TABLE[..place].iter().any(|(other, _)| other == name),
                "{name} stands twice"
            );
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_forbidden() {
        assert!(Role::ALL.into_iter().all(|role| !may(role, "no_such_operation")));
    }
}
