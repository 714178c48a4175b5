//! Pull (§4) as pure rules: [`start`] says where each channel goes on, [`page`] folds what was read
//! into an answer. Reading happens elsewhere.

pub mod own;
pub mod page;
pub mod start;
