//! The guard rails themselves: functions from a file's path and text to the breaches in it.
//!
//! They read no disk, so that a planted breach is an ordinary test.

use super::source::{NamedPath, Source, after_group, body, is_word};

const LINES_MAX: usize = 450;
const FUNCTION_LINES_MAX: usize = 80;
/// Reading these makes a result depend on something that no caller passed in.
const CLOCKS_AND_RANDOMNESS: [(&str, &str); 11] = [
    ("SystemTime", "now"),
    ("Instant", "now"),
    ("Utc", "now"),
    ("Local", "now"),
    ("Uuid", "now_v7"),
    ("Uuid", "new_v4"),
    ("rand", "rng"),
    ("rand", "random"),
    ("rand", "make_rng"),
    ("rngs", "SysRng"),
    ("rngs", "OsRng"),
];

/// What a folder may name. The same table, with reasons, stands in DESIGN and ARCHITECTURE.md.
pub struct Folder {
    /// `src/domain/`, `entity/` ...
    pub prefix: &'static str,
    /// Modules of the crate besides its own, blank between them; none: any.
    pub modules: Option<&'static str>,
    /// Crates outside std, likewise.
    pub crates: Option<&'static str>,
    /// No I/O, clock, environment, threads or async.
    pub pure: bool,
}

/// All breaches in one file of `src`, `entity` or `migration`.
pub fn breaches(path: &str, text: &str, folders: &[Folder], known_crates: &[String]) -> Vec<String> {
    let source = Source::new(path, text);
    let paths = source.paths();
    let mut found: Vec<String> = opening(&source).into_iter().collect();
    found.extend(attributes(&source));
    found.extend(lengths(&source));
    found.extend(panics(&source));
    found.extend(clocks(&source, &paths));
    found.extend(commits(&source, &paths));
    found.extend(responses(&source));
    if let Some(folder) = folders.iter().find(|folder| path.starts_with(folder.prefix)) {
        found.extend(names(&source, &paths, folder, known_crates));
        if folder.pure {
            found.extend(purity(&source, &paths));
        }
    }
    found
}

/// What holds for tests and benchmarks too.
pub fn breaches_in_tests(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(path, text);
    let mut found: Vec<String> = opening(&source).into_iter().collect();
    found.extend(attributes(&source));
    found
}

fn opening(source: &Source<'_>) -> Option<String> {
    let opens = source.text.starts_with("//!");
    (!opens).then(|| {
        format!(
            "{}:1: does not open with `//!`: what does the file promise?",
            source.path
        )
    })
}

fn attributes(source: &Source<'_>) -> Vec<String> {
    let starts = source.all.windows(3).filter(|three| {
        let texts = three.iter().map(|token| token.text.as_str()).collect::<Vec<_>>();
        texts == ["[", "allow", "("]
    });
    starts
        .map(|three| {
            format!(
                "{}:{}: `allow`; use `expect` with a reason",
                source.path, three[0].line
            )
        })
        .collect()
}

fn lengths(source: &Source<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.text.lines().count();
    if lines > LINES_MAX {
        found.push(format!("{}: {lines} lines, more than {LINES_MAX}", source.path));
    }
    let tokens = &source.shipped;
    for (at, pair) in tokens
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0].text == "fn" && is_word(&pair[1].text))
    {
        let open = body(tokens, at);
        if tokens.get(open).is_none_or(|token| token.text != "{") {
            continue;
        }
        let last = after_group(tokens, open) - 1;
        let lines = tokens[last].line - pair[0].line + 1;
        if lines > FUNCTION_LINES_MAX {
            let (path, line, name) = (source.path, pair[0].line, &pair[1].text);
            found.push(format!(
                "{path}:{line}: `{name}` has {lines} lines, more than {FUNCTION_LINES_MAX}"
            ));
        }
    }
    found
}

fn panics(source: &Source<'_>) -> Vec<String> {
    let calls = source.shipped.windows(3).filter(|three| {
        three[0].text == "." && ["unwrap", "expect"].contains(&three[1].text.as_str()) && three[2].text == "("
    });
    calls
        .map(|three| {
            format!(
                "{}:{}: `.{}(` outside tests",
                source.path, three[1].line, three[1].text
            )
        })
        .collect()
}

fn clocks(source: &Source<'_>, paths: &[NamedPath]) -> Vec<String> {
    if source.path.starts_with("src/app/") {
        return Vec::new();
    }
    let reads = |path: &&NamedPath| {
        let pairs = path.segments.windows(2);
        let mut pairs = pairs.map(|pair| (pair[0].as_str(), pair[1].as_str()));
        pairs.any(|pair| CLOCKS_AND_RANDOMNESS.contains(&pair))
            || path.segments.iter().any(|word| word == "getrandom")
    };
    let found = paths.iter().filter(reads);
    found
        .map(|path| {
            format!(
                "{}: reads a clock or randomness outside src/app",
                at(source, path)
            )
        })
        .collect()
}

fn commits(source: &Source<'_>, paths: &[NamedPath]) -> Vec<String> {
    if !source.path.starts_with("src/") || source.path == "src/store/tx.rs" {
        return Vec::new();
    }
    let calls = source.shipped.windows(4).filter(|four| {
        four.iter()
            .zip([".", "commit", "(", ")"])
            .all(|(token, text)| token.text == text)
    });
    // `Transaction::commit(tx)`, and the statement in plain SQL.
    let of_type = |path: &&NamedPath| {
        let [.., owner, last] = path.segments.as_slice() else {
            return false;
        };
        last == "commit" && owner.starts_with(char::is_uppercase)
    };
    let plain = source.strings.iter().filter(|string| {
        let words = string.text.trim_matches(|c: char| !c.is_ascii_alphabetic());
        words.eq_ignore_ascii_case("commit") || words.eq_ignore_ascii_case("commit transaction")
    });
    let lines = calls.map(|four| four[1].line);
    let lines = lines
        .chain(paths.iter().filter(of_type).map(|path| path.line))
        .chain(plain.map(|string| string.line));
    lines
        .map(|line| format!("{}:{line}: commits outside src/store/tx.rs", source.path))
        .collect()
}

fn responses(source: &Source<'_>) -> Vec<String> {
    if source.path == "src/edge/problem.rs" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (at, pair) in source.shipped.windows(2).enumerate() {
        if pair[0].text != "IntoResponse" || pair[1].text != "for" {
            continue;
        }
        let target = source.shipped[at + 2..]
            .iter()
            .take_while(|token| is_word(&token.text) || token.text == "::");
        let name = target.last().map_or("", |token| token.text.as_str());
        if ["Error", "Problem", "Failure", "Refusal", "Rejection"]
            .iter()
            .any(|ending| name.ends_with(ending))
        {
            let line = pair[0].line;
            found.push(format!(
                "{}:{line}: `{name}` becomes a response outside src/edge/problem.rs",
                source.path
            ));
        }
    }
    found
}

fn names(source: &Source<'_>, paths: &[NamedPath], folder: &Folder, known_crates: &[String]) -> Vec<String> {
    let modules = source.declared_modules();
    let imported: Vec<&String> = paths
        .iter()
        .filter(|path| path.is_import)
        .filter_map(|path| path.segments.last())
        .collect();
    let mut found = Vec::new();
    for path in paths {
        if let Some(module) = module_named(source.path, path) {
            let own = folder.prefix.trim_start_matches("src/").trim_end_matches('/');
            let allowed = folder
                .modules
                .is_none_or(|modules| module == own || has_word(modules, module));
            if !allowed {
                found.push(format!("{}: names `{module}`", at(source, path)));
            }
            continue;
        }
        let Some(name) = path.segments.first() else {
            continue;
        };
        // A module or import of this file may share a crate's name (`use axum::http`).
        let is_own = modules.contains(&name.as_str()) || (!path.is_import && imported.contains(&name));
        let allowed = folder.crates.is_none_or(|crates| has_word(crates, name));
        if !is_own && !allowed && known_crates.contains(name) {
            found.push(format!("{}: uses the crate `{name}`", at(source, path)));
        }
    }
    found
}

/// The top-level module that a path leads to, if it goes through the root of the crate.
fn module_named<'a>(file: &str, path: &'a NamedPath) -> Option<&'a str> {
    let segments = &path.segments;
    if ["crate", "einklang"].contains(&segments.first()?.as_str()) && file.starts_with("src/") {
        return segments.get(1).map(String::as_str);
    }
    let inner = file
        .strip_prefix("src/")?
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    // As many steps up as the file lies deep lead to the root.
    (supers > 0 && supers == inner.split('/').count()).then(|| segments.get(supers).map(String::as_str))?
}

fn purity(source: &Source<'_>, paths: &[NamedPath]) -> Vec<String> {
    const WORLDLY: [&str; 7] = ["fs", "net", "env", "time", "thread", "process", "*"];
    let mut found = Vec::new();
    for path in paths {
        if let [first, second, ..] = path.segments.as_slice()
            && first == "std"
            && WORLDLY.contains(&second.as_str())
        {
            found.push(format!("{}: `std::{second}` in a pure folder", at(source, path)));
        }
    }
    let is_async = source
        .shipped
        .iter()
        .filter(|token| token.text == "async" || token.text == "await");
    found.extend(is_async.map(|token| {
        format!(
            "{}:{}: `{}` in a pure folder",
            source.path, token.line, token.text
        )
    }));
    found
}

fn has_word(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|listed| listed == word)
}

fn at(source: &Source<'_>, path: &NamedPath) -> String {
    format!("{}:{}: `{}`", source.path, path.line, path.segments.join("::"))
}

/// The crates that a manifest lists, as code names them.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let mut listed = Vec::new();
    let mut is_list = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            is_list = header.ends_with("dependencies") && header != "workspace.dependencies";
            if let Some((_, name)) = header.split_once("dependencies.") {
                listed.push(name.replace('-', "_"));
            }
        } else if is_list && line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            listed.push(name.replace('-', "_"));
        }
    }
    listed
}

/// Paths that a Markdown page names in backticks and that do not exist. Code blocks and URLs are left alone: a path
/// is what ends like a file or begins like a folder at the top.
pub fn missing_paths(page: &str, top: &[String], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let outside_blocks = page.split("```").step_by(2);
    let spans = outside_blocks.flat_map(|text| text.split('`').skip(1).step_by(2));
    let looks_like_a_path = |span: &&str| {
        let plain = span
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        let file = [".rs", ".md", ".toml", ".json", ".lock"]
            .iter()
            .any(|ending| span.ends_with(ending));
        let folder = span
            .split_once('/')
            .is_some_and(|(first, rest)| rest.is_empty() || top.iter().any(|name| name == first));
        plain && !span.starts_with('/') && (file || folder)
    };
    spans
        .filter(looks_like_a_path)
        .filter(|span| !exists(span))
        .map(|span| format!("names `{span}`, which is not there"))
        .collect()
}
