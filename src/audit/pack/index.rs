//! The index of a pack: what each file holds and in which order to read it, for people, in English and German.

use std::fmt::Write;

/// A language of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

/// A file with its name and what it holds, in both languages.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The file's name.
    pub name: &'static str,
    english: (&'static str, &'static str),
    german: (&'static str, &'static str),
}

/// What stands at the head of an index.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The controller's name, or the tenant's.
    pub tenant: &'a str,
    /// From this moment.
    pub from: &'a str,
    /// Up to before this one.
    pub to: &'a str,
    /// The origin of the log.
    pub origin: &'a str,
    /// The size of the log.
    pub size: u64,
    /// Decisions in the period.
    pub decisions: u64,
    /// How many were drawn.
    pub drawn: usize,
}

/// The files in the order in which they are to be read.
pub const CONTENTS: [Entry; 14] = [
    Entry {
        name: "processing-controller.json",
        english: (
            "Records of processing, controller",
            "GDPR Article 30(1): purposes, people and data concerned, recipients, erasure limits, security.",
        ),
        german: (
            "Verzeichnis der Verarbeitungen, Verantwortlicher",
            "Art. 30 Abs. 1 DSGVO: Zwecke, betroffene Personen und Daten, Empfänger, Löschfristen, Sicherheit.",
        ),
    },
    Entry {
        name: "processing-processor.json",
        english: (
            "Records of processing, processor",
            "GDPR Article 30(2): the same for whoever runs the server on the controller's behalf.",
        ),
        german: (
            "Verzeichnis der Verarbeitungen, Auftragsverarbeiter",
            "Art. 30 Abs. 2 DSGVO: dasselbe für den, der den Server im Auftrag betreibt.",
        ),
    },
    Entry {
        name: "policies.json",
        english: (
            "Policies",
            "Every version that was in force in the period, whole, and every change with its author and the word of a second person.",
        ),
        german: (
            "Richtlinien",
            "Jede Fassung, die im Zeitraum galt, im Ganzen, und jede Änderung mit Urheber und Wort der zweiten Person.",
        ),
    },
    Entry {
        name: "consent-rules.json",
        english: (
            "Rules of consent",
            "The versions of the program and of the decoder with which signals were read.",
        ),
        german: (
            "Regeln der Einwilligung",
            "Die Fassungen des Programms und des Lesers, mit denen Signale gelesen wurden.",
        ),
    },
    Entry {
        name: "decisions.json",
        english: (
            "Decisions",
            "Clicks, postbacks, corrections and changes of consent, by day, outcome and reason.",
        ),
        german: (
            "Entscheidungen",
            "Klicks, Postbacks, Korrekturen und Änderungen der Einwilligung, nach Tag, Ergebnis und Grund.",
        ),
    },
    Entry {
        name: "erasures.json",
        english: (
            "Erasures",
            "Every erasure, withdrawal and restriction, with its place in the log.",
        ),
        german: (
            "Löschungen",
            "Jede Löschung, jeder Widerruf und jede Einschränkung, mit der Stelle im Protokoll.",
        ),
    },
    Entry {
        name: "retention.json",
        english: (
            "Retention",
            "Every purge with its class, cut-off and count, and every hold.",
        ),
        german: (
            "Aufbewahrung",
            "Jede Bereinigung mit Klasse, Stichtag und Anzahl, und jede Sperre.",
        ),
    },
    Entry {
        name: "subject-requests.json",
        english: (
            "Requests of people",
            "Every request with its kind, deadline and outcome; nobody is named.",
        ),
        german: (
            "Anträge Betroffener",
            "Jeder Antrag mit Art, Frist und Ergebnis; niemand wird genannt.",
        ),
    },
    Entry {
        name: "keys.json",
        english: ("Keys", "Which keys were made, replaced and destroyed."),
        german: (
            "Schlüssel",
            "Welche Schlüssel gemacht, ersetzt und vernichtet wurden.",
        ),
    },
    Entry {
        name: "access.json",
        english: (
            "Access",
            "Who was given or refused access, and every look at what had been sealed.",
        ),
        german: (
            "Zugriffe",
            "Wem Zugriff gegeben oder verwehrt wurde, und jeder Blick auf Versiegeltes.",
        ),
    },
    Entry {
        name: "configuration.json",
        english: (
            "Configuration",
            "Every change of shops, campaigns, links and goals.",
        ),
        german: (
            "Einstellungen",
            "Jede Änderung an Shops, Kampagnen, Links und Zielen.",
        ),
    },
    Entry {
        name: "log.json",
        english: (
            "The log itself",
            "New epochs with their reasons, and what was exported.",
        ),
        german: ("Das Protokoll selbst", "Neue Epochen mit ihrem Grund."),
    },
    Entry {
        name: "breach-scope.json",
        english: (
            "Scope of a breach",
            "GDPR Article 33: for the period, and for one credential if it was asked for, how much of which class was made, read and exported, and who has to be told.",
        ),
        german: (
            "Umfang einer Verletzung",
            "Art. 33 DSGVO: für den Zeitraum, und für einen Zugang, wenn danach gefragt wurde, wie viel welcher Art entstand, gelesen und ausgeführt wurde, und wem es zu melden ist.",
        ),
    },
    Entry {
        name: super::CHECKPOINT,
        english: (
            "Checkpoint",
            "The signed state of the log that everything here goes by.",
        ),
        german: (
            "Prüfpunkt",
            "Der unterschriebene Stand des Protokolls, auf dem alles hier beruht.",
        ),
    },
];

struct Words {
    code: &'static str,
    title: &'static str,
    intro: &'static str,
    period: &'static str,
    log: &'static str,
    entries: &'static str,
    sample: &'static str,
    file: &'static str,
    holds: &'static str,
    verify: &'static str,
    verify_text: &'static str,
}

const ENGLISH: Words = Words {
    code: "en",
    title: "Evidence pack",
    intro: "What the audit log says of a period. Every file stands in manifest.json with its SHA-256; manifest.sig is the \
            log key's signature over it. No person is named in it.",
    period: "Period (up to before the second moment)",
    log: "Log",
    entries: "entries",
    sample: "Decisions of the period, and drawn at random as a sample (folder sample/, each with its proof)",
    file: "File",
    holds: "What it holds",
    verify: "To verify it",
    verify_text: "einklang audit verify-pack PACK --key KEY checks the signature, every hash, the checkpoint and every proof, \
                  without a server. KEY is the log's public key, got from elsewhere than this pack. By hand: sha256sum, \
                  openssl, and any program that reads C2SP tlog-proof.",
};

const GERMAN: Words = Words {
    code: "de",
    title: "Nachweispaket",
    intro: "Was das Prüfprotokoll über einen Zeitraum sagt. Jede Datei steht mit ihrem SHA-256 in manifest.json; manifest.sig \
            ist die Unterschrift des Protokollschlüssels darüber. Niemand wird darin genannt.",
    period: "Zeitraum (bis vor den zweiten Zeitpunkt)",
    log: "Protokoll",
    entries: "Einträge",
    sample: "Entscheidungen des Zeitraums, und zufällig gezogen als Stichprobe (Ordner sample/, jede mit ihrem Beweis)",
    file: "Datei",
    holds: "Was sie enthält",
    verify: "So wird es geprüft",
    verify_text: "einklang audit verify-pack PAKET --key SCHLÜSSEL prüft Unterschrift, jeden Hash, den Prüfpunkt und jeden \
                  Beweis, ohne Server. SCHLÜSSEL ist der öffentliche Schlüssel des Protokolls, aus einer anderen Quelle als \
                  diesem Paket. Von Hand: sha256sum, openssl und jedes Programm, das C2SP tlog-proof liest.",
};

impl Language {
    /// The index's file.
    pub fn file_name(self) -> &'static str {
        match self {
            Language::English => "index.en.html",
            Language::German => "index.de.html",
        }
    }
}

/// The index as a page that needs nothing from outside.
pub fn index(language: Language, head: &Head<'_>) -> String {
    let words = match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    };
    let mut rows = String::new();
    for entry in &CONTENTS {
        let (title, text) = match language {
            Language::English => entry.english,
            Language::German => entry.german,
        };
        let name = entry.name;
        // Writing to a String does not fail.
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"{name}\">{name}</a></td><td><b>{title}.</b> {text}</td></tr>"
        );
    }
    let Words {
        code,
        title,
        intro,
        period,
        log,
        entries,
        sample,
        file,
        holds,
        verify,
        verify_text,
    } = words;
    let Head {
        tenant,
        from,
        to,
        origin,
        size,
        decisions,
        drawn,
    } = head;
    let (tenant, origin) = (escaped(tenant), escaped(origin));
    format!(
        "<!doctype html>\n<html lang=\"{code}\">\n<meta charset=\"utf-8\">\n<title>{title}: {tenant}</title>\n\
         <style>body{{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         td,th{{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0}}</style>\n\
         <h1>{title}: {tenant}</h1>\n<p>{intro}</p>\n<table>\n\
         <tr><th>{period}</th><td>{from} – {to}</td></tr>\n\
         <tr><th>{log}</th><td>{origin}, {size} {entries}</td></tr>\n\
         <tr><th>{sample}</th><td>{decisions}, {drawn}</td></tr>\n</table>\n\
         <table>\n<tr><th>{file}</th><th>{holds}</th></tr>\n{rows}</table>\n<h2>{verify}</h2>\n<p>{verify_text}</p>\n</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_markup() {
        let head = Head {
            tenant: "<script>&\"",
            from: "2026-07-01T00:00:00.000Z",
            to: "2026-10-01T00:00:00.000Z",
            origin: "log.example/audit/tnt/0",
            size: 9,
            decisions: 4,
            drawn: 2,
        };
        for language in [Language::English, Language::German] {
            let page = index(language, &head);
            assert!(page.contains("&lt;script&gt;&amp;&quot;") && !page.contains("<script"));
            assert!(CONTENTS.iter().all(|entry| page.contains(entry.name)));
        }
    }
}
