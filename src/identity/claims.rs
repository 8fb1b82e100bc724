//! The registered claims (RFC 7519, section 4.1), judged at a time that is an argument.

use serde_json::Value;

use super::fault::TokenFault;
use super::members::Members;

/// The longest subject and the longest name of a tenant, in bytes.
const SUBJECT_BYTES_MAX: usize = 255;
/// The last second of the year 9999: beyond it, a number is no time.
const LAST_SECOND: i64 = 253_402_300_799;

/// What is asked of claims.
#[derive(Debug, Clone)]
pub struct Terms<'a> {
    /// Who has to have issued it.
    pub issuer: &'a str,
    /// Whom it has to be made for.
    pub audience: &'a str,
    /// By how many seconds clocks may differ; at most 60.
    pub leeway_s: i64,
    /// For how many seconds a token may be valid.
    pub lifetime_max_s: i64,
    /// Whether `nbf` has to be there.
    pub nbf_required: bool,
}

/// Claims that were judged.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Whom the token stands for.
    pub subject: String,
    /// When it ends, in seconds since 1970.
    pub expires_at_s: i64,
    /// All claims.
    pub all: Members,
}

/// A time: a whole number. A text is none, and neither is a fraction or a number beyond the calendar.
fn time(claims: &Members, name: &str) -> Result<Option<i64>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(at) if (0..=LAST_SECOND).contains(&at) => Ok(Some(at)),
            _ => Err(TokenFault::Claims),
        },
    }
}

fn is_for(audience: &str, value: Option<&Value>) -> Result<bool, TokenFault> {
    match value {
        Some(Value::String(one)) => Ok(one == audience),
        Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
            Ok(several.iter().any(|one| one == audience))
        }
        _ => Err(TokenFault::Claims),
    }
}

impl Terms<'_> {
    /// Judges claims whose signature fits.
    pub fn judge(&self, all: Members, now_s: i64) -> Result<Claims, TokenFault> {
        if all.text("iss") != Some(self.issuer) {
            return Err(TokenFault::Issuer);
        }
        if !is_for(self.audience, all.get("aud"))? {
            return Err(TokenFault::Audience);
        }
        let subject = all.text("sub").ok_or(TokenFault::Claims)?;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
            return Err(TokenFault::Claims);
        }
        let subject = subject.to_owned();
        let expires_at_s = time(&all, "exp")?.ok_or(TokenFault::Claims)?;
        let issued_at_s = time(&all, "iat")?.ok_or(TokenFault::Claims)?;
        let begins_at_s = match time(&all, "nbf")? {
            Some(at) => at,
            None if self.nbf_required => return Err(TokenFault::Claims),
            None => issued_at_s,
        };
        if expires_at_s <= issued_at_s {
            return Err(TokenFault::Claims);
        }
        if now_s >= expires_at_s + self.leeway_s || expires_at_s - issued_at_s > self.lifetime_max_s {
            return Err(TokenFault::Expired);
        }
        if issued_at_s.max(begins_at_s) > now_s + self.leeway_s {
            return Err(TokenFault::Early);
        }
        Ok(Claims {
            subject,
            expires_at_s,
            all,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_790_000_000;
    const TERMS: Terms<'_> = Terms {
        issuer: "https://id.example",
        audience: "einklang",
        leeway_s: 30,
        lifetime_max_s: 3_600,
        nbf_required: true,
    };

    fn judged(change: impl Fn(&mut Value)) -> Result<(), TokenFault> {
        let mut claims = json!({"iss": "https://id.example", "aud": "einklang", "sub": "a",
            "iat": NOW, "nbf": NOW, "exp": NOW + 900});
        change(&mut claims);
        let all = Members::read(claims.to_string().as_bytes()).expect("an object");
        TERMS.judge(all, NOW).map(drop)
    }

    #[test]
    fn a_token_ends_with_the_leeway_and_not_a_second_later() {
        let ends = |exp: i64| {
            judged(|claims| {
                claims["iat"] = json!(NOW - 900);
                claims["exp"] = json!(exp);
            })
        };
        assert_eq!(ends(NOW - 29), Ok(()));
        assert_eq!(ends(NOW - 30), Err(TokenFault::Expired));
        assert_eq!(ends(NOW - 31), Err(TokenFault::Expired));
    }

    #[test]
    fn a_token_begins_with_the_leeway_and_not_a_second_earlier() {
        for name in ["nbf", "iat"] {
            let begins = |at: i64| judged(|claims| claims[name] = json!(at));
            assert_eq!(begins(NOW + 30), Ok(()), "{name}");
            assert_eq!(begins(NOW + 31), Err(TokenFault::Early), "{name}");
        }
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_refused() {
        for name in ["iss", "aud", "sub", "iat", "nbf", "exp"] {
            let missing = judged(|claims| drop(claims.as_object_mut().map(|claims| claims.remove(name))));
            assert!(missing.is_err(), "{name}");
            for value in [
                json!(null),
                json!(true),
                json!({}),
                json!("1790000900"),
                json!(1.5),
            ] {
                let text = name == "sub" && value.is_string();
                assert!(
                    text || judged(|claims| claims[name] = value.clone()).is_err(),
                    "{name}: {value}"
                );
            }
        }
        assert_eq!(judged(|claims| claims["aud"] = json!(["x", "einklang"])), Ok(()));
        assert_eq!(
            judged(|claims| claims["aud"] = json!(["x"])),
            Err(TokenFault::Audience)
        );
    }

    #[test]
    fn a_token_for_too_long_is_refused() {
        let for_seconds = |seconds: i64| judged(|claims| claims["exp"] = json!(NOW + seconds));
        assert_eq!(for_seconds(3_600), Ok(()));
        assert_eq!(for_seconds(3_601), Err(TokenFault::Expired));
        assert_eq!(for_seconds(i64::MAX - NOW), Err(TokenFault::Claims));
    }
}
