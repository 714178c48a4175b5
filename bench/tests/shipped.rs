//! The functions' binaries as they are shipped, against their budgets. `TIDEMARK_BINARIES` names the folder with them, as for the
//! tests of the runtime. There is no run without one: what cargo builds for tests is larger and slower.

use std::path::Path;

use tidemark_bench::cold;

#[test]
fn each_function_is_small_enough_and_starts_cheaply() {
    let folder = std::env::var_os("TIDEMARK_BINARIES").expect("TIDEMARK_BINARIES names a folder of binaries that are shipped");
    let table = cold::held(Path::new(&folder));
    println!("{table}");
    let over: Vec<String> = table.over().map(|row| format!("{} of {:.3} {}", row.what, row.measured, row.unit)).collect();
    assert_eq!(over, [""; 0], "over budget");
}
