//! UNAUTHENTICATE (RFC 8437).

use ::imap::Reply;

use super::Imap;
use super::append::Arriving;
use super::search::fold::Collation;

/// Forgets who was logged in and everything that was begun since, so that nothing of one user reaches the next
/// (RFC 8437 §4.1). The session forgets what the client enabled; compression ends behind the answer.
pub fn unauthenticate(imap: &mut Imap) -> Reply {
    imap.account = None;
    imap.selected = None;
    imap.watch = None;
    imap.annotations = None;
    imap.exchange = None;
    imap.arriving = Arriving::default();
    imap.condstore = false;
    imap.collation = Collation::default();
    Reply::ok("nobody is logged in")
}
