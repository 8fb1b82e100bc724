//! Who called: a browser of some kind or a bot, from the user agent alone.
//!
//! Only the class is kept with a click, never the text, which is close to a fingerprint. Bots are redirected and
//! not recorded. What a bot is, the crate `woothee` says with its maintained list of crawlers; the one rule added
//! here is the crawlers' own convention of naming their home page as `+http://...`, since woothee takes Applebot,
//! PetalBot and others that wrap it in a browser's text for that browser.
//!
//! Not bots: command-line and library clients (`curl`, `Wget`, `python-requests`, `Go-http-client`), because people
//! use them to try a link. Known to be missed: headless browsers, link previews of messengers, and crawlers that
//! imitate a browser without naming their page (Bytespider). A counted bot spoils a report, not a person's privacy,
//! so there is no list of our own to grow stale.

use woothee::parser::Parser;

/// Longer user agents are cut before they are read: real ones stay under 400 bytes, and reading costs time per byte.
const AGENT_BYTES_MAX: usize = 1_024;

/// The kind of program that made the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentClass {
    /// A crawler by its own word: redirected, never recorded.
    Bot,
    /// A browser on a computer.
    Desktop,
    /// A browser or app on a telephone.
    Mobile,
    /// A browser or app on a tablet.
    Tablet,
    /// Recognised, but none of these: consoles, television sets, command-line clients.
    Other,
    /// Not recognised, or no user agent sent.
    Unknown,
}

impl AgentClass {
    /// The number under which the class is stored; numbers are never reused.
    pub fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Bot => 1,
            Self::Desktop => 2,
            Self::Mobile => 3,
            Self::Tablet => 4,
            Self::Other => 5,
        }
    }

    /// The class of a stored number.
    pub fn from_code(code: u8) -> Option<Self> {
        let classes = [
            Self::Unknown,
            Self::Bot,
            Self::Desktop,
            Self::Mobile,
            Self::Tablet,
            Self::Other,
        ];
        classes.get(usize::from(code)).copied()
    }

    /// The word for the class in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Bot => "bot",
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Other => "other",
        }
    }
}

/// Classifies a user agent. Woothee builds its expressions on first use; a server calls this once before it listens.
pub fn classify(user_agent: Option<&str>) -> AgentClass {
    let Some(agent) = user_agent else {
        return AgentClass::Unknown;
    };
    let agent = agent
        .get(..agent.floor_char_boundary(AGENT_BYTES_MAX))
        .unwrap_or_default();
    if agent.contains("+http://") || agent.contains("+https://") {
        return AgentClass::Bot;
    }
    let Some(found) = Parser::new().parse(agent) else {
        return AgentClass::Unknown;
    };
    match found.category {
        "crawler" => AgentClass::Bot,
        "pc" => AgentClass::Desktop,
        "smartphone" if is_tablet(agent, found.os) => AgentClass::Tablet,
        "smartphone" | "mobilephone" => AgentClass::Mobile,
        "appliance" | "misc" => AgentClass::Other,
        _ => AgentClass::Unknown,
    }
}

/// Woothee has no tablets. Apple's say so; Android's leave out the word `Mobile`, which Google asks phones to send.
fn is_tablet(agent: &str, os: &str) -> bool {
    os == "iPad" || (os == "Android" && !agent.contains("Mobile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_agents_have_their_class() {
        use AgentClass::{Bot, Desktop, Mobile, Other, Tablet, Unknown};
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let table = [
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/120.0.0.0 Safari/537.36"),
                Desktop,
            ),
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 14; Pixel 8) {webkit} Chrome/120.0 Mobile Safari/537.36"
                ),
                Mobile,
            ),
            // A telephone whose brand ends in "bot".
            (
                format!(
                    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) {webkit} Chrome/96.0 Mobile Safari/537.36"
                ),
                Mobile,
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 13; SM-X906C) {webkit} Chrome/119.0 Safari/537.36"),
                Tablet,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Version/16.0 Mobile/15E148 Safari/604.1"
                    .into(),
                Tablet,
            ),
            (format!("Mozilla/5.0 (PlayStation 4 3.11) {webkit}"), Other),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)".into(),
                Bot,
            ),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML; compatible; bingbot/2.0) Chrome/116.0 Safari/537.36"
                    .into(),
                Bot,
            ),
            ("Mozilla/5.0 (compatible; SemrushBot/7~bl)".into(), Bot),
            ("Mediapartners-Google".into(), Bot),
            // Imitates Safari; only its own address tells.
            (
                format!(
                    "Mozilla/5.0 (Macintosh) {webkit} Version/13.1 Safari/605.1 (Applebot/0.1; +http://a.example)"
                ),
                Bot,
            ),
            ("curl/8.5.0".into(), Other),
            ("Wget/1.21.3".into(), Other),
            ("python-requests/2.31.0".into(), Unknown),
            ("Go-http-client/1.1".into(), Unknown),
            (String::new(), Unknown),
            ("-".into(), Unknown),
        ];
        for (agent, expected) in table {
            assert_eq!(classify(Some(&agent)), expected, "{agent}");
        }
        assert_eq!(classify(None), Unknown);
    }

    #[test]
    fn hostile_agents_are_cut_and_never_panic() {
        let long = "\u{1f41b}".repeat(100_000);
        let late_bot = format!("{}Googlebot", " ".repeat(AGENT_BYTES_MAX));
        for agent in [
            long.as_str(),
            &late_bot,
            "\0",
            "\r\nX-Injected: 1",
            "((((((((",
            "Windows ",
            "MSIE ;",
            "DoCoMo/",
        ] {
            assert_ne!(classify(Some(agent)), AgentClass::Bot, "{agent:.40}");
        }
    }

    #[test]
    fn stored_numbers_read_back() {
        for code in 0..=u8::MAX {
            match AgentClass::from_code(code) {
                Some(class) => assert_eq!(class.code(), code),
                None => assert!(code > 5, "{code}"),
            }
        }
    }
}
