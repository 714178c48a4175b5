//! Sequencing: how stream records become a change log without gaps. [`position`] says where a
//! change stands, [`segment`] how changes are packed, [`plan`] what a stream batch adds to the log,
//! [`repair`] what the log misses of the resources themselves.

pub mod plan;
pub mod position;
pub mod repair;
pub mod segment;
