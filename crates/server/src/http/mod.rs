//! The listener: accepts connections, bounds their number and the time they take to say what they want, and lets
//! requests under way finish when the server stops.

mod handshake;
mod peer;
mod seldom;
pub(crate) mod tls;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::audit::Peer;
use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use handshake::Tls;
use peer::client_address;
pub(crate) use peer::{ForwardedHeader, Trusted};
use seldom::Seldom;

/// How long a client may take to send its request's head, and how long a connection may be idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long requests under way may take once the server stops.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Who may connect, and how.
pub(crate) struct Door {
    /// Connections that may be open at once.
    pub(crate) max_connections: usize,
    /// Proxies that are believed.
    pub(crate) trusted: Trusted,
    /// Whether nobody else may connect, this machine excepted.
    pub(crate) is_for_proxies_only: bool,
    /// Speaks TLS; absent where it is not spoken.
    pub(crate) tls: Option<Tls>,
}

/// Serves until `stop` turns true and the requests under way have ended, or [`DRAIN`] is over. When it returns, no
/// connection is open any more.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    door: Door,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(door.max_connections));
    let door = Arc::new(door);
    let mut strangers = Seldom::default();
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        // Waiting for a free place is inside: busy clients that hold all of them must not hide the stop.
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_ended) = connections.join_next() => continue,
        };
        let (socket, peer, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: wait for connections to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !door.admits(peer) {
            if let Some(n) = strangers.note(Instant::now()) {
                tracing::warn!(
                    peer = %peer,
                    connections = n,
                    "refused who is none of server.trusted_proxies: without TLS only they may connect"
                );
            }
            continue;
        }
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let guest =
            Guest { peer, door: Arc::clone(&door), router: router.clone(), watcher: graceful.watcher() };
        let stop = stop.clone();
        connections.spawn(async move {
            guest.stay(socket, stop).await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        while connections.try_join_next().is_some() {}
        let cut_off = connections.len();
        tracing::warn!(cut_off, "some requests did not end in time and are cut off without an answer");
    }
    connections.shutdown().await;
}

impl Door {
    fn admits(&self, peer: IpAddr) -> bool {
        !self.is_for_proxies_only || peer.is_loopback() || self.trusted.includes(peer)
    }
}

/// Who has connected.
struct Guest {
    peer: IpAddr,
    door: Arc<Door>,
    router: Router,
    watcher: Watcher,
}

impl Guest {
    /// Serves requests until the connection ends. What stops the server ends a handshake at once: no request is under way.
    async fn stay(self, socket: TcpStream, mut stop: watch::Receiver<bool>) {
        let door = Arc::clone(&self.door);
        let Some(tls) = &door.tls else { return self.converse(socket).await };
        let shaken = tokio::select! {
            shaken = tls.shake(socket, self.peer) => shaken,
            _ = stop.wait_for(|stop| *stop) => None,
        };
        if let Some(stream) = shaken {
            self.converse(stream).await;
        }
    }

    async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let Self { peer, door, router, watcher } = self;
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 * 1024);
        let tower = TowerToHyperService::new(router);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let client = client_address(peer, request.headers(), &door.trusted);
            request.extensions_mut().insert(Peer(client));
            tower.call(request)
        });
        let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}

/// Why an address cannot be listened on, and what to do; `setting` is how another one is chosen.
pub(crate) fn cannot_listen(address: SocketAddr, error: &io::Error, setting: &str) -> String {
    let why = match error.kind() {
        ErrorKind::AddrInUse => {
            format!(
                "another program listens there; end it, or give another address with {setting} (port 0 takes a free one)"
            )
        }
        ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; give one that it has with {setting}")
        }
        ErrorKind::PermissionDenied => {
            format!("this user may not take that port; give one from 1024 on with {setting}")
        }
        _ => error.to_string(),
    };
    format!("cannot listen on {address}: {why}")
}

/// The next connection, once there is a place for it. Those that find none wait in the operating system's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (socket, address) = listener.accept().await?;
    Ok((socket, address.ip().to_canonical(), place))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::JoinHandle;

    use super::*;

    /// What no test waits longer for.
    const PATIENCE: Duration = Duration::from_mins(1);

    struct House {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        listening: JoinHandle<()>,
    }

    impl House {
        async fn open(max_connections: usize) -> Self {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new()
                .route("/", get(|| async { "well" }))
                .route("/never", get(std::future::pending::<&'static str>));
            let (stop, stopped) = watch::channel(false);
            let trusted = Trusted { proxies: Vec::new(), header: ForwardedHeader::Forwarded };
            let door = Door { max_connections, trusted, is_for_proxies_only: false, tls: None };
            Self { address, stop, listening: tokio::spawn(serve(listener, router, door, stopped)) }
        }

        async fn enter(&self) -> TcpStream {
            TcpStream::connect(self.address).await.unwrap()
        }

        /// Stops; how long that took.
        async fn close(self) -> Duration {
            let start = Instant::now();
            self.stop.send_replace(true);
            tokio::time::timeout(PATIENCE, self.listening).await.expect("it stops").unwrap();
            start.elapsed()
        }
    }

    /// Asks for `path` on a connection that stays open; `false` when it was closed instead of answered.
    async fn ask(guest: &mut TcpStream, path: &str) -> bool {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        if guest.write_all(head.as_bytes()).await.is_err() {
            return false;
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"well") {
            match guest.read_buf(&mut answer).await {
                Ok(n) if n > 0 => {}
                _ => return false,
            }
        }
        true
    }

    #[tokio::test]
    async fn it_stops_while_a_busy_client_holds_the_only_place() {
        let house = House::open(1).await;
        let mut busy = house.enter().await;
        assert!(ask(&mut busy, "/").await);
        let asking = tokio::spawn(async move { while ask(&mut busy, "/").await {} });
        let took = house.close().await;
        assert!(took < DRAIN, "{took:?}");
        asking.await.unwrap();
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_for_one() {
        let house = House::open(1).await;
        let mut first = house.enter().await;
        assert!(ask(&mut first, "/").await);
        let mut second = house.enter().await;
        let second = tokio::spawn(async move { ask(&mut second, "/").await });
        for _ in 0..100 {
            assert!(ask(&mut first, "/").await);
        }
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_does_not_end_is_cut_off_when_the_time_to_drain_is_over() {
        let house = House::open(1).await;
        let mut guest = house.enter().await;
        assert!(ask(&mut guest, "/").await);
        let asking = tokio::spawn(async move { ask(&mut guest, "/never").await });
        tokio::task::yield_now().await;
        let took = house.close().await;
        assert!((DRAIN..DRAIN + Duration::from_secs(1)).contains(&took), "{took:?}");
        assert!(!tokio::time::timeout(PATIENCE, asking).await.expect("it is cut off").unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_gives_its_place_back() {
        let house = House::open(1).await;
        let mut idle = house.enter().await;
        assert!(ask(&mut idle, "/").await);
        let since = Instant::now();
        let mut next = house.enter().await;
        assert!(ask(&mut next, "/").await);
        assert!(since.elapsed() <= HEAD_TIMEOUT + Duration::from_secs(1), "{:?}", since.elapsed());
    }

    #[test]
    fn where_only_proxies_may_connect_this_machine_may_too() {
        let trusted =
            Trusted { proxies: vec!["10.0.0.0/8".parse().unwrap()], header: ForwardedHeader::Forwarded };
        let mut door = Door { max_connections: 1, trusted, is_for_proxies_only: true, tls: None };
        let admits = |door: &Door| {
            ["10.0.0.1", "127.0.0.1", "::1", "203.0.113.9"].map(|peer| door.admits(peer.parse().unwrap()))
        };
        assert_eq!(admits(&door), [true, true, true, false]);
        door.is_for_proxies_only = false;
        assert_eq!(admits(&door), [true; 4]);
    }
}
