//! The mail server Waxwing.
#![forbid(unsafe_code)]

mod auth;
mod budget;
mod config;
mod db;
mod drive;
mod shared;
mod stream;

fn main() {}
