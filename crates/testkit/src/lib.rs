//! Fake clock, network and disk, the dialog runner and the spawn-a-server helper of Waxwing's tests.
#![forbid(unsafe_code)]
