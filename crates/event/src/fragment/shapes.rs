//! What several members say together: `{"name": "Authorization", "value": "Bearer …"}`, `["Authorization", "Bearer …"]`.
//! Both readers of JSON, the strict and the lenient one, ask here what to mask once a value is written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base::mask::{MASK, MaskRule, Secrecy, is_fact};
use serde_json::value::RawValue;

use super::append_string;

/// Members that name what another member of the object holds. Compared without case.
pub const NAMING: [&str; 6] = ["name", "key", "header", "field", "path", "parameter"];
/// Members that hold what another member names. Compared without case and separators.
pub const HOLDING: [&str; 10] =
    ["value", "values", "before", "after", "old", "new", "oldvalue", "newvalue", "oldvalues", "newvalues"];
/// Ends of keys whose lists are lists of names: two of them are no name and its value.
pub const LISTS_OF_NAMES: [&str; 18] = [
    "amr",
    "attributes",
    "claims",
    "columns",
    "factors",
    "fields",
    "grants",
    "keys",
    "methods",
    "names",
    "permissions",
    "properties",
    "required",
    "scope",
    "scopes",
    "secrets",
    "supported",
    "types",
];
/// Longest text that is taken for a name, in bytes.
const MAX_NAME: usize = 128;

/// An object while it is written.
#[derive(Default)]
pub(super) struct Object {
    named: Secrecy,
    /// Where the values of [`HOLDING`] members begin and end.
    held: Vec<(usize, usize)>,
}

impl Object {
    /// A member is written, its value from `value_at` on. `secrecy` is what its own name says. Whether something was
    /// masked.
    pub(super) fn member(
        &mut self,
        key: &str,
        secrecy: Secrecy,
        value_at: usize,
        rule: &MaskRule,
        out: &mut String,
    ) -> bool {
        let is_secret = secrecy != Secrecy::Open
            && !is_kept(secrecy, written(out, value_at))
            && !is_facts(key, written(out, value_at), rule);
        if is_secret {
            out.truncate(value_at);
            append_string(MASK, out);
        }
        self.named = self.named.max(said_by(key, written(out, value_at), rule));
        if holds(key) {
            self.held.push((value_at, out.len()));
        }
        is_secret
    }

    /// All members are written. Whether something was masked.
    pub(super) fn close(&self, out: &mut String) -> bool {
        let mut is_masked = false;
        if self.named != Secrecy::Open {
            for (from, to) in self.held.iter().rev() {
                is_masked |= mask_between(self.named, *from, *to, out);
            }
        }
        is_masked
    }
}

/// What a member of [`NAMING`] says about the others of its object.
pub(super) fn said_by(key: &str, value: &str, rule: &MaskRule) -> Secrecy {
    if !is_one_of(&NAMING, key) {
        return Secrecy::Open;
    }
    match quoted(value).filter(|name| name.len() <= MAX_NAME) {
        Some(name) if key.eq_ignore_ascii_case("path") => rule.judge_path(name),
        Some(name) => rule.judge(name),
        None => Secrecy::Open,
    }
}

/// Whether a member is one of [`HOLDING`].
pub(super) fn holds(key: &str) -> bool {
    is_one_of(&HOLDING, key)
}

/// Masks the value that is written there, unless it stays under so much secrecy. Whether it was masked.
pub(super) fn mask_between(secrecy: Secrecy, from: usize, to: usize, out: &mut String) -> bool {
    let is_secret = !is_kept(secrecy, out.get(from..to).unwrap_or_default());
    if is_secret {
        out.replace_range(from..to, &format!("\"{MASK}\""));
    }
    is_secret
}

/// An array while it is written.
#[derive(Default)]
pub(super) struct Array {
    n_elements: usize,
    named: Secrecy,
    second: usize,
}

impl Array {
    /// An element is written, from `at` on.
    pub(super) fn element(&mut self, at: usize, rule: &MaskRule, out: &str) {
        self.n_elements += 1;
        if self.n_elements == 1 {
            let is_name = |text: &&str| text.len() <= MAX_NAME && !text.contains(' ');
            let name = quoted(written(out, at)).filter(is_name);
            self.named = name.map_or(Secrecy::Open, |name| rule.judge(name));
        } else if self.n_elements == 2 && quoted(written(out, at)).is_some() {
            self.second = at;
        }
    }

    /// All elements are written. `key` is that of the array itself. Whether something was masked.
    pub(super) fn close(&self, key: &str, out: &mut String) -> bool {
        let is_pair = self.n_elements == 2 && self.second > 0 && self.named != Secrecy::Open;
        let is_masked = is_pair && !is_kept(self.named, written(out, self.second)) && !lists_names(key);
        if is_masked {
            out.truncate(self.second);
            append_string(MASK, out);
        }
        is_masked
    }
}

/// Whether a value stays under a name that says so much. Truth values, `null` and what is empty stay: they tell what is
/// set, and hold no secret.
fn is_kept(secrecy: Secrecy, value: &str) -> bool {
    if matches!(value, "true" | "false" | "null" | "{}" | "[]") || quoted(value) == Some(MASK) {
        return true;
    }
    match secrecy {
        Secrecy::Open => true,
        Secrecy::Whole => false,
        Secrecy::Texts => match quoted(value) {
            Some(text) => is_fact(text),
            None => !value.starts_with('['),
        },
    }
}

/// Whether a value is an object of facts about the secret that its name says it is.
fn is_facts(key: &str, value: &str, rule: &MaskRule) -> bool {
    let Some(facts) = rule.facts(key).filter(|_| value.starts_with('{')) else { return false };
    let members: Result<BTreeMap<Cow<'_, str>, &RawValue>, _> = serde_json::from_str(value);
    members.is_ok_and(|members| members.keys().all(|name| facts.contains(&name.as_ref())))
}

fn lists_names(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    LISTS_OF_NAMES.iter().any(|list| key.ends_with(list))
}

fn is_one_of(names: &[&str], key: &str) -> bool {
    // The longest of them has 9 letters, and a separator at most. Most keys differ in their first letter.
    let Some(first) = key.bytes().next().filter(|_| key.len() <= 10).map(|byte| byte.to_ascii_lowercase())
    else {
        return false;
    };
    let letters = || key.bytes().filter(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase());
    names.iter().any(|name| name.as_bytes().first() == Some(&first) && letters().eq(name.bytes()))
}

/// What was written last, from `at` on.
fn written(out: &str, at: usize) -> &str {
    out.get(at..).unwrap_or_default()
}

/// The inside of a written string, its escapes not undone.
fn quoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}
