//! Rules of every text file: no notes to oneself, nothing of the machine that it was written on.

use super::{Finding, TextFile};

/// Notes to oneself. Cut in two, so that this file does not break its own rule.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Where the homes and work folders of machines begin.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
/// The one place that packages come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Everything that breaks a rule of text files.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in file.lines() {
            if file.path == "Cargo.lock" {
                findings.extend(foreign_source(line).map(|what| file.finding(number, what)));
                continue;
            }
            for word in NOTES.iter().filter(|word| has_word(line, word)) {
                findings.push(file.finding(number, format!("{word}: do it now, or open an issue")));
            }
            for path in MACHINE_PATHS.iter().filter(|path| has_path(line, path)) {
                findings.push(file.finding(number, format!("{path}… is a path of one machine")));
            }
            if is_cargo_configuration(file) && (line.starts_with("[source") || line.starts_with("[registr")) {
                findings.push(
                    file.finding(
                        number,
                        "the choice of a registry belongs to the machine, not the repository",
                    ),
                );
            }
        }
    }
    findings
}

fn foreign_source(line: &str) -> Option<String> {
    let source = line.strip_prefix("source = \"")?.strip_suffix('"')?;
    (source != CRATES_IO).then(|| format!("{source}: packages come from crates.io"))
}

fn is_cargo_configuration(file: &TextFile) -> bool {
    file.path.starts_with(".cargo/") || file.path == "Cargo.toml"
}

fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

/// True when the path begins at the file system's root: not in the middle of a URL or another path.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '}' | '~'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n_findings(path: &str, text: &str) -> usize {
        check(&[TextFile { path: path.to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn notes_to_oneself_are_found_as_words() {
        for note in NOTES {
            assert_eq!(n_findings("a.md", &format!("x {note}: later\n")), 1, "{note}");
            assert_eq!(n_findings("a.md", &format!("A{note}S\n")), 0, "{note}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found_and_urls_are_not() {
        for path in MACHINE_PATHS {
            assert_eq!(n_findings("a.rs", &format!("let x = \"{path}me\";\n")), 1, "{path}");
            assert_eq!(n_findings("a.rs", &format!("https://example.com{path}x\n")), 0, "{path}");
        }
    }

    #[test]
    fn packages_come_from_crates_io() {
        assert_eq!(n_findings("Cargo.lock", &format!("source = \"{CRATES_IO}\"\n")), 0);
        assert_eq!(n_findings("Cargo.lock", "source = \"registry+https://mirror.example.com/index\"\n"), 1);
        assert_eq!(n_findings(".cargo/config.toml", "[source.crates-io]\n"), 1);
    }
}
