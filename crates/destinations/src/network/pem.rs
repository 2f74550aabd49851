//! Certificates and keys in PEM, read once.

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use crate::fields::Fields;

/// What stands before a private key, which must not be taken for a certificate and answered.
const PRIVATE: &str = "PRIVATE KEY-----";

/// One or more certificates, and their PEM, written anew: what else stood in the given text is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificates {
    pem: String,
    chain: Vec<CertificateDer<'static>>,
}

impl Certificates {
    /// As the API answers them.
    pub(crate) fn as_pem(&self) -> &str {
        &self.pem
    }
}

/// What certificates are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// They are trusted.
    Authority,
    /// They are shown.
    Client,
}

/// Certificates of at most `max` bytes of PEM that can be used so; complains about anything else.
pub(super) fn parse(fields: &mut Fields<'_>, field: &str, max: usize, purpose: Use) -> Option<Certificates> {
    let pem = fields.raw_text(field, max)?;
    match read(pem, max, purpose) {
        Ok(certificates) => Some(certificates),
        Err(message) => {
            fields.complain(field, message);
            None
        }
    }
}

/// The same from text; the message is an end of the sentence "the field …".
pub(super) fn read(pem: &str, max: usize, purpose: Use) -> Result<Certificates, String> {
    let form = || "must be one or more certificates in PEM".to_owned();
    if pem.len() > max {
        return Err(format!("must have at most {max} bytes"));
    }
    if pem.contains(PRIVATE) {
        return Err("must not hold a private key: that is clientKey".to_owned());
    }
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| form())?;
    if chain.is_empty() {
        return Err(form());
    }
    for (at, certificate) in (1..).zip(&chain) {
        let is_usable = match purpose {
            Use::Authority => RootCertStore::empty().add(certificate.clone()).is_ok(),
            Use::Client => ParsedCertificate::try_from(certificate).is_ok(),
        };
        if !is_usable {
            return Err(format!("{}: number {at} cannot be read", form()));
        }
    }
    Ok(Certificates { pem: chain.iter().map(written).collect(), chain })
}

/// One certificate in PEM (RFC 7468): 64 characters a line.
fn written(certificate: &CertificateDer<'_>) -> String {
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (at, c) in STANDARD.encode(certificate).chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(c);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}

/// Refuses a key that is none, or not that of the first certificate. The message repeats nothing of the key.
pub(super) fn check_key(certificates: &Certificates, key: &Secret) -> Result<(), &'static str> {
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| "must be a private key in PEM, without a passphrase")?;
    let key = any_supported_type(&key).map_err(|_| "must be an RSA, ECDSA or Ed25519 key")?;
    CertifiedKey::new(certificates.chain.clone(), key)
        .keys_match()
        .map_err(|_| "must be the key of clientCertificate: it belongs to another certificate")
}
