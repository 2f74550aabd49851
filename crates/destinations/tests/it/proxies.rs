//! Delivery through a real forward proxy.

use std::collections::HashMap;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use destinations::transport::HttpTransport;
use destinations::{Session, Transport as _};
use serde_json::{Value, json};
use testkit::proxy::{ForwardProxy, ProxyOptions};

use crate::wires::{Secured, body, collector, failure, now, proxy, receiver, send, send_by};

const CREDENTIAL: &str = "proxy-user:CANARY-password";

fn asks_for(credential: &str) -> ProxyOptions {
    let authorization = Some(format!("Basic {}", STANDARD.encode(credential)));
    ProxyOptions { authorization, ..ProxyOptions::default() }
}

fn methods(proxy: &ForwardProxy) -> Vec<String> {
    proxy.asked().into_iter().map(|(method, _)| method).collect()
}

#[tokio::test]
async fn tls_goes_through_a_proxy_that_alone_knows_the_receivers_name() {
    let secured = Secured::new().await;
    let knows = HashMap::from([("collector.intern".to_owned(), secured.door.address())]);
    let proxy = proxy(ProxyOptions { knows, ..ProxyOptions::default() }).await;
    let network = json!({"proxy": proxy.url(), "caCertificate": secured.authority.pem()});
    let destination = collector(&secured.url("collector.intern"), network);
    assert_eq!(send(&*destination).await.unwrap().status, 200);
    let target = format!("collector.intern:{}", secured.door.address().port());
    assert_eq!(proxy.asked(), [("CONNECT".to_owned(), target)]);
    assert_eq!(secured.receiver.stats().events, 1);
}

#[tokio::test]
async fn plain_http_goes_through_a_proxy_in_absolute_form() {
    let receiver = receiver().await;
    let proxy = proxy(ProxyOptions::default()).await;
    let url = format!("http://{}", receiver.address());
    let destination = collector(&url, json!({"proxy": proxy.url()}));
    assert_eq!(send(&*destination).await.unwrap().status, 200);
    assert_eq!(proxy.asked(), [("POST".to_owned(), format!("{url}/services/collector/event"))]);
    assert_eq!(receiver.stats().events, 1);
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_credential_gets_it() {
    let secured = Secured::new().await;
    let proxy = proxy(asks_for(CREDENTIAL)).await;
    let network = json!({
        "proxy": proxy.url(), "proxyCredential": CREDENTIAL, "caCertificate": secured.authority.pem(),
    });
    assert_eq!(send(&*collector(&secured.url("localhost"), network.clone())).await.unwrap().status, 200);
    let plain = format!("http://{}", secured.receiver.address());
    assert_eq!(send(&*collector(&plain, network)).await.unwrap().status, 200);
    assert_eq!(methods(&proxy), ["CONNECT", "POST"]);
    assert_eq!(secured.receiver.stats().events, 2);
}

#[tokio::test]
async fn a_proxy_that_does_not_take_the_credential_is_told_with_and_without_tls() {
    let secured = Secured::new().await;
    let proxy = proxy(asks_for(CREDENTIAL)).await;
    let plain = format!("http://{}", secured.receiver.address());
    for (url, credential) in [secured.url("localhost"), plain]
        .into_iter()
        .flat_map(|url| [(url.clone(), ""), (url, "a:CANARY-wrong")])
    {
        let network = json!({"proxy": proxy.url(), "proxyCredential": credential});
        let said = failure(&*collector(&url, network)).await;
        let name = proxy.url().replace("http://", "");
        let expected = format!(
            "the proxy {name} asks for a credential, or does not take this one (407) (check \
             configuration.network.proxyCredential)"
        );
        assert_eq!(said, expected, "{url}");
    }
    assert_eq!(secured.receiver.stats().requests, 0);
}

#[tokio::test]
async fn a_proxy_that_refuses_or_cannot_be_reached_is_told() {
    let secured = Secured::new().await;
    let refusing = proxy(ProxyOptions { refuses: Some(502), ..ProxyOptions::default() }).await;
    let said = failure(&*collector(&secured.url("localhost"), json!({"proxy": refusing.url()}))).await;
    assert!(said.contains("does not let a connection to localhost through"), "{said}");
    assert!(said.contains("configuration.network.noProxy"), "{said}");

    let plain =
        collector(&format!("http://{}", secured.receiver.address()), json!({"proxy": refusing.url()}));
    let answer = send(&*plain).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (502, &b"says the proxy"[..]), "in its own words");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [secured.url("localhost"), "http://s.example".to_owned()] {
        let said = failure(&*collector(&url, json!({"proxy": format!("http://{closed}")}))).await;
        let expected = format!(
            "cannot connect to the proxy {closed}: connection refused (check configuration.network.proxy, and whether \
             the proxy runs)"
        );
        assert_eq!(said, expected);
        let said = failure(&*collector(&url, json!({"proxy": "http://no-such-proxy.invalid:3128"}))).await;
        assert!(
            said.starts_with("the host name of the proxy no-such-proxy.invalid:3128 cannot be"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_certificate_is_checked_through_a_proxy_too() {
    let secured = Secured::new().await;
    let proxy = proxy(ProxyOptions::default()).await;
    let said = failure(&*collector(&secured.url("localhost"), json!({"proxy": proxy.url()}))).await;
    assert!(said.starts_with("the certificate of localhost is self-signed, or of an authority"), "{said}");
}

#[tokio::test]
async fn hosts_named_in_no_proxy_are_called_directly() {
    let secured = Secured::new().await;
    let proxy = proxy(ProxyOptions::default()).await;
    let with = |no_proxy: Value| json!({"proxy": proxy.url(), "noProxy": no_proxy, "caCertificate": secured.authority.pem()});
    let plain = format!("http://{}", secured.receiver.address());
    for (url, no_proxy) in [(secured.url("localhost"), json!(["localhost"])), (plain, json!(["127.0.0.0/8"]))]
    {
        assert_eq!(send(&*collector(&url, with(no_proxy))).await.unwrap().status, 200);
        assert_eq!(proxy.asked(), []);
        assert_eq!(send(&*collector(&url, with(json!(["other.example"])))).await.unwrap().status, 200);
        assert_eq!(proxy.asked().len(), 1);
        proxy.forget();
    }
    assert_eq!(secured.receiver.stats().events, 4);
}

#[tokio::test]
async fn metadata_addresses_are_reached_through_no_proxy_and_are_no_proxy() {
    let proxy = proxy(ProxyOptions::default()).await;
    let destination = collector("http://s.example", json!({"proxy": proxy.url()}));
    for url in ["http://169.254.169.254/", "https://[::ffff:169.254.169.254]/", "http://100.100.100.200/"] {
        let mut request = destination.request(body(&*destination), &Session::default(), now());
        request.url = url.parse().unwrap();
        let error = HttpTransport::new().unwrap().send(request).await.unwrap_err();
        assert_eq!(error.to_string(), "link-local and cloud metadata addresses are not called", "{url}");
    }
    assert_eq!(proxy.asked(), []);
}

#[tokio::test]
async fn configurations_that_are_reached_alike_share_connections_and_others_do_not() {
    let receiver = receiver().await;
    let (one, other) = (proxy(ProxyOptions::default()).await, proxy(asks_for(CREDENTIAL)).await);
    let url = format!("http://{}", receiver.address());
    let transport = HttpTransport::new().unwrap();
    let through = |proxy: &ForwardProxy, credential: &str| {
        collector(&url, json!({"proxy": proxy.url(), "proxyCredential": credential}))
    };
    assert_eq!(send_by(&transport, &*through(&one, "")).await.unwrap().status, 200);
    assert_eq!(send_by(&transport, &*through(&other, CREDENTIAL)).await.unwrap().status, 200);
    assert!(send_by(&transport, &*through(&other, "")).await.is_err(), "the credential is not lent");
    assert_eq!((one.asked().len(), other.asked().len()), (1, 2));
}
