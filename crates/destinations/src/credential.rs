//! Credentials as header values: checked for what no header can hold, marked so that they are never printed.

use base::Secret;
use http::HeaderValue;

use crate::registry::SettingsError;

/// The contract's field.
const FIELD: &str = "apiKey";
/// Longest credential of the contract, in characters.
pub(crate) const MAX_CHARS: usize = 200;

/// Refuses a credential that is longer than `max` characters.
pub(crate) fn check_length(credential: &Secret, max: usize) -> Result<(), Vec<SettingsError>> {
    if credential.expose().chars().count() > max {
        return Err(wrong(format!("must have at most {max} characters")));
    }
    Ok(())
}

/// `text` as a header value that is never printed.
pub(crate) fn header(text: &str) -> Result<HeaderValue, Vec<SettingsError>> {
    let visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let mut value = HeaderValue::from_str(text)
        .ok()
        .filter(|_| visible)
        .ok_or_else(|| wrong("must consist of printable ASCII characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A complaint about the credential.
pub(crate) fn wrong(message: impl Into<String>) -> Vec<SettingsError> {
    vec![SettingsError::new(FIELD, message)]
}
