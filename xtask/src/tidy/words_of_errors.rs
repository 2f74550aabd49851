//! The error texts that guides explain are those of the code: whoever searches for one finds it.

use super::{Finding, TextFile};

/// The section that explains them.
const SECTION: &str = "## When it does not arrive";
/// What stands for what differs from case to case.
const GAP: char = '…';

/// Every text in the first column of a guide's last section that no source file holds. Numbers and names in it stand as
/// `…`; what the destination itself says is in the tests of what its answers prove.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let sources = files.iter().filter(|file| file.path.starts_with("crates/") && file.is("rs"));
    // States are written in capitals there.
    let sources: Vec<String> = sources.map(|file| file.text.to_lowercase()).collect();
    let mut findings = Vec::new();
    for guide in files.iter().filter(|file| file.path.starts_with("docs/guides/")) {
        let lines = guide.lines().skip_while(|(_, line)| *line != SECTION);
        for (number, line) in lines.filter(|(_, line)| line.starts_with("| `")) {
            for text in first_column(line) {
                let sought = text.to_lowercase();
                let mut pieces = sought.split(GAP).map(str::trim).filter(|piece| !piece.is_empty());
                if !pieces.all(|piece| sources.iter().any(|source| source.contains(piece))) {
                    findings.push(guide.finding(number, format!("no source file says {text:?}")));
                }
            }
        }
    }
    findings
}

/// What stands between backquotes in the first cell of a table's row.
fn first_column(row: &str) -> impl Iterator<Item = &str> {
    let cell = row.trim_start_matches('|').split('|').next().unwrap_or_default();
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_no_source_file_says_is_found() {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("crates/x/src/lib.rs", "format!(\"cannot connect to {host}: refused\")"),
            file(
                "docs/guides/x.md",
                "| `gone` | |\n## When it does not arrive\n| `cannot connect to …: refused` or `gone` | `any` |\n",
            ),
        ];
        let findings: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
        assert_eq!(findings, ["docs/guides/x.md:3: no source file says \"gone\""]);
    }
}
