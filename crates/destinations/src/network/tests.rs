//! The `network` object: what is valid, what is told about the rest, what comes back.

use serde_json::{Value, json};
use testkit::tls::{Authority, Certified};
use url::Url;

use super::*;
use crate::registry::{Settings, SettingsError, Vendor};
use crate::secrets::{SecretName, Secrets};

fn configuration(network: Value) -> Value {
    json!({ "url": "https://s.example/", "network": network })
}

fn settings(network: Value) -> Result<Settings, Vec<SettingsError>> {
    Settings::parse(Vendor::Splunk, &configuration(network))
}

fn complaints(network: Value) -> Vec<String> {
    settings(network).unwrap_err().iter().map(ToString::to_string).collect()
}

fn route(network: Value) -> Result<Route, Vec<SettingsError>> {
    let configuration = configuration(network);
    let mut fields = Fields::of(&configuration);
    let network = Network::parse(&mut fields);
    Route::new(&fields.finish(Some(network))?, &Secrets::parse(&configuration)?)
}

fn refusal(network: Value) -> String {
    route(network).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_response_shape_is_read_back_and_holds_no_secret() {
    let authority = Authority::new("private").unwrap();
    let client = authority.certify(&["idstream"]).unwrap();
    let given = json!({
        "caCertificate": authority.pem(),
        "clientCertificate": client.pem,
        "clientKey": client.key_pem,
        "proxy": "http://proxy.example:3128",
        "proxyCredential": "user:CANARY",
        "noProxy": ["intern.example", "10.0.0.0/8"],
        "timeoutSeconds": 5,
    });
    let parsed = settings(given.clone()).unwrap();
    let shown = parsed.to_json();
    for field in ["caCertificate", "clientCertificate", "proxy", "noProxy", "timeoutSeconds"] {
        assert_eq!(shown["network"][field], given[field], "{field}");
    }
    assert_eq!(shown["network"].as_object().unwrap().len(), 5, "no secret is among them");
    assert_eq!(Settings::parse(Vendor::Splunk, &shown).unwrap(), parsed);
    assert_eq!(settings(json!({})).unwrap().to_json(), json!({"url": "https://s.example/"}));
    assert_eq!(
        settings(json!({"timeoutSeconds": 60})).unwrap().to_json(),
        json!({"url": "https://s.example/"})
    );
}

#[test]
fn every_wrong_value_is_told_by_its_field() {
    let pem = "must be one or more certificates in PEM";
    let list = "must be a list of at most 100 strings";
    let host = "must be a host (example.com), an address (10.0.0.1) or a network (10.0.0.0/8)";
    for (field, value, wrong) in [
        ("caCertificate", json!("nothing"), pem),
        ("caCertificate", json!("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), pem),
        ("clientCertificate", json!(""), pem),
        ("caCertificate", json!("x".repeat(65_537)), "must have at most 65536 characters"),
        ("caCertificate", json!("ü".repeat(40_000)), "must have at most 65536 bytes"),
        ("caCertificate", json!(7), "must be a string"),
        ("proxy", json!("proxy.example:3128"), "must be http://host:port"),
        ("proxy", json!("https://proxy.example:3128"), "must be http://host:port"),
        ("proxy", json!("http://proxy.example/path"), "must be http://host:port"),
        (
            "proxy",
            json!("http://ann:pw@proxy.example"),
            "must not contain a user or a password: use proxyCredential",
        ),
        (
            "proxy",
            json!("http://169.254.169.254:80"),
            "must not lead to a link-local or cloud metadata address",
        ),
        ("noProxy", json!("a"), list),
        ("noProxy", json!([1]), list),
        ("timeoutSeconds", json!(0), "must be a whole number from 1 to 300"),
        ("timeoutSeconds", json!(301), "must be a whole number from 1 to 300"),
        ("timeoutSeconds", json!("5"), "must be a whole number from 1 to 300"),
    ] {
        assert_eq!(complaints(json!({ field: value })), [format!("network.{field} {wrong}")]);
    }
    let both = complaints(json!({"proxy": "http://p:1", "noProxy": ["ok.example", "*"]}));
    assert_eq!(both, [format!("network.noProxy[1] {host}")]);
    assert_eq!(complaints(json!({"noProxy": ["a"]})), ["network.noProxy must come with a proxy"]);
    assert_eq!(complaints(json!("x")), ["network must be an object"]);
    assert!(
        complaints(json!({"caCert": "x"}))[0]
            .starts_with("network.caCert is not a field here; these are: caCert")
    );
}

#[test]
fn a_certificate_that_cannot_be_read_is_counted() {
    let good = Authority::new("private").unwrap().pem().to_owned();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let wrong = complaints(json!({ "caCertificate": good + bad }));
    let expected = "network.caCertificate must be one or more certificates in PEM: number 2 cannot be read";
    assert_eq!(wrong, [expected]);
}

#[test]
fn a_private_key_among_certificates_is_refused_and_other_text_is_not_kept() {
    let made = Certified::by_itself(&["idstream"]).unwrap();
    let with_key = format!("{}{}", made.pem, made.key_pem);
    let wrong = complaints(json!({ "clientCertificate": with_key }));
    assert_eq!(wrong, ["network.clientCertificate must not hold a private key: that is clientKey"]);
    let chatty = json!({ "caCertificate": format!("password: CANARY\r\n{}CANARY", made.pem) });
    assert_eq!(settings(chatty).unwrap().to_json()["network"]["caCertificate"], json!(made.pem));
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_told_at_once() {
    let authority = Authority::new("private").unwrap();
    let (one, other) = (authority.certify(&["one"]).unwrap(), authority.certify(&["other"]).unwrap());
    let with = |key: &str| json!({ "clientCertificate": one.pem, "clientKey": key });
    assert!(route(with(&one.key_pem)).is_ok());
    for (key, wrong) in [
        (&*other.key_pem, "must be the key of clientCertificate: it belongs to another certificate"),
        ("CANARY", "must be a private key in PEM, without a passphrase"),
        (&*one.pem, "must be a private key in PEM, without a passphrase"),
        ("", "must be given with clientCertificate"),
    ] {
        assert_eq!(refusal(with(key)), format!("network.clientKey {wrong}"));
    }
    assert_eq!(
        refusal(json!({ "clientKey": one.key_pem })),
        "network.clientKey must come with clientCertificate"
    );
}

#[test]
fn a_credential_for_a_proxy_is_user_and_password() {
    let with = |credential: &str| json!({"proxy": "http://p:1", "proxyCredential": credential});
    assert!(route(with("user:pass:word")).is_ok() && route(with("")).is_ok());
    for wrong in ["user", ":password"] {
        assert_eq!(refusal(with(wrong)), "network.proxyCredential must be user:password");
    }
    assert_eq!(refusal(json!({"proxyCredential": "a:b"})), "network.proxyCredential must come with proxy");
    assert!(refusal(with("a:b\r\nc")).contains("control characters"));
}

#[test]
fn routes_are_alike_only_when_all_that_makes_a_connection_is() {
    let with =
        |credential: &str| route(json!({"proxy": "http://p:1", "proxyCredential": credential})).unwrap();
    assert_eq!(with("a:b"), with("a:b"));
    for other in ["a:c", "ab:", "c:b", ""] {
        assert!(!with("a:b").is_like(&with(other)), "{other}");
    }
    assert!(route(json!({})).unwrap() == Route::default());
    let patient = route(json!({"timeoutSeconds": 300})).unwrap();
    assert!(patient.is_like(&Route::default()) && patient != Route::default());
}

#[test]
fn nothing_secret_is_printed() {
    let client = Certified::by_itself(&["idstream"]).unwrap();
    let secrets = json!({
        "clientCertificate": client.pem, "clientKey": client.key_pem,
        "proxy": "http://p:1", "proxyCredential": "CANARY-user:CANARY-password",
    });
    let shown =
        format!("{:?} {:?}", route(secrets.clone()).unwrap(), Secrets::parse(&configuration(secrets)));
    let key_line = client.key_pem.lines().nth(1).unwrap();
    assert!(!shown.contains("CANARY") && !shown.contains(key_line), "{shown}");
}

#[test]
fn secrets_lead_elsewhere_when_the_address_the_proxy_or_the_authority_changes() {
    let pem = || Authority::new("private").unwrap().pem().to_owned();
    let base = json!({"proxy": "http://p:1", "caCertificate": pem(), "timeoutSeconds": 5});
    let with = |field: &str, value: Value| {
        let mut network = base.clone();
        network[field] = value;
        settings(network).unwrap()
    };
    let known = settings(base.clone()).unwrap();
    assert!(with("timeoutSeconds", json!(7)).leads_like(&known));
    assert!(with("noProxy", json!(["x.example"])).leads_like(&known));
    for (field, value) in [
        ("proxy", json!("http://evil:1")),
        ("proxy", Value::Null),
        ("caCertificate", json!(pem())),
        ("caCertificate", Value::Null),
    ] {
        assert!(!with(field, value).leads_like(&known), "{field}");
    }
    assert!(known.has_use_for(SecretName::ProxyCredential) && !known.has_use_for(SecretName::ClientKey));
}

#[test]
fn no_proxy_is_honoured_by_the_route() {
    let route = route(json!({"proxy": "http://p:1", "noProxy": ["intern.example"]})).unwrap();
    let through = |url: &str| route.proxy_for(&Url::parse(url).unwrap()).map(Through::name);
    assert_eq!(through("https://s.example/"), Some("p:1".to_owned()));
    assert_eq!(through("https://a.intern.example/"), None);
}

proptest::proptest! {
    #[test]
    fn whatever_is_taken_is_answered_and_read_back(
        proxy in "(http://)?[a-z0-9.:/@\\[\\]?#]{0,20}",
        no_proxy in proptest::collection::vec("[a-zA-Z0-9.:/*-]{0,18}|([0-9]{1,3}\\.){3}[0-9]{1,3}(/[0-9]{1,2})?", 0..4),
        pem in ".{0,20}(-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]{0,80}\n-----END CERTIFICATE-----)?.{0,20}",
        timeout: u16,
    ) {
        let network = json!({"proxy": proxy, "noProxy": no_proxy, "timeoutSeconds": timeout});
        if let Ok(parsed) = settings(network) {
            let shown = parsed.to_json();
            proptest::prop_assert_eq!(Settings::parse(Vendor::Splunk, &shown).unwrap(), parsed);
        }
        // No text of this form is a certificate that can be read.
        let read = settings(json!({ "caCertificate": pem }));
        proptest::prop_assert!(read.is_err());
    }
}
