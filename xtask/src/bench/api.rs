//! The calls that set a run up, as any client would make them.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::load::Target;
use crate::Failure;
use crate::http::{Connection, request};

/// Creates an API client that may post events; its token.
pub(super) fn create_client(server: Target<'_>) -> Result<String, Failure> {
    let body = json!({"name": "bench", "scopes": ["write:event"]});
    let client = call(server, "POST", "/admin/api/v1/instance/apiClients", &body)?;
    let token = client.get("token").and_then(Value::as_str);
    Ok(token.ok_or("the API client came without a token")?.to_owned())
}

/// Creates a Splunk configuration of this name that sends every stream to `receiver`.
pub(super) fn create_destination(
    server: Target<'_>,
    name: &str,
    receiver: SocketAddr,
) -> Result<(), Failure> {
    let body = json!({
        "name": name,
        "type": "splunk",
        "configuration": {"url": format!("http://{receiver}"), "apiKey": "bench-credential"},
        "accountEventStreaming": {"enabled": true, "nativeClaims": []},
        "auditLogStreaming": {"enabled": true},
        "eventHookLogStreaming": {"enabled": true},
    });
    call(server, "POST", "/admin/api/v1/instance/eventStreaming", &body).map(drop)
}

fn call(server: Target<'_>, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
    let mut connection = Connection::open(server.address)?;
    let bytes = request(method, path, server.token, "application/json", body.to_string().as_bytes());
    let answer = connection.call(&bytes)?;
    if !answer.status().is_some_and(|status| (200..300).contains(&status)) {
        return Err(format!(
            "{method} {path}: {}: {}",
            answer.first_line,
            String::from_utf8_lossy(&answer.body)
        )
        .into());
    }
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}
