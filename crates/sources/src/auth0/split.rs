//! A webhook's body, cut into items: JSON Lines, a JSON array or a single JSON object, told apart by looking.
//!
//! Auth0's stream has a setting for the format; a body says by itself which one it has, so ours has none.

use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Most items of one delivery.
pub const MAX_ITEMS: usize = 10_000;

/// One item of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its place in the delivery, from 0; blank lines do not count.
    pub index: usize,
    /// Its text: one JSON value, or a line that is none.
    pub text: &'a str,
}

/// Why a whole delivery is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// Neither of the three formats: for example cut off.
    #[error("the body is neither JSON Lines nor a JSON array nor a JSON object")]
    Malformed,
    /// More items than [`MAX_ITEMS`].
    #[error("the body holds more than {MAX_ITEMS} items")]
    TooMany,
}

/// Cuts a body into items. A line that is not well-formed among lines that are is an item too: it is for
/// [`normalise`](super::normalise()) to refuse it alone.
pub fn split(body: &str) -> Result<Vec<Item<'_>>, SplitError> {
    let body = body.trim_start_matches('\u{feff}').trim();
    if body.is_empty() {
        return Err(SplitError::Empty);
    }
    let texts = if body.starts_with('[') {
        // Lines may begin with an array that is no event; a body cut off within an array must not be taken for lines.
        match array(body) {
            Err(SplitError::Malformed) if is_well_formed(first_line(body)) => lines(body)?,
            items => items?,
        }
    } else if is_well_formed(body) {
        vec![body]
    } else {
        lines(body)?
    };
    Ok(texts.into_iter().enumerate().map(|(index, text)| Item { index, text }).collect())
}

fn first_line(body: &str) -> &str {
    body.lines().next().unwrap_or_default()
}

/// The lines of a body, provided that it is one of lines: every line is well-formed, or one of them is an object. A
/// pretty-printed object that was cut off is neither.
fn lines(body: &str) -> Result<Vec<&str>, SplitError> {
    let lines: Vec<&str> =
        body.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_ITEMS + 1).collect();
    if lines.len() > MAX_ITEMS {
        return Err(SplitError::TooMany);
    }
    let is_object = |line: &&str| line.starts_with('{') && is_well_formed(line);
    if lines.iter().any(is_object) || lines.iter().all(|line| is_well_formed(line)) {
        Ok(lines)
    } else {
        Err(SplitError::Malformed)
    }
}

fn is_well_formed(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The elements of an array, no more of them than may be.
fn array(body: &str) -> Result<Vec<&str>, SplitError> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let elements = deserializer.deserialize_seq(Elements).map_err(|_| SplitError::Malformed)?;
    if elements.len() > MAX_ITEMS {
        return Err(SplitError::TooMany);
    }
    deserializer.end().map_err(|_| SplitError::Malformed)?;
    Ok(elements)
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element::<&'de RawValue>()? {
            if elements.len() <= MAX_ITEMS {
                elements.push(element.get());
            }
        }
        Ok(elements)
    }
}
