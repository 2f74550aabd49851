//! The beginning of a connection over TLS: bounded in number and time, and clear to those who speak plainly.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::seldom::Seldom;

/// How long a client may take for it, the wait for its turn included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How many may be under way. What they cost is the server's signature, at most about a millisecond of one core.
const MAX_UNDER_WAY: usize = 256;
/// How much of a plain request is read, in bytes, so that the answer is not lost with a reset.
const MAX_PLAIN: u64 = 64 << 10;
/// How long it is read.
const PLAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Speaks TLS with whoever connects.
pub(crate) struct Tls {
    current: watch::Receiver<Arc<ServerConfig>>,
    turns: Semaphore,
    plain: Mutex<Seldom>,
}

impl Tls {
    /// With what `current` holds when a client connects.
    pub(crate) fn new(current: watch::Receiver<Arc<ServerConfig>>) -> Self {
        Self { current, turns: Semaphore::new(MAX_UNDER_WAY), plain: Mutex::default() }
    }

    /// The connection, once both sides agree. `None` when they do not, or not in time.
    pub(super) async fn shake(&self, socket: TcpStream, peer: IpAddr) -> Option<TlsStream<TcpStream>> {
        timeout(TIMEOUT, self.agree(socket, peer)).await.unwrap_or_else(|_| {
            tracing::debug!(%peer, "a TLS handshake took too long");
            None
        })
    }

    async fn agree(&self, socket: TcpStream, peer: IpAddr) -> Option<TlsStream<TcpStream>> {
        // Silent clients wait here, and take nobody's turn.
        let mut first = [0];
        let n = socket.peek(&mut first).await.ok()?;
        if n == 0 {
            return None;
        }
        // A method's first letter. TLS begins with 0x16.
        if first.iter().all(u8::is_ascii_uppercase) {
            self.refuse_plain(socket, peer).await;
            return None;
        }
        let _turn = self.turns.acquire().await.ok()?;
        let config = Arc::clone(&self.current.borrow());
        match TlsAcceptor::from(config).accept(socket).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(%peer, %error, "a TLS handshake failed");
                None
            }
        }
    }

    async fn refuse_plain(&self, mut socket: TcpStream, peer: IpAddr) {
        if let Some(n) = self.plain.lock().note(Instant::now()) {
            tracing::warn!(
                %peer,
                requests = n,
                "a request came without TLS, perhaps with a token that others could read: call https:// instead"
            );
        }
        let body = "This port speaks HTTPS only: call it with https://\n";
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if socket.write_all(answer.as_bytes()).await.is_ok() && socket.shutdown().await.is_ok() {
            let _gone_or_late = timeout(PLAIN_TIMEOUT, copy(&mut socket.take(MAX_PLAIN), &mut sink())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::tls::Authority;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::http::tls::{Keeper, TlsFiles};

    /// A connected client, and the handshake that the server makes with it.
    async fn knock() -> (TcpStream, JoinHandle<bool>) {
        let directory = tempfile::tempdir().unwrap();
        let certified = Authority::new("ours").unwrap().certify(&["localhost"]).unwrap();
        let files = TlsFiles { cert: directory.path().join("c"), key: directory.path().join("k") };
        std::fs::write(&files.cert, &certified.pem).unwrap();
        std::fs::write(&files.key, &certified.key_pem).unwrap();
        let keeper = Keeper::open(files, base::Timestamp::from_millis(0).unwrap()).unwrap();
        let tls = Tls::new(keeper.watch());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer) = listener.accept().await.unwrap();
        (client, tokio::spawn(async move { tls.shake(socket, peer.ip()).await.is_some() }))
    }

    async fn all(client: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn who_speaks_plainly_is_told_to_use_https() {
        let (mut client, shaken) = knock().await;
        let body = "x".repeat(32 << 10);
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.write_all(request.as_bytes()).await.unwrap();
        let answer = all(&mut client).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("call it with https://\n"),
            "{answer}"
        );
        drop(client);
        assert!(!shaken.await.unwrap());
    }

    #[tokio::test]
    async fn what_is_neither_is_closed() {
        let (mut client, shaken) = knock().await;
        client.write_all(b"\x00\x01nonsense").await.unwrap();
        client.shutdown().await.unwrap();
        all(&mut client).await;
        assert!(!shaken.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_too_long_is_closed() {
        for sent in [&b""[..], b"\x16\x03\x01"] {
            let (mut client, shaken) = knock().await;
            client.write_all(sent).await.unwrap();
            let since = Instant::now();
            assert!(!shaken.await.unwrap());
            let took = since.elapsed();
            assert!((TIMEOUT..TIMEOUT + Duration::from_secs(1)).contains(&took), "{took:?}");
        }
    }
}
