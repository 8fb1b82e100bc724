//! Rust source as the guard rails read it: words and signs, without comments, literals and unit tests.
//!
//! Not a parser. It has to be right about what is code and what only talks about code, since a comment may name
//! anything; and about `use` trees, since a grouped import is the easiest way past a search for text.

/// A word or a sign of the code, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path as it is written in the code: `crate::store::tx`, `std::fs`, `Utc::now`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPath {
    pub segments: Vec<String>,
    pub line: usize,
    pub is_import: bool,
}

/// One file, taken apart.
pub struct Source<'a> {
    pub path: &'a str,
    pub text: &'a str,
    /// Everything that is compiled.
    pub all: Vec<Token>,
    /// What is shipped: without `#[cfg(test)]` items.
    pub shipped: Vec<Token>,
    pub strings: Vec<Token>,
}

impl<'a> Source<'a> {
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let (all, strings) = tokens(text);
        let is_test = path.ends_with("/tests.rs");
        let shipped = if is_test { Vec::new() } else { without_tests(&all) };
        Self {
            path,
            text,
            all,
            shipped,
            strings,
        }
    }

    /// All paths in shipped code, imports written out one by one.
    pub fn paths(&self) -> Vec<NamedPath> {
        let mut paths = Vec::new();
        let mut at = 0;
        while let Some(token) = self.shipped.get(at) {
            let before = at.checked_sub(1).and_then(|before| self.shipped.get(before));
            let starts = before.is_none_or(|before| before.text != "." && before.text != "::");
            if token.text == "use" && self.sign(at + 1) != "<" {
                at = self.import(at + 1, &[], &mut paths);
            } else if starts && is_word(&token.text) && self.sign(at + 1) == "::" {
                at = self.inline(at, &mut paths);
            } else if token.text == "::"
                && before.is_none_or(|before| !is_word(&before.text) && before.text != ">")
            {
                at = self.inline(at + 1, &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Names that mean something of this file's own: imported leaves and declared modules.
    pub fn declared_modules(&self) -> Vec<&str> {
        let pairs = self.shipped.windows(2).filter(|pair| pair[0].text == "mod");
        pairs.map(|pair| pair[1].text.as_str()).collect()
    }

    fn sign(&self, at: usize) -> &str {
        self.shipped.get(at).map_or("", |token| token.text.as_str())
    }

    fn inline(&self, start: usize, paths: &mut Vec<NamedPath>) -> usize {
        let mut at = start;
        let mut segments = vec![self.sign(at).to_owned()];
        while self.sign(at + 1) == "::" && is_word(self.sign(at + 2)) {
            segments.push(self.sign(at + 2).to_owned());
            at += 2;
        }
        let line = self.shipped.get(start).map_or(0, |token| token.line);
        paths.push(NamedPath {
            segments,
            line,
            is_import: false,
        });
        at + 1
    }

    /// Reads one branch of a `use` tree and returns where it ends.
    fn import(&self, start: usize, prefix: &[String], paths: &mut Vec<NamedPath>) -> usize {
        let mut at = start;
        let mut segments = prefix.to_vec();
        let line = self.shipped.get(start).map_or(0, |token| token.line);
        loop {
            match self.sign(at) {
                "" | ";" | "," | "}" => break,
                "{" => {
                    at += 1;
                    while !matches!(self.sign(at), "" | "}") {
                        at = self.import(at, &segments, paths);
                        at += usize::from(self.sign(at) == ",");
                    }
                    return at + 1;
                }
                "::" => {}
                "as" => at += 1,
                word => segments.push(word.to_owned()),
            }
            at += 1;
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        paths.push(NamedPath {
            segments,
            line,
            is_import: true,
        });
        at
    }
}

pub fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The index after the bracket that closes the one at `open`.
pub fn after_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The index of the `{` that opens an item's body, or of the `;` that ends an item without one.
pub fn body(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" | ";" => return at,
            "(" | "[" => at = after_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

fn without_tests(all: &[Token]) -> Vec<Token> {
    let marks = |at: usize, words: &[&str]| {
        all.len() >= at + words.len()
            && all[at..]
                .iter()
                .zip(words)
                .all(|(token, word)| token.text == *word)
    };
    if marks(0, &["#", "!", "[", "cfg", "(", "test", ")", "]"]) {
        return Vec::new();
    }
    let mut shipped = Vec::new();
    let mut at = 0;
    while at < all.len() {
        if marks(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            let end = body(all, at + 7);
            at = if all.get(end).is_some_and(|token| token.text == "{") {
                after_group(all, end)
            } else {
                end + 1
            };
        } else {
            shipped.push(all[at].clone());
            at += 1;
        }
    }
    shipped
}

/// Code and string literals, apart.
fn tokens(text: &str) -> (Vec<Token>, Vec<Token>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut strings) = (Vec::new(), Vec::new());
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at..];
        let (length, kept) = match rest {
            ['/', '/', ..] => (rest.iter().take_while(|c| **c != '\n').count(), None),
            ['/', '*', ..] => (block_comment(rest), None),
            ['\'', '\\', ..] => (
                3 + rest.iter().skip(3).take_while(|c| **c != '\'').count() + 1,
                None,
            ),
            ['\'', _, '\'', ..] => (3, None),
            [':', ':', ..] => (2, Some(&mut code)),
            _ if string(rest).is_some() => (string(rest).unwrap_or(1), Some(&mut strings)),
            _ if is_word(&c.to_string()) || c.is_ascii_digit() => (
                rest.iter()
                    .take_while(|c| c.is_alphanumeric() || **c == '_')
                    .count(),
                Some(&mut code),
            ),
            _ if c.is_whitespace() => (1, None),
            _ => (1, Some(&mut code)),
        };
        let piece = &rest[..length.min(rest.len())];
        if let Some(kept) = kept {
            kept.push(Token {
                text: piece.iter().collect(),
                line,
            });
        }
        line += piece.iter().filter(|c| **c == '\n').count();
        at += piece.len();
    }
    (code, strings)
}

/// The length of a block comment; they nest.
fn block_comment(rest: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (at, depth) = (at + 2, depth + 1),
            ['*', '/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a string literal of any kind, prefix and quotes included.
fn string(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take_while(|c| matches!(c, 'b' | 'c' | 'r')).count();
    let raw = prefix > 0 && rest[prefix - 1] == 'r';
    let hashes = if raw {
        rest[prefix..].iter().take_while(|c| **c == '#').count()
    } else {
        0
    };
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') || prefix > 2 {
        return None;
    }
    let mut at = open + 1;
    while at < rest.len() {
        let closes = rest[at] == '"' && rest[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        if closes {
            return Some(at + 1 + hashes);
        }
        at += if rest[at] == '\\' && !raw { 2 } else { 1 };
    }
    Some(rest.len())
}
