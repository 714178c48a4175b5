//! The rules under random histories: what must hold for every one of them.

mod codecs;
mod deciding;
mod sequencing;
