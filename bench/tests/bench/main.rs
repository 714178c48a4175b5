//! What a change may not make dearer, counted: CI fails when it does.

mod budgets;
