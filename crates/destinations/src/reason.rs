//! A destination's own words as they are kept and shown: short, on one line, without its credential.
//!
//! Some servers repeat the credential that they refuse, and some repeat the value that they could not parse. Neither
//! may reach a status, a diagnostic or a quarantine entry.

use base::Secret;
use base::mask::MASK;
use url::{Url, form_urlencoded};

/// Longest reason, in characters.
pub(crate) const MAX_CHARS: usize = 300;
/// Most of a body that is looked at, in bytes.
const MAX_LOOKED_AT: usize = 4096;
/// Parts of an address of this length, in characters, are looked for alone: they are keys rather than words.
const MIN_KEY: usize = 16;
/// And a whole path without its slashes: shorter ones are words.
const MIN_BARE: usize = 8;
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

    /// The same, and what of `address` follows its host, whole and in parts, as it is sent and decoded: for many servers it
    /// is all that protects them.
    pub(crate) fn and_address(self, address: &Url) -> Self {
        let (path, query) = (address.path(), address.query().unwrap_or_default());
        let mut texts = vec![path.to_owned(), query.to_owned()];
        texts.extend(address.query().map(|query| format!("{path}?{query}")));
        let parts = path.split('/').chain(query.split(['&', '=']));
        texts.extend(parts.filter(|part| part.len() >= MIN_KEY).map(ToOwned::to_owned));
        texts.extend(texts.clone().iter().map(|text| decoded(text)));
        let bare: Vec<String> = texts.iter().map(|text| text.trim_matches('/').to_owned()).collect();
        texts.extend(bare.into_iter().filter(|text| text.len() >= MIN_BARE));
        // The longest first: nothing of it is left beside a part that is masked.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        self.and(texts.into_iter().map(Secret::new))
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

/// Without percent signs.
fn decoded(text: &str) -> String {
    let one = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(one.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_host_of_an_address_is_masked_whole_in_parts_and_decoded() {
        let address = Url::parse("https://h.example/T0/s3cr%2Ft+key-of-a-hook?sig=a%26b%3Dc+long-signature");
        let hush = Hush::default().and_address(&address.unwrap());
        for words in [
            "/T0/s3cr%2Ft+key-of-a-hook?sig=a%26b%3Dc+long-signature",
            "/T0/s3cr/t+key-of-a-hook?sig=a&b=c+long-signature",
            "T0/s3cr%2Ft+key-of-a-hook",
            "s3cr%2Ft+key-of-a-hook",
            "s3cr/t+key-of-a-hook",
            "sig=a&b=c+long-signature",
            "a&b=c+long-signature",
        ] {
            assert_eq!(hush.reason(&format!("no {words} here")), "no [masked] here", "{words}");
        }
        let plain = Hush::default().and_address(&Url::parse("https://h.example/").unwrap());
        assert_eq!(plain.reason("GET / is all"), "GET / is all");
        let short = Hush::default().and_address(&Url::parse("https://h.example/logs").unwrap());
        assert_eq!(short.reason("no logs at /logs"), "no logs at [masked]");
    }

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
