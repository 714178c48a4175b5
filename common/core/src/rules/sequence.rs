//! Sequencing: how stream records become a change log without gaps. [`position`](crate::model::position) defines the order
//! of changes, [`segment`] how changes are stored, [`plan`] what a stream batch appends to the log,
//! and [`repair`] which changes of the resources the log lacks.

pub mod plan;
pub mod repair;
pub mod segment;
