//! The lists that make a name secret, and how a name is cut into words.

/// Words that make a name secret.
pub const SECRET_WORDS: [&str; 31] = [
    "password",
    "passwords",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "passcode",
    "secret",
    "secrets",
    "token",
    "tokens",
    "authorization",
    "bearer",
    "cookie",
    "cookies",
    "otp",
    "totp",
    "otpcode",
    "pin",
    "pincode",
    "userpin",
    "credential",
    "credentials",
    "jwt",
    "assertion",
    "samlresponse",
    "codeverifier",
    "securityanswer",
    "backupcode",
    "cvv",
    "ssn",
];

/// Neighbouring words that make a name secret.
pub const SECRET_PAIRS: [(&str, &str); 32] = [
    ("private", "key"),
    ("private", "keys"),
    ("api", "key"),
    ("api", "keys"),
    ("access", "key"),
    ("access", "keys"),
    ("auth", "key"),
    ("auth", "keys"),
    ("hmac", "key"),
    ("hmac", "keys"),
    ("enc", "key"),
    ("enc", "keys"),
    ("encryption", "key"),
    ("encryption", "keys"),
    ("decryption", "key"),
    ("master", "key"),
    ("session", "key"),
    ("shared", "key"),
    ("signing", "key"),
    ("recovery", "code"),
    ("recovery", "codes"),
    ("backup", "code"),
    ("backup", "codes"),
    ("verification", "code"),
    ("mfa", "code"),
    ("sms", "code"),
    ("auth", "code"),
    ("code", "verifier"),
    ("security", "answer"),
    ("security", "answers"),
    ("saml", "response"),
    ("one", "time"),
];

/// Pieces that make a name secret when it is written without separators (`clientsecret`).
pub const SECRET_PIECES: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "authorization",
    "cookie",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "privatekey",
    "apikey",
    "accesskey",
];

/// Ends of words that make a name secret when it is written without separators (`sessiontoken`).
pub const SECRET_ENDINGS: [&str; 2] = ["token", "tokens"];

/// Last words of names that describe a secret without holding it.
pub const ABOUT_WORDS: [&str; 37] = [
    "alg",
    "algorithm",
    "algs",
    "at",
    "changed",
    "config",
    "configuration",
    "count",
    "counter",
    "enabled",
    "endpoint",
    "expiration",
    "expires",
    "expiry",
    "format",
    "jti",
    "kid",
    "length",
    "lifetime",
    "limit",
    "method",
    "methods",
    "name",
    "options",
    "policy",
    "required",
    "settings",
    "strength",
    "supported",
    "thumbprint",
    "ttl",
    "type",
    "types",
    "uri",
    "url",
    "urls",
    "version",
];

/// Last words of names that tell what became of a secret, or hold the new one: numbers and times stay, texts do not.
pub const CHANGE_WORDS: [&str; 7] = ["change", "changes", "reset", "resets", "set", "update", "updates"];

/// Last words of names that hold an address.
pub const LINK_WORDS: [&str; 5] = ["link", "links", "uri", "url", "urls"];

/// Words that make an address secret: whoever opens it resets a password or confirms an account.
pub const TICKET_WORDS: [&str; 9] = [
    "password",
    "passwords",
    "passwordless",
    "reset",
    "verification",
    "verify",
    "invitation",
    "activation",
    "confirmation",
];

/// What a name says about its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Secrecy {
    /// Nothing: the value is judged by itself.
    #[default]
    Open,
    /// A text or a list is secret; a number, a time or a truth value is a fact, and an object is looked into.
    Texts,
    /// The value is secret, whatever it is.
    Whole,
}

/// By the built-in lists.
pub(super) fn judge(name: &str) -> Secrecy {
    // Cheap refusal first: every secret name holds one of these letters' pieces.
    if !may_be_secret(name) {
        return Secrecy::Open;
    }
    let words = words(name);
    let last = words.last().map_or("", String::as_str);
    if LINK_WORDS.contains(&last) && words.iter().any(|word| TICKET_WORDS.contains(&word.as_str())) {
        return Secrecy::Whole;
    }
    if ABOUT_WORDS.contains(&last) {
        return Secrecy::Open;
    }
    let is_secret = words.iter().any(|word| is_secret_word(word))
        || words.windows(2).any(|pair| matches!(pair, [a, b] if is_secret_pair(a, b)));
    match is_secret {
        false => Secrecy::Open,
        true if CHANGE_WORDS.contains(&last) => Secrecy::Texts,
        true => Secrecy::Whole,
    }
}

/// Whether two texts that follow each other make a secret name together: the last word of one, the first of the other.
pub(super) fn joins_to_secret(before: &str, name: &str) -> bool {
    let (before, name) = (words(before), words(name));
    let last = name.last().map_or("", String::as_str);
    let pair = before.last().zip(name.first());
    pair.is_some_and(|(a, b)| is_secret_pair(a, b)) && !ABOUT_WORDS.contains(&last)
}

fn is_secret_word(word: &str) -> bool {
    SECRET_WORDS.contains(&word)
        || SECRET_PIECES.iter().any(|piece| word.contains(piece))
        || SECRET_ENDINGS.iter().any(|ending| word.ends_with(ending))
}

fn is_secret_pair(first: &str, second: &str) -> bool {
    SECRET_PAIRS.contains(&(first, second))
}

/// Three letters of each word, pair, piece and ending.
const TRIPLES: [&[u8; 3]; 21] = [
    b"pas", b"pwd", b"sec", b"tok", b"aut", b"bea", b"coo", b"otp", b"pin", b"cre", b"jwt", b"ass", b"sam",
    b"key", b"cod", b"cvv", b"ssn", b"one", b"lin", b"uri", b"url",
];

/// One bit for each three letters of 5 bits.
static IS_TRIPLE: [u64; 512] = {
    let mut bits = [0; 512];
    let mut nth = 0;
    while nth < TRIPLES.len() {
        let [a, b, c] = *TRIPLES[nth];
        let at = triple(a, b, c);
        bits[at / 64] |= 1 << (at % 64);
        nth += 1;
    }
    bits
};

const fn triple(a: u8, b: u8, c: u8) -> usize {
    (a as usize % 32) << 10 | (b as usize % 32) << 5 | (c as usize % 32)
}

/// True for every secret name and few others: one that holds none of [`TRIPLES`] in any case need not be cut into words.
fn may_be_secret(name: &str) -> bool {
    let mut last = 0;
    name.bytes().any(|byte| {
        last = ((last << 5) | (byte as usize % 32)) % (1 << 15);
        IS_TRIPLE.get(last / 64).is_some_and(|bits| bits >> (last % 64) & 1 == 1)
    })
}

/// A name without separators and case, for names that an installation adds.
pub(super) fn squash(name: &str) -> String {
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
