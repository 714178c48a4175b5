//! The edge (§8): gzip both ways, the bounds that are published, and refusals that are problems
//! whoever refuses.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod bounds_page;
mod gzip;
mod headers;
mod limits;
pub(crate) mod odd_events;
mod page;
mod problems;
