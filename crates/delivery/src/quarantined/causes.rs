//! Why events are refused, without what differs from event to event: so that a thousand refusals for one reason are one
//! line.

use std::collections::HashMap;

/// Longest cause, in characters.
const MAX_CHARS: usize = 120;
/// Most texts that are told apart. What comes later is one of [`OTHER`].
const MAX_TEXTS: usize = 500;
/// What stands for all texts that are not told apart.
pub const OTHER: &str = "(other)";

/// What a reason has in common with others: its beginning, with every number, id and quoted value left out.
///
/// A word that holds a digit becomes `#`; so does what stands between single or double quotes.
pub(crate) fn cause_of(reason: &str) -> String {
    let (mut cause, mut quote, mut word) = (String::new(), None, String::new());
    for c in reason.chars() {
        match quote {
            Some(open) if c == open => {
                cause.push('#');
                cause.push(c);
                quote = None;
            }
            Some(_) => {}
            None if c.is_alphanumeric() || (c == '-' && !word.is_empty()) || c == '_' => word.push(c),
            None => {
                take(&mut word, &mut cause);
                cause.push(c);
                // The apostrophe of a word is none.
                quote = (matches!(c, '"' | '\'') && !ends_in_word(&cause)).then_some(c);
            }
        }
    }
    take(&mut word, &mut cause);
    if let Some((end, _)) = cause.char_indices().nth(MAX_CHARS) {
        cause.truncate(end);
        cause.push('…');
    }
    cause
}

/// Whether the last character but one belongs to a word.
fn ends_in_word(text: &str) -> bool {
    text.chars().rev().nth(1).is_some_and(|c| c.is_alphanumeric() || c == '#')
}

/// Ends a word.
fn take(word: &mut String, cause: &mut String) {
    if word.chars().any(|c| c.is_ascii_digit()) {
        cause.push('#');
    } else {
        cause.push_str(word);
    }
    word.clear();
}

/// Texts by number, so that each is kept once.
#[derive(Debug)]
pub(crate) struct Texts {
    texts: Vec<String>,
    numbers: HashMap<String, u16>,
}

impl Default for Texts {
    /// With [`OTHER`] as number 0.
    fn default() -> Self {
        Self { texts: vec![OTHER.to_owned()], numbers: HashMap::new() }
    }
}

impl Texts {
    /// The number of a text; 0 when there are too many.
    pub(crate) fn number(&mut self, text: &str) -> u16 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let Some(number) = u16::try_from(self.texts.len()).ok().filter(|n| usize::from(*n) <= MAX_TEXTS)
        else {
            return 0;
        };
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// The text with a number.
    pub(crate) fn text(&self, number: u16) -> &str {
        self.texts.get(usize::from(number)).map_or(OTHER, String::as_str)
    }

    /// Of each number, whether its text fits.
    pub(crate) fn fitting(&self, fits: impl Fn(&str) -> bool) -> Vec<bool> {
        self.texts.iter().map(|text| fits(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_their_values_have_one_cause() {
        for (reason, cause) in [
            (
                "document_parsing_exception: [1:845] failed to parse field [nativeClaims.tier] of type [long] in document \
                 with id '0197f3a0-6c1e-7c3a-9d2b-0a1b2c3d4e51'.",
                "document_parsing_exception: [#:#] failed to parse field [nativeClaims.tier] of type [long] in document with \
                 id '#'.",
            ),
            ("HTTP 400: can't index \"gold\" at 3", "HTTP #: can't index \"#\" at #"),
            ("Incorrect index, invalid-event-number: 12", "Incorrect index, invalid-event-number: #"),
            ("", ""),
            ("an open 'quote", "an open '"),
        ] {
            assert_eq!(cause_of(reason), cause);
        }
        assert_eq!(cause_of(&"ä".repeat(500)).chars().count(), MAX_CHARS + 1);
    }

    #[test]
    fn texts_beyond_the_bound_are_one() {
        let mut texts = Texts::default();
        let numbers: Vec<u16> = (0..MAX_TEXTS + 5).map(|n| texts.number(&n.to_string())).collect();
        assert_eq!((numbers[0], numbers[MAX_TEXTS - 1], numbers[MAX_TEXTS]), (1, MAX_TEXTS as u16, 0));
        assert_eq!((texts.text(1), texts.text(0), texts.text(9999)), ("0", OTHER, OTHER));
        assert_eq!(texts.number("3"), 4);
    }
}
