//! The server's certificate and key: read from files, refused with the reason, and replaced while the server runs.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Timestamp};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring::default_provider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use zeroize::Zeroizing;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_mins(1);
/// How often somebody is told that a certificate ends soon.
const REMIND: Duration = Duration::from_hours(24);
/// How long before its end a certificate is told about.
const SOON: Duration = Duration::from_hours(14 * 24);
/// Longest file, in bytes. A chain of three certificates has 6 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// Where the certificate and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The server's own certificate, then those that vouch for it, in PEM.
    pub(crate) cert: PathBuf,
    /// Its private key, in PEM: PKCS#8, PKCS#1 or SEC1.
    pub(crate) key: PathBuf,
}

/// Why files are of no use: which, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{setting}: cannot read {file}: {cause}")]
    Unreadable {
        setting: &'static str,
        file: String,
        /// Told already, and so no source.
        cause: io::Error,
    },
    #[error("{setting}: {file} {why}")]
    Unfit { setting: &'static str, file: String, why: &'static str },
    #[error(
        "tls.key: the key in {key} does not belong to the first certificate in {cert}: give the key that it was made with, \
         and put the server's own certificate before those of its authorities"
    )]
    Mismatch { cert: String, key: String },
    #[error("tls.cert: {0}: {1}")]
    Refused(String, rustls::Error),
}

const CERT: &str = "tls.cert";
const KEY: &str = "tls.key";

/// What the files held when they were read last.
#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl TlsFiles {
    fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &Path, setting| {
            let mut bytes = Vec::new();
            let done = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
            match done {
                Ok(_) => Ok(bytes),
                Err(cause) => Err(TlsError::Unreadable { setting, file: path.display().to_string(), cause }),
            }
        };
        Ok(Contents { cert: read(&self.cert, CERT)?, key: read(&self.key, KEY)?.into() })
    }

    /// Whether users other than the key's owner and group may read it.
    fn is_key_open_to_others(&self) -> bool {
        std::fs::metadata(&self.key).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
    }

    fn chain(&self, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let unfit = |why| TlsError::Unfit { setting: CERT, file: self.cert.display().to_string(), why };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| unfit("is not in PEM: expected -----BEGIN CERTIFICATE----- and so on"))?;
        if chain.is_empty() {
            return Err(unfit("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
        }
        if chain.iter().any(|certificate| ParsedCertificate::try_from(certificate).is_err()) {
            return Err(unfit("holds a certificate that cannot be read"));
        }
        Ok(chain)
    }

    fn config(&self, contents: &Contents) -> Result<Loaded, TlsError> {
        let unfit = |why| TlsError::Unfit { setting: KEY, file: self.key.display().to_string(), why };
        let chain = self.chain(&contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| {
            unfit(if contents.key.windows(9).any(|part| part == b"ENCRYPTED") {
                "is protected by a passphrase, which nobody could type at a start: take it off with openssl pkey"
            } else {
                "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"
            })
        })?;
        let key = any_supported_type(&key).map_err(|_| unfit("is no RSA, ECDSA or Ed25519 key"))?;
        let certified = CertifiedKey::new(chain.clone(), key);
        certified.keys_match().map_err(|_| TlsError::Mismatch {
            cert: self.cert.display().to_string(),
            key: self.key.display().to_string(),
        })?;
        let refused = |error| TlsError::Refused(self.cert.display().to_string(), error);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Loaded { config: Arc::new(config), chain })
    }
}

struct Loaded {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

/// What is wrong with the time of a chain, now or soon.
fn complaint(chain: &[CertificateDer<'_>], now: Timestamp) -> Option<&'static str> {
    let at = |time: Timestamp| {
        let ms = u64::try_from(time.as_millis()).unwrap_or_default();
        chain.iter().find_map(|certificate| {
            problem_at(certificate, UnixTime::since_unix_epoch(Duration::from_millis(ms)))
        })
    };
    at(now).or_else(|| at(now.plus(SOON)).map(|_| "ends in less than two weeks: renew it"))
}

/// Whether a certificate is outside its time. Validity is checked before who vouches for it, and here nobody does.
fn problem_at(certificate: &CertificateDer<'_>, time: UnixTime) -> Option<&'static str> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let checked =
        verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], time, algorithms);
    match checked {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Some("has expired: clients refuse it"),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Some("is not valid yet: clients refuse it; is the clock right?"),
        _ => None,
    }
}

/// Holds what is used, and replaces it when the files change.
pub(crate) struct Keeper {
    files: TlsFiles,
    /// What was read last, whether it was fit or not. `None` when it could not be read.
    seen: Option<Contents>,
    /// What was told of it last.
    problem: Option<String>,
    chain: Vec<CertificateDer<'static>>,
    reminded_at: Option<Timestamp>,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// What a look at the files brought.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Same,
    Renewed,
    /// Told for the first time or not.
    Refused {
        problem: String,
        is_new: bool,
    },
}

impl Keeper {
    /// Reads the files for the first time. They must be fit.
    pub(crate) fn open(files: TlsFiles, now: Timestamp) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let Loaded { config, chain } = files.config(&contents)?;
        if files.is_key_open_to_others() {
            let key = files.key.display();
            tracing::warn!("every user of this machine may read the key in tls.key: chmod 600 {key}");
        }
        let current = watch::Sender::new(config);
        let mut keeper =
            Self { files, seen: Some(contents), problem: None, chain, reminded_at: None, current };
        keeper.remind(now);
        Ok(keeper)
    }

    /// What connections are to be spoken to with, now and later.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    /// Reads the files, and uses what is in them if it is fit. If not, what was used before stays in use.
    fn look(&mut self) -> Look {
        let contents = match self.files.read() {
            Ok(contents) if Some(&contents) == self.seen.as_ref() => {
                return match &self.problem {
                    None => Look::Same,
                    Some(problem) => Look::Refused { problem: problem.clone(), is_new: false },
                };
            }
            Ok(contents) => contents,
            Err(error) => return self.refuse(&error, None),
        };
        match self.files.config(&contents) {
            Ok(Loaded { config, chain }) => {
                (self.seen, self.problem, self.reminded_at) = (Some(contents), None, None);
                self.chain = chain;
                self.current.send_replace(config);
                Look::Renewed
            }
            Err(error) => self.refuse(&error, Some(contents)),
        }
    }

    fn refuse(&mut self, error: &TlsError, seen: Option<Contents>) -> Look {
        let problem = error.to_string();
        let is_new = self.problem.as_ref() != Some(&problem);
        (self.seen, self.problem) = (seen, Some(problem.clone()));
        Look::Refused { problem, is_new }
    }

    /// Tells, at most once a day, that the certificate in use is outside its time, or will be soon.
    fn remind(&mut self, now: Timestamp) {
        if self.reminded_at.is_some_and(|at| now.since(at) < REMIND) {
            return;
        }
        if let Some(complaint) = complaint(&self.chain, now) {
            self.reminded_at = Some(now);
            let file = self.files.cert.display();
            tracing::warn!("tls.cert: a certificate in {file} {complaint}");
        }
    }

    /// Looks, tells what it brought, and reminds.
    fn turn(mut self, now: Timestamp, is_asked: bool) -> Self {
        match self.look() {
            Look::Renewed => {
                tracing::info!("the certificate and the key were read anew; new connections get them");
            }
            Look::Refused { problem, is_new } if is_new || is_asked => {
                tracing::error!(
                    "the new certificate or key is of no use, so that the old one stays in use: {problem}"
                );
            }
            Look::Same if is_asked => {
                tracing::info!("the certificate and the key are the same as before");
            }
            Look::Same | Look::Refused { .. } => {}
        }
        self.remind(now);
        self
    }
}

/// The signal that asks for a look at once.
pub(crate) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Looks at the files every minute, and at each of `hangups`, until `stop` turns true.
pub(crate) async fn keep(
    mut keeper: Keeper,
    clock: Arc<dyn Clock>,
    mut hangups: Signal,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let is_asked = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = hangups.recv() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let now = clock.now();
        // Files can lie on slow disks.
        match tokio::task::spawn_blocking(move || keeper.turn(now, is_asked)).await {
            Ok(kept) => keeper = kept,
            Err(error) => {
                tracing::error!(%error, "the certificate is not looked after any more");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use testkit::tls::{Authority, Certified};

    use super::*;

    /// In the middle of the time that certificates made here are good for.
    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000).unwrap()
    }

    struct Place {
        directory: tempfile::TempDir,
        authority: Authority,
    }

    impl Place {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap(), authority: Authority::new("ours").unwrap() }
        }

        fn certified(&self) -> Certified {
            self.authority.certify(&["localhost"]).unwrap()
        }

        fn files(&self) -> TlsFiles {
            TlsFiles {
                cert: self.directory.path().join("tls.crt"),
                key: self.directory.path().join("tls.key"),
            }
        }

        fn put(&self, cert: &str, key: &str) {
            std::fs::write(self.files().cert, cert).unwrap();
            std::fs::write(self.files().key, key).unwrap();
        }

        fn refused(&self, cert: &str, key: &str) -> String {
            self.put(cert, key);
            match Keeper::open(self.files(), now()) {
                Ok(_) => panic!("they are fit: {cert}"),
                Err(error) => error.to_string(),
            }
        }
    }

    /// The key as `openssl ecparam -genkey` writes it: SEC1, which PKCS#8 only wraps.
    fn as_sec1(key_pem: &str) -> String {
        let pkcs8 = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
        let der = pkcs8.secret_der();
        let at = der.windows(3).position(|bytes| bytes == [0x04, 0x6d, 0x30]).unwrap() + 2;
        let mut pem = "-----BEGIN EC PRIVATE KEY-----\n".to_owned();
        for line in STANDARD.encode(&der[at..]).as_bytes().chunks(64) {
            writeln!(pem, "{}", std::str::from_utf8(line).unwrap()).unwrap();
        }
        pem + "-----END EC PRIVATE KEY-----\n"
    }

    #[test]
    fn what_is_of_no_use_is_named_with_its_file_and_the_reason() {
        let place = Place::new();
        let (good, other) = (place.certified(), place.certified());
        let Err(absent) = Keeper::open(place.files(), now()) else { panic!("there are no files") };
        assert!(absent.to_string().contains("tls.cert: cannot read"), "{absent}");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (cert, key, expected) in [
            ("", &*good.key_pem, "tls.crt holds no certificate in PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA", &good.key_pem, "tls.crt is not in PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                &good.key_pem,
                "that cannot be read",
            ),
            (&good.key_pem, &good.key_pem, "tls.crt holds no certificate"),
            (&good.pem, &good.pem, "tls.key holds no private key in PEM"),
            (&good.pem, encrypted, "is protected by a passphrase"),
            (&good.pem, &other.key_pem, "does not belong to the first certificate"),
            (
                &format!("{}{}", place.authority.pem(), good.pem),
                &good.key_pem,
                "put the server's own certificate before",
            ),
        ] {
            let told = place.refused(cert, key);
            assert!(told.contains(expected) && !told.contains("AAAA"), "{expected}: {told}");
        }
        std::fs::remove_file(place.files().key).unwrap();
        let Err(absent) = Keeper::open(place.files(), now()) else { panic!("there is no key") };
        assert!(absent.to_string().contains("tls.key: cannot read"), "{absent}");
    }

    #[test]
    fn keys_are_taken_in_the_forms_that_tools_write() {
        let place = Place::new();
        let good = place.certified();
        let chain = format!("{}{}", good.pem, place.authority.pem());
        for (cert, key) in
            [(&good.pem, &good.key_pem), (&chain, &good.key_pem), (&good.pem, &as_sec1(&good.key_pem))]
        {
            place.put(cert, key);
            assert!(Keeper::open(place.files(), now()).is_ok(), "{cert}");
        }
    }

    #[test]
    fn changed_files_are_used_when_they_are_fit_and_else_the_old_ones_are() {
        let place = Place::new();
        let (first, second) = (place.certified(), place.certified());
        place.put(&first.pem, &first.key_pem);
        let mut keeper = Keeper::open(place.files(), now()).unwrap();
        let mut current = keeper.watch();
        let mut has_changed = || {
            current.has_changed().unwrap() && {
                current.borrow_and_update();
                true
            }
        };
        assert_eq!((keeper.look(), has_changed()), (Look::Same, false));
        // The certificate is written before its key is.
        place.put(&second.pem, &first.key_pem);
        for expected in [true, false] {
            let Look::Refused { problem, is_new } = keeper.look() else { panic!("it does not fit") };
            assert!(problem.contains("does not belong") && is_new == expected && !has_changed());
        }
        place.put(&second.pem, &second.key_pem);
        assert_eq!((keeper.look(), has_changed()), (Look::Renewed, true));
        std::fs::remove_file(place.files().cert).unwrap();
        for expected in [true, false] {
            assert!(matches!(keeper.look(), Look::Refused { is_new, .. } if is_new == expected));
            assert!(!has_changed());
        }
        place.put(&second.pem, &second.key_pem);
        assert_eq!((keeper.look(), keeper.look()), (Look::Renewed, Look::Same));
    }

    #[test]
    fn a_certificate_outside_its_time_is_complained_about_and_used() {
        let place = Place::new();
        let chain = |pem: &str| place.files().chain(pem.as_bytes()).unwrap();
        assert_eq!(complaint(&chain(&place.certified().pem), now()), None);
        let expired = place.authority.certify_expired(&["localhost"]).unwrap();
        let at = |year: i64| Timestamp::from_millis((year - 1970) * 31_556_952_000).unwrap();
        assert!(complaint(&chain(&expired.pem), now()).unwrap().starts_with("has expired"));
        assert!(complaint(&chain(&expired.pem), at(2018)).unwrap().starts_with("is not valid yet"));
        let end = Timestamp::from_millis(1_577_836_800_000).unwrap();
        let before = |days: u64| {
            Timestamp::from_millis(end.as_millis() - i64::try_from(days * 86_400_000).unwrap()).unwrap()
        };
        assert!(
            complaint(&chain(&expired.pem), before(13)).unwrap().starts_with("ends in less than two weeks")
        );
        assert_eq!(complaint(&chain(&expired.pem), before(15)), None);
        place.put(&expired.pem, &expired.key_pem);
        assert!(Keeper::open(place.files(), now()).is_ok(), "there is nothing better");
    }
}
