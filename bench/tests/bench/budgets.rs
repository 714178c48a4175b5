//! Units, round trips and dollars against the budgets. They are counts, the same in every run.

use tidemark_bench::{
    cost::{self, Operations, dollars, history},
    table::Table,
};

fn held(table: &Table, budgets: usize) {
    println!("{table}");
    let with_budget = table.rows.iter().filter(|row| row.budget.is_some()).count();
    assert_eq!(with_budget, budgets, "{}: rows with a budget", table.title);
    let over: Vec<&str> = table.over().map(|row| row.what.as_str()).collect();
    assert_eq!(over, Vec::<&str>::new(), "{}", table.title);
}

#[test]
fn units_round_trips_and_dollars_stay_within_their_budgets() {
    let operations = cost::in_virtual_time(Operations::measure(300));
    held(&operations.units(), 4);
    held(&operations.round_trips(), 9);
    held(&dollars::table(std::slice::from_ref(&operations)), 2);
    // What only looks writes nothing.
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
    // What a create makes is not read, and what is changed for half the price.
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
fn a_pull_costs_the_same_behind_a_longer_history() {
    held(&cost::in_virtual_time(history::table(&[100, 1_000])), 4);
}
