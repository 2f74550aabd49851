//! Which values are secret, judged by the name that they carry, and what is put in their place.
//!
//! The rule (published in `docs/MASKING.md`): a name is cut into words at `_`, `-`, `.`, spaces and changes of case. It
//! is secret when one word is in [`SECRET_WORDS`], when two neighbours are in [`SECRET_PAIRS`], or when it is written
//! in one piece and contains one of [`SECRET_PIECES`] — unless its last word says that the value only *describes* a
//! secret ([`ABOUT_WORDS`]: `token_lifetime`, `password_policy`).

use std::borrow::Cow;

/// What stands in the place of a masked value.
pub const MASK: &str = "[masked]";

/// Words that make a name secret.
pub const SECRET_WORDS: [&str; 24] = [
    "password",
    "passwords",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "secrets",
    "token",
    "tokens",
    "authorization",
    "cookie",
    "cookies",
    "otp",
    "totp",
    "pin",
    "credential",
    "credentials",
    "jwt",
    "assertion",
    "apikey",
    "privatekey",
    "cvv",
    "ssn",
];

/// Neighbouring words that make a name secret.
pub const SECRET_PAIRS: [(&str, &str); 10] = [
    ("private", "key"),
    ("api", "key"),
    ("access", "key"),
    ("encryption", "key"),
    ("signing", "key"),
    ("recovery", "code"),
    ("recovery", "codes"),
    ("backup", "codes"),
    ("verification", "code"),
    ("one", "time"),
];

/// Pieces that make a name secret when it is written without separators (`clientsecret`).
pub const SECRET_PIECES: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "authorization",
    "cookie",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "privatekey",
];

/// Last words of names that describe a secret without holding it.
pub const ABOUT_WORDS: [&str; 35] = [
    "alg",
    "algorithm",
    "at",
    "changed",
    "config",
    "configuration",
    "count",
    "enabled",
    "endpoint",
    "expiration",
    "expires",
    "expiry",
    "format",
    "length",
    "lifetime",
    "limit",
    "method",
    "methods",
    "name",
    "options",
    "policy",
    "required",
    "reset",
    "resets",
    "set",
    "settings",
    "strength",
    "supported",
    "ttl",
    "type",
    "types",
    "update",
    "uri",
    "url",
    "version",
];

/// The names that are secret in one installation: the built-in rule plus names of its own.
#[derive(Clone, Debug, Default)]
pub struct MaskRule {
    more: Vec<String>,
}

impl MaskRule {
    /// The built-in rule, extended by `more` names (compared without separators and case).
    pub fn with(more: impl IntoIterator<Item = String>) -> Self {
        Self { more: more.into_iter().map(|name| squash(&name)).filter(|name| !name.is_empty()).collect() }
    }

    /// Whether a value under this name is masked.
    pub fn is_secret(&self, name: &str) -> bool {
        if name.len() > 128 {
            return true; // Nobody's field name; a long secret-looking key is not worth the risk.
        }
        if !self.more.is_empty() && self.more.contains(&squash(name)) {
            return true;
        }
        // Cheap refusal first: every secret name holds one of these letters' pieces.
        if !may_be_secret(name) {
            return false;
        }
        let words = words(name);
        if words.last().is_some_and(|last| ABOUT_WORDS.contains(&last.as_str())) {
            return false;
        }
        words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()) || has_secret_piece(word))
            || words.windows(2).any(|pair| matches!(pair, [a, b] if SECRET_PAIRS.contains(&(a, b))))
    }

    /// Masks the secret values of a form body or query (`a=1&password=x`), and values that hold a form or URL with
    /// secrets of its own. Borrowed when nothing is masked.
    pub fn form<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !text.contains('=') || !form_urlencoded::parse(text.as_bytes()).any(|pair| self.masks_pair(&pair))
        {
            return Cow::Borrowed(text);
        }
        let masked: Vec<String> = text
            .split('&')
            .map(|pair| match (form_urlencoded::parse(pair.as_bytes()).next(), pair.split_once('=')) {
                (Some(parsed), Some((spelled, _))) if self.masks_pair(&parsed) => format!("{spelled}={MASK}"),
                _ => pair.to_owned(),
            })
            .collect();
        Cow::Owned(masked.join("&"))
    }

    fn masks_pair(&self, (name, value): &(Cow<'_, str>, Cow<'_, str>)) -> bool {
        self.is_secret(name) || (value.contains('=') && matches!(self.url_or_form(value), Cow::Owned(_)))
    }

    /// Whether a text names a secret as JSON does, `"password":`, wherever it stands and however broken the JSON is.
    pub fn quotes_a_secret(&self, text: &str) -> bool {
        let mut rest = text;
        while let Some((_, from_name)) = rest.split_once('"') {
            let Some((name, after)) = from_name.split_once('"') else { return false };
            if after.trim_start().starts_with(':') && self.is_secret(name.trim_end_matches('\\')) {
                return true;
            }
            // The closing quote of one text may open the next: a cut-off text has no pairs to rely on.
            rest = from_name;
        }
        false
    }

    /// Masks a text that is a URL if it says so (`://`, or a path with a query), and a form body otherwise.
    pub fn url_or_form<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.contains("://") || text.starts_with('/') || text.starts_with('?') {
            self.url(text)
        } else {
            self.form(text)
        }
    }

    /// Masks what is secret in a URL: the password of its authority, its query, its fragment. Relative URLs too.
    pub fn url<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let (rest, fragment) =
            text.split_once('#').map_or((text, None), |(rest, fragment)| (rest, Some(fragment)));
        let (address, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let shown = address_without_password(address);
        let shown_query = query.map(|query| self.form(query));
        let shown_fragment = fragment.map(|fragment| self.form(fragment));
        let untouched = |part: &Option<Cow<'_, str>>| !matches!(part, Some(Cow::Owned(_)));
        if matches!(shown, Cow::Borrowed(_)) && untouched(&shown_query) && untouched(&shown_fragment) {
            return Cow::Borrowed(text);
        }
        let mut masked = shown.into_owned();
        if let Some(query) = shown_query {
            masked.push('?');
            masked.push_str(&query);
        }
        if let Some(fragment) = shown_fragment {
            masked.push('#');
            masked.push_str(&fragment);
        }
        Cow::Owned(masked)
    }
}

fn address_without_password(address: &str) -> Cow<'_, str> {
    let masked = address.split_once("://").and_then(|(scheme, rest)| {
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
        let (user, host) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        let path = path.map(|path| format!("/{path}")).unwrap_or_default();
        Some(format!("{scheme}://{name}:{MASK}@{host}{path}"))
    });
    masked.map_or(Cow::Borrowed(address), Cow::Owned)
}

/// True for every secret name and few others: looks for the first three letters of each word, pair and piece.
fn may_be_secret(name: &str) -> bool {
    name.as_bytes().windows(3).any(|window| {
        let core = [window.first(), window.get(1), window.get(2)].map(|byte| byte.map_or(0, |b| b | 0x20));
        matches!(
            &core,
            b"pas"
                | b"pwd"
                | b"sec"
                | b"tok"
                | b"aut"
                | b"coo"
                | b"otp"
                | b"pin"
                | b"cre"
                | b"jwt"
                | b"ass"
                | b"key"
                | b"cod"
                | b"cvv"
                | b"ssn"
                | b"one"
        )
    })
}

fn has_secret_piece(word: &str) -> bool {
    SECRET_PIECES.iter().any(|piece| word.contains(piece))
}

fn squash(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The words of a name in lower case: cut at separators and where the case turns from lower to upper, or where an
/// upper-case run ends (`userPIN2`, `JWTToken`).
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| chars.get(i)).copied();
        let after = chars.get(at + 1).copied();
        let starts_word = c.is_uppercase()
            && before
                .is_some_and(|b| b.is_lowercase() || b.is_numeric() || after.is_some_and(char::is_lowercase));
        let ends_word = !c.is_alphabetic();
        if (starts_word || ends_word) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognised_in_any_spelling() {
        let rule = MaskRule::default();
        for name in [
            "password",
            "newPassword",
            "PASSWORD",
            "client_secret",
            "clientSecret",
            "clientsecret",
            "access_token",
            "refreshToken",
            "Authorization",
            "Set-Cookie",
            "otp",
            "otpCode",
            "private_key",
            "privateKey",
            "x-api-key",
            "apiKey",
            "password1",
            "JWTToken",
            "user.password",
            "recovery_codes",
            "password_hash",
            "secretKey",
        ] {
            assert!(rule.is_secret(name), "{name}");
        }
    }

    #[test]
    fn the_quick_look_lets_no_secret_name_pass() {
        let words = SECRET_WORDS.iter().chain(&SECRET_PIECES).map(ToString::to_string);
        for name in words.chain(SECRET_PAIRS.iter().map(|(a, b)| format!("{a}_{b}"))) {
            assert!(may_be_secret(&name), "{name}");
            assert!(MaskRule::default().is_secret(&name.to_uppercase()), "{name}");
        }
    }

    #[test]
    fn names_that_only_describe_a_secret_are_kept() {
        let rule = MaskRule::default();
        for name in [
            "email",
            "token_lifetime",
            "token_endpoint_auth_method",
            "last_password_reset",
            "passwordPolicy",
            "type",
            "author",
            "city",
            "pinned",
            "secretary",
            "tokenType",
            "keyboard",
            "code",
            "spinner",
        ] {
            let expected = name == "secretary"; // contains "secret" in one piece: masked rather than risked
            assert_eq!(rule.is_secret(name), expected, "{name}");
        }
    }

    #[test]
    fn an_installation_adds_names_of_its_own() {
        let rule = MaskRule::with(["Tax-Number".to_owned()]);
        assert!(rule.is_secret("tax_number"));
        assert!(rule.is_secret("taxNumber"));
        assert!(!MaskRule::default().is_secret("taxNumber"));
    }

    #[test]
    fn forms_and_urls_lose_their_secrets_and_nothing_else() {
        let rule = MaskRule::default();
        assert_eq!(rule.form("user=ann&password=hunter2&x=1"), "user=ann&password=[masked]&x=1");
        assert_eq!(rule.form("pass%77ord=hunter2"), "pass%77ord=[masked]");
        assert_eq!(
            rule.url("https://h/cb?code=1&id_token=abc#access_token=s"),
            "https://h/cb?code=1&id_token=[masked]#access_token=[masked]"
        );
        assert_eq!(rule.url("https://ann:pw@h/p?x=1"), "https://ann:[masked]@h/p?x=1");
        assert!(matches!(rule.url("/api/v2/clients?page=1"), Cow::Borrowed(_)));
        assert_eq!(rule.url("https://h/a?x=https://b/?token=s&y=1"), "https://h/a?x=[masked]&y=1");
        assert_eq!(rule.form("to=https%3A%2F%2Fb%2F%3Fa%3D1%26id_token%3Ds"), "to=[masked]");
        assert_eq!(rule.form("to=https%3A%2F%2Fb%2F%3Fa%3D1"), "to=https%3A%2F%2Fb%2F%3Fa%3D1");
    }

    #[test]
    fn a_secret_is_found_in_broken_json() {
        let rule = MaskRule::default();
        for text in [
            r#"{"password":"x","a":"#,
            r#"body: {"password" : "x"}"#,
            r#"{\"password\":\"x"#,
            r#""a","otp":1"#,
        ] {
            assert!(rule.quotes_a_secret(text), "{text}");
        }
        for text in [r#"{"a":"password","b":"#, "say \"password\" now", "\"", ""] {
            assert!(!rule.quotes_a_secret(text), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn masking_never_panics_and_is_stable(text in ".*") {
            let rule = MaskRule::default();
            let _ = (rule.is_secret(&text), rule.quotes_a_secret(&text));
            let once = rule.url(&text).into_owned();
            proptest::prop_assert_eq!(rule.url(&once).into_owned(), once);
        }
    }
}
