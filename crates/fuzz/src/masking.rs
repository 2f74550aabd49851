//! Secrets that are planted into JSON, to be looked for in what comes out.

use base::mask::{MaskRule, Secrecy};
use serde_json::Value;

/// What is planted. No name, no fact, nothing that an input holds by chance.
pub(crate) const PLANTED: &str = "sesame7Qx9planted";

/// Puts the secret in the place of every text that lies under a secret name; `None` when there is none. A name whose
/// objects hold facts is looked into and not masked: what lies under it is left alone.
pub(crate) fn plant(json: &[u8], open: &[&str]) -> Option<String> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let rule = MaskRule::default().except(open.iter().map(|name| (*name).to_owned()));
    let mut n_planted = 0;
    visit(&mut value, &rule, false, &mut n_planted);
    (n_planted > 0).then(|| value.to_string())
}

fn visit(value: &mut Value, rule: &MaskRule, is_secret: bool, n_planted: &mut usize) {
    match value {
        Value::String(text) if is_secret => {
            PLANTED.clone_into(text);
            *n_planted += 1;
        }
        Value::Array(elements) => {
            for element in elements {
                visit(element, rule, is_secret, n_planted);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let has_facts = !is_secret && (rule.facts(name).is_some() || is_refresh_token(name));
                if !has_facts {
                    let is_secret = is_secret || rule.judge(name) == Secrecy::Whole;
                    visit(value, rule, is_secret, n_planted);
                }
            }
        }
        _ => {}
    }
}

/// Auth0 keeps a session's facts under this name.
fn is_refresh_token(name: &str) -> bool {
    let letters = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    letters.eq("refreshtoken".chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_planted_under_secret_names_alone() {
        let planted = plant(br#"{"a":"x","password":{"deep":["y"]},"token":{"iss":"z"}}"#, &[]).unwrap();
        assert_eq!(
            planted,
            format!(r#"{{"a":"x","password":{{"deep":["{PLANTED}"]}},"token":{{"iss":"z"}}}}"#)
        );
        assert_eq!(plant(br#"{"a":"x"}"#, &[]), None);
    }
}
