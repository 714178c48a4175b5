//! The use cases of Tidemark, one module each: load rows, decide with the rules of `tidemark-core`,
//! commit with conditional writes. The crate contains no HTTP and no Lambda events; the functions
//! translate those, and `tidemark-aws` contains the tables and the other adapters.
//!
//! # Map
//!
//! | module | contents |
//! |---|---|
//! | [`push`] | pushes of a batch: stores it, decides it, commits it |
//! | [`pull`], [`ack`], [`limits`] | pages of changes, acknowledgements, and the limits of clients |
//! | [`sequence`], [`notify`] | consumers of stream records: the change log and the notifications |
//! | [`batches`], [`replay`] | stored batches, and their replay and its dry run |
//! | [`resolve`] | resolution of a conflict |
//! | [`presign`] | upload URLs |
//! | [`conflicts`], [`audit`], [`status`], [`devices`] | what admins read: conflicts, the audit log, the change logs, the lag of devices |
//! | [`repair`], [`compare`] | comparison of a channel's log with its resources, and its repair |
//! | [`delivery`] | whether a device has received a version |

pub mod ack;
pub mod audit;
pub mod batches;
mod budget;
pub mod compare;
pub mod conflicts;
mod cursors;
mod dead_letter;
pub mod delivery;
pub mod devices;
pub mod limits;
pub mod notify;
pub mod presign;
pub mod pull;
pub mod push;
pub mod repair;
pub mod replay;
pub mod resolve;
pub mod sequence;
pub mod status;
