//! Reads one object member by member: native claims.

use std::fmt;

use base::mask::{MaskRule, Secrecy};
use serde::de::{Error as _, MapAccess, Visitor};

use super::append_string;
use super::keys::{Key, Keys};
use super::shapes::{Object, holds, mask_between, said_by};
use super::writing::{TWICE, Writing};

/// Reads the members of one object, each `"name":value`.
pub(super) struct Members<'a> {
    pub(super) rule: &'a MaskRule,
    pub(super) max_name: usize,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (rule, max_name) = (self.rule, self.max_name);
        let mut members: Vec<String> = Vec::with_capacity(8);
        let mut named = Secrecy::Open;
        let mut held = Vec::new();
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            if key.is_empty() || key.chars().count() > max_name {
                return Err(A::Error::custom(format_args!(
                    "has a name that is not of 1 to {max_name} characters"
                )));
            }
            let mut member = String::with_capacity(key.len() + 32);
            let shown = keys.take(&key, rule, 0).ok_or_else(|| A::Error::custom(TWICE))?;
            append_string(&shown, &mut member);
            member.push(':');
            let value_at = member.len();
            let secrecy = rule.judge(&key);
            map.next_value_seed(Writing { depth: 1, key: &key, ..Writing::new(&mut member, rule) })?;
            Object::default().member(&key, secrecy, value_at, rule, &mut member);
            let value = member.get(value_at..).unwrap_or_default();
            named = named.max(said_by(&key, value, rule));
            if value == "null" {
                continue;
            }
            if holds(&key) {
                held.push((members.len(), value_at));
            }
            members.push(member);
        }
        for (nth, value_at) in held {
            if let Some(member) = members.get_mut(nth) {
                mask_between(named, value_at, member.len(), member);
            }
        }
        Ok(members)
    }
}
