//! Checks capacity units, round trips and dollars against the budgets. These counts are the same in
//! every run.

use tidemark_bench::{
    cost::{self, Operations, dollars, history},
    table::Table,
};

fn assert_within_budgets(table: &Table, budgets: usize) {
    println!("{table}");
    let with_budget = table.rows.iter().filter(|row| row.budget.is_some()).count();
    assert_eq!(with_budget, budgets, "{}: rows with a budget", table.title);
    let over: Vec<&str> = table.over().map(|row| row.what.as_str()).collect();
    assert_eq!(over, Vec::<&str>::new(), "{}", table.title);
}

#[test]
fn costs_stay_within_budget() {
    let operations = cost::in_virtual_time(Operations::measure(300));
    assert_within_budgets(&operations.units(), 4);
    assert_within_budgets(&operations.round_trips(), 9);
    assert_within_budgets(&dollars::table(std::slice::from_ref(&operations)), 2);

    // Read operations write nothing.
    let looked = [
        &operations.pull_fresh,
        &operations.pull_packed,
        &operations.pull_nothing,
        &operations.devices,
        &operations.status,
    ];
    assert!(
        looked.iter().all(|cost| cost.write_units == 0.0),
        "{looked:?}"
    );

    // Creates read nothing, and updates read eventually consistently.
    assert_eq!(
        (
            operations.creates.push.read_units,
            operations.updates.push.read_units
        ),
        (0.0, 25.0)
    );
    assert_eq!(
        (
            operations.ack_first.write_units,
            operations.ack.write_units,
            operations.ack.read_units
        ),
        (2.0, 1.0, 0.0)
    );
}

#[test]
fn pull_cost_is_independent_of_history() {
    assert_within_budgets(&cost::in_virtual_time(history::table(&[100, 1_000])), 4);
}
