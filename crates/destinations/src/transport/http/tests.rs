//! The client against sockets of its own: what it sends, what it keeps, what it refuses, how it explains.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use super::resolver::allowed;
use super::*;

/// Answers one connection with `answer`, whatever it is asked; gives back what it was asked.
fn server(answer: Vec<u8>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = vec![0; 65_536];
        let read = stream.read(&mut asked).unwrap();
        let _the_other_side_may_have_heard_enough = stream.write_all(&answer);
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    (address, served)
}

async fn send(url: &str) -> Result<Answer, TransportError> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Splunk hidden-token"));
    let request = Request {
        url: Url::parse(url).unwrap(),
        method: Method::POST,
        headers,
        body: Bytes::from_static(b"body"),
        route: Arc::default(),
    };
    HttpTransport::new().unwrap().send(request).await
}

#[tokio::test]
async fn an_answer_is_given_back_whole_whatever_its_status() {
    let (address, served) =
        server(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\nx-a: b\r\ncontent-length: 4\r\n\r\nbusy".to_vec());
    let answer = send(&format!("{address}/services/collector/event?x=1")).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (503, &b"busy"[..]));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(answer.headers.get("x-a").unwrap(), "b");
    let asked = served.join().unwrap();
    assert!(asked.starts_with("POST /services/collector/event?x=1 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Splunk hidden-token\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\nbody") || asked.contains("content-length: 4"), "{asked}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let (address, _served) =
        server(b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec());
    assert_eq!(send(&address).await.unwrap().status, 307);
}

#[tokio::test]
async fn an_answer_is_cut_at_the_limit() {
    let mut endless = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec();
    endless.resize(endless.len() + MAX_ANSWER_BYTES + 100_000, b'x');
    let (address, _served) = server(endless);
    assert_eq!(send(&address).await.unwrap().body.len(), MAX_ANSWER_BYTES);
}

#[tokio::test]
async fn a_connection_that_ends_early_is_broken() {
    let (address, _served) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx".to_vec());
    let error = send(&address).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Broken, "{error}");
}

/// Answers one connection byte by byte, for as long as the other side waits. Bytes come ten times a second, so that a limit
/// of the wait for the next byte would never end it.
fn crawler() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".iter();
        let mut asked = [0; 4096];
        // Reading times out; it ends when the other side hangs up.
        while !matches!(stream.read(&mut asked), Ok(0)) {
            let next = head.next().copied().unwrap_or(b'x');
            if stream.write_all(&[next]).is_err() {
                return;
            }
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_crawls_ends_with_the_timeout() {
    let request = Request {
        url: Url::parse(&crawler()).unwrap(),
        method: Method::POST,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"body"),
        route: routed(&serde_json::json!({"timeoutSeconds": 1})),
    };
    let error = HttpTransport::new().unwrap().send(request).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Timeout, "{error}");
}

/// A route as a configuration's `network` describes it.
fn routed(network: &serde_json::Value) -> Arc<crate::Route> {
    let configuration = serde_json::json!({"network": network});
    let mut fields = crate::fields::Fields::of(&configuration);
    let network = crate::network::Network::parse(&mut fields);
    let secrets = crate::Secrets::parse(&configuration).unwrap();
    Arc::new(crate::Route::new(&network, &secrets).unwrap())
}

#[tokio::test]
async fn no_error_tells_the_credential_or_the_query() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = send(&format!("http://{closed}/path?token=hidden-query")).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect, "{error}");
    assert_eq!(error.to_string(), format!("cannot connect to {closed}: connection refused"));
    assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
}

#[tokio::test]
async fn a_port_that_speaks_plain_http_is_told_apart_from_a_certificate_problem() {
    let (address, _served) = server(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec());
    let error = send(&address.replace("http:", "https:")).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotTls, "{error:?}");
    let place = address.strip_prefix("http://").unwrap().trim_end_matches('/');
    assert_eq!(error.to_string(), format!("what listens at {place} does not speak TLS"));
    assert!(error.hint().contains("http://") && !error.hint().contains("certificate"), "{}", error.hint());
}

#[tokio::test]
async fn a_name_without_an_address_is_named() {
    let error = send("http://no-such-host.invalid/").await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Resolve, "{error:?}");
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    assert!(!error.to_string().contains("uncategorized"), "{error}");
}

#[tokio::test]
async fn metadata_addresses_are_not_called() {
    for url in ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/"] {
        assert_eq!(send(url).await.unwrap_err().kind(), FailureKind::Refused, "{url}");
    }
    let resolved = |texts: &[&str]| allowed(texts.iter().map(|text| text.parse().unwrap()).collect());
    assert!(resolved(&["169.254.169.254:0", "[fe80::1]:0"]).is_err());
    assert_eq!(resolved(&["169.254.169.254:0", "10.0.0.1:0"]).unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_of_its_own_lives_as_long_as_a_route_that_needs_it() {
    let clients = HttpTransport::new().unwrap().clients;
    let proxied = || routed(&serde_json::json!({"proxy": "http://p:1"}));
    let (one, alike) = (proxied(), proxied());
    clients.of(&one, true).await.unwrap();
    clients.of(&alike, true).await.unwrap();
    clients.of(&one, false).await.unwrap();
    let patient = routed(&serde_json::json!({"timeoutSeconds": 300}));
    clients.of(&patient, false).await.unwrap();
    assert_eq!(clients.n_special(), 1, "alike routes share one; who needs nothing special has the plain one");
    let trusting = testkit::tls::Authority::new("private").unwrap();
    let trusting = routed(&serde_json::json!({"caCertificate": trusting.pem(), "proxy": "http://p:1"}));
    clients.of(&trusting, true).await.unwrap();
    clients.of(&trusting, false).await.unwrap();
    assert_eq!(clients.n_special(), 3);
    drop(trusting);
    clients.of(&patient, false).await.unwrap();
    assert_eq!(clients.n_special(), 1);
}
