//! What the tests of Waxwing share: dialogs that are text files, the built
//! server started for a test, and a client connection to speak to it.
#![forbid(unsafe_code)]

pub mod connection;
pub mod dialog;
pub mod dns;
pub mod oracle;
pub mod server;
pub mod sink;
pub mod tls;

pub use connection::Connection;
pub use server::{PASSWORD, Server};
