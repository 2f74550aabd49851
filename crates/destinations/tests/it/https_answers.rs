//! What the status of any other server proves.

use destinations::Vendor;

use crate::material::{answer, letters, plain};

#[test]
fn the_status_decides() {
    for (status, one, several) in [
        (200, "A", "AA"),
        (202, "A", "AA"),
        (204, "A", "AA"),
        (301, "R", "RR"),
        (400, "S", "SS"),
        (401, "H", "HH"),
        (403, "H", "HH"),
        (404, "H", "HH"),
        (405, "H", "HH"),
        (408, "R", "RR"),
        (409, "R", "RR"),
        (410, "H", "HH"),
        (413, "S", "SS"),
        (418, "R", "RR"),
        (422, "S", "SS"),
        (425, "R", "RR"),
        (429, "R", "RR"),
        (500, "R", "RR"),
        (503, "R", "RR"),
    ] {
        for (n_events, expected) in [(1, one), (2, several)] {
            assert_eq!(letters(&*plain(Vendor::Https), n_events, &answer(status, "")), expected, "{status}");
        }
    }
}
