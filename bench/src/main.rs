//! `bench`: measures, prints the tables, and with `--write` puts them into docs/performance.md. The exit code is 1 where a budget is missed.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the terminal")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tidemark_bench::{cold, cost, report, table::Table};

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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut is_over = false;
    let measured: Vec<(&str, Vec<Table>)> = match arguments.what {
        What::All => vec![("cost", cost::tables()), ("cold", cold::tables(root, None))],
        What::Cost => vec![("cost", cost::tables())],
        What::Cold { binaries } => vec![("cold", cold::tables(root, binaries.as_deref()))],
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
