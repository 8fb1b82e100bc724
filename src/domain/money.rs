//! Money is a whole number of minor units and a currency; a decimal string exists only at the border.
//!
//! Promise: what `parse_amount` accepts is exactly what `format_amount` shows again, and nothing is ever rounded.
//! An amount with more decimals than its currency has is refused, because rounding would change an order silently.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest amount taken from outside: 10^15 minor units. Nine thousand such amounts still sum up within `i64`.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000_000;

/// A currency of ISO 4217 that has a minor unit; gold, drawing rights and test codes have none and are unknown here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Currency {
    iso: iso_currency::Currency,
    exponent: u8,
}

/// The text is no currency code that has a minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be an ISO 4217 code of three upper-case letters")]
pub struct UnknownCurrency;

impl Currency {
    /// Reads a code such as `EUR`; lower case is refused, since a code that needs guessing is a fault of the sender.
    pub fn parse(code: &str) -> Result<Self, UnknownCurrency> {
        let iso = iso_currency::Currency::from_code(code).ok_or(UnknownCurrency)?;
        let exponent = iso.exponent().and_then(|exponent| u8::try_from(exponent).ok());
        Ok(Self {
            iso,
            exponent: exponent.ok_or(UnknownCurrency)?,
        })
    }

    /// Every currency that has a minor unit.
    pub fn all() -> impl Iterator<Item = Self> {
        use iso_currency::IntoEnumIterator;
        iso_currency::Currency::iter().filter_map(|iso| Self::parse(iso.code()).ok())
    }

    /// The three letters.
    pub fn code(self) -> &'static str {
        self.iso.code()
    }

    /// How many decimals an amount of this currency has: EUR 2, JPY 0, KWD 3.
    pub fn exponent(self) -> u8 {
        self.exponent
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: String) -> Result<Self, UnknownCurrency> {
        Self::parse(&code)
    }
}

impl From<Currency> for &'static str {
    fn from(currency: Currency) -> Self {
        currency.code()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

/// An amount and its currency, as the API writes it: `{"amount_minor": 4990, "currency": "EUR"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: cents of a euro, whole yen. Negative only in sums and differences.
    pub amount_minor: i64,
    /// The currency that says what a minor unit is.
    pub currency: Currency,
}

impl fmt::Display for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} {}",
            format_amount(self.amount_minor, self.currency),
            self.currency
        )
    }
}

/// Why a decimal string is no amount. The text itself is never repeated: it may be the wrong field's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Something other than digits with an optional fraction.
    #[error("must be digits with an optional fraction after a dot, such as 49.90")]
    Syntax,
    /// Returns and refunds are changes to a conversion, not negative conversions.
    #[error("must not be negative")]
    Negative,
    /// Rounding is the sender's business, not ours.
    #[error("has more decimals than the currency")]
    Decimals,
    /// Beyond [`AMOUNT_MINOR_MAX`].
    #[error("is too large")]
    TooLarge,
}

/// Whether a text is an amount in some currency: up to 12 digits and, after a dot, as many decimals as any currency has.
pub fn is_decimal(text: &str) -> bool {
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole, 12) && digits(fraction, 4),
        None => digits(text, 12),
    }
}

/// Reads a decimal string into minor units. Fewer decimals than the currency has are fine: `49` and `49.9` are
/// 49.00 and 49.90 euros.
pub fn parse_amount(text: &str, currency: Currency) -> Result<i64, AmountError> {
    if text.starts_with('-') {
        return Err(AmountError::Negative);
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(AmountError::Syntax),
        Some(halves) => halves,
        None => (text, ""),
    };
    if whole.is_empty() || !(whole.bytes().chain(fraction.bytes())).all(|byte| byte.is_ascii_digit()) {
        return Err(AmountError::Syntax);
    }
    let decimals = usize::from(currency.exponent);
    if fraction.len() > decimals {
        return Err(AmountError::Decimals);
    }
    let padding = std::iter::repeat_n(b'0', decimals - fraction.len());
    whole
        .bytes()
        .chain(fraction.bytes())
        .chain(padding)
        .try_fold(0_i64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        })
        .filter(|minor| *minor <= AMOUNT_MINOR_MAX)
        .ok_or(AmountError::TooLarge)
}

/// Writes minor units as a decimal string with all decimals of the currency. Takes any `i64`, because sums of
/// corrections may be negative.
pub fn format_amount(amount_minor: i64, currency: Currency) -> String {
    let sign = if amount_minor < 0 { "-" } else { "" };
    let minor = amount_minor.unsigned_abs();
    let width = usize::from(currency.exponent);
    if width == 0 {
        return format!("{sign}{minor}");
    }
    let unit = 10_u64.pow(u32::from(currency.exponent));
    format!("{sign}{}.{:0width$}", minor / unit, minor % unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("a currency of the test")
    }

    #[test]
    fn amounts_become_minor_units_or_a_reason() {
        use AmountError::{Decimals, Negative, Syntax, TooLarge};
        let table = [
            ("49.90", "EUR", Ok(4_990)),
            ("49.9", "EUR", Ok(4_990)),
            ("49", "EUR", Ok(4_900)),
            ("0", "EUR", Ok(0)),
            ("0.01", "EUR", Ok(1)),
            ("007.50", "EUR", Ok(750)),
            ("500", "JPY", Ok(500)),
            ("500.0", "JPY", Err(Decimals)),
            ("1.234", "KWD", Ok(1_234)),
            ("1.2345", "KWD", Err(Decimals)),
            ("49.900", "EUR", Err(Decimals)),
            ("10000000000000.00", "EUR", Ok(AMOUNT_MINOR_MAX)),
            ("10000000000000.01", "EUR", Err(TooLarge)),
            ("9223372036854775808", "JPY", Err(TooLarge)),
            ("99999999999999999999999999999999", "EUR", Err(TooLarge)),
            ("-1", "EUR", Err(Negative)),
            ("-0.00", "EUR", Err(Negative)),
            ("+1", "EUR", Err(Syntax)),
            ("", "EUR", Err(Syntax)),
            (".", "EUR", Err(Syntax)),
            (".5", "EUR", Err(Syntax)),
            ("5.", "EUR", Err(Syntax)),
            ("1.2.3", "EUR", Err(Syntax)),
            ("1,50", "EUR", Err(Syntax)),
            ("1.000,50", "EUR", Err(Syntax)),
            ("1e3", "EUR", Err(Syntax)),
            ("0x10", "EUR", Err(Syntax)),
            (" 1", "EUR", Err(Syntax)),
            ("1 ", "EUR", Err(Syntax)),
            ("1\n", "EUR", Err(Syntax)),
            ("NaN", "EUR", Err(Syntax)),
            ("inf", "EUR", Err(Syntax)),
            ("\u{0664}\u{0669}", "EUR", Err(Syntax)),
            ("\u{ff11}", "EUR", Err(Syntax)),
            ("1_000", "EUR", Err(Syntax)),
            ("\u{2212}1", "EUR", Err(Syntax)),
        ];
        for (text, code, expected) in table {
            assert_eq!(parse_amount(text, currency(code)), expected, "{text:?} {code}");
        }
    }

    #[test]
    fn amounts_are_shown_with_all_decimals() {
        let table = [
            (4_990, "EUR", "49.90"),
            (5, "EUR", "0.05"),
            (-5, "EUR", "-0.05"),
            (500, "JPY", "500"),
            (-1_234, "KWD", "-1.234"),
            (i64::MIN, "EUR", "-92233720368547758.08"),
            (i64::MAX, "JPY", "9223372036854775807"),
        ];
        for (minor, code, expected) in table {
            assert_eq!(format_amount(minor, currency(code)), expected);
        }
        let money = Money {
            amount_minor: 4_990,
            currency: currency("EUR"),
        };
        assert_eq!(money.to_string(), "49.90 EUR");
    }

    #[test]
    fn only_currencies_with_a_minor_unit_are_known() {
        for code in [
            "XAU", "XDR", "XXX", "XTS", "eur", "Eur", "EU", "EURO", "", "€", " EUR", "EUR ", "123", "ZZZ",
        ] {
            assert_eq!(Currency::parse(code), Err(UnknownCurrency), "{code:?}");
        }
        for (code, exponent) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0)] {
            assert_eq!(currency(code).exponent(), exponent, "{code}");
        }
    }

    #[test]
    fn json_carries_the_code_and_refuses_others() {
        let money = Money {
            amount_minor: 1,
            currency: currency("EUR"),
        };
        let json = serde_json::to_string(&money).expect("money is JSON");
        assert_eq!(json, r#"{"amount_minor":1,"currency":"EUR"}"#);
        assert_eq!(serde_json::from_str::<Money>(&json).expect("and back"), money);
        assert!(serde_json::from_str::<Currency>(r#""XAU""#).is_err());
    }

    #[test]
    fn a_decimal_is_an_amount_in_some_currency() {
        let most = "9".repeat(12);
        for good in ["0", "49.9", "49.90", "0.0001", &most, &format!("{most}.9999")] {
            assert!(is_decimal(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1,5",
            "1e3",
            " 1",
            "0.00001",
            "1.2.3",
            &format!("{most}0"),
        ] {
            assert!(!is_decimal(bad), "{bad}");
        }
        assert!(Currency::all().all(|currency| currency.exponent() <= 4));
    }
}
