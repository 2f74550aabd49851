//! HTTP/1.1 as lean as a generator and a receiver of events need it: blocking, kept-alive connections, bodies of known length.
//! Anything else is an error, never a wrong figure.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for the other side.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection of either side.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    line: String,
}

/// A request's or answer's first line, and its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Such as `POST /x HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(crate) first_line: String,
    /// The whole body.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The status of an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.first_line.split(' ').nth(1)?.parse().ok()
    }
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// Speaks over an open socket.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::with_capacity(64 * 1024, stream), line: String::new() })
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Writes an answer.
    pub(crate) fn answer(&mut self, status: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        self.write(format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())
    }

    /// Reads the next message; `None` when the other side has closed the connection.
    pub(crate) fn read(&mut self) -> io::Result<Option<Message>> {
        read_message(&mut self.reader, &mut self.line)
    }

    /// Writes a request and reads its answer.
    pub(crate) fn call(&mut self, request: &[u8]) -> io::Result<Message> {
        self.write(request)?;
        self.read()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// The bytes of a request with a JSON body.
pub(crate) fn request(method: &str, path: &str, token: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn read_message(reader: &mut impl BufRead, line: &mut String) -> io::Result<Option<Message>> {
    line.clear();
    if reader.read_line(line)? == 0 {
        return Ok(None);
    }
    let first_line = line.trim_end().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_line(line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| unfit("a Content-Length that is no number"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding")
            || name.eq_ignore_ascii_case("content-encoding")
        {
            return Err(unfit("a body that is chunked or compressed"));
        } else if name.eq_ignore_ascii_case("expect") {
            return Err(unfit("a request that waits for 100 Continue"));
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Message { first_line, body }))
}

fn unfit(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the benchmark's HTTP does not understand {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> io::Result<Vec<Message>> {
        let mut messages = Vec::new();
        while let Some(message) = read_message(&mut bytes, &mut String::new())? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[test]
    fn messages_follow_each_other_on_one_connection() {
        let mut bytes = request("POST", "/a", "t", "application/json", b"{}");
        bytes.extend(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 1\r\n\r\nx");
        let messages = read_all(&bytes).unwrap();
        assert_eq!(messages[0], Message { first_line: "POST /a HTTP/1.1".to_owned(), body: b"{}".to_vec() });
        assert_eq!((messages[1].status(), messages[1].body.as_slice()), (Some(503), b"x".as_slice()));
    }

    #[test]
    fn what_it_does_not_understand_is_an_error() {
        for head in [
            "Transfer-Encoding: chunked",
            "content-encoding: gzip",
            "Expect: 100-continue",
            "Content-Length: x",
        ] {
            assert!(read_all(format!("POST / HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).is_err(), "{head}");
        }
        assert!(read_all(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc").is_err());
    }
}
