//! Writes one JSON value in its canonical, masked form while it is parsed, in one pass.

use std::fmt::{self, Write as _};

use base::mask::{MaskRule, Secrecy};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::keys::{Key, Keys};
use super::shapes::{Array, Object};
use super::{MAX_DEPTH, append_string, mask_nested};

/// Why an object is refused.
pub(super) const TWICE: &str = "holds an object with a key that occurs twice";

/// Writes one JSON value while it is parsed.
pub(super) struct Writing<'a> {
    pub(super) out: &'a mut String,
    pub(super) rule: &'a MaskRule,
    pub(super) depth: usize,
    /// The key of the value; empty when it has none.
    pub(super) key: &'a str,
    /// Whether a member's name can make its value secret.
    pub(super) names_decide: bool,
    /// Leave members out whose value is empty.
    pub(super) omit_empty: bool,
}

impl<'a> Writing<'a> {
    pub(super) const fn new(out: &'a mut String, rule: &'a MaskRule) -> Self {
        Self { out, rule, depth: 0, key: "", names_decide: true, omit_empty: false }
    }

    fn nested<'b>(&'b mut self, key: &'b str) -> Writing<'b> {
        Writing { out: self.out, depth: self.depth + 1, key, ..*self }
    }

    fn number(self, number: impl Into<serde_json::Number>) {
        let _infallible = write!(self.out, "{}", number.into());
    }

    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("is nested more than {MAX_DEPTH} deep")));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Writing<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Writing<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = serde_json::Number::from_f64(value)
            .ok_or_else(|| E::custom("holds a number that is not finite"))?;
        self.number(number);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.push_str("null");
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        append_string(&mask_nested(value, self.rule, 0), self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.check_depth()?;
        self.out.push('[');
        let mut array = Array::default();
        let mut at = self.out.len();
        while seq.next_element_seed(self.nested(""))?.is_some() {
            if self.names_decide {
                array.element(at, self.rule, self.out);
            }
            self.out.push(',');
            at = self.out.len();
        }
        if self.out.ends_with(',') {
            self.out.pop();
        }
        array.close(self.key, self.out);
        self.out.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.check_depth()?;
        self.out.push('{');
        let (mut keys, mut object) = (Keys::default(), Object::default());
        let mut is_first = true;
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            let before = self.out.len();
            if !is_first {
                self.out.push(',');
            }
            let shown = keys.take(&key, self.rule, 0).ok_or_else(|| A::Error::custom(TWICE))?;
            append_string(&shown, self.out);
            self.out.push(':');
            let value_at = self.out.len();
            let secrecy = if self.names_decide { self.rule.judge(&key) } else { Secrecy::Open };
            map.next_value_seed(self.nested(&key))?;
            if self.names_decide {
                object.member(&key, secrecy, value_at, self.rule, self.out);
            }
            if self.omit_empty && matches!(self.out.get(value_at..), Some("\"\"" | "{}" | "[]" | "null")) {
                self.out.truncate(before);
            } else {
                is_first = false;
            }
        }
        object.close(self.out);
        self.out.push('}');
        Ok(())
    }
}
