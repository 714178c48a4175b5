//! `bench` runs the measurements, prints the tables, and with `--write` updates
//! docs/performance.md. The exit code is 1 if a budget is exceeded.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for the terminal"
)]

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Command, Parser, Subcommand};
use tidemark_bench::{cold, cost, lag, load, report, serve, table::Table, work};
use tokio::runtime::Runtime;

/// Measures Tidemark and compares it with its budgets and with a minimal implementation.
#[derive(Debug, Parser)]
struct Arguments {
    /// Also writes the tables to docs/performance.md.
    #[arg(long, global = true)]
    write: bool,
    #[command(subcommand)]
    what: Measurement,
}

#[derive(Debug, Clone, Subcommand)]
enum Measurement {
    /// Runs all measurements in sequence.
    All,
    /// Capacity units, round trips and dollars.
    Cost,
    /// Binaries of the functions: size, cost of a cold start, and cost of work.
    Cold {
        /// A folder with binaries built by SAM or cargo-lambda, which are used instead of building
        /// them.
        #[arg(long)]
        binaries: Option<PathBuf>,
    },
    /// Simulated devices push and pull, with and without conflicts and changes: throughput,
    /// latency, CPU time and memory, compared with the baseline.
    Load(load::LoadArguments),
    /// Time from a push until a pull returns the change, and throughput of one channel.
    Lag(lag::LagArguments),
    /// The most expensive valid requests of every route, compared with ordinary ones: CPU time and
    /// work counters.
    Work {
        /// Measures only requests whose name or path contains this text.
        #[arg(long, default_value = "", conflicts_with = "write")]
        only: String,
    },
    /// Serves the measured Tidemark deployment.
    #[command(hide = true)]
    ServeTidemark {
        /// The folder for its data.
        folder: PathBuf,
    },
    /// Serves the minimal implementation.
    #[command(hide = true)]
    ServeBaseline {
        /// The folder for its data.
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let Arguments { write, what } = Arguments::parse();

    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();

    let is_within = match what {
        Measurement::All => {
            let cost = report_tables(root, write, "cost", &cost::tables());
            let cold = report_tables(root, write, "cold", &cold::tables(root, None));
            let load = report_tables(root, write, "load", &load(&default()));
            let lag = report_tables(root, write, "lag", &lag(&default()));
            let work = report_tables(root, write, "work", &work::tables(""));
            cost && cold && load && lag && work
        }
        Measurement::Cost => report_tables(root, write, "cost", &cost::tables()),
        Measurement::Cold { binaries } => report_tables(
            root,
            write,
            "cold",
            &cold::tables(root, binaries.as_deref()),
        ),
        Measurement::Load(arguments) => report_tables(root, write, "load", &load(&arguments)),
        Measurement::Work { only } => report_tables(root, write, "work", &work::tables(&only)),
        Measurement::Lag(arguments) => report_tables(root, write, "lag", &lag(&arguments)),
        Measurement::ServeTidemark { folder } => {
            serve::tidemark(&folder);
            true
        }
        Measurement::ServeBaseline { folder } => {
            serve::baseline(&folder);
            true
        }
    };

    if is_within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the tables and writes them to the documentation if requested. Returns whether all values
/// are within their budgets.
fn report_tables(root: &Path, write: bool, section: &str, tables: &[Table]) -> bool {
    let mut is_within = true;
    for table in tables {
        println!("{table}");
        for row in table.over() {
            println!(
                "over its budget: {}, {} {}\n",
                row.what, row.measured, row.unit
            );
            is_within = false;
        }
    }

    if write {
        report::write(root, section, tables).unwrap();
    }
    is_within
}

fn load(arguments: &load::LoadArguments) -> Vec<Table> {
    Runtime::new()
        .unwrap()
        .block_on(load::tables(&env::current_exe().unwrap(), arguments))
}

fn lag(arguments: &lag::LagArguments) -> Vec<Table> {
    Runtime::new()
        .unwrap()
        .block_on(lag::tables(&env::current_exe().unwrap(), arguments))
}

/// Returns the default arguments of a subcommand.
fn default<A: Args>() -> A {
    let command = A::augment_args(Command::new("default"));
    A::from_arg_matches(&command.get_matches_from(["default"])).unwrap()
}
