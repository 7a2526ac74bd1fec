//! An IMAP server that runs already and lets every account in: for looking,
//! with `ORACLE_IMAP=127.0.0.1:143`, at how one answers that no file of
//! differences is kept for.

use super::{Target, append_all};
use crate::dialog::Dialog;
use std::io;
use std::net::SocketAddr;

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub struct Given(pub SocketAddr);

impl Target for Given {
    fn address(&self, protocol: &str, tls: bool) -> Option<SocketAddr> {
        (protocol == "imap" && !tls).then_some(self.0)
    }

    fn certificate(&self) -> &[u8] {
        &[]
    }

    fn prepare(&self, dialog: &Dialog, domain: &str) -> io::Result<()> {
        append_all(self, dialog, domain)
    }
}
