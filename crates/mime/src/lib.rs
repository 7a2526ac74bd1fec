//! Internet messages: parse, inspect, decode, build and edit; never fails on mail from the wild.
#![forbid(unsafe_code)]
