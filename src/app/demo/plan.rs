//! The demo's weeks of traffic as a plan: who clicks what with which signals, and what comes of it at the shop.
//!
//! Promise: the same day gives the same plan, and every outcome that Einklang knows occurs in it. Numbers are drawn
//! from a generator of fixed seed; the rarer outcomes have their fixed days, so that no luck is needed to see them.

/// Days that are planned.
pub const DAYS: u32 = 21;
/// Hours of the tenant's day in which people click.
pub const HOURS: [u32; 5] = [9, 12, 15, 18, 21];

const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const MOBILE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
const BOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// The shop behind a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shop {
    /// The demo shop, which is told of refusals.
    Online,
    /// The one whose system takes no errors.
    Broker,
}

/// A tracking link and what is sold behind it.
#[derive(Debug)]
pub struct Offer {
    /// The link's slug.
    pub link: &'static str,
    /// Its shop.
    pub shop: Shop,
    /// Yearly premiums.
    prices: [&'static str; 3],
    /// What else counts as a goal.
    lesser_goal: &'static str,
    /// How many of a hundred clicks go here.
    share: u64,
}

const OFFERS: [Offer; 5] = [
    Offer::new("hausrat-wetter", ["89.90", "129.00", "64.50"], 34),
    Offer::new("hausrat-tagesblatt", ["89.90", "129.00", "215.40"], 22),
    Offer::new("hausrat-schnaeppchen", ["64.50", "89.90", "64.50"], 8),
    Offer::new("fahrrad-blog", ["48.00", "72.00", "96.00"], 20),
    Offer {
        shop: Shop::Broker,
        lesser_goal: "lead",
        ..Offer::new("kfz-tagesblatt", ["412.70", "388.20", "536.10"], 16)
    },
];

impl Offer {
    const fn new(link: &'static str, prices: [&'static str; 3], share: u64) -> Self {
        let (shop, lesser_goal) = (Shop::Online, "newsletter");
        Self {
            link,
            shop,
            prices,
            lesser_goal,
            share,
        }
    }
}

/// A click and what follows from it.
#[derive(Debug)]
pub struct Visit {
    /// The place in [`HOURS`].
    pub slot: usize,
    /// What was clicked.
    pub offer: &'static Offer,
    /// The signals of the publisher's page, as a query.
    pub query: &'static str,
    /// The browser.
    pub agent: &'static str,
    /// The last part of the address.
    pub host: u8,
    /// What happens at the shop.
    pub then: Then,
}

/// What a visitor does at the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Looks around and goes.
    Leaves,
    /// Declines in the shop's own dialogue.
    Declines,
    /// Reaches a goal, of which the shop sends a postback.
    Reaches(Goal),
}

/// A goal and its postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal {
    /// `order` or a lesser one, or one that the campaign does not know.
    pub slug: &'static str,
    /// The amount.
    pub amount: &'static str,
    /// The currency.
    pub currency: &'static str,
    /// `pending` or `confirmed`.
    pub status: &'static str,
    /// The shop's own signal, if it sends one.
    pub consent: Option<&'static str>,
    /// Which token is sent.
    pub token: Token,
    /// Whether it is sent again.
    pub again: Again,
    /// Days between click and goal.
    pub after_days: u32,
    /// What happens to it days later.
    pub later: Later,
}

/// Which token a postback carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The click's own; if there is none, nothing is sent, as a shop should.
    Own,
    /// None, though the shop should then stay silent.
    None,
    /// One that nobody sealed.
    Forged,
}

/// Whether a postback is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// No.
    Never,
    /// As it was.
    Same,
    /// With another amount.
    Other,
}

/// What becomes of a conversion days later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// Nothing.
    Stays,
    /// A pending one is confirmed.
    Confirmed,
    /// It is cancelled.
    Cancelled,
    /// The person withdraws consent.
    Withdrawn,
}

/// Days after which [`Later`] happens.
pub const LATER_DAYS: u32 = 2;

/// An order as it should be.
const ORDER: Goal = Goal {
    slug: "order",
    amount: "89.90",
    currency: "EUR",
    status: "confirmed",
    consent: Some("granted"),
    token: Token::Own,
    again: Again::Never,
    after_days: 0,
    later: Later::Stays,
};

impl Goal {
    const fn saying(mut self, consent: Option<&'static str>) -> Self {
        self.consent = consent;
        self
    }

    const fn with(mut self, token: Token) -> Self {
        self.token = token;
        self
    }

    const fn of(mut self, slug: &'static str, amount: &'static str, currency: &'static str) -> Self {
        (self.slug, self.amount, self.currency) = (slug, amount, currency);
        self
    }

    const fn sent(mut self, again: Again) -> Self {
        self.again = again;
        self
    }

    const fn after(mut self, days: u32) -> Self {
        self.after_days = days;
        self
    }

    const fn then(mut self, later: Later) -> Self {
        self.later = later;
        self
    }
}

/// What has its fixed day, so that it is there: (day, place in the offers, what).
const FIXED: [(u32, usize, Goal); 16] = [
    (1, 3, ORDER.after(9)),
    (2, 3, ORDER.after(16)),
    // The second postback finds the click erased by the first.
    (3, 0, ORDER.saying(Some("denied")).sent(Again::Same)),
    (4, 0, ORDER.saying(None)),
    (5, 1, ORDER.saying(Some("vielleicht"))),
    (6, 0, ORDER.with(Token::None)),
    (7, 0, ORDER.with(Token::Forged)),
    (8, 1, ORDER.of("bestellung", "89.90", "EUR")),
    (9, 1, ORDER.of("order", "89.90", "USD")),
    (10, 0, ORDER.sent(Again::Same)),
    (11, 0, ORDER.sent(Again::Other)),
    (12, 0, ORDER.then(Later::Withdrawn)),
    (13, 4, ORDER.saying(Some("denied")).sent(Again::Same)),
    (14, 4, ORDER.saying(None)),
    (15, 4, ORDER.with(Token::None)),
    (16, 4, ORDER.of("order", "498.00", "CHF")),
];

/// Draws numbers: SplitMix64, whose results depend on nothing but its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// One of the values, each with its share of a hundred; the last one takes what is left.
    fn pick<T: Copy>(&mut self, shares: &[(u64, T)], rest: T) -> T {
        let mut drawn = self.below(100);
        for (share, value) in shares {
            if drawn < *share {
                return *value;
            }
            drawn -= share;
        }
        rest
    }
}

/// The visits of a day, 0 being the first.
pub fn visits(day: u32, is_weekend: bool) -> Vec<Visit> {
    let mut dice = Dice(0x004D_7573_7465_7268_u64 ^ u64::from(day));
    let clicks = 32 + dice.below(16) + if is_weekend { 0 } else { 14 };
    let mut visits: Vec<Visit> = (0..clicks).map(|_| visit(&mut dice)).collect();
    for (at, place, goal) in FIXED {
        if let Some(offer) = OFFERS.get(place).filter(|_| at == day) {
            let then = Then::Reaches(goal);
            visits.push(Visit {
                slot: 1,
                offer,
                query: "consent=granted",
                agent: DESKTOP,
                host: 7,
                then,
            });
        }
    }
    visits
}

fn visit(dice: &mut Dice) -> Visit {
    let mut drawn = dice.below(100);
    let mut offer = &OFFERS[0];
    for candidate in &OFFERS {
        offer = candidate;
        if drawn < candidate.share {
            break;
        }
        drawn -= candidate.share;
    }
    let signals = [
        (58, "consent=granted"),
        (20, "consent=denied"),
        (5, "consent=granted&gpc=1"),
        (10, ""),
        (2, "gdpr_consent=%24%7BGDPR_CONSENT_755%7D"),
        (1, "consent=granted&consent=denied"),
    ];
    Visit {
        slot: usize::try_from(dice.below(HOURS.len() as u64)).unwrap_or(0),
        offer,
        query: dice.pick(&signals, "gdpr=1"),
        agent: dice.pick(&[(48, DESKTOP), (47, MOBILE)], BOT),
        host: u8::try_from(dice.below(250)).unwrap_or(0),
        then: then(dice, offer),
    }
}

fn then(dice: &mut Dice, offer: &Offer) -> Then {
    let reaches = dice.below(100);
    if reaches < 4 {
        return Then::Declines;
    }
    if reaches >= 20 {
        return Then::Leaves;
    }
    let is_order = dice.below(100) < 70;
    let later = [
        (30, Later::Confirmed),
        (12, Later::Cancelled),
        (3, Later::Withdrawn),
    ];
    let later = dice.pick(&later, Later::Stays);
    let is_open = matches!(later, Later::Confirmed | Later::Cancelled);
    let price = usize::try_from(dice.below(3)).unwrap_or(0);
    Then::Reaches(Goal {
        slug: if is_order { "order" } else { offer.lesser_goal },
        amount: if is_order {
            offer.prices.get(price).copied().unwrap_or("0")
        } else {
            "0"
        },
        status: if is_open { "pending" } else { "confirmed" },
        consent: dice.pick(&[(88, Some("granted")), (6, Some("denied"))], None),
        again: dice.pick(&[(12, Again::Same), (2, Again::Other)], Again::Never),
        later,
        ..ORDER
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_same_every_time_and_some_tens_of_clicks() {
        for day in 0..DAYS {
            let (one, two) = (visits(day, false), visits(day, false));
            assert_eq!(format!("{one:?}"), format!("{two:?}"));
            assert!((40..80).contains(&one.len()), "day {day}: {} clicks", one.len());
            assert!(visits(day, true).len() < one.len());
        }
    }

    #[test]
    fn what_takes_days_ends_within_the_plan() {
        for (day, _, goal) in FIXED {
            assert!(day + goal.after_days.max(LATER_DAYS) < DAYS, "{goal:?}");
        }
        assert_eq!(OFFERS.iter().map(|offer| offer.share).sum::<u64>(), 100);
    }
}
