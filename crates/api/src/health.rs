//! Whether the process lives, and whether events should be sent to it. Open to everybody, and saying nothing else.

use http::StatusCode;
use serde_json::json;

use crate::call::{self, Answer, Call};

/// The process lives.
pub(crate) async fn health(_call: Call<()>) -> Answer {
    call::json(StatusCode::OK, &json!({"status": "up"}))
}

/// The journal takes events.
pub(crate) async fn ready(call: Call<()>) -> Answer {
    if call.state.is_ready() {
        call::json(StatusCode::OK, &json!({"status": "ready"}))
    } else {
        call::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "not ready"}))
    }
}
