//! Why a bearer token does not open the door: a closed list with stable codes.
//!
//! The codes are part of the public contract: they may be added to, never renamed. None of them tells which keys there
//! are, which issuers are trusted, or what the token says.

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenFault {
    /// Not a token in the compact form, too long, or its header or claims are no JSON object of unique members.
    Malformed,
    /// An algorithm, type or header member that is not taken.
    Header,
    /// No configured issuer, or not the one that this key belongs to.
    Issuer,
    /// No published key of the issuer has this name.
    Key,
    /// The signature does not fit.
    Signature,
    /// Made for somebody else.
    Audience,
    /// A claim is missing or has another type than it should have.
    Claims,
    /// Its time is over, or it is valid for longer than is taken here.
    Expired,
    /// Its time has not come.
    Early,
    /// It was revoked, or whoever it stands for is gone or has changed since.
    Ended,
    /// It gives no role here, or no tenant.
    Role,
}

impl TokenFault {
    /// Every fault, in the order in which a token is judged.
    pub const ALL: [TokenFault; 11] = [
        TokenFault::Malformed,
        TokenFault::Header,
        TokenFault::Issuer,
        TokenFault::Key,
        TokenFault::Signature,
        TokenFault::Audience,
        TokenFault::Claims,
        TokenFault::Expired,
        TokenFault::Early,
        TokenFault::Ended,
        TokenFault::Role,
    ];

    /// The stable code, the member `code` of a problem document.
    pub fn code(self) -> &'static str {
        match self {
            TokenFault::Malformed => "bearer_malformed",
            TokenFault::Header => "bearer_header",
            TokenFault::Issuer => "bearer_issuer",
            TokenFault::Key => "bearer_key",
            TokenFault::Signature => "bearer_signature",
            TokenFault::Audience => "bearer_audience",
            TokenFault::Claims => "bearer_claims",
            TokenFault::Expired => "bearer_expired",
            TokenFault::Early => "bearer_early",
            TokenFault::Ended => "bearer_ended",
            TokenFault::Role => "bearer_role",
        }
    }

    /// One sentence for the caller.
    pub fn sentence(self) -> &'static str {
        match self {
            TokenFault::Malformed => {
                "The bearer token is not a JWT in its compact form of at most 8192 bytes."
            }
            TokenFault::Header => "The bearer token's header asks for something that is not taken here.",
            TokenFault::Issuer => "The bearer token's issuer is not trusted here.",
            TokenFault::Key => "The bearer token names a key that its issuer does not publish.",
            TokenFault::Signature => "The bearer token's signature does not fit.",
            TokenFault::Audience => "The bearer token was made for another audience.",
            TokenFault::Claims => "A claim of the bearer token is missing or has the wrong type.",
            TokenFault::Expired => "The bearer token has expired, or is valid for longer than is taken here.",
            TokenFault::Early => "The bearer token is not valid yet.",
            TokenFault::Ended => "The bearer token was revoked, or whoever it stands for has changed.",
            TokenFault::Role => "The bearer token gives no role here.",
        }
    }

    /// The whole `WWW-Authenticate` field (RFC 6750, section 3).
    pub fn challenge(self) -> &'static str {
        match self {
            TokenFault::Expired => "Bearer error=\"invalid_token\", error_description=\"expired\"",
            TokenFault::Early => "Bearer error=\"invalid_token\", error_description=\"not valid yet\"",
            TokenFault::Ended => "Bearer error=\"invalid_token\", error_description=\"revoked\"",
            _ => "Bearer error=\"invalid_token\"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own() {
        for (place, fault) in TokenFault::ALL.into_iter().enumerate() {
            assert!(fault.code().starts_with("bearer_"));
            assert!(
                TokenFault::ALL[..place]
                    .iter()
                    .all(|other| other.code() != fault.code())
            );
        }
    }
}
