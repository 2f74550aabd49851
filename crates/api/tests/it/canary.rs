//! Secrets planted everywhere must appear in no answer, whatever is asked.

use http::Method;
use serde_json::{Value, json};

use crate::app::{App, CLIENTS, SOURCES, STREAMING, splunk, with};

const API_KEY: &str = "CANARY-api-key";
const NEXT_API_KEY: &str = "CANARY-next-api-key";
const AUTHORIZATION: &str = "Bearer CANARY-authorization";

#[tokio::test]
async fn no_planted_secret_ever_comes_back() {
    let app = App::new().await;
    let mut answers = Vec::new();
    let mut ask = async |method: Method, path: &str, body: Value| {
        let reply = app.call(method, path, body).await;
        answers.push(format!("{:?} {}", reply.headers, reply.text));
        reply
    };
    for vendor in ["splunk", "elasticsearch", "https"] {
        let mut body = with(splunk(vendor), "/type", json!(vendor));
        body = with(body, "/configuration/apiKey", json!(API_KEY));
        if vendor == "https" {
            body = with(body, "/configuration", json!({"headerName": "x-api-key", "apiKey": API_KEY}));
            body = with(body, "/configuration/url", json!("https://h.example.com/in"));
        }
        let path = ask(Method::POST, STREAMING, body.clone()).await.header("location").to_owned();
        ask(Method::GET, &path, Value::Null).await;
        ask(Method::GET, &(path.clone() + "/status"), Value::Null).await;
        let id = path.rsplit('/').next().unwrap();
        body = with(with(body, "/id", json!(id)), "/configuration/apiKey", json!(NEXT_API_KEY));
        ask(Method::PUT, &path, body.clone()).await;
        // And with everything else wrong.
        for (pointer, value) in [
            ("/name", json!("x")),
            ("/type", json!(API_KEY)),
            ("/configuration/url", json!(format!("https://user:{API_KEY}@h/"))),
            ("/configuration/url", json!(format!("ftp://{API_KEY}/"))),
            ("/configuration/apiKey", json!(format!("{API_KEY}\r\nx: y"))),
            ("/configuration/apiKey", json!(API_KEY.repeat(500))),
            ("/configuration/apiKey", json!([API_KEY])),
        ] {
            ask(Method::PUT, &path, with(body.clone(), pointer, value.clone())).await;
            ask(Method::POST, STREAMING, with(body.clone(), pointer, value)).await;
        }
    }
    let source = json!({
        "name": "Auth0",
        "platform": {"kind": "auth0", "tenant": "t"},
        "authorization": [AUTHORIZATION],
    });
    let path = ask(Method::POST, SOURCES, source.clone()).await.header("location").to_owned();
    ask(Method::GET, &path, Value::Null).await;
    let long = json!([AUTHORIZATION.repeat(50)]);
    ask(Method::POST, SOURCES, with(source, "/authorization", long)).await;
    for list in [STREAMING, SOURCES, CLIENTS] {
        ask(Method::GET, list, Value::Null).await;
    }
    let wrong = format!("Bearer {}x", app.admin);
    let reply = app.send(Method::GET, STREAMING, &[("authorization", &wrong)], "").await;
    answers.push(reply.text);

    let digest = app.catalog.list::<api::ApiClient>().unwrap()[0].value.secret_sha256.clone();
    let admin_secret = app.admin.rsplit_once('-').unwrap().1;
    assert!(answers.len() > 60);
    for answer in answers {
        for secret in ["CANARY", "canary", "ciphertext", &digest, admin_secret] {
            assert!(!answer.contains(secret), "{secret} in {answer}");
        }
    }
}
