//! The rules of pull (§4): [`start`] determines where each channel continues, [`own`] which of a
//! device's own changes are delivered, and [`page`] collects what was read into a response. The
//! caller does the reading.

pub mod own;
pub mod page;
pub mod start;
