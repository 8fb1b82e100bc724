//! Canaries: texts that occur nowhere else, the forms in which they could be kept, and the search for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::percent_encode_byte;
use regex::bytes::{Regex, RegexBuilder};

/// Characters before and after what was found, in the message of a failure.
const CONTEXT_BYTES: usize = 80;

/// The canary that stands in a place: letters and digits only, so that no escaping takes it apart.
pub fn canary(place: &str) -> String {
    // FNV-1a: different places get texts that have nothing in common.
    let hash = place.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("Knr{hash:016x}Vgl")
}

/// Texts and bytes that are looked for in every form that they could have been written in.
#[derive(Default)]
pub struct Watch {
    forms: Vec<Form>,
    texts: usize,
}

struct Form {
    bytes: Vec<u8>,
    any_case: bool,
}

impl Watch {
    /// The canaries of these places.
    pub fn places(places: &[&str]) -> Self {
        let mut watch = Self::default();
        for place in places {
            watch.add_text(&canary(place));
        }
        watch
    }

    /// A text: in upper and lower case, every byte percent-encoded, in base64 at each of its three offsets, in
    /// hexadecimal, as UTF-16, and as a list of numbers, which is how Rust prints bytes.
    pub fn add_text(&mut self, text: &str) {
        self.texts += 1;
        let bytes = text.as_bytes();
        self.add(bytes.to_vec(), true);
        self.add(
            bytes
                .iter()
                .flat_map(|byte| format!("%{byte:02x}").into_bytes())
                .collect(),
            true,
        );
        self.add(text.encode_utf16().flat_map(u16::to_le_bytes).collect(), true);
        self.add(text.encode_utf16().flat_map(u16::to_be_bytes).collect(), true);
        self.add_encoded(bytes);
    }

    /// Bytes: as they are, and in everything that is made for writing bytes down.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        self.texts += 1;
        self.add(bytes.to_vec(), false);
        self.add_encoded(bytes);
    }

    /// A number, as text and as the databases store it.
    pub fn add_number(&mut self, number: u64) {
        self.add_text(&number.to_string());
        let bytes = number.to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0).expect("not zero");
        self.add(bytes[first..].to_vec(), false);
    }

    fn add_encoded(&mut self, bytes: &[u8]) {
        self.add(hex::encode(bytes).into_bytes(), true);
        let listed: Vec<String> = bytes.iter().map(u8::to_string).collect();
        self.add(listed.join(", ").into_bytes(), false);
        for offset in 0..3 {
            let shifted = [&vec![0; offset][..], bytes].concat();
            // Characters that also hold bits of what stands before or behind are left out.
            let whole = (offset * 4).div_ceil(3)..shifted.len() * 4 / 3;
            for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
                self.add(encoded.as_bytes()[whole.clone()].to_vec(), false);
            }
        }
    }

    fn add(&mut self, bytes: Vec<u8>, any_case: bool) {
        self.forms.push(Form { bytes, any_case });
    }

    fn pattern(&self) -> Regex {
        let one = |form: &Form| {
            let escaped: Vec<String> = form.bytes.iter().map(|byte| format!(r"\x{byte:02x}")).collect();
            let escaped = escaped.concat();
            format!("(?{}:{escaped})", if form.any_case { "i-u" } else { "-u" })
        };
        let all: Vec<String> = self.forms.iter().map(one).collect();
        RegexBuilder::new(&all.join("|"))
            .size_limit(1 << 28)
            .dfa_size_limit(1 << 28)
            .build()
            .expect("a pattern")
    }

    /// How often any form of anything watched occurs in each of these contents.
    pub fn search(&self, contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, usize> {
        let pattern = self.pattern();
        let count = |bytes: &Vec<u8>| pattern.find_iter(bytes).count();
        contents
            .iter()
            .map(|(name, bytes)| (name.clone(), count(bytes)))
            .collect()
    }

    /// Fails if anything watched occurs anywhere, and prints what was searched.
    #[track_caller]
    pub fn assert_absent(&self, when: &str, contents: &BTreeMap<String, Vec<u8>>) {
        let found = self.search(contents);
        println!("{when}: {} canaries in {} forms", self.texts, self.forms.len());
        for (name, count) in &found {
            println!("  {name}, {} bytes: {count}", contents[name].len());
        }
        assert!(
            found.values().all(|count| *count == 0),
            "{when}: {:#?}",
            self.passages(contents)
        );
    }

    /// The first places where something was found, with what stands around it.
    fn passages(&self, contents: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let pattern = self.pattern();
        let passage = |name: &str, bytes: &[u8], start: usize, end: usize| {
            let around = start.saturating_sub(CONTEXT_BYTES)..bytes.len().min(end + CONTEXT_BYTES);
            format!("{name}: {}", bytes[around].escape_ascii())
        };
        let all = contents.iter().flat_map(|(name, bytes)| {
            let hits = pattern.find_iter(bytes);
            hits.map(move |hit| passage(name, bytes, hit.start(), hit.end()))
        });
        all.take(5).collect()
    }
}

/// Every file below a folder, by its path from there.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").display().to_string();
                match fs::read(&path) {
                    Ok(bytes) => drop(found.insert(name, bytes)),
                    // A running server puts its files in place by another name first.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => panic!("{name}: {error}"),
                }
            }
        }
    }
    found
}

#[test]
fn every_form_is_found() {
    let mut watch = Watch::places(&["user_agent"]);
    watch.add_bytes(&[7, 200, 3, 255, 254, 65, 66, 1]);
    watch.add_number(4_815_162_342);
    let text = canary("user_agent");
    let written = [
        format!("a{text}b"),
        text.to_uppercase(),
        text.to_lowercase(),
        text.bytes().map(percent_encode_byte).collect(),
        hex::encode_upper(&text),
        STANDARD_NO_PAD.encode(format!("..{text}...")),
        URL_SAFE_NO_PAD.encode(format!(".{text}.")),
        format!("{:?}", text.as_bytes()),
        "07c803fffe414201".to_owned(),
        "amount=4815162342".to_owned(),
    ];
    let mut contents: BTreeMap<String, Vec<u8>> = written
        .iter()
        .map(|text| (text.clone(), text.clone().into_bytes()))
        .collect();
    contents.insert("bytes".to_owned(), vec![0, 7, 200, 3, 255, 254, 65, 66, 1, 9]);
    contents.insert("integer".to_owned(), 4_815_162_342_u64.to_be_bytes().to_vec());
    contents.insert("nothing".to_owned(), text.as_bytes()[1..].to_vec());
    for (name, count) in watch.search(&contents) {
        assert_eq!(count, usize::from(name != "nothing"), "{name}");
    }
}
