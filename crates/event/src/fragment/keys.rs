//! The keys of one object: told from each other, and masked when they hold a secret themselves.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use base::mask::MaskRule;
use serde::de::{Deserializer, Visitor};

/// Keys of an object up to which duplicates are found by comparing, beyond by hashing.
const FEW_KEYS: usize = 16;

/// An object's key, borrowed from the input when it holds no escapes.
pub(super) struct Key<'de>(pub(super) Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The keys of one object so far: compared while few, hashed when many, so that no input costs quadratic time.
#[derive(Default)]
pub(super) struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
    n_masked: usize,
}

impl<'de> Keys<'de> {
    /// Takes a key and says how it is written. `None` when it was there already.
    pub(super) fn take(
        &mut self,
        key: &Cow<'de, str>,
        rule: &MaskRule,
        level: usize,
    ) -> Option<Cow<'de, str>> {
        if !self.insert(key.clone()) {
            return None;
        }
        match super::mask_nested(key, rule, level) {
            Cow::Borrowed(_) => Some(key.clone()),
            Cow::Owned(masked) => Some(Cow::Owned(self.unique(masked))),
        }
    }

    /// Keys that differ in their secrets only are told apart by a number.
    fn unique(&mut self, masked: String) -> String {
        let mut unique = masked.clone();
        while !self.insert(Cow::Owned(unique.clone())) {
            self.n_masked += 1;
            unique = format!("{masked} ({})", self.n_masked + 1);
        }
        unique
    }

    /// False when the key was there already.
    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if self.many.is_empty() && self.few.len() < FEW_KEYS {
            let is_new = !self.few.contains(&key);
            self.few.push(key);
            return is_new;
        }
        self.many.extend(self.few.drain(..));
        self.many.insert(key)
    }
}
