//! Links between documents lead somewhere: the file is there, and so is the heading.

use super::{Finding, TextFile};

/// Every relative link of a Markdown file that leads nowhere.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is("md")) {
        for (number, target) in links(file) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target
                .split_once('#')
                .map_or((target.as_str(), None), |(path, heading)| (path, Some(heading)));
            let path = if path.is_empty() { file.path.clone() } else { resolve(&file.path, path) };
            let is_folder = || {
                files.iter().any(|other| other.path.starts_with(&format!("{}/", path.trim_end_matches('/'))))
            };
            let Some(found) = files.iter().find(|other| other.path == path) else {
                if !is_folder() {
                    findings.push(file.finding(number, format!("{target}: there is no {path}")));
                }
                continue;
            };
            if heading.is_some_and(|heading| !headings(found).any(|slug| slug == heading)) {
                findings.push(file.finding(number, format!("{target}: {path} has no such heading")));
            }
        }
    }
    findings
}

/// The targets of `[text](target)`, outside of code.
fn links(file: &TextFile) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut in_code = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backquotes is code.
        let prose: Vec<&str> = line.split('`').step_by(2).collect();
        let prose = prose.concat();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        links.extend(targets.map(|target| (number, target.to_owned())));
    }
    links
}

/// The path that `target` means in a document at `from`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchors of a document's headings, as GitHub and most others make them.
fn headings(file: &TextFile) -> impl Iterator<Item = String> {
    file.text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
                _ => None,
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let files =
            [file("README.md", "# What it is\n"), file("docs/a.md", text), file("crates/x/src/lib.rs", "")];
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[a](../README.md) [b](../README.md#what-it-is) [c](https://example.com/x) [d](../crates/x)\n\
                    ## Here\n[e](#here) `[f](nowhere.md)` [`g`](a.md)\n```\n[h](nowhere.md)\n```\n";
        assert_eq!(findings(text), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(findings("\n[a](b.md)\n"), ["docs/a.md:2: b.md: there is no docs/b.md"]);
        assert_eq!(findings("[`a`](b.md)\n"), ["docs/a.md:1: b.md: there is no docs/b.md"]);
        assert_eq!(
            findings("[a](../README.md#gone)\n"),
            ["docs/a.md:1: ../README.md#gone: README.md has no such heading"]
        );
    }
}
