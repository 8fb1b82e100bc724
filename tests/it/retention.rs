//! Retention: test conversions go after seven days, real ones stay.

use std::sync::Arc;

use einklang::flow::privacy::PrivacyFlow;

use crate::harness::app::TestApp;

both!(test_conversions_go_after_seven_days, async |app: &TestApp| {
    let token = app.token("Ab3xK9").await;
    for test in ["1", "0"] {
        let pairs = [
            ("token", token.as_str()),
            ("order_id", "A-1"),
            ("consent", "1"),
            ("test", test),
        ];
        app.shop().postback(&pairs).await.is(200, "recorded", "accepted");
    }
    let privacy = PrivacyFlow::new(Arc::clone(&app.live));
    let purge = async || privacy.purge_tests().await.expect("purged");

    app.clock.advance_seconds(7 * 86_400);
    assert_eq!(purge().await, 0, "not a second early");
    app.clock.advance_seconds(1);
    assert_eq!(purge().await, 1);
    assert_eq!(purge().await, 0, "once");

    assert_eq!(app.ledger.count("conversion", "test").await, 0);
    assert_eq!(app.ledger.count("order_key", "test").await, 0);
    assert_eq!(app.ledger.count("conversion", "NOT test").await, 1);
    assert_eq!(app.ledger.count("order_key", "NOT test").await, 1);
    assert_eq!(app.ledger.leaves("conversions.purged").await, 1);
});
