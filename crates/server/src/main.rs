//! The mail server Waxwing.
#![forbid(unsafe_code)]

fn main() {}
