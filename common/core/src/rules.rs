//! The rules: pure functions over the types of [`model`](crate::model).
//!
//! | module | contents |
//! |---|---|
//! | [`ack`] | acknowledged positions |
//! | [`audit`] | audit entries of admins' actions |
//! | [`base`] | the base of a conflict |
//! | [`batch`] | stored batches |
//! | [`conflicts`] | the number of open conflicts |
//! | [`batch_correction`] | the correction of a rejected item |
//! | [`batch_list`] | the order and the pages of lists of batches |
//! | [`comparison`] | three-way comparison and merge of the payloads of a conflict |
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
pub mod base;
pub mod batch;
pub mod batch_correction;
pub mod batch_list;
pub mod comparison;
pub mod conflicts;
pub mod delivery;
pub mod media;
pub mod patch;
pub mod pull;
pub mod push;
pub mod resolve;
pub mod sequence;
pub mod unique;
