//! Licences of all that is built in: judged by the list in `deny.toml`, without cargo-deny having to be installed.

use serde_json::Value;
use toml::Table;

use super::Finding;
use crate::Failure;

/// Every package whose licence is not on the list. `metadata` is cargo's.
pub(super) fn check(deny: &str, metadata: &Value) -> Result<Vec<Finding>, Failure> {
    let deny: Table = deny.parse()?;
    let list = deny.get("licenses").and_then(|table| table.get("allow")).and_then(toml::Value::as_array);
    let list: Vec<&str> =
        list.ok_or("deny.toml has no [licenses] allow")?.iter().filter_map(toml::Value::as_str).collect();
    let packages =
        metadata.get("packages").and_then(Value::as_array).ok_or("cargo metadata lists no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default();
        if !is_allowed(text("license"), &list) {
            let place = format!("{} {}", text("name"), text("version"));
            findings.push(Finding {
                place,
                what: format!("its licence, {:?}, is not allowed by deny.toml", text("license")),
            });
        }
    }
    Ok(findings)
}

/// Whether an SPDX expression can be met with licences of the list. `/` is the old way to write `OR`.
fn is_allowed(expression: &str, list: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, list };
    parser.either() == Some(true) && parser.words.is_empty()
}

/// A parser by recursive descent; `None` when the expression is malformed.
struct Parser<'a> {
    words: &'a [&'a str],
    list: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn either(&mut self) -> Option<bool> {
        let mut met = self.both()?;
        while self.take_if("OR") {
            met |= self.both()?;
        }
        Some(met)
    }

    fn both(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.take_if("AND") {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take_if("(") {
            let met = self.either()?;
            return self.take_if(")").then_some(met);
        }
        let licence = self.take()?;
        if self.take_if("WITH") {
            let with_exception = format!("{licence} WITH {}", self.take()?);
            // An exception only adds freedoms, so the licence alone will do.
            return Some(self.list.contains(&licence) || self.list.contains(&with_exception.as_str()));
        }
        Some(self.list.contains(&licence))
    }

    fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn take_if(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_as_spdx_says() {
        let list = ["MIT", "Apache-2.0", "Unicode-3.0"];
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR GPL-3.0-only", true),
            ("MIT/GPL-2.0", true),
            ("MIT AND GPL-3.0-only", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND SSPL-1.0", false),
            ("SSPL-1.0 OR MIT AND Unicode-3.0", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("GPL-2.0 WITH Classpath-exception-2.0", false),
            ("", false),
            ("(MIT", false),
            ("MIT MIT", false),
        ] {
            assert_eq!(is_allowed(expression, &list), expected, "{expression:?}");
        }
    }

    #[test]
    fn a_package_under_another_licence_is_named() {
        let metadata = serde_json::json!({"packages": [
            {"name": "a", "version": "1.0.0", "license": "MIT"},
            {"name": "b", "version": "2.0.0", "license": "BUSL-1.1"},
            {"name": "c", "version": "3.0.0", "license": null},
        ]});
        let findings = check("[licenses]\nallow = [\"MIT\"]\n", &metadata).unwrap();
        let places: Vec<&str> = findings.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, ["b 2.0.0", "c 3.0.0"]);
    }
}
