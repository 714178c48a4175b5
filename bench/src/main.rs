//! `bench`: measures, prints the tables, and with `--write` puts them into docs/performance.md. The
//! exit code is 1 where a budget is missed.
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

/// Measures Tidemark against its budgets, and beside the least that could do the work.
#[derive(Debug, Parser)]
struct Arguments {
    /// Puts the tables into docs/performance.md, too.
    #[arg(long, global = true)]
    write: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// Everything, one after the other.
    All,
    /// Units, round trips and dollars.
    Cost,
    /// The functions' binaries: their size, what a start costs, and what work costs.
    Cold {
        /// A folder with binaries that SAM or cargo-lambda built, in place of building them.
        #[arg(long)]
        binaries: Option<PathBuf>,
    },
    /// Simulated devices push, pull, are refused and ask in vain: throughput, latency, processor
    /// time and memory, beside the floor.
    Load(load::LoadArguments),
    /// How long until a pull shows what was pushed, and how much one channel takes.
    Lag(lag::LagArguments),
    /// The valid requests that make the most work, of every route, compared with ordinary ones: CPU
    /// time and counted work.
    Work {
        /// Measures only requests whose name or path contains this.
        #[arg(long, default_value = "", conflicts_with = "write")]
        only: String,
    },
    /// The Tidemark that is measured.
    #[command(hide = true)]
    ServeTidemark {
        /// Where it keeps its data.
        folder: PathBuf,
    },
    /// The floor.
    #[command(hide = true)]
    ServeFloor {
        /// Where it keeps its data.
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let Arguments { write, what } = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let is_within = match what {
        What::All => {
            let cost = told(root, write, "cost", &cost::tables());
            let cold = told(root, write, "cold", &cold::tables(root, None));
            let load = told(root, write, "load", &load(&default()));
            let lag = told(root, write, "lag", &lag(&default()));
            let work = told(root, write, "work", &work::tables(""));
            cost && cold && load && lag && work
        }
        What::Cost => told(root, write, "cost", &cost::tables()),
        What::Cold { binaries } => told(
            root,
            write,
            "cold",
            &cold::tables(root, binaries.as_deref()),
        ),
        What::Load(arguments) => told(root, write, "load", &load(&arguments)),
        What::Work { only } => told(root, write, "work", &work::tables(&only)),
        What::Lag(arguments) => told(root, write, "lag", &lag(&arguments)),
        What::ServeTidemark { folder } => {
            serve::tidemark(&folder);
            true
        }
        What::ServeFloor { folder } => {
            serve::floor(&folder);
            true
        }
    };
    if is_within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints what was measured, and writes it if it is to be; whether it is within the budgets.
fn told(root: &Path, write: bool, section: &str, tables: &[Table]) -> bool {
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

/// What a subcommand takes if nothing is said.
fn default<A: Args>() -> A {
    let command = A::augment_args(Command::new("default"));
    A::from_arg_matches(&command.get_matches_from(["default"])).unwrap()
}
