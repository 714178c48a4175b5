//! `bench`: measures, prints the tables, and with `--write` puts them into docs/performance.md. The exit code is 1 where a budget is missed.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the terminal")]

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Command, Parser, Subcommand};
use tidemark_bench::{lag, load, report, serve, table::Table};
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
    /// Simulated devices push, pull, are refused and ask in vain: throughput, latency, processor time and memory, beside the floor.
    Load(load::Arguments),
    /// How long until a pull shows what was pushed, and how much one channel takes.
    Lag(lag::Arguments),
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
    /// Everything, one after the other.
    All,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut is_over = false;
    let measured: Vec<(&str, Vec<Table>)> = match arguments.what {
        What::Load(arguments) => vec![("load", load(&arguments))],
        What::Lag(arguments) => vec![("lag", lag(&arguments))],
        What::All => vec![("load", load(&default())), ("lag", lag(&default()))],
        What::ServeTidemark { folder } => {
            serve::tidemark(&folder);
            return ExitCode::SUCCESS;
        }
        What::ServeFloor { folder } => {
            serve::floor(&folder);
            return ExitCode::SUCCESS;
        }
    };
    for (section, tables) in measured {
        for table in &tables {
            println!("{table}");
            for row in table.over() {
                println!("over its budget: {}, {} {}\n", row.what, row.measured, row.unit);
                is_over = true;
            }
        }
        if arguments.write {
            report::write(root, section, &tables).unwrap();
        }
    }
    if is_over { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn load(arguments: &load::Arguments) -> Vec<Table> {
    Runtime::new().unwrap().block_on(load::tables(&env::current_exe().unwrap(), arguments))
}

fn lag(arguments: &lag::Arguments) -> Vec<Table> {
    Runtime::new().unwrap().block_on(lag::tables(&env::current_exe().unwrap(), arguments))
}

/// What a subcommand takes if nothing is said.
fn default<A: Args>() -> A {
    let command = A::augment_args(Command::new("default"));
    A::from_arg_matches(&command.get_matches_from(["default"])).unwrap()
}
