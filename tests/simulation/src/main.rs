//! `simulate`: runs a range of seeds and prints the invariants that they violate. The last line is
//! the summary; the exit code is 1 if an invariant was violated.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the terminal"
)]

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use tidemark_simulation::{
    Outcome,
    counts::Counts,
    faults::{FAULTS, Fault},
    plan::{self, Plan},
    run,
    shrink::shrink,
};

/// Runs seeds of the deterministic simulation of the system.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed to run.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs only these steps of each plan, by number.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u64>,
    /// Disables these kinds of faults.
    #[arg(long, value_delimiter = ',', value_parser = fault)]
    without: Vec<Fault>,
    /// Prints a trace of each run.
    #[arg(long)]
    trace: bool,
    /// Continues after an invariant is violated.
    #[arg(long)]
    keep_going: bool,
    /// Does not shrink the first plan that violates an invariant.
    #[arg(long)]
    no_shrinking: bool,
}

fn fault(name: &str) -> Result<Fault, String> {
    plan::fault(name).ok_or_else(|| {
        format!(
            "unknown kind of fault; the kinds are: {}",
            FAULTS
                .iter()
                .map(Fault::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        )
    })
}

#[derive(Default)]
struct Sum {
    runs: u64,
    counts: Counts,
    struck: Vec<u64>,
    broken: Vec<Plan>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sum = Mutex::new(Sum {
        struck: vec![0; FAULTS.len()],
        ..Sum::default()
    });

    let next = AtomicU64::new(0);
    let bar = ProgressBar::new(arguments.seeds);
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left {msg}")
            .unwrap(),
    );

    let threads = if arguments.trace {
        1
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < arguments.seeds)
                {
                    if !arguments.keep_going && !sum.lock().unwrap().broken.is_empty() {
                        return;
                    }
                    let plan = planned(arguments.from + seed, &arguments);
                    let outcome = run(&plan, arguments.trace);
                    outcome.trace.iter().for_each(|line| println!("{line}"));
                    add(&mut sum.lock().unwrap(), plan, outcome, &bar);
                }
            });
        }
    });

    bar.finish_and_clear();
    let sum = sum.into_inner().unwrap();
    if let Some(plan) = sum
        .broken
        .first()
        .filter(|_| !arguments.keep_going && !arguments.no_shrinking)
    {
        explain(plan);
    }

    print_summary(&sum);
    if sum.broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn planned(seed: u64, arguments: &Arguments) -> Plan {
    let plan = Plan::of(seed).without(arguments.without.clone());
    if arguments.only.is_empty() {
        plan
    } else {
        plan.only(&arguments.only.iter().copied().collect::<BTreeSet<_>>())
    }
}

fn add(sum: &mut Sum, plan: Plan, outcome: Outcome, bar: &ProgressBar) {
    sum.runs += 1;
    sum.counts.add(&outcome.counts);
    sum.struck
        .iter_mut()
        .zip(outcome.struck)
        .for_each(|(sum, more)| *sum += more);

    if let Some(violation) = outcome.violation {
        bar.suspend(|| {
            println!(
                "seed {} breaks promise {}: {}",
                plan.seed, violation.promise, violation.what
            )
        });
        sum.broken.push(plan);
    }
    bar.inc(1);
}

/// Prints the shortest history found that violates an invariant as this plan does.
fn explain(plan: &Plan) {
    println!("shrinking to the shortest history that violates an invariant ...");
    let plan = shrink(plan);
    let outcome = run(&plan, true);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    if let Some(violation) = outcome.violation {
        println!("invariant {}: {}", violation.promise, violation.what);
    }
    println!("to repeat this run:\n  {} --trace", plan.command());
}

fn print_summary(sum: &Sum) {
    for (fault, count) in FAULTS.iter().zip(&sum.struck) {
        println!("{fault:>22} {count:>12}");
    }

    let Counts {
        requests,
        edits,
        responses: [ok, conflict, error],
        pages,
        records,
        resolutions,
        replays,
        resets,
    } = sum.counts;

    println!(
        "{} seeds: {} broke a promise; {edits} edits typed, answered {ok} ok, {conflict} conflict, {error} error; {requests} requests, \
         {pages} pages, {records} stream records, {resolutions} resolutions, {replays} replays, {resets} resets, {} faults",
        sum.runs,
        sum.broken.len(),
        sum.struck.iter().sum::<u64>(),
    );
}
