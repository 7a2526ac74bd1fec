//! URLs that let others read (RFC 4467), decoded where asked for (RFC 5524).

use super::MailboxName;

/// A command about authorized URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlAuthCommand {
    /// GENURLAUTH: URLs without a token, and mechanisms in capitals.
    Generate(Vec<(String, String)>),
    /// RESETKEY: of one mailbox with mechanisms in capitals, or of all.
    Reset(Option<(MailboxName, Vec<String>)>),
    /// URLFETCH
    Fetch(Vec<UrlFetch>),
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

/// A URL of URLFETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlFetch {
    /// The URL.
    pub url: String,
    /// What of it, each once, and never both `BINARY` and `BODY` (RFC 5524 §3.1). Nothing asks for the octets in the
    /// plain form.
    pub items: Vec<UrlItem>,
}

/// What of a URL (RFC 5524 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlItem {
    /// `BODYPARTSTRUCTURE`: what kind of part it is.
    BodyPartStructure,
    /// `BINARY`: its octets without their transfer encoding.
    Binary,
    /// `BODY`: its octets as they are.
    Body,
}

impl UrlItem {
    /// All of them by name.
    pub const NAMES: [(&'static str, UrlItem); 3] = [
        ("BODYPARTSTRUCTURE", UrlItem::BodyPartStructure),
        ("BINARY", UrlItem::Binary),
        ("BODY", UrlItem::Body),
    ];
}

/// What became of a URL of URLFETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlValue {
    /// Its octets; `None` is NIL, also where items were asked for and the URL names nothing.
    Plain(Option<Vec<u8>>),
    /// The items, at least one (RFC 5524 §3.2).
    Items(Vec<UrlDatum>),
}

/// An item of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlDatum {
    /// `BODYPARTSTRUCTURE`, as it stands on the wire.
    BodyPartStructure(Vec<u8>),
    /// `BINARY`; `None` is NIL: the octets cannot be decoded.
    Binary(Option<Vec<u8>>),
    /// `BODY`
    Body(Option<Vec<u8>>),
}

/// What the server says about authorized URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlAuthData {
    /// GENURLAUTH: the URLs with their tokens.
    Generated(Vec<String>),
    /// URLFETCH: URLs and what they name.
    Fetched(Vec<(String, UrlValue)>),
}
