//! The search index: made off the writing path, exact as a scan.
//!
//! For each message of an account it has the folded texts that FROM, SUBJECT and their like look into, what SORT and
//! THREAD compare ([`super::digest`]), and a signature of all its text ([`signature`]). Some messages that came one after
//! the other make a segment ([`segment`]), which the store keeps. [`keeper`] follows the change stream.
//!
//! The folded texts answer for themselves. A signature only says no: what it does not rule out is read and looked
//! through, as is what is in no segment yet. So the index may lack anything, and answers stay what a scan answers.

pub mod keeper;
pub mod segment;
pub mod signature;
#[cfg(test)]
mod tests;
