//! Cuts a posted body into the texts of single events: an object, an array of objects, or lines.

use event::pieces::{CutError, Piece, cut};

use crate::IntakeError;

/// The events in `body`, in order. A line that is not JSON is still one, refused later by itself; an array is well-formed
/// as a whole or not at all.
pub(crate) fn pieces(body: &[u8], are_lines: bool, max_events: usize) -> Result<Vec<Piece<'_>>, IntakeError> {
    let pieces = cut(body, are_lines, max_events).map_err(|error| match error {
        CutError::Empty => IntakeError::Empty,
        CutError::TooMany => IntakeError::TooManyEvents { limit: max_events },
        CutError::Malformed(cause) => IntakeError::Malformed(cause),
    })?;
    if pieces.is_empty() {
        return Err(IntakeError::Empty);
    }
    let is_value = |piece: &Piece<'_>| matches!(piece, Piece::Text(text) if text.starts_with('{'));
    let is_array = || body.trim_ascii_start().starts_with(b"[");
    if !are_lines && !pieces.iter().any(is_value) && !is_array() {
        let expected = "expected a JSON object, an array of objects, or JSON lines";
        return Err(IntakeError::Malformed(expected.to_owned()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_events_is_told_apart() {
        let refused = |body: &[u8]| pieces(body, false, 2).unwrap_err();
        assert!(matches!(refused(b" \n"), IntakeError::Empty));
        assert!(matches!(refused(b"[]"), IntakeError::Empty));
        for body in [b"[{}".as_slice(), b"hello", b"\xff", b"7", b"\"text\""] {
            assert!(matches!(refused(body), IntakeError::Malformed(_)));
        }
        assert!(matches!(refused(b"{}\n{}\n{}"), IntakeError::TooManyEvents { limit: 2 }));
        assert_eq!(pieces(b"[1,2]", false, 2).unwrap().len(), 2);
        assert_eq!(pieces(b"7\n8", true, 2).unwrap().len(), 2);
    }
}
