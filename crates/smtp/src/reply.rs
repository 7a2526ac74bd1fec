//! Replies of an SMTP server: a code, an enhanced status code and a text that is safe to show to anyone.
//!
//! Every refusal the server gives is a named constant here; handlers return them and only the session writes them.

use std::borrow::Cow;
use std::fmt;

/// An enhanced status code, class.subject.detail (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// One reply. Lines of a longer reply are separated by `\n` in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three-digit code (RFC 5321 §4.2).
    pub code: u16,
    /// The enhanced status code; greetings, EHLO answers and intermediate (3yz) replies carry none (RFC 2034 §4).
    pub enhanced: Option<Enhanced>,
    /// Human text, without CR; `\n` separates lines.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply with an enhanced status code, usable in constants.
    pub const fn new(code: u16, enhanced: Enhanced, text: &'static str) -> Reply {
        Reply {
            code,
            enhanced: Some(enhanced),
            text: Cow::Borrowed(text),
        }
    }

    /// A reply without an enhanced status code.
    pub const fn plain(code: u16, text: &'static str) -> Reply {
        Reply {
            code,
            enhanced: None,
            text: Cow::Borrowed(text),
        }
    }

    /// The same codes with another text.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Reply {
        self.text = Cow::Owned(text.into());
        self
    }

    /// 2yz: the command was done.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 4yz: the same may succeed later.
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5yz: the same will never succeed.
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// The reply as it goes over the wire, every line with the code and the enhanced code (RFC 2034 §4).
    /// Control characters in the text become spaces, so that no text can forge a line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len().saturating_add(16));
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{}", self.code, separator).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            out.extend(
                line.bytes()
                    .map(|b| if b < b' ' || b == 0x7f { b' ' } else { b }),
            );
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text)
    }
}

/// DATA may begin (RFC 5321 §4.1.1.4).
pub const START_MAIL: Reply = Reply::plain(354, "Start mail input; end with <CRLF>.<CRLF>");

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $code:literal $a:literal . $b:literal . $c:literal $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Reply = Reply::new($code, Enhanced($a, $b, $c), $text);)*
        /// Every constant with its name, for tests and documents.
        pub const ALL: &[(&str, Reply)] = &[$((stringify!($name), $name)),*];
    };
}

replies! {
    /// HELP (RFC 5321 §4.1.1.8).
    HELP = 214 2 . 0 . 0 "See RFC 5321";
    /// QUIT.
    BYE = 221 2 . 0 . 0 "Goodbye";
    /// AUTH succeeded (RFC 4954 §6).
    AUTHENTICATED = 235 2 . 7 . 0 "Authentication succeeded";
    /// Anything that needs no words.
    OK = 250 2 . 0 . 0 "OK";
    /// MAIL FROM accepted.
    SENDER_OK = 250 2 . 1 . 0 "Sender accepted";
    /// MAIL FROM accepted, with a lower priority than asked for (RFC 6710 §4.1).
    PRIORITY_LOWERED = 250 2 . 3 . 6 "Sender accepted with a lower priority";
    /// RCPT TO accepted.
    RECIPIENT_OK = 250 2 . 1 . 5 "Recipient accepted";
    /// The message is stored, durably.
    MESSAGE_OK = 250 2 . 6 . 0 "Message accepted";
    /// A BDAT chunk that is not the last.
    CHUNK_OK = 250 2 . 6 . 0 "Chunk received";
    /// A BURL that is not the last (RFC 4468 §6).
    URL_OK = 250 2 . 5 . 0 "Waiting for additional BURL or BDAT commands";
    /// ETRN: what waits is being sent (RFC 1985 §5.2).
    QUEUE_STARTED = 250 2 . 0 . 0 "Queuing started";
    /// ETRN: nothing waits.
    QUEUE_EMPTY = 251 2 . 0 . 0 "No messages waiting";
    /// VRFY tells nothing (RFC 5321 §3.5.3, §7.3).
    NOT_VERIFIED = 252 2 . 5 . 0 "Send some mail, it will be tried";
    /// STARTTLS (RFC 3207 §4).
    READY_FOR_TLS = 220 2 . 0 . 0 "Ready to start TLS";
    /// The server stops, or the session was idle for too long.
    SHUTTING_DOWN = 421 4 . 3 . 2 "Service is shutting down";
    /// The account that logged in may not be used any more.
    DISMISSED = 421 4 . 7 . 0 "This account may not be used any more";
    /// The peer was silent for too long.
    TIMED_OUT = 421 4 . 4 . 2 "Timed out waiting for you";
    /// Too many errors in one session.
    TOO_MANY_ERRORS = 421 4 . 7 . 0 "Too many errors";
    /// More messages on one connection than LIMITS announces (RFC 9422).
    TOO_MANY_MESSAGES = 421 4 . 7 . 0 "Too many messages on one connection";
    /// Too many connections.
    TOO_MANY_CONNECTIONS = 421 4 . 7 . 0 "Too many connections";
    /// A fault of ours; the log has the details under the id that the text gives.
    INTERNAL = 451 4 . 3 . 0 "Local error, try again later";
    /// The store is busy.
    BUSY = 451 4 . 3 . 2 "Busy, try again later";
    /// The account has sent as much as it may in a day; the text says how much that is.
    DAILY_LIMIT = 450 4 . 7 . 1 "You have sent as much as you may in a day";
    /// No more recipients in this transaction (RFC 5321 §4.5.3.1.10).
    TOO_MANY_RECIPIENTS = 452 4 . 5 . 3 "Too many recipients";
    /// The disk of the server is full.
    STORAGE_FULL = 452 4 . 3 . 1 "Insufficient storage";
    /// The recipient's mailbox is over its quota.
    MAILBOX_FULL = 452 4 . 2 . 2 "Mailbox is over quota";
    /// A temporary failure of authentication itself (RFC 4954 §6).
    AUTHENTICATION_UNAVAILABLE = 454 4 . 7 . 0 "Temporary authentication failure";
    /// TLS cannot be started now (RFC 3207 §4).
    TLS_UNAVAILABLE = 454 4 . 7 . 0 "TLS is not available";
    /// ETRN for a domain that no mail is kept for (RFC 1985 §5.2).
    NODE_NOT_ALLOWED = 459 4 . 7 . 1 "No mail is kept for that node";
    /// Not a command we know.
    UNKNOWN_COMMAND = 500 5 . 5 . 1 "Command not recognised";
    /// Bytes that are no command line: NUL, bare CR or LF, 8 bits.
    BAD_LINE = 500 5 . 5 . 2 "Command line is malformed";
    /// A line beyond the limit.
    LINE_TOO_LONG = 500 5 . 5 . 2 "Line too long";
    /// A SASL line beyond the limit (RFC 4954 §4).
    SASL_TOO_LONG = 500 5 . 5 . 6 "Authentication exchange line is too long";
    /// Wrong arguments.
    BAD_ARGUMENTS = 501 5 . 5 . 4 "Syntax error in arguments";
    /// HOLDFOR or HOLDUNTIL beyond what was announced, or in the past (RFC 4865 §4.2).
    HELD_TOO_LONG = 501 5 . 5 . 4 "Messages are not held until then";
    /// MAIL FROM that does not parse.
    BAD_SENDER = 501 5 . 1 . 7 "Bad sender address syntax";
    /// RCPT TO that does not parse.
    BAD_RECIPIENT = 501 5 . 1 . 3 "Bad recipient address syntax";
    /// Base64 or exchange that does not decode (RFC 4954 §4).
    BAD_SASL = 501 5 . 5 . 2 "Cannot decode the response";
    /// The client sent `*` (RFC 4954 §4).
    SASL_ABORTED = 501 5 . 7 . 0 "Authentication cancelled";
    /// A command that we know and do not offer.
    NOT_IMPLEMENTED = 502 5 . 5 . 1 "Command not implemented";
    /// A command out of order.
    BAD_SEQUENCE = 503 5 . 5 . 1 "Bad sequence of commands";
    /// STARTTLS twice.
    TLS_ACTIVE = 503 5 . 5 . 1 "TLS is already active";
    /// AUTH twice (RFC 4954 §4).
    ALREADY_AUTHENTICATED = 503 5 . 5 . 1 "Already authenticated";
    /// A mechanism that is not offered (RFC 4954 §4).
    UNKNOWN_MECHANISM = 504 5 . 5 . 4 "Unrecognised authentication mechanism";
    /// Submission needs AUTH (RFC 6409 §4.3).
    AUTHENTICATION_REQUIRED = 530 5 . 7 . 0 "Authentication required";
    /// STARTTLS has to come first (RFC 3207 §4).
    TLS_REQUIRED = 530 5 . 7 . 0 "Must issue a STARTTLS command first";
    /// Wrong user or password, never saying which.
    AUTHENTICATION_FAILED = 535 5 . 7 . 8 "Authentication credentials invalid";
    /// AUTH in the clear (RFC 4954 §6).
    ENCRYPTION_REQUIRED = 538 5 . 7 . 11 "Encryption required for authentication";
    /// No such mailbox in a domain of ours.
    MAILBOX_UNKNOWN = 550 5 . 1 . 1 "No such mailbox here";
    /// The address belonged to somebody else at the time the sender names (RFC 7293 §15.3).
    MAILBOX_CHANGED_OWNER = 550 5 . 7 . 17 "Mailbox owner has changed";
    /// The message content is malformed: bare CR, bare LF or NUL.
    BAD_CONTENT = 550 5 . 6 . 0 "Message refused: bare CR, bare LF or NUL found";
    /// Nothing that the sender's domain has could take an answer.
    SENDER_DOMAIN_UNKNOWN = 550 5 . 1 . 8 "The domain of the sender takes no mail: there is nothing to send an answer to";
    /// The sender's domain says that it takes no mail (RFC 7505 §4.1).
    SENDER_NULL_MX = 550 5 . 7 . 27 "The domain of the sender takes no mail";
    /// XCLIENT or XFORWARD from somebody who is not a proxy of ours.
    NOT_TRUSTED = 550 5 . 7 . 0 "You are not trusted with this";
    /// A domain that is not ours: this server relays for nobody.
    RELAYING_DENIED = 550 5 . 7 . 1 "Relaying denied";
    /// The From, Sender or envelope sender belongs to somebody else.
    SENDER_NOT_OWNED = 550 5 . 7 . 1 "This sender address does not belong to your account";
    /// A class of solicitation that is not wanted (RFC 3865).
    SOLICITATION_REFUSED = 550 5 . 7 . 1 "Solicitation of this class is refused";
    /// From is missing, doubled or malformed.
    BAD_FROM = 550 5 . 6 . 0 "Message refused: it needs exactly one well-formed From field";
    /// The first line begins with a blank: it would continue the trace field put before it.
    BAD_FIRST_LINE = 550 5 . 6 . 0 "Message refused: its first line begins with a blank";
    /// SMTPUTF8 was needed and not asked for (RFC 6531 §3.5).
    UTF8_REQUIRED = 553 5 . 6 . 7 "Internationalised address without SMTPUTF8";
    /// The message is larger than the limit (RFC 1870 §6).
    MESSAGE_TOO_BIG = 552 5 . 3 . 4 "Message exceeds the size limit";
    /// The header is larger than the limit.
    HEADER_TOO_BIG = 552 5 . 3 . 4 "Message header exceeds the size limit";
    /// Too many header fields.
    TOO_MANY_FIELDS = 554 5 . 6 . 0 "Message header has too many fields";
    /// A binary message that may not be changed, and cannot be kept as it is (RFC 3030 §3).
    NOT_CONVERTED = 554 5 . 6 . 3 "Message refused: a signed part is binary, and may not be converted";
    /// DATA without recipients (RFC 5321 §4.1.1.4).
    NO_RECIPIENTS = 554 5 . 5 . 1 "No valid recipients";
    /// BURL without recipients (RFC 4468 §6).
    NO_RECIPIENTS_FOR_URL = 554 5 . 5 . 0 "No recipients have been specified";
    /// BURL: what the URL names makes the message too large (RFC 4468 §6).
    URL_TOO_BIG = 554 5 . 3 . 4 "Message too big for system";
    /// BURL: what the URL names is binary, and BODY=BINARYMIME was not asked for (RFC 4468 §4, §6).
    URL_IS_BINARY = 554 5 . 6 . 3 "The URL names binary content: declare BODY=BINARYMIME to have it converted";
    /// BURL: there is nothing where the URL points (RFC 4468 §6, RFC 5248 §2.4).
    URL_NOT_RESOLVED = 554 5 . 6 . 6 "IMAP URL resolution failed";
    /// BURL: the token or its holder is not right, or its time is over (RFC 4468 §3.4).
    URL_NOT_AUTHORIZED = 554 5 . 7 . 0 "IMAP URL authorization failed";
    /// BURL: a URL of a server that is not this one (RFC 4468 §6; RFC 5248 §2.4 for the code that took the place of X.7.8).
    URL_NOT_TRUSTED = 554 5 . 7 . 14 "URL resolution requires trust relationship";
    /// The message has come round in circles (RFC 5321 §6.3).
    LOOP = 554 5 . 4 . 6 "Routing loop detected";
    /// Input where the protocol asks for silence (RFC 2920 §3.1, RFC 5321 §4.3.1).
    EARLY_TALK = 554 5 . 5 . 0 "Protocol synchronisation error";
    /// Another protocol speaks to us.
    WRONG_PROTOCOL = 554 5 . 5 . 0 "This is a mail server";
    /// BY= asks for less time than DELIVERBY announces (RFC 2852 §3).
    DELIVER_BY_TOO_SOON = 555 5 . 5 . 4 "Cannot be delivered within that time";
    /// The recipient's domain says that it takes no mail (RFC 7504 §4, RFC 7505 §4.1).
    DOMAIN_TAKES_NO_MAIL = 556 5 . 1 . 10 "The domain of the recipient takes no mail";
    /// A MAIL or RCPT parameter that we do not know (RFC 5321 §4.1.1.11).
    UNKNOWN_PARAMETER = 555 5 . 5 . 4 "Unsupported parameter";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_and_code_agree() {
        for (name, reply) in ALL {
            let enhanced = reply.enhanced.unwrap();
            assert_eq!(u16::from(enhanced.0), reply.code / 100, "{name}");
        }
    }

    #[test]
    fn bytes_on_the_wire() {
        assert_eq!(
            MAILBOX_UNKNOWN.to_bytes(),
            b"550 5.1.1 No such mailbox here\r\n"
        );
        assert_eq!(Reply::plain(354, "Go").to_bytes(), b"354 Go\r\n");
        let two = OK.with_text("one\ntwo\r250 forged");
        assert_eq!(
            two.to_bytes(),
            b"250-2.0.0 one\r\n250 2.0.0 two 250 forged\r\n"
        );
    }
}
