//! The page on data protection at its word: every sentence in it stands in a list, names the test that holds it, and that
//! test is there. Both languages say the same things in the same order.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../docs/data-protection.md");
/// What the German half begins with.
const GERMAN: &str = "\n# Datenschutz\n";

/// Fewer sentences than that, and something was not read.
const LEAST: usize = 30;

/// The page in English and in German.
fn halves() -> [&'static str; 2] {
    let (english, german) = PAGE.split_once(GERMAN).expect("two halves");
    [english, german]
}

/// A sentence's tests: (name, file), as its links name them.
type Named<'p> = Vec<(&'p str, &'p str)>;

/// The sentences of a page behind its introduction, by section.
fn sections(page: &str) -> Vec<Vec<(String, Named<'_>)>> {
    let mut sections = Vec::new();
    let (_, body) = page.split_once("\n## ").expect("a section");
    for section in body.split("\n## ") {
        let (_, text) = section.split_once("\n\n").expect("a heading and a text");
        let mut items = Vec::new();
        for item in text
            .trim()
            .split("\n- ")
            .map(|item| item.trim_start_matches("- "))
        {
            assert!(
                !item.contains("\n\n"),
                "every sentence stands in the list: {item}"
            );
            items.push((item.split_whitespace().collect::<Vec<_>>().join(" "), named(item)));
        }
        sections.push(items);
    }
    sections
}

/// The links of the form [`name`](../tests/file.rs).
fn named(item: &str) -> Named<'_> {
    let links = item.split("[`").skip(1);
    links
        .map(|link| {
            let (name, rest) = link.split_once("`](../").expect("a link to a test");
            let (file, _) = rest.split_once(')').expect("a link's end");
            (name, file)
        })
        .collect()
}

#[test]
fn every_sentence_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in halves() {
        let sections = sections(page);
        let items: Vec<_> = sections.iter().flatten().collect();
        assert!(items.len() >= LEAST, "{} sentences", items.len());
        for (text, tests) in items {
            assert!(!tests.is_empty(), "no test holds: {text}");
            for (name, file) in tests {
                let source = fs::read_to_string(root.join(file)).unwrap_or_default();
                let is_test = [format!("fn {name}("), format!("    {name},")];
                assert!(
                    is_test.iter().any(|form| source.contains(form.as_str())),
                    "{file} has no test {name}, which is to hold: {text}"
                );
            }
        }
    }
}

#[test]
fn both_languages_say_the_same() {
    let tests = |page| -> Vec<Vec<Named<'_>>> {
        let items =
            |section: Vec<(String, Named<'static>)>| section.into_iter().map(|(_, tests)| tests).collect();
        sections(page).into_iter().map(items).collect()
    };
    let [english, german] = halves();
    assert_eq!(tests(english), tests(german));
}
