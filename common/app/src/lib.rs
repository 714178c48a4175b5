//! The use cases of Tidemark, one module each: load rows, decide with the rules of `tidemark-core`,
//! commit with conditional writes. The crate contains no HTTP and no Lambda events; the functions
//! translate those, and `tidemark-aws` contains the tables and the other adapters.
//!
//! # Map
//!
//! | module | contents |
//! |---|---|
//! | [`push`] | pushes of a batch, also for replays and dry runs |
//! | [`repair`], [`compare`] | comparison of a channel's log with its resources, and its repair |
//! | [`delivery`] | whether a device has received a version |

pub mod compare;
pub mod delivery;
pub mod push;
pub mod repair;
