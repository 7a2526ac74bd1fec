//! URLs that let others read (RFC 4467).

use super::MailboxName;

/// A command about authorized URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlAuthCommand {
    /// GENURLAUTH: URLs without a token, and mechanisms in capitals.
    Generate(Vec<(String, String)>),
    /// RESETKEY: of one mailbox with mechanisms in capitals, or of all.
    Reset(Option<(MailboxName, Vec<String>)>),
    /// URLFETCH
    Fetch(Vec<String>),
}

impl UrlAuthCommand {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            UrlAuthCommand::Generate(_) => "GENURLAUTH",
            UrlAuthCommand::Reset(_) => "RESETKEY",
            UrlAuthCommand::Fetch(_) => "URLFETCH",
        }
    }
}

/// What the server says about authorized URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlAuthData {
    /// GENURLAUTH: the URLs with their tokens.
    Generated(Vec<String>),
    /// URLFETCH: URLs and what they name; none is NIL.
    Fetched(Vec<(String, Option<Vec<u8>>)>),
}
