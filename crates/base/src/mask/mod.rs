//! Which values are secret, judged by the name that they carry, and what is put in their place.
//!
//! The rule (published in `docs/MASKING.md`): a name is cut into words at `_`, `-`, `.`, spaces and changes of case. It
//! is secret when one word is in [`SECRET_WORDS`], when two neighbours are in [`SECRET_PAIRS`], or when it is written
//! in one piece and contains one of [`SECRET_PIECES`] or ends with one of [`SECRET_ENDINGS`] — unless its last word says
//! that the value only *describes* a secret ([`ABOUT_WORDS`]: `token_lifetime`, `password_policy`). Names of addresses
//! that open something ([`LINK_WORDS`] with [`TICKET_WORDS`]: `reset_password_url`) are secret too.

mod names;
mod text;

use std::borrow::Cow;

use self::names::squash;
pub use self::names::{
    ABOUT_WORDS, CHANGE_WORDS, LINK_WORDS, SECRET_ENDINGS, SECRET_PAIRS, SECRET_PIECES, SECRET_WORDS,
    Secrecy, TICKET_WORDS,
};
use crate::Timestamp;

/// What stands in the place of a masked value.
pub const MASK: &str = "[masked]";

/// The contract's `token` of an actor or subject: who issued an exchanged token and to whom, no part of the token.
const EXCHANGED_TOKEN: (&str, &[&str]) = ("token", &["iss", "sub"]);

/// Longest name that is judged by its words, in bytes.
const MAX_NAME: usize = 128;

/// The names that are secret in one installation: the built-in rule plus names of its own.
#[derive(Clone, Debug, Default)]
pub struct MaskRule {
    more: Vec<String>,
    open: Vec<String>,
    facts: Vec<(String, &'static [&'static str])>,
}

impl MaskRule {
    /// The built-in rule, extended by `more` names (compared without separators and case).
    pub fn with(more: impl IntoIterator<Item = String>) -> Self {
        Self::default().and(more)
    }

    /// This rule, extended by `more` names (compared without separators and case).
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = String>) -> Self {
        self.more.extend(squashed(more));
        self
    }

    /// This rule without the built-in verdict on `names`: a platform knows that they hold no secret. Names that were
    /// added stay secret.
    #[must_use]
    pub fn except(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.open.extend(squashed(names));
        self
    }

    /// This rule, and an object under `name` that has only these members holds no secret: a platform keeps facts about
    /// the secret there.
    #[must_use]
    pub fn facts_of(mut self, name: &str, members: &'static [&'static str]) -> Self {
        self.facts.push((squash(name), members));
        self
    }

    /// What a name says about its value.
    pub fn judge(&self, name: &str) -> Secrecy {
        if name.len() > MAX_NAME {
            return Secrecy::Whole; // Nobody's field name; a long secret-looking key is not worth the risk.
        }
        if self.more.is_empty() && self.open.is_empty() {
            return names::judge(name);
        }
        let squashed = squash(name);
        if self.more.contains(&squashed) {
            Secrecy::Whole
        } else if self.open.contains(&squashed) {
            Secrecy::Open
        } else {
            names::judge(name)
        }
    }

    /// The only members of an object under this secret name that is looked into instead of masked; `None` when there is
    /// no such object.
    pub fn facts(&self, name: &str) -> Option<&'static [&'static str]> {
        if name == EXCHANGED_TOKEN.0 && !self.more.iter().any(|more| more == name) {
            return Some(EXCHANGED_TOKEN.1);
        }
        let squashed = if self.facts.is_empty() { return None } else { squash(name) };
        let found = self.facts.iter().find(|(name, _)| *name == squashed);
        found.filter(|_| !self.more.contains(&squashed)).map(|(_, members)| *members)
    }

    /// Whether some value under this name is masked.
    pub fn is_secret(&self, name: &str) -> bool {
        self.judge(name) != Secrecy::Open
    }

    /// What the steps of a path say together: `/auth/client_secret/0`, `user.password`.
    pub fn judge_path(&self, path: &str) -> Secrecy {
        let steps = path.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '$')));
        let mut found = Secrecy::Open;
        for step in steps {
            match self.judge(step) {
                Secrecy::Whole => return Secrecy::Whole,
                Secrecy::Texts => found = Secrecy::Texts,
                Secrecy::Open => {}
            }
        }
        found
    }

    /// Masks what is secret in a text that is no JSON document: pairs of forms and logs (`a=1&password=x`), URLs with
    /// their queries, fragments and passwords, header lines, pieces of JSON, and these percent-encoded. Borrowed when
    /// nothing is masked. Time is linear in the text.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text::mask(text, self, 0)
    }

    /// What a name that may be percent-encoded says.
    fn judge_escaped(&self, name: &str) -> Secrecy {
        if !name.contains('%') {
            return self.judge(name);
        }
        let mut name = Cow::Borrowed(name);
        for _ in 0..text::MAX_NESTING {
            let decoded = text::percent_decoded(&name);
            if decoded == name {
                return self.judge(&name);
            }
            name = Cow::Owned(decoded.into_owned());
        }
        Secrecy::Whole
    }

    /// What a name of two words that are not written together says (`api key`), when the second alone says nothing.
    fn judge_joined(&self, before: &str, name: &str) -> Secrecy {
        let is_added = !self.more.is_empty() && self.more.contains(&(squash(before) + &squash(name)));
        if is_added || names::joins_to_secret(before, name) { Secrecy::Whole } else { Secrecy::Open }
    }
}

/// Whether a text holds nothing that any rule would mask, JSON or not. Cheap, and true for most texts.
pub fn is_plain(text: &str) -> bool {
    text::is_plain(text)
}

/// Whether a text under a name of [`CHANGE_WORDS`] tells when, not what.
pub fn is_fact(text: &str) -> bool {
    Timestamp::parse(text).is_ok()
}

fn squashed(names: impl IntoIterator<Item = String>) -> impl Iterator<Item = String> {
    names.into_iter().map(|name| squash(&name)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
