//! Money and landing pages under hostile and random input.
//!
//! Landing templates come from managers, deep links and sub-ids from anyone. Whatever they are, a rendered URL leads
//! to the checked host, fits into a header, and holds no trace of the token or a sub-id when there is no token.

use einklang::domain::landing::{LandingError, LandingValues, Template, deep_link};
use einklang::domain::money::{AMOUNT_MINOR_MAX, AmountError, Currency, format_amount, parse_amount};
use iso_currency::IntoEnumIterator;
use proptest::prelude::*;
use url::Url;

const TOKEN: &str = "AQIDBAUGBwgJ-_token";

fn values() -> LandingValues<'static> {
    let mut subs = [None; 10];
    subs[0] = Some("a b&c=d#e/ä");
    subs[8] = Some("nine?x#y");
    subs[9] = Some("ten");
    LandingValues {
        campaign: "autumn",
        publisher: "news",
        link: "Ab3xK9",
        subs,
        gdpr: Some("1"),
        gdpr_consent: Some("CPxyz.AA"),
        gpp: Some("DBAA~1YNN"),
        gpp_sid: Some("2,6"),
    }
}

fn render(template: &str, token: Option<&str>) -> String {
    let template = Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}"));
    template.render(&values(), token, "s2s")
}

/// Template, what a tracked click gets with the token `T`, and what an untracked one gets.
const TEMPLATES: &[(&str, &str, &str)] = &[
    // The token is added where no macro asks for it, between query and fragment.
    (
        "https://shop.example",
        "https://shop.example/?s2s=T",
        "https://shop.example/",
    ),
    (
        "https://shop.example?",
        "https://shop.example/?s2s=T",
        "https://shop.example/",
    ),
    (
        "https://shop.example/l#top",
        "https://shop.example/l?s2s=T#top",
        "https://shop.example/l#top",
    ),
    (
        "https://shop.example/?a=1&&b=#",
        "https://shop.example/?a=1&b=&s2s=T#",
        "https://shop.example/?a=1&b=#",
    ),
    (
        "HTTPS://Shop.EXAMPLE:443/A",
        "https://shop.example/A?s2s=T",
        "https://shop.example/A",
    ),
    (
        "http://127.0.0.1:8081/x",
        "http://127.0.0.1:8081/x?s2s=T",
        "http://127.0.0.1:8081/x",
    ),
    (
        "https://bücher.example/ä?ö=ü",
        "https://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%BC&s2s=T",
        "https://xn--bcher-kva.example/%C3%A4?%C3%B6=%C3%BC",
    ),
    // A macro of its own: nothing is added, and the pair goes when there is no token.
    (
        "https://shop.example/?id={token}",
        "https://shop.example/?id=T",
        "https://shop.example/",
    ),
    (
        "https://shop.example/?id=x-{_token}&a=1",
        "https://shop.example/?id=x-T&a=1",
        "https://shop.example/?a=1",
    ),
    (
        "https://shop.example/?a=1&id={token}&b=2",
        "https://shop.example/?a=1&id=T&b=2",
        "https://shop.example/?a=1&b=2",
    ),
    (
        "https://shop.example/l/{token}/go",
        "https://shop.example/l/T/go",
        "https://shop.example/l//go",
    ),
    (
        "https://shop.example/#id={token}",
        "https://shop.example/#id=T",
        "https://shop.example/#id=",
    ),
    (
        "https://shop.example/?id=%trkinfo%",
        "https://shop.example/?id=T",
        "https://shop.example/",
    ),
    // With a macro of its own the shop's parameter is an ordinary name.
    (
        "https://shop.example/?s2s=1&id={token}",
        "https://shop.example/?s2s=1&id=T",
        "https://shop.example/?s2s=1",
    ),
    // Without one, a fixed value under that name would stand beside the real token, or instead of it.
    (
        "https://shop.example/?s2s=forged&a=1",
        "https://shop.example/?a=1&s2s=T",
        "https://shop.example/?a=1",
    ),
    (
        "https://shop.example/?%73%32s=forged",
        "https://shop.example/?s2s=T",
        "https://shop.example/",
    ),
    (
        "https://shop.example/?s2s",
        "https://shop.example/?s2s=T",
        "https://shop.example/",
    ),
    (
        "https://shop.example/?s2s={sub10}",
        "https://shop.example/?s2s=T",
        "https://shop.example/",
    ),
    // Sub-ids need a token, the campaign and the person's choice do not.
    (
        "https://shop.example/{campaign}?p={publisher}&l={link}&x={sub1}&y={sub2}&z={sub10}&id={token}",
        "https://shop.example/autumn?p=news&l=Ab3xK9&x=a%20b%26c%3Dd%23e%2F%C3%A4&y=&z=ten&id=T",
        "https://shop.example/autumn?p=news&l=Ab3xK9&x=&y=&z=",
    ),
    (
        "https://shop.example/?id={token}&g={gdpr}&c={gdpr_consent}&q={gpp}&s={gpp_sid}",
        "https://shop.example/?id=T&g=1&c=CPxyz.AA&q=DBAA~1YNN&s=2%2C6",
        "https://shop.example/?g=1&c=CPxyz.AA&q=DBAA~1YNN&s=2%2C6",
    ),
    // Raw values keep a URL's delimiters, yet cannot cut off what follows them.
    (
        "https://shop.example/{_sub1}",
        "https://shop.example/a%20b&c=d%23e/%C3%A4?s2s=T",
        "https://shop.example/",
    ),
    (
        "https://shop.example/?x={_sub1}",
        "https://shop.example/?x=a%20b&c=d%23e/%C3%A4&s2s=T",
        "https://shop.example/?x=",
    ),
    (
        "https://shop.example/{_sub9}?q={_sub9}",
        "https://shop.example/nine%3Fx%23y?q=nine?x%23y&s2s=T",
        "https://shop.example/?q=",
    ),
    // AdSpirit's words.
    (
        "https://shop.example/?k=%kid%&w=%wsid%&p=%pid%-%wmid%&s=%sid3%&g=%gdpr%&c=%gdpr_consent%&t=%trkinfo%",
        "https://shop.example/?k=autumn&w=news&p=Ab3xK9-Ab3xK9&s=&g=1&c=CPxyz.AA&t=T",
        "https://shop.example/?k=autumn&w=news&p=Ab3xK9-Ab3xK9&s=&g=1&c=CPxyz.AA",
    ),
    (
        "https://shop.example/?a=%20%7Btoken%7D",
        "https://shop.example/?a=%20%7Btoken%7D&s2s=T",
        "https://shop.example/?a=%20%7Btoken%7D",
    ),
];

#[test]
fn templates_render_with_and_without_a_token() {
    for &(template, tracked, untracked) in TEMPLATES {
        assert_eq!(render(template, Some("T")), tracked, "{template}");
        assert_eq!(render(template, None), untracked, "{template}");
    }
}

/// Templates and why they are refused.
const REFUSED: &[(&str, LandingError)] = &[
    ("", LandingError::Scheme),
    ("shop.example/x", LandingError::Scheme),
    ("//shop.example/", LandingError::Scheme),
    ("/path", LandingError::Scheme),
    ("https:shop.example", LandingError::Scheme),
    ("ftp://shop.example/", LandingError::Scheme),
    ("javascript:alert(1)", LandingError::Scheme),
    ("data:text/html,x", LandingError::Scheme),
    ("{sub1}://shop.example/", LandingError::Scheme),
    ("https:///shop.example/", LandingError::Host),
    ("https://", LandingError::Host),
    ("https://?x", LandingError::Host),
    ("https://{sub1}/", LandingError::Host),
    ("https://{publisher}.shop.example/", LandingError::Host),
    ("https://%kid%.example/", LandingError::Host),
    ("https://shop.example{_sub1}", LandingError::Host),
    ("https://shop.example:{sub1}/", LandingError::Host),
    ("https://shop.example:99999/", LandingError::Host),
    ("https://shop.example:x/", LandingError::Host),
    ("https://shop.example./", LandingError::Host),
    ("https://.shop.example/", LandingError::Host),
    ("https://shop..example/", LandingError::Host),
    ("https://-shop.example/", LandingError::Host),
    ("https://*.example/", LandingError::Host),
    ("https://shop%2Eexample/", LandingError::Host),
    ("https://0x7f.1/", LandingError::Host),
    ("https://2130706433/", LandingError::Host),
    ("https://shop example/", LandingError::Host),
    ("https://user@shop.example/", LandingError::UserInfo),
    ("https://user:{token}@shop.example/", LandingError::UserInfo),
    ("https://@shop.example/", LandingError::UserInfo),
    ("https://shop.example\\@evil.example/", LandingError::Character),
    ("https:\\\\shop.example/", LandingError::Character),
    (
        "https://shop.example/\r\nSet-Cookie: a=b",
        LandingError::Character,
    ),
    ("https://shop.example/\tx", LandingError::Character),
    ("https://shop.example/\u{0}", LandingError::Character),
    ("https://shop.example/\u{85}", LandingError::Character),
    ("https://shop.example/?a=%0d%0ab", LandingError::Character),
    ("https://shop.example/%00", LandingError::Character),
    (" https://shop.example/", LandingError::Character),
    ("https://shop.example/ ", LandingError::Character),
    ("https://shop.example/?x={clickid}", LandingError::UnknownMacro),
    ("https://shop.example/?x={Token}", LandingError::UnknownMacro),
    ("https://shop.example/?x={sub0}", LandingError::UnknownMacro),
    ("https://shop.example/?x={sub01}", LandingError::UnknownMacro),
    ("https://shop.example/?x={sub11}", LandingError::UnknownMacro),
    ("https://shop.example/?x={__token}", LandingError::UnknownMacro),
    ("https://shop.example/?x={}", LandingError::UnknownMacro),
    ("https://shop.example/?x={token", LandingError::UnknownMacro),
    ("https://shop.example/?x=token}", LandingError::UnknownMacro),
    ("https://shop.example/?x={{token}}", LandingError::UnknownMacro),
    ("https://shop.example/?x=${GDPR}", LandingError::UnknownMacro),
    ("https://shop.example/?x=%random%", LandingError::UnknownMacro),
    ("https://shop.example/?x=%datetime%", LandingError::UnknownMacro),
    ("https://shop.example/?x=100%", LandingError::UnknownMacro),
    ("https://shop.example/?x=%2", LandingError::UnknownMacro),
    ("https://shop.example/?x=%é%", LandingError::UnknownMacro),
    ("https://shop.example/#{clickid}", LandingError::UnknownMacro),
];

#[test]
fn templates_that_could_mislead_are_refused_when_they_are_made() {
    for &(template, expected) in REFUSED {
        assert_eq!(Template::parse(template).err(), Some(expected), "{template:?}");
    }
    let longest = format!("https://shop.example/{}", "x".repeat(2_048 - 21));
    assert!(Template::parse(&longest).is_ok());
    assert_eq!(
        Template::parse(&format!("{longest}x")).err(),
        Some(LandingError::TooLong)
    );
}

fn any_currency() -> impl Strategy<Value = Currency> {
    let codes = iso_currency::Currency::iter().filter_map(|iso| Currency::parse(iso.code()).ok());
    proptest::sample::select(codes.collect::<Vec<_>>())
}

/// Templates made of pieces that matter, so that most cases get past the first check.
fn any_template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{token}"),
        Just("{_token}"),
        Just("{sub1}"),
        Just("{_sub1}"),
        Just("{_sub2}"),
        Just("{_gdpr_consent}"),
        Just("{campaign}"),
        Just("%trkinfo%"),
        Just("?"),
        Just("&"),
        Just("="),
        Just("#"),
        Just("/"),
        Just("x"),
        Just("s2s"),
        Just("%20"),
        Just("ü"),
        Just(".."),
        Just("//evil.example"),
    ];
    proptest::collection::vec(piece, 0..12)
        .prop_map(|pieces| format!("https://shop.example/{}x", pieces.concat()))
}

proptest! {
    #[test]
    fn amounts_survive_the_round_trip(minor in 0..=AMOUNT_MINOR_MAX, currency in any_currency()) {
        prop_assert_eq!(parse_amount(&format_amount(minor, currency), currency), Ok(minor));
    }

    #[test]
    fn amounts_have_one_sign_and_all_decimals(minor in any::<i64>(), currency in any_currency()) {
        let text = format_amount(minor, currency);
        let digits = text.trim_start_matches('-').replace('.', "");
        prop_assert_eq!(text.starts_with('-'), minor < 0);
        prop_assert_eq!(digits.parse::<u64>().ok(), Some(minor.unsigned_abs()));
        let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        prop_assert_eq!(decimals, usize::from(currency.exponent()));
    }

    #[test]
    fn any_text_is_an_amount_or_a_reason(text in "[-+0-9.,eE \\PC]{0,24}", currency in any_currency()) {
        match parse_amount(&text, currency) {
            Ok(minor) => prop_assert!((0..=AMOUNT_MINOR_MAX).contains(&minor)),
            Err(AmountError::Negative) => prop_assert!(text.starts_with('-')),
            Err(_) => {}
        }
    }

    #[test]
    fn a_rendered_template_stays_on_its_host_and_fits_a_header(
        text in any_template(), first in "(?s).{0,40}", second in "[/?#&=%@:\\\\\r\n\t .]{0,20}",
    ) {
        let template = Template::parse(&text).expect("made of valid pieces");
        let mut values = values();
        values.subs[0] = Some(&first);
        values.subs[1] = Some(&second);
        values.gdpr_consent = Some(&second);
        for token in [Some(TOKEN), None] {
            let url = template.render(&values, token, "s2s");
            prop_assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{}", url);
            prop_assert!(url.starts_with("https://shop.example/"), "{}", url);
            let parsed = Url::parse(&url).expect("a URL");
            prop_assert_eq!(parsed.host_str(), Some(template.host()));
            prop_assert_eq!(url.contains(TOKEN), token.is_some(), "{}", url);
        }
    }

    #[test]
    fn an_appended_token_arrives_once_under_its_name(first in "[^&]{0,40}", path in "[^&]{0,40}") {
        let template = Template::parse("https://shop.example/{_sub2}?s2s=x&a={_sub1}#{_sub1}").expect("valid");
        let mut values = values();
        values.subs[0] = Some(&first);
        values.subs[1] = Some(&path);
        let url = Url::parse(&template.render(&values, Some(TOKEN), "s2s")).expect("a URL");
        let tokens: Vec<_> = url.query_pairs().filter(|(name, _)| name == "s2s").collect();
        prop_assert_eq!(tokens.len(), 1);
        prop_assert_eq!(tokens[0].1.as_ref(), TOKEN);
    }

    #[test]
    fn values_read_back_as_they_were(value in "(?s).{0,60}") {
        let template = Template::parse("https://shop.example/?x={sub1}").expect("valid");
        let mut values = values();
        values.subs[0] = Some(&value);
        let url = Url::parse(&template.render(&values, Some(TOKEN), "s2s")).expect("a URL");
        let found = url.query_pairs().find(|(name, _)| name == "x").map(|(_, value)| value.into_owned());
        // `+` is encoded too, so reading it back as a form does not turn it into a blank.
        prop_assert_eq!(found, Some(value));
    }

    #[test]
    fn no_deep_link_leaves_the_listed_hosts(
        start in "(https?:)?[/\\\\]{0,3}", middle in "(shop\\.example|evil|[.@:%#?/\\\\]){0,6}", end in "(?s).{0,20}",
    ) {
        if let Ok(template) = deep_link(&format!("{start}{middle}{end}"), &["shop.example".to_owned()]) {
            let url = Url::parse(&template.render(&values(), Some(TOKEN), "s2s")).expect("a URL");
            prop_assert_eq!(url.host_str(), Some("shop.example"));
            prop_assert!(url.port().is_none() && url.username().is_empty() && url.password().is_none());
        }
    }
}
