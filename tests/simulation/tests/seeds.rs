//! Runs some hundred seeds with each test run. `cargo run --release --bin simulate` runs any number
//! of seeds.

use std::sync::atomic::{AtomicU64, Ordering};

use tidemark_simulation::{plan::Plan, run};

/// Number of seeds that each test run executes.
const SEEDS: u64 = 300;

#[test]
fn no_seed_violates_an_invariant() {
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
                    assert_eq!(
                        violation,
                        None,
                        "to reproduce:\n  {} --trace",
                        plan.command()
                    );
                }
            });
        }
    });
}

#[test]
fn equal_seeds_give_equal_runs() {
    for seed in 0..10 {
        let plan = Plan::of(seed);
        let (one, other) = (run(&plan, true), run(&plan, true));
        // The trace does not contain ids that the server generates at random.
        let differing = one
            .trace
            .iter()
            .zip(&other.trace)
            .find(|(one, other)| one != other);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(one.struck, other.struck, "seed {seed}");
    }
}
