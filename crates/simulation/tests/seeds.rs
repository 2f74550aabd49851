//! A few seeds in every test run; `cargo xtask simulate` runs many.

#![cfg(test)]

use simulation::{Shape, run};

#[test]
fn a_seed_keeps_every_promise_and_is_the_same_run_twice() {
    for shape in Shape::ALL {
        for seed in 0..6 {
            let first = run(seed, shape, false);
            assert_eq!(first.violations, [""; 0], "seed {seed} on {}: {:#?}", shape.name(), first.trace);
            assert!(first.counts.get("accepted") > 0 && first.counts.get("delivered") > 0);
            let again = run(seed, shape, false);
            assert_eq!((first.hash, first.counts), (again.hash, again.counts), "seed {seed}");
        }
    }
}
