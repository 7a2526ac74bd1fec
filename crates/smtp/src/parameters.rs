//! Parameters of MAIL FROM and RCPT TO (RFC 5321 §4.1.1.11 and the extensions that define them).

/// What the sender says about the body (RFC 6152 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing, or `BODY=7BIT`.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// Parameters of MAIL FROM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// `SIZE=`, octets as the client estimates them (RFC 1870 §5).
    pub size: Option<u64>,
    /// `BODY=`.
    pub body: Body,
    /// `SMTPUTF8` (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// `AUTH=`, decoded from xtext; `<>` is the empty string (RFC 4954 §5). Never trusted, only carried.
    pub auth: Option<String>,
}

/// Parameters of RCPT TO. None is offered yet: the type keeps its place for DSN (RFC 3461).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {}
