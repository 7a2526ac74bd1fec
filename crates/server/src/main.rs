//! The mail server Waxwing.
#![forbid(unsafe_code)]

fn main() {}

mod budget;
mod config;
mod drive;
mod stream;
