//! A request's body, read into the claim that its sender wants.

use event::claims;
use serde_json::Value;

use super::ENTITY;
use super::document::{DEFAULT_DIALECT, NativeClaim};
use crate::error::ApiError;
use crate::fields::{Complaints, Fields};

/// The fields of a request: the contract's, and what an answer has more.
const FIELDS: [&str; 7] =
    ["id", "name", "displayName", "description", "dialectUri", "readonly", "targetReadonly"];
/// Longest `dialectUri`, in characters. The contract names no limit.
const MAX_URI: usize = 2048;

/// Reads a request that makes the claim with this id, or `is_replacing` the one that has it. Every field that is wrong is
/// named; `readonly` and `targetReadonly` are passed over, so that an answer can be sent back.
pub(super) fn wanted(body: &Value, id: String, is_replacing: bool) -> Result<NativeClaim, ApiError> {
    let mut complaints = Complaints::about(ENTITY);
    let fields = Fields::of(body, &mut complaints);
    fields.only(&FIELDS, &mut complaints);
    if is_replacing && fields.required_text("id", 1, 64, &mut complaints).is_some_and(|given| given != id) {
        fields.complain("id", "must be the id of the path", &mut complaints);
    }
    let name = name(&fields, &mut complaints);
    let display_name = fields.title("displayName", &mut complaints);
    let description = fields.text("description", 0, 1024, &mut complaints);
    let dialect_uri = dialect_uri(&fields, &mut complaints);
    for passed_over in ["readonly", "targetReadonly"] {
        fields.boolean(passed_over, &mut complaints);
    }
    complaints.finish(name.zip(display_name).map(|(name, display_name)| NativeClaim {
        id,
        name: name.to_owned(),
        display_name: display_name.to_owned(),
        description: description.filter(|text| !text.is_empty()).map(ToOwned::to_owned),
        dialect_uri: dialect_uri.to_owned(),
    }))
}

fn name<'a>(fields: &Fields<'a>, complaints: &mut Complaints) -> Option<&'a str> {
    let name = fields.required_text("name", 1, claims::MAX_NAME, complaints)?;
    if !claims::is_name(name) {
        let message = "must begin with a letter from A to Z and consist of such letters, digits and any of _ ! # $ & ' ( ) * + , / : ; = ? @ [ ] .";
        fields.complain("name", message, complaints);
        return None;
    }
    Some(name)
}

fn dialect_uri<'a>(fields: &Fields<'a>, complaints: &mut Complaints) -> &'a str {
    let given = fields.text("dialectUri", 1, MAX_URI, complaints);
    if given.is_some_and(|uri| !is_absolute_uri(uri)) {
        let message = "must be an absolute URI, such as http://example.com/claims or urn:example:claims";
        fields.complain("dialectUri", message, complaints);
    }
    given.unwrap_or(DEFAULT_DIALECT)
}

/// Whether a text has a scheme, something behind it, and only characters of a URI (RFC 3986 sections 2 and 3). It names
/// something and is never called, so what its scheme makes of the rest does not matter.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let in_scheme = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    let in_uri = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(in_scheme)
        && !rest.trim_start_matches('/').is_empty()
        && rest.bytes().all(in_uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_an_absolute_uri() {
        for uri in ["http://strivacity.com/claims", "urn:mace:dir", "https://a.example/x?y#z", "a+b-c.1:x"] {
            assert!(is_absolute_uri(uri), "{uri}");
        }
        for uri in ["", "x", "/claims", "//host/x", ":x", "1a:x", "http:", "http://", "a:b c", "a:\n", "a:ä"]
        {
            assert!(!is_absolute_uri(uri), "{uri}");
        }
    }
}
