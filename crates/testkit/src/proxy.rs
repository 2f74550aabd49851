//! A forward proxy on loopback: `CONNECT` for TLS, the absolute form for plain HTTP.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// How a proxy behaves.
#[derive(Clone, Debug, Default)]
pub struct ProxyOptions {
    /// The `Proxy-Authorization` that it asks for; none when absent.
    pub authorization: Option<String>,
    /// The status that it refuses every request with.
    pub refuses: Option<u16>,
    /// Where the names are that only the proxy knows: `host` to address.
    pub knows: HashMap<String, SocketAddr>,
}

/// What a proxy was asked for: method and target of each request that opened a connection.
pub type Asked = Vec<(String, String)>;

/// A running proxy. Dropping it closes its port and connections.
pub struct ForwardProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

struct Shared {
    options: ProxyOptions,
    asked: Mutex<Asked>,
}

impl ForwardProxy {
    /// Listens, on the current runtime.
    pub async fn start(options: ProxyOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { options, asked: Mutex::default() });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listening })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked for so far.
    pub fn asked(&self) -> Asked {
        self.shared.asked.lock().clone()
    }

    /// From now on, it was asked for nothing yet.
    pub fn forget(&self) {
        self.shared.asked.lock().clear();
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // What one side breaks off concerns the other side only.
        connections.spawn(async move { serve(stream, &shared).await.unwrap_or_default() });
    }
}

async fn serve(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let (head, rest) = head(&mut client).await?;
    let mut words = head.split_whitespace().map(ToOwned::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    shared.asked.lock().push((method.clone(), target.clone()));
    if let Some(wanted) = &shared.options.authorization
        && header(&head, "proxy-authorization") != Some(wanted.as_str())
    {
        return refuse(client, 407).await;
    }
    if let Some(status) = shared.options.refuses {
        return refuse(client, status).await;
    }
    if method == "CONNECT" {
        let Ok(mut server) = connect(&target, shared).await else { return refuse(client, 502).await };
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        server.write_all(&rest).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let Some((authority, path)) =
        target.strip_prefix("http://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return refuse(client, 400).await;
    };
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let Ok(mut server) = connect(&authority, shared).await else { return refuse(client, 502).await };
    let headers = head.lines().skip(1).filter(|line| !line.to_ascii_lowercase().starts_with("proxy-"));
    let mut sent = format!("{method} /{path} HTTP/1.1\r\n");
    for line in headers.filter(|line| !line.is_empty()) {
        sent.push_str(line);
        sent.push_str("\r\n");
    }
    sent.push_str("connection: close\r\n\r\n");
    server.write_all(sent.as_bytes()).await?;
    server.write_all(&rest).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The head of a request, and what came behind it.
async fn head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&read).into_owned(), rest));
        }
        if read.len() > MAX_HEAD || client.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

async fn connect(authority: &str, shared: &Shared) -> io::Result<TcpStream> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    match shared.options.knows.get(host) {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect(authority).await,
    }
}

async fn refuse(mut client: TcpStream, status: u16) -> io::Result<()> {
    let said =
        format!("HTTP/1.1 {status} Refused\r\ncontent-length: 14\r\nconnection: close\r\n\r\nsays the proxy");
    client.write_all(said.as_bytes()).await?;
    client.shutdown().await
}
