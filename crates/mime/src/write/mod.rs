//! Writing messages: build new ones, edit those that exist.

pub mod build;
pub mod edit;
pub mod header;
pub mod surrogate;
