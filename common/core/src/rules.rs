//! The rules: pure functions over the types of [`model`](crate::model).
//!
//! | module | contents |
//! |---|---|
//! | [`ack`] | acknowledged positions |
//! | [`audit`] | audit entries of admins' actions |
//! | [`batch`] | stored batches |
//! | [`delivery`] | whether a version has reached a device |
//! | [`media`] | media keys, promises of uploads, and their verification |
//! | [`patch`] | JSON merge patches on text |
//! | [`pull`] | pages of a pull |
//! | [`push`] | evaluation of a pushed batch |
//! | [`resolve`] | resolution of a conflict |
//! | [`sequence`] | the change log |
//! | [`unique`] | unique fields |

pub mod ack;
pub mod audit;
pub mod batch;
pub mod delivery;
pub mod media;
pub mod patch;
pub mod pull;
pub mod push;
pub mod resolve;
pub mod sequence;
pub mod unique;
