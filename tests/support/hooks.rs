//! Hooks on the calls of a stack's functions: they count calls, hold up a call, or follow a script
//! of faults.

mod gate;
mod meter;
mod script;

pub use gate::Gate;
pub use meter::{CallCounts, Meter, ROUND_TRIP};
pub use script::{Decide, Moment, Script};
