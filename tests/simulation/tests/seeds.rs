//! A few hundred seeds at each run of the tests. `cargo run --release --bin simulate` runs as many
//! as you like.

use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_simulation::{plan::Plan, run};

/// Seeds that every run of the tests makes.
const SEEDS: u64 = 300;

#[test]
fn no_seed_breaks_a_promise() {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS)
                {
                    let plan = Plan::of(seed);
                    let violation = run(&plan, false).violation;
                    assert_eq!(violation, None, "to see it:\n  {} --trace", plan.command());
                }
            });
        }
    });
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..10 {
        let plan = Plan::of(seed);
        let (one, other) = (run(&plan, true), run(&plan, true));
        // Ids that the server makes at random are told nowhere.
        let differing = one
            .trace
            .iter()
            .zip(&other.trace)
            .find(|(one, other)| one != other);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(one.struck, other.struck, "seed {seed}");
    }
}
