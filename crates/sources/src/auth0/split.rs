//! A webhook's body, cut into items: JSON Lines, a JSON array or a single JSON object, told apart by looking.
//!
//! Auth0's stream has a setting for the format; a body says by itself which one it has, so ours has none. An object that
//! only wraps a list of logs, `{"logs": […]}`, is one more form of the list.

use std::borrow::Cow;

use event::pieces::{self, CutError, Piece};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Most items of one delivery.
pub const MAX_ITEMS: usize = 10_000;

/// One item of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its text: one JSON value, or a line that is none.
    pub text: Cow<'a, str>,
    /// What keeps it from being an event, when that is known already: the text has U+FFFD for bytes that are not UTF-8.
    pub flaw: Option<String>,
}

/// Why a whole delivery is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// Neither of the formats: for example cut off.
    #[error("the body is neither JSON Lines nor a JSON array nor a JSON object: {0}")]
    Malformed(String),
    /// More items than [`MAX_ITEMS`].
    #[error("the body holds more than {MAX_ITEMS} items")]
    TooMany,
}

impl From<CutError> for SplitError {
    fn from(error: CutError) -> Self {
        match error {
            CutError::Empty => Self::Empty,
            CutError::TooMany => Self::TooMany,
            CutError::Malformed(cause) => Self::Malformed(cause),
        }
    }
}

/// Cuts a body into items. A line that is not well-formed among lines that are is an item too: it is for
/// [`normalise`](super::normalise()) to refuse it alone.
pub fn split(body: &[u8]) -> Result<Vec<Item<'_>>, SplitError> {
    let pieces = pieces::cut(body, false, MAX_ITEMS)?;
    let mut items = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::NotText(bytes, valid) => items.push(Item {
                text: String::from_utf8_lossy(bytes),
                flaw: Some(format!("the item is not UTF-8 after byte {valid}")),
            }),
            Piece::Text(text) => match wrapped(text) {
                None => items.push(Item { text: Cow::Borrowed(text), flaw: None }),
                Some(logs) => {
                    let logs = pieces::array(logs.as_bytes(), MAX_ITEMS)?;
                    let texts = logs.into_iter().filter_map(|piece| match piece {
                        Piece::Text(text) => Some(Item { text: Cow::Borrowed(text), flaw: None }),
                        Piece::NotText(..) => None, // A part of a text is one.
                    });
                    items.extend(texts);
                }
            },
        }
        if items.len() > MAX_ITEMS {
            return Err(SplitError::TooMany);
        }
    }
    Ok(items)
}

/// The list of logs in an object that is no log itself.
fn wrapped(text: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Wrapper<'a> {
        #[serde(borrow)]
        logs: Option<&'a RawValue>,
        data: Option<IgnoredAny>,
        r#type: Option<IgnoredAny>,
    }
    // Cheap refusal first.
    if !text.contains("\"logs\"") {
        return None;
    }
    let wrapper: Wrapper<'_> = serde_json::from_str(text).ok()?;
    let is_log = wrapper.data.is_some() || wrapper.r#type.is_some();
    wrapper.logs.map(RawValue::get).filter(|logs| !is_log && logs.starts_with('['))
}
