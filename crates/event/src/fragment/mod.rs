//! Canonical JSON fragments: what the free-form parts of an event become before they are stored.
//!
//! A fragment is compact JSON with unique keys in every object, finite numbers and valid UTF-8, at most
//! [`MAX_DEPTH`] deep, with every secret-looking value masked. Because it is canonical, documents are spliced from it
//! without a second parse, and a destination never meets a duplicate key (which makes some of them drop or hang).
//!
//! Deliberately absent: sorting of keys (their order is the producer's), and arbitrary precision: an integer outside
//! 64 bits and a decimal become the nearest double, as they would in any destination.

mod keys;
mod lenient;
mod members;
mod shapes;
mod writing;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use base::mask::{MASK, MaskRule, is_plain};
use serde::de::{DeserializeSeed, Deserializer};

pub use self::lenient::{Masked, mask_lenient};
use self::members::Members;
pub use self::shapes::{HOLDING, LISTS_OF_NAMES, NAMING};
use self::writing::Writing;

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 64;
/// Texts within texts that are looked into. What is nested deeper is masked unseen.
const MAX_NESTING: usize = 4;

/// Why a text cannot become a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentError {
    /// What is wrong, as an end of the sentence "the value …".
    pub reason: String,
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for FragmentError {}

/// Appends the canonical, masked form of the JSON text `json` to `out`. On failure `out` is as it was.
pub fn append(json: &str, rule: &MaskRule, out: &mut String) -> Result<(), FragmentError> {
    let start = out.len();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let writing = Writing::new(out, rule);
    let done = writing.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    done.map_err(|error| {
        out.truncate(start);
        FragmentError { reason: error.to_string() }
    })
}

/// The canonical, masked form of a JSON text.
pub fn canonical(json: &str, rule: &MaskRule) -> Result<String, FragmentError> {
    let mut out = String::with_capacity(json.len());
    append(json, rule, &mut out)?;
    Ok(out)
}

/// The members of a JSON object in order of names, each `"name":value`, canonical and masked. Those that are `null` are
/// left out. No name has more than `max_name` characters.
pub fn members(json: &str, max_name: usize, rule: &MaskRule) -> Result<Vec<String>, FragmentError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = deserializer
        .deserialize_map(Members { rule, max_name })
        .and_then(|members| deserializer.end().map(|()| members));
    let mut members = read.map_err(|error| FragmentError { reason: error.to_string() })?;
    members.sort_unstable();
    Ok(members)
}

/// Appends `text` as a JSON string.
pub fn append_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\') {
        let (clean, tail) = rest.split_at(at);
        out.push_str(clean);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Masks a text that may itself be JSON, a form body, a URL, or hold pieces of them. Used for strings anywhere in an
/// event.
pub fn mask_text<'a>(text: &'a str, rule: &MaskRule) -> Cow<'a, str> {
    mask_nested(text, rule, 0)
}

/// Masks a text that stands within `level` texts.
fn mask_nested<'a>(text: &'a str, rule: &MaskRule, level: usize) -> Cow<'a, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    if !text.trim_start().starts_with(['{', '[']) {
        return rule.text(text);
    }
    if level >= MAX_NESTING {
        Cow::Owned(MASK.to_owned())
    } else {
        lenient::mask_within(text, rule, level + 1)
    }
}

/// A header's members without what is empty (`""`, `{}`, `[]`, `null`), and with texts masked as everywhere. Names decide
/// nothing here: a header's are the contract's.
pub(crate) fn tidy_members(members: &str, rule: &MaskRule) -> Result<String, FragmentError> {
    let json = format!("{{{members}}}");
    let mut out = String::with_capacity(json.len());
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let writing = Writing { names_decide: false, omit_empty: true, ..Writing::new(&mut out, rule) };
    writing.deserialize(&mut deserializer).map_err(|error| FragmentError { reason: error.to_string() })?;
    out.pop();
    Ok(out.split_off(1))
}

#[cfg(test)]
mod tests;
