//! A destination's own words as they are kept and shown: short, on one line, without its credential.
//!
//! Some servers repeat the credential that they refuse, and some repeat the value that they could not parse. Neither
//! may reach a status, a diagnostic or a quarantine entry.

use base::Secret;
use base::mask::MASK;

/// Longest reason, in characters.
pub(crate) const MAX_CHARS: usize = 300;
/// Most of a body that is looked at, in bytes.
const MAX_LOOKED_AT: usize = 4096;
/// From here on Elasticsearch and OpenSearch repeat the value that they could not parse or index (the latter as bytes).
const ECHOES: [&str; 2] = ["Preview of field's value:", "The prefix of the first immense term is:"];

/// What must not be repeated: the credential in each form in which it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hush(Vec<Secret>);

impl Hush {
    /// Texts of fewer than four characters are not looked for: they would be found everywhere.
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self(secrets.into_iter().filter(|secret| secret.expose().len() >= 4).collect())
    }

    /// The same, and `more`.
    pub(crate) fn and(mut self, more: impl IntoIterator<Item = Secret>) -> Self {
        self.0.extend(Self::new(more).0);
        self
    }

    /// `text` with every occurrence of the credential masked.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), MASK))
    }

    /// The words of a destination, fit to be kept.
    pub(crate) fn reason(&self, words: &str) -> String {
        let told = ECHOES.iter().filter_map(|echo| words.find(echo)).min().unwrap_or(words.len());
        let words = words.get(..told).unwrap_or(words);
        let shown = self.scrub(words);
        let mut reason = String::new();
        for word in shown.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty())
        {
            if !reason.is_empty() {
                reason.push(' ');
            }
            reason.push_str(word);
        }
        if let Some((end, _)) = reason.char_indices().nth(MAX_CHARS) {
            reason.truncate(end);
            reason.push('…');
        }
        reason
    }

    /// The words of an answer whose body is not of the vendor's form.
    pub(crate) fn unknown(&self, status: u16, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(body.get(..MAX_LOOKED_AT).unwrap_or(body));
        let words = self.reason(&text);
        if words.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {words}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_credential_is_masked() {
        let hush = Hush::new([Secret::new("s3cr3t-token"), Secret::new("")]);
        assert_eq!(
            hush.unknown(401, b"scheme or token does not match:\n Splunk s3cr3t-token"),
            "HTTP 401: scheme or token does not match: Splunk [masked]"
        );
    }

    #[test]
    fn the_value_of_a_field_is_not_repeated() {
        let words = "failed to parse field [city] of type [long]. Preview of field's value: 'Graz'";
        assert_eq!(Hush::default().reason(words), "failed to parse field [city] of type [long].");
        let words =
            "one immense term. The prefix of the first immense term is: '[71, 114, 97, 122]...', skipped";
        assert_eq!(Hush::default().reason(words), "one immense term.");
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let reason = Hush::default().reason(&"ü".repeat(1000));
        assert_eq!(reason.chars().count(), MAX_CHARS + 1);
    }

    proptest::proptest! {
        #[test]
        fn any_body_becomes_one_short_line(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..6000)) {
            let reason = Hush::default().unknown(500, &body);
            proptest::prop_assert!(reason.chars().count() <= MAX_CHARS + 12);
            proptest::prop_assert!(!reason.chars().any(char::is_control));
        }
    }
}
