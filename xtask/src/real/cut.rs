//! A way to a server on which answers get lost: every connection is cut when the third piece of an answer comes back, so that the
//! request was carried out and nobody knows.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::Failure;

/// The piece of an answer, from 1, that does not come through.
const LOST: u64 = 3;

/// A relay. Its threads end with the command: they wait for connections of servers that have ended by then.
pub(super) struct Cut {
    address: SocketAddr,
    n_cut: Arc<AtomicU64>,
}

impl Cut {
    /// Leads to this port of loopback.
    pub(super) fn before(port: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let n_cut = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&n_cut);
        thread::spawn(move || {
            for inner in listener.incoming().map_while(Result::ok) {
                // Without a server behind it the connection just ends.
                let Ok(outer) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                relay(inner, outer, Arc::clone(&counter));
            }
        });
        Ok(Self { address, n_cut })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers that were lost so far.
    pub(super) fn n_cut(&self) -> u64 {
        self.n_cut.load(Ordering::Relaxed)
    }
}

/// Copies both ways on two threads, until either side ends or an answer is lost.
fn relay(client: TcpStream, server: TcpStream, n_cut: Arc<AtomicU64>) {
    let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || copy(from_client, server, None));
    thread::spawn(move || copy(from_server, client, Some(&n_cut)));
}

fn copy(mut from: TcpStream, mut to: TcpStream, n_cut: Option<&AtomicU64>) {
    let mut bytes = vec![0; 64 * 1024];
    let mut pieces = 0;
    while let Ok(n) = from.read(&mut bytes) {
        pieces += 1;
        if n > 0
            && pieces == LOST
            && let Some(n_cut) = n_cut
        {
            n_cut.fetch_add(1, Ordering::Relaxed);
            break;
        }
        if n == 0 || bytes.get(..n).is_none_or(|bytes| to.write_all(bytes).is_err()) {
            break;
        }
    }
    // Both sides learn of the end; one that has ended already does not mind.
    let _ended = from.shutdown(Shutdown::Both);
    let _ended = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_answer_is_lost_after_the_request_was_carried_out() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let cut = Cut::before(server.local_addr().unwrap().port()).unwrap();
        let mut client = TcpStream::connect(cut.address).unwrap();
        let (mut behind, _) = server.accept().unwrap();
        let mut answers = Vec::new();
        for _ in 0..3 {
            client.write_all(b"?").unwrap();
            behind.read_exact(&mut [0]).unwrap();
            behind.write_all(b"!").unwrap();
            answers.push(client.read(&mut [0]).unwrap_or_default());
        }
        assert_eq!(answers, [1, 1, 0]);
        assert_eq!(cut.n_cut(), 1);
    }
}
