//! Lists: a page at a time, from behind the last object of the page before.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::edge::problem::Problem;
use crate::flow::objects::Managed;

const LIMIT_DEFAULT: u64 = 50;
const LIMIT_MAX: u64 = 100;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Objects on a page; 50 if left out.
    #[param(minimum = 1, maximum = 100, nullable = false, example = 50)]
    limit: Option<u64>,
    /// `next_cursor` of the page before.
    #[param(
        min_length = 11,
        max_length = 11,
        pattern = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$",
        nullable = false,
        example = "AAAAAAAAADI"
    )]
    cursor: Option<String>,
}

/// A checked page query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The number that the page begins behind.
    pub after: i64,
    limit: u64,
}

impl PageQuery {
    /// What is asked for.
    pub fn slice(&self) -> Result<Slice, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Problem::invalid("limit", "must be 1 to 100"));
        }
        let after = match &self.cursor {
            None => 0,
            Some(cursor) => number(cursor)
                .ok_or_else(|| Problem::invalid("cursor", "must be a next_cursor of this list"))?,
        };
        Ok(Slice { after, limit })
    }
}

/// The number that a cursor names.
pub(in crate::edge) fn number(cursor: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let number = i64::from_be_bytes(bytes.try_into().ok()?);
    (number >= 0).then_some(number)
}

impl Slice {
    /// One more than fits: whether it is there tells whether another page follows.
    pub fn limit_and_one(self) -> u64 {
        self.limit + 1
    }

    /// The page.
    pub fn page<T: Managed, B>(self, objects: &[T], body: impl FnMut(&T) -> B) -> Page<B> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let shown = objects.get(..limit);
        let last = shown.filter(|_| objects.len() > limit).and_then(<[T]>::last);
        Page {
            next_cursor: last.map(|last| URL_SAFE_NO_PAD.encode(last.object().number.to_be_bytes())),
            items: shown.unwrap_or(objects).iter().map(body).collect(),
        }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The objects, oldest first.
    #[schema(max_items = 100)]
    pub items: Vec<T>,
    /// Names the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        min_length = 11,
        max_length = 11,
        pattern = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$",
        nullable = false
    )]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page with one object, for the document.
    pub fn example(item: T) -> Self {
        Self {
            items: vec![item],
            next_cursor: Some(URL_SAFE_NO_PAD.encode(50_i64.to_be_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::{Object, Publisher};

    fn publishers(count: i64) -> Vec<Publisher> {
        let publisher = |number| Publisher {
            object: Object {
                number,
                ..crate::edge::objects::example_object()
            },
            slug: format!("p{number}"),
            explicit_consent: None,
        };
        (1..=count).map(publisher).collect()
    }

    #[test]
    fn a_cursor_leads_to_the_object_after_the_last() {
        let query = PageQuery {
            limit: Some(2),
            cursor: None,
        };
        let slice = query.slice().expect("a slice");
        let page = slice.page(&publishers(3), |publisher| publisher.slug.clone());
        assert_eq!(page.items, ["p1", "p2"]);
        let next = PageQuery {
            limit: None,
            cursor: page.next_cursor,
        };
        assert_eq!(next.slice().expect("a slice").after, 2);
        let last = slice.page(&publishers(2), |publisher| publisher.slug.clone());
        assert_eq!((last.items.len(), last.next_cursor), (2, None));
    }

    #[test]
    fn what_is_no_cursor_and_no_limit_is_named() {
        for cursor in ["", "AAAA", "AAAAAAAAADJ", "gAAAAAAAAAA", "AAAAAAAAADI="] {
            let query = PageQuery {
                limit: None,
                cursor: Some(cursor.to_owned()),
            };
            let problem = query.slice().expect_err("no cursor");
            assert_eq!(problem.parameter.as_deref(), Some("cursor"), "{cursor}");
        }
        for limit in [0, 101] {
            let query = PageQuery {
                limit: Some(limit),
                cursor: None,
            };
            let problem = query.slice().expect_err("no limit");
            assert_eq!(problem.parameter.as_deref(), Some("limit"));
        }
    }
}
