//! `configuration.network`, `batch` and `signingSecrets`: what is answered, what is refused, what is kept.

use std::collections::BTreeMap;

use api::audit::tell;
use delivery::Configuration;
use destinations::SecretName;
use event::{Section, Stream, StreamSet};
use http::{Method, StatusCode};
use insta::assert_snapshot;
use journal::ReadRange;
use serde_json::{Value, json};
use testkit::tls::{Authority, Certified};

use crate::app::{App, Reply, STREAMING, splunk, with};

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_SIGNING: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A configuration with everything set.
fn complete(name: &str, authority: &Authority, client: &Certified) -> Value {
    let configuration = json!({
        "url": "https://h.example.com/in", "apiKey": "key", "headerName": "x-api-key",
        "signingSecrets": [SIGNING, NEXT_SIGNING],
        "batch": {"maxBytes": 500_000, "maxEvents": 100, "maxInFlight": 1, "compression": "gzip"},
        "network": {
            "caCertificate": authority.pem(),
            "clientCertificate": client.pem, "clientKey": client.key_pem,
            "proxy": "http://proxy.example.com:3128", "proxyCredential": "user:password",
            "noProxy": ["intern.example.com", "10.0.0.0/8"],
            "timeoutSeconds": 30,
        },
    });
    with(with(splunk(name), "/type", json!("https")), "/configuration", configuration)
}

/// The same body without its secrets.
fn without_secrets(mut body: Value) -> Value {
    for pointer in ["/apiKey", "/network/clientKey", "/network/proxyCredential", "/signingSecrets"] {
        body = with(body, &format!("/configuration{pointer}"), Value::Null);
    }
    body
}

struct Stored {
    app: App,
    path: String,
    body: Value,
    authority: Authority,
    client: Certified,
}

impl Stored {
    async fn new() -> Self {
        let app = App::new().await;
        let authority = Authority::new("private").unwrap();
        let client = authority.certify(&["idstream"]).unwrap();
        let body = complete("routed", &authority, &client);
        let created = app.call(Method::POST, STREAMING, body.clone()).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        let body = with(body, "/id", created.json()["id"].clone());
        Self { path: created.header("location").to_owned(), app, body, authority, client }
    }

    async fn put(&self, body: Value) -> Reply {
        self.app.call(Method::PUT, &self.path, body).await
    }

    /// The stored secrets, sealed.
    fn sealed(&self) -> BTreeMap<SecretName, catalog::Sealed> {
        let id = self.path.rsplit('/').next().unwrap();
        self.app.catalog.get::<Configuration>(id).unwrap().value.secrets
    }
}

#[tokio::test]
async fn everything_is_answered_but_the_secrets_and_which_are_set() {
    let stored = Stored::new().await;
    let answer = stored.app.get(&stored.path).await.json();
    let shown = format!("{:#}", answer["configuration"]);
    for pem in [stored.authority.pem(), &stored.client.pem] {
        assert!(shown.contains(&json!(pem).to_string()));
    }
    let shown = shown
        .replace(&json!(stored.authority.pem()).to_string(), "[authority]")
        .replace(&json!(stored.client.pem).to_string(), "[client]");
    assert_snapshot!(shown);
    // What is answered can be sent back as it is.
    let back = with(stored.body.clone(), "/configuration", answer["configuration"].clone());
    let before = stored.sealed();
    let put = stored.put(back).await;
    assert_eq!((put.status, put.json()), (StatusCode::OK, answer));
    assert_eq!(stored.sealed(), before);
}

#[tokio::test]
async fn every_wrong_value_is_named_by_its_field() {
    let stored = Stored::new().await;
    let other = stored.authority.certify(&["other"]).unwrap();
    for (pointer, value, field) in [
        ("/network", json!(7), "configuration.network"),
        ("/network/caCertificate", json!("nothing"), "configuration.network.caCertificate"),
        ("/network/clientCertificate", json!("nothing"), "configuration.network.clientCertificate"),
        ("/network/clientKey", json!(other.key_pem), "configuration.network.clientKey"),
        ("/network/clientKey", json!("nothing"), "configuration.network.clientKey"),
        ("/network/proxy", json!("https://p"), "configuration.network.proxy"),
        ("/network/proxyCredential", json!("user"), "configuration.network.proxyCredential"),
        ("/network/noProxy", json!(["*"]), "configuration.network.noProxy[0]"),
        ("/network/timeoutSeconds", json!(0), "configuration.network.timeoutSeconds"),
        ("/network/unknown", json!(0), "configuration.network.unknown"),
        ("/batch/maxBytes", json!(1), "configuration.batch.maxBytes"),
        ("/batch/compression", json!("zstd"), "configuration.batch.compression"),
        ("/signingSecrets", json!(["whsec_short"]), "configuration.signingSecrets"),
        ("/signingSecrets", json!([SIGNING, SIGNING, SIGNING]), "configuration.signingSecrets"),
    ] {
        let wrong = with(stored.body.clone(), &format!("/configuration{pointer}"), value);
        assert_eq!(stored.put(wrong.clone()).await.wrong_fields(), [field]);
        let new = with(with(wrong, "/id", Value::Null), "/name", json!("new"));
        assert_eq!(stored.app.call(Method::POST, STREAMING, new).await.wrong_fields(), [field]);
    }
    let wrong = with(stored.body.clone(), "/configuration/network/caCertificate", json!("nothing"));
    let said = stored.put(wrong).await.json()["detail"].clone();
    assert_eq!(said, "configuration.network.caCertificate must be one or more certificates in PEM");
}

#[tokio::test]
async fn omitted_secrets_are_kept_and_empty_ones_are_taken_away() {
    let stored = Stored::new().await;
    let before = stored.sealed();
    let omitted = without_secrets(stored.body.clone());
    let kept = stored.put(with(omitted.clone(), "/configuration/batch", Value::Null)).await;
    assert_eq!((kept.status, stored.sealed()), (StatusCode::OK, before.clone()));

    let one = with(omitted.clone(), "/configuration/signingSecrets", json!([NEXT_SIGNING]));
    assert_eq!(stored.put(one).await.json()["configuration"]["signingSecretsSet"], 1);
    let none = with(omitted.clone(), "/configuration/signingSecrets", json!([]));
    let none = with(none, "/configuration/network/proxyCredential", json!(""));
    assert_eq!(stored.put(none).await.status, StatusCode::OK);
    let left: Vec<SecretName> = stored.sealed().into_keys().collect();
    assert_eq!(left, [SecretName::ApiKey, SecretName::ClientKey]);

    // A key without its certificate has no use and goes with it.
    let plain = with(omitted, "/configuration/network/clientCertificate", Value::Null);
    assert_eq!(stored.put(plain).await.status, StatusCode::OK);
    assert_eq!(stored.sealed().into_keys().collect::<Vec<_>>(), [SecretName::ApiKey]);
}

#[tokio::test]
async fn secrets_that_cannot_be_opened_any_more_are_mended_by_giving_them() {
    let stored = Stored::new().await;
    let id = stored.path.rsplit('/').next().unwrap();
    let found = stored.app.catalog.get::<Configuration>(id).unwrap();
    let mut damaged = found.value;
    let key = damaged.secrets[&SecretName::ClientKey].clone();
    damaged.secrets.insert(SecretName::ApiKey, key);
    stored.app.catalog.replace(id, &damaged, found.revision, None).unwrap();
    let omitted = stored.put(without_secrets(stored.body.clone())).await;
    assert_eq!(omitted.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(stored.put(stored.body.clone()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_leads_a_configuration_elsewhere_must_know_all_its_secrets() {
    let stored = Stored::new().await;
    let before = stored.sealed();
    let other = Authority::new("other").unwrap();
    let all = [
        "configuration.apiKey",
        "configuration.network.clientKey",
        "configuration.network.proxyCredential",
        "configuration.signingSecrets",
    ];
    for (pointer, value) in [
        ("/url", json!("https://evil.example.com/in")),
        ("/network/proxy", json!("http://evil.example.com:3128")),
        ("/network/caCertificate", json!(other.pem())),
        ("/network/caCertificate", Value::Null),
    ] {
        let elsewhere = with(stored.body.clone(), &format!("/configuration{pointer}"), value);
        let omitted = without_secrets(elsewhere.clone());
        assert_eq!(stored.put(omitted.clone()).await.wrong_fields(), all, "{pointer}");
        let tried = stored.app.call(Method::POST, &format!("{STREAMING}/test"), omitted).await;
        assert_eq!(tried.status, StatusCode::BAD_REQUEST, "{pointer}");
        let half = with(elsewhere, "/configuration/network/proxyCredential", Value::Null);
        assert_eq!(stored.put(half).await.wrong_fields(), ["configuration.network.proxyCredential"]);
    }
    assert_eq!(stored.sealed(), before);
    assert_eq!(stored.app.net.taken(|taken| taken.requests), 0, "nothing was sent");
    let moved = with(stored.body.clone(), "/configuration/url", json!("https://new.example.com/in"));
    assert_eq!(stored.put(moved).await.status, StatusCode::OK);
    // A proxy taken away takes its credential with it; the others must be given.
    let direct = with(without_secrets(stored.body.clone()), "/configuration/network/proxy", Value::Null);
    let direct = with(direct, "/configuration/network/noProxy", Value::Null);
    let direct = with(direct, "/configuration/url", json!("https://new.example.com/in"));
    assert_eq!(stored.put(direct).await.wrong_fields(), [all[0], all[1], all[3]]);
}

#[tokio::test]
async fn audit_logs_hold_no_secret_and_long_certificates_by_their_digest() {
    let stored = Stored::new().await;
    let many = (0..12).map(|_| Authority::new("private").unwrap().pem().to_owned()).collect::<String>();
    let body = with(stored.body.clone(), "/configuration/network/caCertificate", json!(many));
    assert_eq!(stored.put(body).await.status, StatusCode::OK);
    assert!(tell(&stored.app.state).await);
    let streams = StreamSet::from_iter([Stream::AuditLog]);
    let range = ReadRange { streams, from: 0, until: u64::MAX, max_bytes: usize::MAX };
    let mut told = String::new();
    for block in stored.app.journal.read(range).await.unwrap() {
        for (_, record) in block.records() {
            for section in [Section::Header, Section::Changes, Section::Request, Section::Response] {
                told.push_str(record.section(section).unwrap_or_default());
            }
        }
    }
    assert!(told.contains("\"Update\"") && told.contains("/configuration/network/caCertificate"), "{told}");
    assert!(told.contains(&format!("({} bytes)", many.len())), "{told}");
    let key_line = stored.client.key_pem.lines().nth(1).unwrap();
    for secret in [key_line, "user:password", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        assert!(!told.contains(secret), "{told}");
    }
}
