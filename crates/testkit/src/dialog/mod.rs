//! Dialogs: tests that are text files.
//!
//! A file under `tests/dialogs/PROTOCOL/` is a conversation with the built
//! server. Each is run three ways: whole lines, one octet at a time, and
//! pipelined; all must pass.
//!
//! ```text
//! # A comment.
//! @account alice                 alice@example.test, password "open-sesame"
//! @account bob quota=1000        with a quota in octets
//! @alias sales alice bob         sales@example.test, to both
//! @append alice INBOX (\Seen)    a message by IMAP APPEND: the lines that follow
//! | Subject: hello
//! |
//! | body
//! @deliver alice                 a message by LMTP
//! | Subject: hello
//! @server smtp.max-recipients=3  a server of its own, with this setting
//! @tls                           connect to the port with implicit TLS
//! @no-pipeline REASON            do not run pipelined
//! @no-octets REASON              do not run octet by octet
//! @needs SORT ESORT              what a foreign server must announce to be asked (`oracle`)
//! @ours REASON                   foreign servers are not asked: this is ours to choose
//! S: 220 {{*}}                   the server's line, see `pattern` for the holes
//! C: EHLO there                  the client's line, CRLF is added
//! S: ...                         any lines, up to one that matches the next S
//! S-has: A B !C                  a line with the words A and B and without C
//! C-raw: a\r\nb                  octets with escapes, nothing is added
//! C-tls                          the client starts TLS now
//! C-close                        the client drops the connection
//! S-close                        the server closes the connection
//! C2: NOOP                       a second connection (to C9)
//! @sync                          pipelined: read all answers before going on
//! ```
//!
//! Every run has a domain of its own, of the length of `example.test`, which
//! replaces it in all lines, so that one server serves many runs at once.

mod parse;
pub mod pattern;
mod run;

pub use parse::{Action, Dialog, Mail, Step};
pub use run::{DOMAIN, Mode, run, run_folder};
pub(crate) use run::{prepare, read_folder};
