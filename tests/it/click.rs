//! Following a tracking link: where it leads, what it carries, and what it leaves behind.

use reqwest::Method;

use crate::harness::app::{Click, Setup, TestApp};
use crate::harness::ledger::changes;

/// A tenant with a campaign of every kind.
const CLICKS: &str = r#"
[[tenant]]
slug = "clicks"
  [[tenant.shop]]
  slug = "main"
  landing_hosts = ["shop.example", "www.shop.example"]
  currency = "EUR"
  [[tenant.publisher]]
  slug = "news"
  explicit_consent = "notice-2026-03"
  [[tenant.publisher]]
  slug = "blog"
  [[tenant.campaign]]
  slug = "macros"
  shop = "main"
  landing_url = "https://shop.example/{link}/?c={campaign}&p={publisher}&a={sub1}&b={_sub2}&t={token}&g={gdpr}&s={gpp_sid}"
  [[tenant.campaign]]
  slug = "adspirit"
  shop = "main"
  landing_url = "https://shop.example/a?trk=%trkinfo%&k=%kid%&w=%wsid%&p=%pid%&s=%sid%"
  [[tenant.campaign]]
  slug = "plain"
  shop = "main"
  landing_url = "https://shop.example/landing?utm=1#top"
  [[tenant.campaign]]
  slug = "deep"
  shop = "main"
  landing_url = "https://shop.example/start"
  deep_links = true
  [[tenant.campaign]]
  slug = "paused"
  shop = "main"
  landing_url = "https://shop.example/paused"
  paused = true
  fallback_url = "https://shop.example/instead"
  [[tenant.campaign]]
  slug = "ended"
  shop = "main"
  landing_url = "https://shop.example/ended"
  ends_at = 2026-11-24T12:00:00Z
  [[tenant.campaign]]
  slug = "early"
  shop = "main"
  landing_url = "https://shop.example/early"
  starts_at = 2026-11-24T12:00:10Z
  ends_at = 2026-11-24T12:00:20Z
  fallback_url = "https://shop.example/soon"
  [[tenant.link]]
  slug = "Macros"
  campaign = "macros"
  publisher = "news"
  sub1 = "from the link"
  [[tenant.link]]
  slug = "Spirit"
  campaign = "adspirit"
  publisher = "news"
  [[tenant.link]]
  slug = "Plain"
  campaign = "plain"
  publisher = "news"
  [[tenant.link]]
  slug = "Blog"
  campaign = "plain"
  publisher = "blog"
  [[tenant.link]]
  slug = "Deep"
  campaign = "deep"
  publisher = "news"
  [[tenant.link]]
  slug = "Paused"
  campaign = "paused"
  publisher = "news"
  [[tenant.link]]
  slug = "Ended"
  campaign = "ended"
  publisher = "news"
  [[tenant.link]]
  slug = "Early"
  campaign = "early"
  publisher = "news"
"#;

fn setup() -> Setup {
    Setup::default().provision(CLICKS)
}

/// Where a click leads, with the token taken out of the way.
fn place(click: &Click) -> String {
    assert_eq!(click.answer.status, 302);
    match &click.token {
        Some(token) => click.location.replace(token.as_str(), "TOKEN"),
        None => click.location.clone(),
    }
}

/// The counts of untracked clicks, by reason.
async fn untracked(app: &TestApp) -> Vec<(String, i64)> {
    app.ledger
        .by_name("stat_untracked", "reason", "1 = 1")
        .await
        .into_iter()
        .collect()
}

both!(
    macros_are_filled_in_and_encoded,
    setup(),
    async |app: &TestApp| {
        let token = |page: &str, name: &str| {
            let page = url::Url::parse(page).expect("a URL");
            page.query_pairs()
                .find(|(found, _)| found == name)
                .map(|(_, value)| value.into_owned())
                .expect("a token")
        };
        let tracked = app
            .click("Macros", "consent=granted&sub2=x/y?z%23&gdpr=1&gpp_sid=2")
            .await
            .location;
        let own = token(&tracked, "t");
        let wanted =
            "https://shop.example/Macros/?c=macros&p=news&a=from%20the%20link&b=x/y?z%23&t=TOKEN&g=1&s=2";
        assert_eq!(tracked.replace(&own, "TOKEN"), wanted);
        assert!(
            own.len() <= 120
                && own
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        // Without consent no token and no sub-id: the shop must not be able to tell the person, either.
        let untracked = app
            .click("Macros", "consent=denied&sub1=canary&sub2=canary&gdpr=1")
            .await
            .location;
        assert_eq!(
            untracked,
            "https://shop.example/Macros/?c=macros&p=news&a=&b=&g=1&s="
        );
        let spirit = app.click("Spirit", "consent=granted&sub1=%26s=1").await.location;
        let own = token(&spirit, "trk");
        let wanted = "https://shop.example/a?trk=TOKEN&k=adspirit&w=news&p=Spirit&s=%26s%3D1";
        assert_eq!(spirit.replace(&own, "TOKEN"), wanted);
        let plain = app.click("Plain", "consent=granted").await;
        assert_eq!(place(&plain), "https://shop.example/landing?utm=1&s2s=TOKEN#top");
        assert_eq!(
            place(&app.click("Plain", "").await),
            "https://shop.example/landing?utm=1#top"
        );
    }
);

both!(a_sub_id_is_whole_or_left_out, setup(), async |app: &TestApp| {
    let sub = async |query: &str| {
        let page = app
            .click("Macros", &format!("consent=granted&{query}"))
            .await
            .location;
        let page = url::Url::parse(&page).expect("a URL");
        let mut pairs = page.query_pairs();
        let found = pairs.find(|(name, _)| name == "b");
        found
            .map(|(_, value)| value.into_owned())
            .expect("there, perhaps empty")
    };
    let (fits, long) = ("ü".repeat(255), "ü".repeat(256));
    assert_eq!(sub(&format!("sub2={fits}")).await, fits);
    assert_eq!(sub(&format!("sub2={long}")).await, "");
    assert_eq!(sub("sub2=a&sub2=b").await, "");
    assert_eq!(sub("sub2=a&sub2=b&sub2=c").await, "");
    assert_eq!(sub("sub2=%ff").await, "");
    assert_eq!(sub("sub2=%0d%0aSet-Cookie:%20a=b").await, "\r\nSet-Cookie: a=b");
    assert_eq!(sub("sub11=a&sub0=b&sub=c&sub02=").await, "");
});

both!(
    deep_links_stay_on_the_shops_hosts,
    setup(),
    async |app: &TestApp| {
        let to = async |url: &str| {
            let query = serde_urlencoded::to_string([("consent", "granted"), ("url", url)]).expect("pairs");
            place(&app.click("Deep", &query).await)
        };
        for (url, wanted) in [
            (
                "https://shop.example/shoes?size=42#red",
                "https://shop.example/shoes?size=42&s2s=TOKEN#red",
            ),
            ("https://www.shop.example", "https://www.shop.example/?s2s=TOKEN"),
            ("HTTPS://SHOP.example/a", "https://shop.example/a?s2s=TOKEN"),
            ("http://shop.example/a", "http://shop.example/a?s2s=TOKEN"),
            // Nobody hands the shop a token of his choice, and macros are not read.
            (
                "https://shop.example/?s2s=forged&a={token}",
                "https://shop.example/?a=%7Btoken%7D&s2s=TOKEN",
            ),
        ] {
            assert_eq!(to(url).await, wanted);
        }
        let long = format!("https://shop.example/{}", "a".repeat(2_048));
        for hostile in [
            "https://evil.example/",
            "//evil.example/",
            "/path",
            "javascript:alert(1)",
            "data:text/html,hello",
            "ftp://shop.example/",
            "https://shop.example.evil.example/",
            "https://evilshop.example/",
            "https://shop.example@evil.example/",
            "https://user:word@shop.example/",
            "https://evil.example\\@shop.example/",
            "https://shop.example\\.evil.example/",
            "https:/\\evil.example/",
            "https:///evil.example/",
            "https://shop.example:8443/",
            "https://shop.example./",
            "https://shop%2eexample/",
            "https://evil.example#shop.example",
            "https://evil.example?shop.example",
            "https://shop.example/\r\nLocation: https://evil.example/",
            "https://shop.example/%0d%0aSet-Cookie:a=b",
            " https://shop.example/",
            "\u{feff}https://shop.example/",
            "https://ѕhop.example/",
            &long,
        ] {
            assert_eq!(
                to(hostile).await,
                "https://shop.example/start?s2s=TOKEN",
                "{hostile}"
            );
        }
        // Where the campaign takes no deep links, nothing is one; without consent they lead to the same place.
        let plain = app
            .click("Plain", "consent=granted&url=https%3A%2F%2Fshop.example%2Fshoes")
            .await;
        assert_eq!(place(&plain), "https://shop.example/landing?utm=1&s2s=TOKEN#top");
        let untracked = app
            .click("Deep", "url=https%3A%2F%2Fshop.example%2Fshoes%3Fs2s%3Dforged")
            .await;
        assert_eq!(place(&untracked), "https://shop.example/shoes");
    }
);

both!(
    tracked_and_untracked_look_alike,
    setup(),
    async |app: &TestApp| {
        let names = [
            "cache-control",
            "referrer-policy",
            "content-length",
            "content-type",
            "vary",
            "etag",
            "set-cookie",
        ];
        let mut seen = Vec::new();
        for query in [
            "consent=granted",
            "consent=denied",
            "",
            "consent=perhaps",
            "gpc=1",
        ] {
            let answer = app.click("Plain", query).await.answer;
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
            assert!(answer.body.is_empty());
            let headers = names.map(|name| answer.header(name).map(str::to_owned));
            seen.push((answer.status, headers, answer.header_names()));
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{seen:?}");
    }
);

both!(
    head_and_bots_are_redirected_and_only_counted,
    setup(),
    async |app: &TestApp| {
        let before = app.ledger.totals().await;
        let bots = [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
        ];
        for bot in bots {
            let caller = app.anonymous().with("user-agent", bot);
            let click = Click::of(caller.get("/c/Plain?consent=granted").await);
            assert_eq!(place(&click), "https://shop.example/landing?utm=1#top");
        }
        let visitor = app.visitor();
        let head = visitor
            .send(visitor.request(Method::HEAD, "/c/Plain?consent=granted"))
            .await;
        assert_eq!(place(&Click::of(head)), "https://shop.example/landing?utm=1#top");
        assert_eq!(untracked(app).await, [("bot".to_owned(), 4)]);
        assert_eq!(
            changes(&before, &app.ledger.totals().await),
            [("stat_untracked", 4)].into()
        );
    }
);

both!(
    campaigns_that_do_not_run_lead_elsewhere,
    setup(),
    async |app: &TestApp| {
        let before = app.ledger.totals().await;
        let paused = app.click("Paused", "consent=granted").await;
        assert_eq!(place(&paused), "https://shop.example/instead");
        assert_eq!(paused.answer.header("cache-control"), Some("no-store"));
        app.click("Ended", "consent=granted")
            .await
            .answer
            .is(410, "refused", "gone");
        assert_eq!(
            place(&app.click("Early", "consent=granted").await),
            "https://shop.example/soon"
        );
        for link in [
            "Nobody",
            "plain",
            "Plain%00",
            "%ff",
            "a%2Fb",
            "..%2Fc",
            &"x".repeat(200),
        ] {
            let answer = app.visitor().get(&format!("/c/{link}?consent=granted")).await;
            answer.is(404, "refused", "not_found");
        }
        app.visitor().get("/c/").await.is(404, "refused", "not_found");
        let visitor = app.visitor();
        let post = visitor.send(visitor.request(Method::POST, "/c/Plain")).await;
        post.is(405, "refused", "method_not_allowed");
        assert_eq!(app.ledger.totals().await, before);
        app.clock.advance_seconds(10);
        assert_eq!(
            place(&app.click("Early", "consent=granted").await),
            "https://shop.example/early?s2s=TOKEN"
        );
        app.clock.advance_seconds(10);
        assert_eq!(
            place(&app.click("Early", "consent=granted").await),
            "https://shop.example/soon"
        );
    }
);
