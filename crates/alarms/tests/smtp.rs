//! Mail in a real conversation with a small server: what is said, protected how, and what becomes of refusals.

#![cfg(test)]

use std::net::SocketAddr;
use std::sync::Arc;

use alarms::channel::{MailSettings, Medium, MediumKind};
use alarms::{Mail, MailError, Mailer, Remedy, SmtpMailer};
use base::{Secret, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use testkit::tls::{Authority, TlsDoor};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a server was told, line by line.
type Heard = Arc<Mutex<Vec<String>>>;

/// A mail server in plain text that answers one command in its own way.
async fn server(odd: Option<(&'static str, &'static str)>) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Heard::default());
    let into = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, odd, Arc::clone(&into)));
        }
    });
    (address, heard)
}

async fn converse(stream: TcpStream, odd: Option<(&'static str, &'static str)>, heard: Heard) {
    let mut stream = BufReader::new(stream);
    let mut is_body = false;
    let mut answer = "220 mail.example.com ESMTP\r\n".to_owned();
    loop {
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        loop {
            line.clear();
            if !matches!(stream.read_line(&mut line).await, Ok(n) if n > 0) {
                return;
            }
            heard.lock().push(line.trim_end().to_owned());
            if !is_body || line == ".\r\n" {
                break;
            }
        }
        let was_body = std::mem::take(&mut is_body);
        let usual = match line.split_whitespace().next().unwrap_or_default() {
            "EHLO" => "250-mail.example.com\r\n250 AUTH PLAIN\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ if was_body => "250 taken\r\n",
            _ => "250 ok\r\n",
        };
        is_body = line.starts_with("DATA");
        let fits = |(command, _): &(&str, &str)| line.starts_with(command);
        answer = odd.filter(fits).map_or(usual, |(_, answer)| answer).to_owned();
    }
}

fn settings(more: &Value) -> (MailSettings, Option<Secret>) {
    let mut configuration = json!({
        "host": "127.0.0.1", "from": "idstream <alarms@example.com>", "to": ["ann@example.com", "bob@example.com"],
    });
    configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let opened = MediumKind::Mail.parse(&configuration, None).unwrap();
    let Medium::Mail(settings) = opened.medium else { panic!("{opened:?}") };
    (settings, opened.secrets.get("password").cloned())
}

async fn send(more: &Value) -> Result<(), MailError> {
    let (settings, password) = settings(more);
    let mail = Mail {
        id: "0197f3a0-7".to_owned(),
        at: Timestamp::parse("2026-01-31T12:00:00Z").unwrap(),
        subject: "prod: [critical] nothing is delivered\r\nBcc: eve@example.com".to_owned(),
        body: "nothing is delivered\n.\nWhat to do: mend it – soon.\n".to_owned(),
        domain: "idp.example.com".to_owned(),
    };
    SmtpMailer.send(&settings, password.as_ref(), mail).await
}

#[tokio::test]
async fn a_mail_is_taken_with_its_headers_and_nobody_can_add_one() {
    let (address, heard) = server(None).await;
    send(&json!({"port": address.port(), "security": "none"})).await.unwrap();
    let heard = heard.lock().clone();
    for line in [
        "EHLO idp.example.com",
        "MAIL FROM:<alarms@example.com>",
        "RCPT TO:<ann@example.com>",
        "RCPT TO:<bob@example.com>",
        "From: idstream <alarms@example.com>",
        "To: ann@example.com, bob@example.com",
        "Message-ID: <0197f3a0-7@idp.example.com>",
        "Date: Sat, 31 Jan 2026 12:00:00 +0000",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(heard.iter().any(|heard| heard.starts_with(line)), "{line}: {heard:#?}");
    }
    assert!(!heard.iter().any(|line| line.starts_with("Bcc") || line.starts_with("AUTH")), "{heard:#?}");
    assert!(heard.iter().any(|line| line == ".."), "a lone dot is escaped: {heard:#?}");
}

#[tokio::test]
async fn a_refusal_for_good_is_told_from_one_for_now_in_the_servers_words() {
    for (odd, remedy) in [
        (("RCPT", "550 5.1.1 no such user here\r\n"), Remedy::Nothing),
        (("MAIL", "451 4.7.1 try again later\r\n"), Remedy::Wait),
        (("MAIL", "530 5.7.0 sign in first, please\r\n"), Remedy::Operator),
    ] {
        let (address, _) = server(Some(odd)).await;
        let error = send(&json!({"port": address.port(), "security": "none"})).await.unwrap_err();
        assert_eq!(error.remedy, remedy, "{error}");
        assert!(error.reason.contains(odd.1.get(10..20).unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_offer_tls_gets_no_password() {
    let (address, heard) = server(None).await;
    let login = json!({"port": address.port(), "username": "ann", "password": "CANARY-password"});
    let error = send(&login).await.unwrap_err();
    assert_eq!(error.remedy, Remedy::Wait, "{error}");
    assert!(!heard.lock().iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")));
}

#[tokio::test]
async fn a_password_goes_through_tls_to_a_server_that_is_trusted_and_is_not_repeated() {
    let echo = "535 5.7.8 wrong: AGFubgBDQU5BUlktcGFzc3dvcmQ= CANARY-password\r\n";
    for odd in [None, Some(("AUTH", echo))] {
        let (address, heard) = server(odd).await;
        let authority = Authority::new("ours").unwrap();
        let door = TlsDoor::open(address, &authority.certify(&["127.0.0.1"]).unwrap(), None).await.unwrap();
        let more = json!({
            "port": door.address().port(), "security": "tls", "caCertificate": authority.pem(),
            "username": "ann", "password": "CANARY-password",
        });
        match (send(&more).await, odd) {
            (Ok(()), None) => assert!(heard.lock().iter().any(|line| line.starts_with("AUTH PLAIN"))),
            (Err(error), Some(_)) => {
                let is_told =
                    error.reason.contains("CANARY-password") || error.reason.contains("AGFubgBDQU5B");
                assert_eq!(error.remedy, Remedy::Operator, "a new password mends it: {error}");
                assert!(!is_told && error.reason.contains("5.7.8"), "{error}");
            }
            (sent, _) => panic!("{sent:?}"),
        }
        let mut untrusted = more.clone();
        untrusted["caCertificate"] = Authority::new("theirs").unwrap().pem().into();
        assert!(send(&untrusted).await.is_err(), "nobody vouches for it");
    }
}
