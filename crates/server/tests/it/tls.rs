//! TLS for listening: with certificates of an authority of one's own, renewed while the server runs.

use std::net::TcpStream;
use std::path::PathBuf;

use testkit::tls::{Authority, Certified};

use crate::program::{Ended, Program, idstream, serve};

const EVENT: &str = r#"{"type": "customerFlow", "endTimestamp": "2026-01-31T12:00:00Z"}"#;

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    /// Shows this certificate from the next look on.
    fn show(&self, certified: &Certified) {
        self.put("tls.crt", &certified.pem);
        self.put("tls.key", &certified.key_pem);
    }

    fn serve(&self) -> Program {
        let mut command = serve(&self.file("data"));
        command
            .env("IDSTREAM__TLS__CERT", self.file("tls.crt"))
            .env("IDSTREAM__TLS__KEY", self.file("tls.key"));
        Program::start(command)
    }

    /// Sends an event, trusting this authority alone.
    fn send(&self, address: &str, authority: Option<&Authority>) -> Ended {
        self.put("event", EVENT);
        let mut command =
            idstream(&["send", "--again", "--url", &format!("https://{address}"), "--token-file"]);
        command.arg(self.file("data/admin-token")).arg(self.file("event"));
        if let Some(authority) = authority {
            self.put("ca.pem", authority.pem());
            command.arg("--ca-file").arg(self.file("ca.pem"));
        }
        Program::start(command).ended()
    }
}

fn is_sent(ended: &Ended) -> bool {
    ended.stdout.starts_with("1 accepted")
}

#[test]
fn events_are_taken_over_tls_and_a_renewed_certificate_is_shown_without_a_restart() {
    let place = Place::new();
    let (first, second) = (Authority::new("first").unwrap(), Authority::new("second").unwrap());
    place.show(&first.certify(&["127.0.0.1"]).unwrap());
    let server = place.serve();
    let address = server.answers("listening on https://");
    let sent = place.send(&address, Some(&first));
    assert!(is_sent(&sent), "{sent:?}");
    let mut erase = idstream(&["erase", "--subject", "nobody@example.com", "--url"]);
    erase.arg(format!("https://{address}")).arg("--token-file").arg(place.file("data/admin-token"));
    erase.arg("--ca-file").arg(place.file("ca.pem"));
    let erased = Program::start(erase).ended();
    assert_eq!(erased.stdout, "0 events erased", "{erased:?}");
    // At once, instead of trying again for minutes.
    for authority in [None, Some(&second)] {
        let refused = place.send(&address, authority);
        assert!(!is_sent(&refused) && refused.stderr.contains("--ca-file"), "{refused:?}");
    }

    let renewed = second.certify(&["127.0.0.1"]).unwrap();
    place.put("tls.crt", &renewed.pem);
    server.signal("HUP");
    let told = server.tells("the old one stays in use");
    assert!(told.contains("does not belong to the first certificate"), "{told}");
    assert!(is_sent(&place.send(&address, Some(&first))));

    place.show(&renewed);
    server.signal("HUP");
    server.tells("were read anew");
    assert!(is_sent(&place.send(&address, Some(&second))));
    assert!(!is_sent(&place.send(&address, Some(&first))));

    // Silent from the beginning: nothing is under way that a stop would have to wait for.
    let _silent = TcpStream::connect(&address).unwrap();
    server.signal("TERM");
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("did not end in time"), "{ended:?}");
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start_before_anything_is_made() {
    let place = Place::new();
    let authority = Authority::new("ours").unwrap();
    place.show(&authority.certify(&["127.0.0.1"]).unwrap());
    place.put("tls.key", &authority.certify(&["127.0.0.1"]).unwrap().key_pem);
    let refused = place.serve().ended();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("tls.key: the key in") && refused.stderr.contains("tls.crt"),
        "{refused:?}"
    );
    let mut command = serve(&place.file("data"));
    command.env("IDSTREAM__TLS__CERT", place.file("tls.crt"));
    let refused = Program::start(command).ended();
    assert!(refused.stderr.contains("tls.cert and tls.key belong together"), "{refused:?}");
    assert!(!place.file("data").exists());
}

#[test]
fn an_expired_certificate_and_a_key_that_all_may_read_are_told_about() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.show(&Authority::new("ours").unwrap().certify_expired(&["127.0.0.1"]).unwrap());
    std::fs::set_permissions(place.file("tls.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let server = place.serve();
    server.tells("every user of this machine may read the key in tls.key");
    server.tells("has expired: clients refuse it");
    server.answers("listening on https://");
}
