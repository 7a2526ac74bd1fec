//! `EHLO`, `HELO` and `LHLO`.

use smtp::server::Accepted;

use super::{Handler, Verdict};

/// What the client said about itself; none of it is believed.
pub(super) struct Hello {
    pub(super) name: String,
    pub(super) extended: bool,
}

impl Handler {
    /// RFC 5321 §4.1.4: the name is never a reason to refuse.
    pub(super) fn hello(&mut self, name: String, extended: bool) -> Verdict {
        self.transaction = None;
        self.hello = Some(Hello { name, extended });
        Ok(Accepted::default())
    }
}
