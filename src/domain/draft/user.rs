//! Drafts of users and API keys: a role, and the one shop or publisher that it is bound to.

use super::{Fault, Fields, Name, TEXT, agree, require};
use crate::domain::access::Role;
use crate::domain::campaign::{ApiKey, Object, Reference, User, valid_name};
use crate::domain::credential::PasswordHash;

/// Whether a role may be given inside a tenant, with these bindings: a shop's role names its shop, a publisher's its
/// publisher, and no other role names either.
pub fn check_rights(role: Role, has_shop: bool, has_publisher: bool) -> Result<(), Fault> {
    require(
        role != Role::Operator,
        "role",
        "must be manager, shop, publisher, auditor or privacy",
    )?;
    agree(
        has_shop == (role == Role::Shop),
        "shop",
        "must be there for the role shop and only for it",
    )?;
    agree(
        has_publisher == (role == Role::Publisher),
        "publisher",
        "must be there for the role publisher and only for it",
    )
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDraft {
    /// Its name, unique in the tenant.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The shop, for the role `shop`.
    pub shop: Option<Name>,
    /// The publisher, for the role `publisher`.
    pub publisher: Option<Name>,
    /// The password, hashed before any transaction is open.
    pub password: Option<PasswordHash>,
}

impl UserDraft {
    /// Whether this may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        require(valid_name(&self.name), "name", TEXT)?;
        check_rights(self.role, self.shop.is_some(), self.publisher.is_some())
    }

    /// The user as it then is.
    pub fn onto(&self, object: Object, shop: Option<Reference>, publisher: Option<Reference>) -> User {
        User {
            object,
            name: self.name.clone(),
            role: self.role,
            shop,
            publisher,
            password: self.password.clone(),
        }
    }
}

fn binding(reference: Option<Reference>) -> Option<String> {
    reference.map(|reference| reference.number.to_string())
}

fn named(reference: Option<Reference>) -> Option<Name> {
    reference.map(|reference| Name::Id(reference.id))
}

impl User {
    /// The draft that changes nothing.
    pub fn draft(&self) -> UserDraft {
        UserDraft {
            name: self.name.clone(),
            role: self.role,
            shop: named(self.shop),
            publisher: named(self.publisher),
            password: self.password.clone(),
        }
    }

    /// The fields, to find out which differ; the trail writes their names only.
    pub fn fields(&self) -> Fields {
        vec![
            ("name", Some(self.name.clone())),
            ("role", Some(self.role.code().to_owned())),
            ("shop", binding(self.shop)),
            ("publisher", binding(self.publisher)),
            (
                "password",
                self.password.as_ref().map(|hash| hash.as_str().to_owned()),
            ),
        ]
    }
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyDraft {
    /// What it is for, in the manager's words.
    pub label: String,
    /// Its role.
    pub role: Role,
    /// The shop, for the role `shop`.
    pub shop: Option<Name>,
    /// The publisher, for the role `publisher`.
    pub publisher: Option<Name>,
    /// The user, if it is a user's.
    pub user: Option<Name>,
    /// The SHA-256 of the key.
    pub hash: [u8; 32],
}

impl ApiKeyDraft {
    /// Whether this may come into being.
    pub fn check(&self) -> Result<(), Fault> {
        require(valid_name(&self.label), "label", TEXT)?;
        check_rights(self.role, self.shop.is_some(), self.publisher.is_some())
    }

    /// The key as it then is.
    pub fn onto(
        &self,
        object: Object,
        shop: Option<Reference>,
        publisher: Option<Reference>,
        user: Option<Reference>,
    ) -> ApiKey {
        ApiKey {
            object,
            label: self.label.clone(),
            role: self.role,
            shop,
            publisher,
            user,
            hash: self.hash,
        }
    }
}

impl ApiKey {
    /// The draft that changes nothing.
    pub fn draft(&self) -> ApiKeyDraft {
        ApiKeyDraft {
            label: self.label.clone(),
            role: self.role,
            shop: named(self.shop),
            publisher: named(self.publisher),
            user: named(self.user),
            hash: self.hash,
        }
    }

    /// The fields, to find out which differ; the trail writes their names only.
    pub fn fields(&self) -> Fields {
        vec![
            ("label", Some(self.label.clone())),
            ("role", Some(self.role.code().to_owned())),
            ("shop", binding(self.shop)),
            ("publisher", binding(self.publisher)),
            ("user", binding(self.user)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_names_what_it_is_bound_to_and_nothing_else() {
        for role in Role::ALL {
            let bound = (role == Role::Shop, role == Role::Publisher);
            for shop in [false, true] {
                for publisher in [false, true] {
                    let fits = role != Role::Operator && (shop, publisher) == bound;
                    assert_eq!(check_rights(role, shop, publisher).is_ok(), fits, "{role:?}");
                }
            }
        }
        assert!(matches!(
            check_rights(Role::Operator, false, false),
            Err(Fault::Form("role", _))
        ));
        assert!(matches!(
            check_rights(Role::Shop, false, false),
            Err(Fault::Clash("shop", _))
        ));
    }
}
