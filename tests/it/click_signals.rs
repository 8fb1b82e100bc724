//! Consent signals at a click: which of them track it, and under what reason any other is counted.

use crate::harness::app::{Click, TestApp};

/// The counts of untracked clicks, by reason.
async fn untracked(app: &TestApp) -> Vec<(String, i64)> {
    app.ledger
        .by_name("stat_untracked", "reason", "1 = 1")
        .await
        .into_iter()
        .collect()
}

async fn one_untracked(app: &TestApp, reason: &str) {
    assert_eq!(untracked(app).await, [(reason.to_owned(), 1)]);
    app.database.execute("DELETE FROM stat_untracked").await;
}

both!(a_signal_decides_what_is_kept, async |app: &TestApp| {
    for query in [
        "consent=granted",
        "cons=1",
        "consent=granted&gdpr=1",
        "consent=1&gdpr=0&gpp_sid=2&gpc=0",
        "co%6Esent=granted",
        "consent=granted&us_privacy=1YNN",
        "consent=granted&us_privacy=1---",
        "consent=granted&gcs=G111&gcd=13l3l3l3l1",
        "consent=granted&addtl_consent=2~1.2~dv.3",
        "consent=granted&gpp=DBABTA~1YNN&gpp_sid=6",
        // A section that is not known and not in force spoils nothing.
        "consent=granted&gpp=DBACTAM~1YNN~QQQQ&gpp_sid=6",
        "gcd=13r3r3r3r5",
        "ad_storage=granted&ad_user_data=granted",
        "ad_storage=granted&ad_user_data=granted&ad_personalization=denied&analytics_storage=denied",
    ] {
        assert!(app.click("Ab3xK9", query).await.token.is_some(), "{query}");
    }
    assert_eq!(untracked(app).await, []);
    let cases = [
        ("consent=denied", "consent_denied"),
        ("cons=0", "consent_denied"),
        ("consent=granted&gpc=1", "consent_denied"),
        // A refusal beside something unreadable is a refusal.
        ("consent=denied&gdpr=2", "consent_denied"),
        ("", "consent_missing"),
        ("gdpr=0", "consent_missing"),
        ("addtl_consent=1~7", "consent_missing"),
        ("CONSENT=granted", "consent_missing"),
        ("consent=GRANTED", "consent_malformed"),
        ("consent=", "consent_malformed"),
        ("consent", "consent_malformed"),
        ("consent=%24%7BCONSENT%7D", "consent_malformed"),
        ("consent=%%CONSENT%%", "consent_malformed"),
        ("consent=%ff", "consent_malformed"),
        ("consent=granted&consent=granted", "consent_malformed"),
        ("consent=granted&cons=1", "consent_malformed"),
        ("consent=granted&con%73ent=granted", "consent_malformed"),
        ("consent=granted&gdpr=", "consent_malformed"),
        (
            "consent=granted&gdpr_consent=${GDPR_CONSENT_755}",
            "consent_malformed",
        ),
        ("consent=granted&gdpr_consent=[TCF]", "consent_malformed"),
        ("consent=granted&gpc=2", "consent_malformed"),
        // A TC string of 2022 proves nothing, and the word does not override it, however it is wrapped.
        (
            "consent=granted&gpp=DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA",
            "consent_missing",
        ),
        ("consent=granted&us_privacy=1YYN", "consent_denied"),
        ("consent=granted&us_privacy=1Y-N", "consent_malformed"),
        ("us_privacy=1YNN", "consent_missing"),
        ("consent=granted&gcs=G101", "consent_denied"),
        ("consent=granted&gcs=G2", "consent_malformed"),
        // The short form lacks `ad_user_data`, and what a page assumed is not what a person said.
        ("gcs=G111", "consent_missing"),
        ("gcd=11t1t1t1t5", "consent_missing"),
        ("consent=granted&gcd=13r3r3u3r5", "consent_denied"),
        ("consent=granted&gcd=granted", "consent_malformed"),
        ("consent=granted&addtl_consent=3~", "consent_malformed"),
        ("consent=granted&ad_user_data=denied", "consent_denied"),
        ("ad_storage=granted", "consent_missing"),
        ("ad_storage=granted&ad_user_data=yes", "consent_malformed"),
        // An opt-out counts whichever law it was made under; a section in force has to be there and readable.
        ("consent=granted&gpp=DBABTA~1YYN", "consent_denied"),
        ("consent=granted&gpp=DBABTA~1YYN&gpp_sid=2", "consent_denied"),
        (
            "consent=granted&gpp=DBABBg~BAAAAABA.YA&gpp_sid=8",
            "consent_denied",
        ),
        ("consent=granted&gpp=DBABTA~1YNN&gpp_sid=2", "consent_malformed"),
        ("consent=granted&gpp=DBABTA~1YNN&gpp_sid=2,2", "consent_malformed"),
        ("consent=granted&gpp=DBABTA~1YNX", "consent_malformed"),
        ("consent=granted&gpp=DBACTA~1YNN", "consent_malformed"),
        (
            "consent=granted&gpp=DBABjw~BPXuQIAPXuQIAAfKABENB-CgAAAAAAAAAAAAAAAA.YAAAAAAAAAA~1NNN&gpp_sid=5",
            "consent_missing",
        ),
        ("gpp=DBABTA~1YNN&gpp_sid=6", "consent_missing"),
    ];
    for (query, reason) in cases {
        let click = app.click("Ab3xK9", query).await;
        assert_eq!(click.token, None, "{query}");
        assert_eq!(
            (query, untracked(app).await),
            (query, vec![(reason.to_owned(), 1)])
        );
        app.database.execute("DELETE FROM stat_untracked").await;
    }
    for header in [&["1"][..], &["0", "1"]] {
        let visitor = header
            .iter()
            .fold(app.visitor(), |visitor, value| visitor.with("sec-gpc", value));
        assert_eq!(
            Click::of(visitor.get("/c/Ab3xK9?consent=granted").await).token,
            None
        );
        one_untracked(app, "consent_denied").await;
    }
    assert_eq!(app.ledger.count("click", "1 = 1").await, 14);
});

both!(
    a_publisher_without_a_contract_can_only_deny,
    async |app: &TestApp| {
        assert_eq!(app.click("BlogAd", "consent=granted").await.token, None);
        one_untracked(app, "consent_missing").await;
        assert_eq!(app.click("BlogAd", "consent=denied").await.token, None);
        one_untracked(app, "consent_denied").await;
        // Consent mode names no vendor: it is the publisher's word in another form.
        for (query, reason) in [
            ("gcd=13r3r3r3r5", "consent_missing"),
            ("ad_storage=granted&ad_user_data=granted", "consent_missing"),
            ("gcd=11q1q1q1q5", "consent_denied"),
            ("ad_storage=denied", "consent_denied"),
        ] {
            assert_eq!(app.click("BlogAd", query).await.token, None, "{query}");
            one_untracked(app, reason).await;
        }
    }
);

both!(counts_follow_the_policy, async |app: &TestApp| {
    app.click("Ab3xK9", "").await;
    app.provision(
        "[[tenant]]\nslug = \"acme\"\nrefusal = \"refuse\"\ntcf_vendor_id = 755\ntime_zone = \"Europe/Berlin\"\n\
         untracked_counts = \"tenant\"\n",
    )
    .await;
    app.click("Ab3xK9", "").await;
    app.click("Winter", "").await;
    for (condition, events) in [
        ("campaign <> 0 AND policy_version = 1", 1),
        ("campaign = 0 AND policy_version = 2", 2),
    ] {
        assert_eq!(
            app.ledger.events("stat_untracked", condition).await,
            events,
            "{condition}"
        );
    }
});
