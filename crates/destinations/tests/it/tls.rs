//! Delivery to TLS receivers: whom it trusts, what it shows of itself, and what it says when either fails.

use serde_json::json;
use testkit::tls::{Authority, Certified};

use crate::wires::{Secured, collector, door, failure, localhost, send};

#[tokio::test]
async fn a_receiver_of_a_private_authority_is_trusted_when_its_certificate_is_given() {
    let secured = Secured::new().await;
    let destination = collector(&secured.url("localhost"), json!({"caCertificate": secured.authority.pem()}));
    assert_eq!(send(&*destination).await.unwrap().status, 200);
    assert_eq!((secured.receiver.stats().events, secured.receiver.stats().n_problems), (1, 0));
}

#[tokio::test]
async fn a_receiver_that_vouches_for_itself_is_trusted_when_its_own_certificate_is_given() {
    let shown = Certified::by_itself(&["localhost"]).unwrap();
    let (receiver, door) = door(&shown, None).await;
    let destination = collector(&localhost(door.address()), json!({"caCertificate": shown.pem}));
    assert_eq!(send(&*destination).await.unwrap().status, 200);
    assert_eq!(receiver.stats().events, 1);
}

#[tokio::test]
async fn only_the_given_authority_is_trusted() {
    let secured = Secured::new().await;
    let other = Authority::new("other").unwrap();
    let untrusted = "the certificate of localhost is self-signed, or of an authority that is not trusted \
                     (put the certificate of its authority, or its own, into configuration.network.caCertificate)";
    for network in [json!({}), json!({"caCertificate": other.pem()})] {
        assert_eq!(failure(&*collector(&secured.url("localhost"), network)).await, untrusted);
    }
    assert_eq!(secured.receiver.stats().requests, 0, "nothing is sent to who is not trusted");
}

#[tokio::test]
async fn a_self_signed_an_expired_and_a_misnamed_certificate_are_told_apart() {
    let authority = Authority::new("private").unwrap();
    let trusting = json!({"caCertificate": authority.pem()});
    let by_itself = Certified::by_itself(&["localhost"]).unwrap();
    let expired = authority.certify_expired(&["localhost"]).unwrap();
    let misnamed = authority.certify(&["other.example"]).unwrap();
    for (shown, said) in [
        (
            by_itself,
            "the certificate of localhost is self-signed, or of an authority that is not trusted (put the certificate \
             of its authority, or its own, into configuration.network.caCertificate)",
        ),
        (
            expired,
            "the certificate of localhost has expired (renew the destination's certificate, and check the clock of \
             this machine)",
        ),
        (
            misnamed,
            "the certificate of localhost is for another name (use a host name in configuration.url that the \
             certificate holds, or a certificate that holds this one)",
        ),
    ] {
        let (receiver, door) = door(&shown, None).await;
        assert_eq!(failure(&*collector(&localhost(door.address()), trusting.clone())).await, said);
        assert_eq!(receiver.stats().requests, 0);
    }
}

#[tokio::test]
async fn a_receiver_with_the_certificate_of_an_authority_is_told_what_it_needs() {
    let shown = Certified::of_an_authority(&["localhost"]).unwrap();
    let (_receiver, door) = door(&shown, None).await;
    let said = failure(&*collector(&localhost(door.address()), json!({"caCertificate": shown.pem}))).await;
    assert!(
        said.starts_with("the certificate of localhost is that of an authority, not of a server ("),
        "{said}"
    );
}

#[tokio::test]
async fn an_answer_is_waited_for_as_long_as_is_said() {
    let receiver = crate::wires::receiver().await;
    receiver
        .misbehave(vec![receiver::Misbehaviour { what: receiver::What::Hang, when: receiver::When::Always }]);
    let url = format!("http://{}", receiver.address());
    let said = failure(&*collector(&url, json!({"timeoutSeconds": 1}))).await;
    assert!(said.starts_with("no answer from 127.0.0.1 in time"), "{said}");
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_is_shown_it() {
    let authority = Authority::new("private").unwrap();
    let (receiver, door) = door(&authority.certify(&["localhost"]).unwrap(), Some(&authority)).await;
    let client = authority.certify(&["idstream"]).unwrap();
    let network = json!({
        "caCertificate": authority.pem(), "clientCertificate": client.pem, "clientKey": client.key_pem,
    });
    let destination = collector(&localhost(door.address()), network);
    assert_eq!(send(&*destination).await.unwrap().status, 200);
    assert_eq!(receiver.stats().events, 1);
}

#[tokio::test]
async fn without_a_client_certificate_that_is_trusted_the_client_certificate_is_named() {
    let authority = Authority::new("private").unwrap();
    let (receiver, door) = door(&authority.certify(&["localhost"]).unwrap(), Some(&authority)).await;
    let stranger = Authority::new("other").unwrap().certify(&["idstream"]).unwrap();
    let none = json!({"caCertificate": authority.pem()});
    let untrusted = json!({
        "caCertificate": authority.pem(), "clientCertificate": stranger.pem, "clientKey": stranger.key_pem,
    });
    // More than once: the complaint races with the request.
    for network in [none, untrusted].into_iter().cycle().take(20) {
        let said = failure(&*collector(&localhost(door.address()), network)).await;
        assert!(said.starts_with("localhost asks for a client certificate that it trusts"), "{said}");
        assert!(said.contains("check configuration.network.clientCertificate and clientKey"), "{said}");
    }
    assert_eq!(receiver.stats().requests, 0);
}
