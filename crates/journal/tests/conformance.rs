//! Both backends do what the seam promises.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;

use base::{ManualClock, Random};
use journal::Journal;

mod model {
    use super::*;
    use journal::model::{ModelJournal, ModelOptions};

    fn open(clock: Arc<ManualClock>) -> (Arc<dyn Journal>, ()) {
        let random = Arc::new(Random::from_seed(1));
        (Arc::new(ModelJournal::new(clock, random, ModelOptions::default())), ())
    }

    journal::conformance_suite!(super::open);
}

mod local {
    use super::*;
    use journal::local::{LocalJournal, LocalOptions};
    use testkit::disk::SimDisk;

    fn open_with(clock: Arc<ManualClock>, options: LocalOptions) -> (Arc<dyn Journal>, ()) {
        let random = Arc::new(Random::from_seed(1));
        let journal = LocalJournal::open(Arc::new(SimDisk::new(1)), clock, random, options);
        (Arc::new(journal.expect("open")), ())
    }

    mod large_segments {
        use super::*;

        fn open(clock: Arc<ManualClock>) -> (Arc<dyn Journal>, ()) {
            open_with(clock, LocalOptions::default())
        }

        journal::conformance_suite!(super::open);
    }

    /// Every group begins a segment, nothing is cached: every block, index and id comes from the disk.
    mod tiny_segments {
        use super::*;

        fn open(clock: Arc<ManualClock>) -> (Arc<dyn Journal>, ()) {
            let options =
                LocalOptions { segment_bytes: 1, cache_bytes: 0, filter_bytes: 0, ..LocalOptions::default() };
            open_with(clock, options)
        }

        journal::conformance_suite!(super::open);
    }

    mod on_a_real_disk {
        use super::*;
        use journal::disk::RealDisk;

        fn open(clock: Arc<ManualClock>) -> (Arc<dyn Journal>, tempfile::TempDir) {
            let directory = tempfile::tempdir().expect("a directory");
            let disk = Arc::new(RealDisk::open(directory.path()).expect("open the directory"));
            let options = LocalOptions { segment_bytes: 600, ..LocalOptions::default() };
            let journal = LocalJournal::open(disk, clock, Arc::new(Random::from_system()), options);
            (Arc::new(journal.expect("open")), directory)
        }

        journal::conformance_suite!(super::open);
    }
}
