//! The tenants that most tests need, as the provisioning file that makes them.

/// Keys, by whose they are.
pub const SHOP: &str = "ek_test_acme_shop_main_0001";
pub const OUTLET: &str = "ek_test_acme_shop_outlet_0001";
pub const FENCED: &str = "ek_test_acme_shop_fenced_0001";
pub const MANAGER: &str = "ek_test_acme_manager_00001";
pub const AUDITOR: &str = "ek_test_acme_auditor_00001";
pub const PRIVACY: &str = "ek_test_acme_privacy_00001";
pub const PUBLISHER: &str = "ek_test_acme_publisher_0001";
pub const FOREIGN_SHOP: &str = "ek_test_globex_shop_000001";
pub const FOREIGN_STRICT_SHOP: &str = "ek_test_globex_shop_strict_01";
pub const OPERATOR: &str = "ek_test_operator_of_the_server";
pub const FOREIGN_MANAGER: &str = "ek_test_globex_manager_001";

/// The live secrets of the shop that signs: its present one, and the next in Standard Webhooks form.
pub const SECRETS: [&str; 2] = [
    "a-secret-of-the-signing-shop-1",
    "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
];

/// acme: strict and refusing, with a shop of every kind. globex: somebody else, dropping.
pub const WORLD: &str = r#"
[[tenant]]
slug = "acme"
policy = "strict_opt_in"
refusal = "refuse"
tcf_vendor_id = 755
time_zone = "Europe/Berlin"
  [[tenant.shop]]
  slug = "main"
  reference = "shp_acme_main"
  landing_hosts = ["shop.example", "www.shop.example"]
  currency = "EUR"
  currencies = ["USD", "JPY", "KWD"]
  api_key = "ek_test_acme_shop_main_0001"
  [[tenant.shop]]
  slug = "outlet"
  reference = "shp_acme_outlet"
  landing_hosts = ["outlet.example"]
  token_parameter = "click"
  currency = "EUR"
  refusal = "drop"
  api_key = "ek_test_acme_shop_outlet_0001"
  [[tenant.shop]]
  slug = "signing"
  reference = "shp_acme_signing"
  landing_hosts = ["signing.example"]
  currency = "EUR"
  auth = "hmac"
  hmac_secrets = ["a-secret-of-the-signing-shop-1", "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="]
  [[tenant.shop]]
  slug = "migrating"
  reference = "shp_acme_migrating"
  landing_hosts = ["migrating.example"]
  currency = "EUR"
  auth = "token_only"
  [[tenant.shop]]
  slug = "fenced"
  reference = "shp_acme_fenced"
  landing_hosts = ["fenced.example"]
  currency = "EUR"
  ip_allow = ["203.0.113.0/24", "2001:db8::/32"]
  api_key = "ek_test_acme_shop_fenced_0001"
  [[tenant.publisher]]
  slug = "news"
  explicit_consent = "notice-2026-03"
  [[tenant.publisher]]
  slug = "blog"
  [[tenant.campaign]]
  slug = "autumn"
  shop = "main"
  landing_url = "https://shop.example/landing?utm_source={publisher}"
  window_days = 30
  goals = ["order", "newsletter"]
  [[tenant.campaign]]
  slug = "winter"
  shop = "main"
  landing_url = "https://shop.example/winter"
  window_days = 1
  goals = ["order"]
  [[tenant.campaign]]
  slug = "outlet"
  shop = "outlet"
  landing_url = "https://outlet.example/"
  window_days = 1
  goals = ["order"]
  [[tenant.campaign]]
  slug = "signing"
  shop = "signing"
  landing_url = "https://signing.example/"
  goals = ["order"]
  [[tenant.campaign]]
  slug = "migrating"
  shop = "migrating"
  landing_url = "https://migrating.example/"
  goals = ["order"]
  [[tenant.campaign]]
  slug = "fenced"
  shop = "fenced"
  landing_url = "https://fenced.example/"
  goals = ["order"]
  [[tenant.link]]
  slug = "Ab3xK9"
  campaign = "autumn"
  publisher = "news"
  [[tenant.link]]
  slug = "BlogAd"
  campaign = "autumn"
  publisher = "blog"
  [[tenant.link]]
  slug = "Winter"
  campaign = "winter"
  publisher = "news"
  [[tenant.link]]
  slug = "Outlet"
  campaign = "outlet"
  publisher = "news"
  [[tenant.link]]
  slug = "Signing"
  campaign = "signing"
  publisher = "news"
  [[tenant.link]]
  slug = "Migrate"
  campaign = "migrating"
  publisher = "news"
  [[tenant.link]]
  slug = "Fenced"
  campaign = "fenced"
  publisher = "news"
  [[tenant.user]]
  name = "manager"
  role = "manager"
  api_key = "ek_test_acme_manager_00001"
  [[tenant.user]]
  name = "auditor"
  role = "auditor"
  api_key = "ek_test_acme_auditor_00001"
  [[tenant.user]]
  name = "privacy"
  role = "privacy"
  api_key = "ek_test_acme_privacy_00001"
  [[tenant.user]]
  name = "news"
  role = "publisher"
  publisher = "news"
  api_key = "ek_test_acme_publisher_0001"

[[tenant]]
slug = "globex"
policy = "strict_opt_in"
refusal = "drop"
  [[tenant.shop]]
  slug = "main"
  reference = "shp_globex_main"
  landing_hosts = ["globex.example"]
  currency = "EUR"
  api_key = "ek_test_globex_shop_000001"
  [[tenant.shop]]
  slug = "strict"
  reference = "shp_globex_strict"
  landing_hosts = ["strict.example"]
  currency = "EUR"
  refusal = "refuse"
  api_key = "ek_test_globex_shop_strict_01"
  [[tenant.publisher]]
  slug = "news"
  explicit_consent = "notice-2026-04"
  [[tenant.campaign]]
  slug = "autumn"
  shop = "main"
  landing_url = "https://globex.example/"
  window_days = 1
  goals = ["order"]
  [[tenant.campaign]]
  slug = "strict"
  shop = "strict"
  landing_url = "https://strict.example/"
  window_days = 1
  goals = ["order"]
  [[tenant.link]]
  slug = "Strict"
  campaign = "strict"
  publisher = "news"
  [[tenant.link]]
  slug = "Globex"
  campaign = "autumn"
  publisher = "news"
  [[tenant.user]]
  name = "manager"
  role = "manager"
  api_key = "ek_test_globex_manager_001"
"#;
