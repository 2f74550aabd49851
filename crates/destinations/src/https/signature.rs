//! Signatures of requests as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`, in three headers.
//!
//! The body is the one that is sent: packed, when it is packed. With two secrets, both signatures are sent, so that a
//! receiver can change from one to the other at a time of its own.

use base::{Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::registry::SettingsError;
use crate::secrets::{SIGNING_SECRETS, Secrets};

/// Which message it is: the same when it is sent again.
const ID: HeaderName = HeaderName::from_static("webhook-id");
/// When it was sent, in seconds since the epoch.
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The headers of a signature: none of them can carry a credential.
pub(super) const HEADERS: [HeaderName; 3] = [ID, TIMESTAMP, SIGNATURE];

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret has.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// Signs with one or two secrets.
#[derive(Clone)]
pub(super) struct Signer(Vec<Hmac<Sha256>>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.0.len())
    }
}

impl Signer {
    /// Of the secrets that are set; `None` when none is.
    pub(super) fn new(secrets: &Secrets) -> Result<Option<Self>, Vec<SettingsError>> {
        let keys = secrets.signing().map(key).collect::<Option<Vec<_>>>();
        match keys {
            None => {
                let message = "must each be whsec_ and 24 to 64 bytes in base64";
                Err(vec![SettingsError::new(SIGNING_SECRETS, message)])
            }
            Some(keys) if keys.is_empty() => Ok(None),
            Some(keys) => Ok(Some(Self(keys))),
        }
    }

    /// Adds the headers of a signed `body` with this id, sent `now`.
    pub(super) fn sign(&self, headers: &mut HeaderMap, id: &str, now: Timestamp, body: &[u8]) {
        let seconds = now.as_millis().div_euclid(1000);
        let signatures: Vec<String> = self.0.iter().map(|key| signature(key, id, seconds, body)).collect();
        let value = |text: &str| HeaderValue::from_str(text).ok();
        for (name, text) in
            [(ID, id), (TIMESTAMP, &*seconds.to_string()), (SIGNATURE, &*signatures.join(" "))]
        {
            headers.extend(value(text).map(|mut value| {
                value.set_sensitive(name == SIGNATURE);
                (name, value)
            }));
        }
    }
}

/// The id of a message: told by its content, so that one that is sent again keeps it.
pub(super) fn message_id(body: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(body).into();
    let first = u128::from_be_bytes(std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default()));
    format!("msg_{first:032x}")
}

fn key(secret: &Secret) -> Option<Hmac<Sha256>> {
    let bytes = zeroize::Zeroizing::new(STANDARD.decode(secret.expose().strip_prefix(PREFIX)?).ok()?);
    LENGTH.contains(&bytes.len()).then(|| Hmac::new_from_slice(&bytes).ok())?
}

fn signature(key: &Hmac<Sha256>, id: &str, seconds: i64, body: &[u8]) -> String {
    let mut signing = key.clone();
    signing.update(format!("{id}.{seconds}.").as_bytes());
    signing.update(body);
    format!("v1,{}", STANDARD.encode(signing.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretName;

    const PUBLISHED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn signer(secrets: &[&str]) -> Result<Option<Signer>, Vec<SettingsError>> {
        let names = [SecretName::SigningSecret, SecretName::SecondSigningSecret];
        Signer::new(&names.into_iter().zip(secrets.iter().map(|text| Secret::new(*text))).collect())
    }

    /// HMAC as RFC 2104 writes it, with nothing but the hash.
    fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut block = key.to_vec();
        block.resize(64, 0);
        let pad = |byte: u8| block.iter().map(|k| k ^ byte).collect::<Vec<u8>>();
        let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
        Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
    }

    fn signed(signer: &Signer, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        signer.sign(&mut headers, id, Timestamp::from_millis(seconds * 1000 + 999).unwrap(), body);
        assert_eq!(headers.get("webhook-id").unwrap(), id);
        assert_eq!(headers.get("webhook-timestamp").unwrap(), &seconds.to_string());
        headers.get("webhook-signature").unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn the_published_example_is_reproduced() {
        let signer = signer(&[PUBLISHED]).unwrap().unwrap();
        assert_eq!(
            signed(&signer, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn two_live_secrets_make_two_signatures() {
        let second = format!("whsec_{}", STANDARD.encode([7; 64]));
        let signer = signer(&[PUBLISHED, &second]).unwrap().unwrap();
        let both = signed(&signer, "msg_1", 1_700_000_000, b"body");
        let expected = |key: &[u8]| format!("v1,{}", STANDARD.encode(hmac(key, b"msg_1.1700000000.body")));
        let first = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(both, format!("{} {}", expected(&first), expected(&[7; 64])));
    }

    #[test]
    fn secrets_of_another_form_or_length_are_refused_without_being_repeated() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for text in ["CANARY", "whsec_CANARY!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &short, &long] {
            let errors = signer(&[PUBLISHED, text]).unwrap_err();
            assert_eq!(errors[0].field, "signingSecrets");
            assert!(!errors[0].message.contains(text), "{errors:?}");
        }
        assert!(signer(&[]).unwrap().is_none() && signer(&["", ""]).unwrap().is_none());
    }

    #[test]
    fn a_message_that_is_sent_again_keeps_its_id() {
        assert_eq!(message_id(b"[1,2]"), message_id(b"[1,2]"));
        assert_ne!(message_id(b"[1,2]"), message_id(b"[1]"));
        assert_eq!(message_id(b"").len(), 36);
    }
}
