//! The list of mutations, and how they are put into the code.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Failure;

/// The environment variable that names the mutation that is switched on.
pub(super) const SWITCH: &str = "IDSTREAM_MUTANT";

/// A promise that is broken on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mutant {
    pub(super) name: String,
    /// What is wrong while it is switched on.
    pub(super) what: String,
    file: String,
    /// A text that occurs once in the file; what is between « and » is replaced.
    find: String,
    instead: String,
    /// Every one must fail.
    pub(super) tests: Vec<TestName>,
    #[serde(default)]
    pub(super) required: bool,
}

#[derive(Deserialize)]
struct List {
    mutant: Vec<Mutant>,
}

/// A test, written `PACKAGE BINARY PATH`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TestName {
    pub(super) package: String,
    /// `lib`, or the name of a file or folder in `tests`.
    pub(super) binary: String,
    pub(super) path: String,
}

impl TryFrom<String> for TestName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.split(' ').collect::<Vec<_>>()[..] {
            [package, binary, path] => {
                Ok(Self { package: package.to_owned(), binary: binary.to_owned(), path: path.to_owned() })
            }
            _ => Err(format!("{text:?} is not PACKAGE BINARY PATH")),
        }
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// Reads the list.
pub(super) fn read(path: &Path) -> Result<Vec<Mutant>, Failure> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(toml::from_str::<List>(&text)?.mutant)
}

/// The files with every mutation in its place, each behind its switch.
pub(super) fn apply(
    mutants: &[Mutant],
    read: impl Fn(&str) -> Result<String, Failure>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for mutant in mutants {
        let text = match files.remove(&mutant.file) {
            Some(text) => text,
            None => read(&mutant.file)?,
        };
        let text = put(mutant, &text).map_err(|why| format!("the mutation {}: {why}", mutant.name))?;
        files.insert(mutant.file.clone(), text);
    }
    Ok(files)
}

fn put(mutant: &Mutant, text: &str) -> Result<String, String> {
    let (before, rest) = mutant.find.split_once('«').ok_or("`find` has no «")?;
    let (original, after) = rest.split_once('»').ok_or("`find` has no »")?;
    let whole = [before, original, after].concat();
    let n_places = text.matches(&whole).count();
    if n_places != 1 {
        return Err(format!("{} has its place {n_places} times instead of once", mutant.file));
    }
    let (name, instead) = (&mutant.name, &mutant.instead);
    let is_on = format!("std::env::var_os(\"{SWITCH}\").is_some_and(|name| name == \"{name}\")");
    let switched = format!("{before}if {is_on} {{ {instead} }} else {{ {original} }}{after}");
    Ok(text.replacen(&whole, &switched, 1))
}

/// Whether every test that is named is there, by its name; a run tells the rest.
pub(super) fn find_tests(mutants: &[Mutant], root: &Path) -> Result<(), Failure> {
    for mutant in mutants {
        for test in &mutant.tests {
            let name = test.path.rsplit("::").next().unwrap_or_default();
            let folder = root.join("crates").join(test.package.trim_start_matches("idstream-"));
            if !holds(&folder, &format!("fn {name}("))? {
                return Err(format!("the mutation {}: there is no test {name}", mutant.name).into());
            }
        }
    }
    Ok(())
}

/// Whether a Rust file below a folder holds a text.
fn holds(folder: &Path, what: &str) -> Result<bool, Failure> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if (path.is_dir() && holds(&path, what)?) || (is_rust && fs::read_to_string(&path)?.contains(what)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn mutant(find: &str) -> Mutant {
        Mutant {
            name: "m".to_owned(),
            what: String::new(),
            file: "a.rs".to_owned(),
            find: find.to_owned(),
            instead: "0".to_owned(),
            tests: Vec::new(),
            required: false,
        }
    }

    #[test]
    fn a_mutation_stands_beside_what_it_replaces_behind_its_switch() {
        let put = |find, text| put(&mutant(find), text);
        let mutated = put("= «one()»;", "let a = one();").unwrap();
        let is_on = "std::env::var_os(\"IDSTREAM_MUTANT\").is_some_and(|name| name == \"m\")";
        assert_eq!(mutated, format!("let a = if {is_on} {{ 0 }} else {{ one() }};"));
        assert!(put("«one()»", "two()").unwrap_err().contains("0 times"));
        assert!(put("«one()»", "one() + one()").unwrap_err().contains("2 times"));
        assert!(put("one()", "one()").unwrap_err().contains("no «"));
    }

    #[test]
    fn every_mutation_of_the_list_has_its_place_and_its_tests() {
        let root = workspace::root();
        let mutants = read(&root.join(super::super::LIST)).unwrap();
        apply(&mutants, |file| Ok(fs::read_to_string(root.join(file))?)).unwrap();
        find_tests(&mutants, root).unwrap();
        let required: Vec<_> = mutants.iter().filter(|mutant| mutant.required).map(|m| &*m.name).collect();
        let promised = [
            "sync-removed",
            "settle-before-proof",
            "cursor-past-a-failed-item",
            "dedupe-off",
            "poison-ignored",
        ];
        assert_eq!(required, promised);
        assert!(mutants.iter().all(|mutant| !mutant.tests.is_empty()));
    }
}
