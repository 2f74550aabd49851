//! Mail over SMTP. The only file that knows the mail library.

use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use base::mask::MASK;
use base::{Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::channel::{MailSettings, Security};
use crate::deliver::Remedy;

/// How long each step of the conversation may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest words of a server that are kept, in characters.
const MAX_WORDS: usize = 300;
/// What servers answer that refuse a sign-in, or ask for one (RFC 4954).
const SIGN_IN: [u16; 4] = [530, 534, 535, 538];
/// Longest subject, in characters.
const MAX_SUBJECT: usize = 200;

/// One message, in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The same for every try.
    pub id: String,
    /// When what it tells happened.
    pub at: Timestamp,
    /// One line; what is too long for one is cut off.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Who says hello to the server: the installation's domain.
    pub domain: String,
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MailError {
    /// In the server's own words, without the password.
    pub reason: String,
    /// What helps.
    pub remedy: Remedy,
}

/// Carries mails to a server. [`SmtpMailer`] in production.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Returns when the server has taken the mail. An error proves nothing about what it did with it.
    async fn send(
        &self,
        settings: &MailSettings,
        password: Option<&Secret>,
        mail: Mail,
    ) -> Result<(), MailError>;
}

/// Speaks SMTP, one connection for each mail. Link-local and metadata addresses are not called, whatever a name leads to.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmtpMailer;

fn later(reason: impl Into<String>) -> MailError {
    MailError { reason: reason.into(), remedy: Remedy::Wait }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(
        &self,
        settings: &MailSettings,
        password: Option<&Secret>,
        mail: Mail,
    ) -> Result<(), MailError> {
        let address = resolved(settings).await?;
        let domain = ClientId::Domain(mail.domain.clone());
        let message = message(settings, &mail).ok_or_else(|| MailError {
            reason: "the mail could not be put together".to_owned(),
            remedy: Remedy::Nothing,
        })?;
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
            .port(address.port())
            .hello_name(domain)
            .timeout(Some(PATIENCE))
            .tls(tls(settings).map_err(|error| explained(&error, settings, password))?);
        if let Some((username, password)) = settings.username.as_ref().zip(password) {
            transport =
                transport.credentials(Credentials::new(username.clone(), password.expose().to_owned()));
        }
        let sent = transport.build().send(message).await;
        sent.map(drop).map_err(|error| explained(&error, settings, password))
    }
}

/// The first address of the server that may be called.
async fn resolved(settings: &MailSettings) -> Result<std::net::SocketAddr, MailError> {
    let name = settings.host.trim_start_matches('[').trim_end_matches(']');
    let looked_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, settings.port))).await;
    let addresses = looked_up
        .map_err(|_| later("the name of the mail server was not resolved in time"))?
        .map_err(|error| later(format!("the name of the mail server cannot be resolved: {error}")))?;
    let mut allowed = addresses.filter(|address| !destinations::is_refused(address.ip()));
    allowed.next().ok_or_else(|| later("the mail server's name leads to no address that may be called"))
}

fn tls(settings: &MailSettings) -> Result<Tls, SmtpError> {
    let parameters = || {
        let builder = TlsParameters::builder(settings.host.clone());
        let builder = match &settings.ca_certificate {
            Some(pem) => builder
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(pem.as_bytes())?),
            None => builder,
        };
        builder.build_rustls()
    };
    Ok(match settings.security {
        Security::StartTls => Tls::Required(parameters()?),
        Security::Tls => Tls::Wrapper(parameters()?),
        Security::None => Tls::None,
    })
}

/// The server's own words: short, on one line, without the password in any form in which it is sent.
fn explained(error: &SmtpError, settings: &MailSettings, password: Option<&Secret>) -> MailError {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if !words.contains(&next.to_string()) {
            words = format!("{words}: {next}");
        }
        cause = next.source();
    }
    if let Some(password) = password.map(Secret::expose).filter(|password| password.len() >= 4) {
        let login = format!("\0{}\0{password}", settings.username.as_deref().unwrap_or_default());
        for sent in [password.to_owned(), STANDARD.encode(password), STANDARD.encode(login)] {
            words = words.replace(&sent, MASK);
        }
    }
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WORDS).collect();
    MailError { reason: words, remedy: remedy(error) }
}

/// Who signs in, and how, is the operator's; what else a server refuses for good is this mail.
fn remedy(error: &SmtpError) -> Remedy {
    match error.status().map(u16::from) {
        Some(code) if SIGN_IN.contains(&code) => Remedy::Operator,
        _ if error.is_permanent() => Remedy::Nothing,
        _ => Remedy::Wait,
    }
}

fn message(settings: &MailSettings, mail: &Mail) -> Option<Message> {
    let is_plain = |c: &char| !c.is_control();
    let subject: String = mail.subject.chars().filter(is_plain).take(MAX_SUBJECT).collect();
    let since_epoch = Duration::from_millis(u64::try_from(mail.at.as_millis()).unwrap_or_default());
    let mut builder = Message::builder()
        .from(settings.from.parse().ok()?)
        .subject(subject)
        .date(UNIX_EPOCH + since_epoch)
        .message_id(Some(format!("<{}@{}>", mail.id, mail.domain)))
        .header(ContentType::TEXT_PLAIN);
    for to in &settings.to {
        builder = builder.to(to.parse::<Mailbox>().ok()?);
    }
    let mut message = builder.body(mail.body.clone()).ok()?;
    // Nobody's absence note is to answer it.
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
    Some(message)
}
