//! Classes of user agents that were read before: reading one takes a dozen regular expressions.
//!
//! What is kept is a hash under a key of this process, beside the class; and only of a visitor whose click was stored, since
//! of anybody else nothing outlasts the request. A few thousand browsers are most of what is ever seen.

use std::hash::{BuildHasher, RandomState};

use quick_cache::sync::Cache;

use crate::domain::agent::{AgentClass, classify};

/// Classes at most; some 50 bytes each.
const CLASSES_MAX: usize = 4_096;

/// Remembers classes.
pub struct Agents {
    classes: Cache<u64, AgentClass>,
    key: RandomState,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            classes: Cache::new(CLASSES_MAX),
            key: RandomState::new(),
        }
    }
}

impl Agents {
    /// The class of a user agent.
    pub fn class_of(&self, agent: Option<&str>) -> AgentClass {
        let known = agent.and_then(|text| self.classes.get(&self.key.hash_one(text)));
        known.unwrap_or_else(|| classify(agent))
    }

    /// Remembers the class of somebody whose click was stored.
    pub fn keep(&self, agent: Option<&str>, class: AgentClass) {
        let Some(text) = agent else {
            return;
        };
        let hash = self.key.hash_one(text);
        if self.classes.peek(&hash).is_none() {
            self.classes.insert(hash, class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_class_is_the_one_that_was_read() {
        let agents = Agents::default();
        let browser = Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
        let bot = Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)");
        for _ in 0..2 {
            for agent in [browser, bot, None] {
                let class = agents.class_of(agent);
                assert_eq!(class, classify(agent));
                agents.keep(agent, class);
            }
        }
        assert_eq!(agents.classes.len(), 2);
    }

    #[test]
    fn looking_keeps_nothing() {
        let agents = Agents::default();
        agents.class_of(Some("Mozilla/5.0 (declined)"));
        assert_eq!(agents.classes.len(), 0);
    }
}
