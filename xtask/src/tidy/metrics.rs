//! The metrics that alerting rules are made of are those that are documented, and each rule is whole.

use super::{Finding, TextFile};

const RULES: &str = "docs/alerts/prometheus.yml";
const METRICS: &str = "docs/METRICS.md";
/// What every metric of ours begins with.
const OURS: &str = "idstream_";
/// What every rule says.
const PARTS: [&str; 4] = ["expr: ", "severity: ", "summary: ", "description: "];

/// Metrics in rules that the page of metrics does not name, and rules that lack a part. Without the page, only the latter.
pub(super) fn check(files: &[TextFile]) -> Vec<Finding> {
    let Some(rules) = files.iter().find(|file| file.path == RULES) else { return Vec::new() };
    let mut findings = incomplete(rules);
    let Some(page) = files.iter().find(|file| file.path == METRICS) else { return findings };
    let known: Vec<&str> = names(&page.text).collect();
    for (number, line) in rules.lines().filter(|(_, line)| line.trim_start().starts_with("expr: ")) {
        for name in names(line).filter(|name| !known.contains(name)) {
            findings.push(rules.finding(number, format!("{METRICS} names no metric {name}")));
        }
    }
    findings
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.len() > OURS.len() && word.starts_with(OURS))
}

fn incomplete(rules: &TextFile) -> Vec<Finding> {
    let starts: Vec<(usize, &str)> =
        rules.lines().filter(|(_, line)| line.trim_start().starts_with("- alert: ")).collect();
    let ends = starts.iter().skip(1).map(|(number, _)| *number).chain([usize::MAX]);
    let mut findings = Vec::new();
    for ((from, line), until) in starts.iter().zip(ends) {
        for part in PARTS {
            let has = |(number, line): (usize, &str)| {
                (*from..until).contains(&number) && line.trim_start().starts_with(part)
            };
            if !rules.lines().any(has) {
                findings.push(rules.finding(*from, format!("{} has no {}", line.trim(), part.trim())));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_no_page_names_and_a_rule_without_a_part_are_found() {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let rules = "- alert: A\n  expr: idstream_a > 0 and idstream_b_total > 0 and idstream_c > 0\n  severity: x\n  summary: s\n  description: d\n- alert: B\n  severity: x\n  summary: s\n  description: d\n";
        let files = [file(RULES, rules), file(METRICS, "| `idstream_a` | `idstream_b_total` |")];
        let found: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/alerts/prometheus.yml:6: - alert: B has no expr:",
                "docs/alerts/prometheus.yml:2: docs/METRICS.md names no metric idstream_c",
            ]
        );
        assert_eq!(check(&files[..1]).len(), 1);
    }
}
