//! Negative answers, with the response codes of RFC 2449 §8 and RFC 3206 §3.
//!
//! Limits: a line of at most 512 octets with its CRLF (RFC 2449 §4); longer texts are cut.

use std::borrow::Cow;

/// The longest first line of an answer, CRLF included (RFC 2449 §4).
pub const LINE_LIMIT: usize = 512;
/// What the status and the longest code leave of it for a text.
const ROOM: usize = LINE_LIMIT.saturating_sub("-ERR [LOGIN-DELAY] \r\n".len());

/// What a program can tell from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The maildrop is locked by another session (RFC 2449 §8.1.2).
    InUse,
    /// Something about the user's credentials (RFC 3206 §5).
    Auth,
    /// Trouble that will pass (RFC 3206 §4).
    Temporary,
    /// Trouble that needs a human (RFC 3206 §4).
    Permanent,
    /// Too soon after the login before (RFC 2449 §8.1.1).
    LoginDelay,
}

impl Code {
    /// With its brackets.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::InUse => "[IN-USE]",
            Code::Auth => "[AUTH]",
            Code::Temporary => "[SYS/TEMP]",
            Code::Permanent => "[SYS/PERM]",
            Code::LoginDelay => "[LOGIN-DELAY]",
        }
    }
}

/// A negative answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: Option<Code>,
    text: Cow<'static, str>,
}

impl Refusal {
    const fn plain(text: &'static str) -> Refusal {
        Refusal {
            code: None,
            text: Cow::Borrowed(text),
        }
    }

    const fn coded(code: Code, text: &'static str) -> Refusal {
        Refusal {
            code: Some(code),
            text: Cow::Borrowed(text),
        }
    }

    /// A refusal in particular words. Control characters become spaces; a `[` at the front, which would read as
    /// a response code (RFC 2449 §8), a parenthesis.
    pub fn new(code: Option<Code>, text: impl Into<String>) -> Refusal {
        let mut text: String = text
            .into()
            .replace(|c: char| c.is_control() || !c.is_ascii(), " ");
        if text.starts_with('[') {
            text.replace_range(..1, "(");
        }
        text.truncate(ROOM);
        Refusal {
            code,
            text: Cow::Owned(text),
        }
    }

    /// Its response code.
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// Its words.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line to send, its words as another language has them.
    pub(crate) fn line(&self, translate: Option<Translate>) -> String {
        let text = localized(&self.text, translate);
        match self.code {
            Some(code) => format!("-ERR {} {text}\r\n", code.as_str()),
            None => format!("-ERR {text}\r\n"),
        }
    }
}

/// What makes a text another language's; None where it stays.
pub(crate) type Translate = fn(&str) -> Option<String>;

/// The one point that all words pass on their way out (RFC 6856 §3.2). Cut so that the line stays in its limit.
pub(crate) fn localized(text: &str, translate: Option<Translate>) -> Cow<'_, str> {
    let Some(mut translated) = translate.and_then(|translate| translate(text)) else {
        return Cow::Borrowed(text);
    };
    let end = translated.floor_char_boundary(ROOM);
    translated.truncate(end);
    Cow::Owned(translated)
}

/// Name or password are wrong, or the account may not log in. The same words for all of these.
pub const WRONG_CREDENTIALS: Refusal = Refusal::coded(Code::Auth, "wrong name or password");
/// A password would travel readable.
pub const PRIVACY_REQUIRED: Refusal = Refusal::coded(Code::Auth, "not without TLS");
/// The client cancelled, or its response was not base64.
pub const SASL_ABORTED: Refusal = Refusal::plain("authentication aborted");
/// The account was disabled or removed since the login.
pub const NOT_ANY_MORE: Refusal =
    Refusal::coded(Code::Auth, "this account may not be used any more");
/// Too soon after the login before.
pub const TOO_SOON: Refusal = Refusal::coded(Code::LoginDelay, "too soon after your last login");
/// A name or password with characters that SASLprep forbids (RFC 6856 §2.2).
pub const FORBIDDEN_CHARACTERS: Refusal =
    Refusal::plain("characters that no name and no password has");
/// LANG with a language that is not there.
pub const UNKNOWN_LANGUAGE: Refusal = Refusal::plain("this language is not known here");
/// Another POP3 session holds the maildrop.
pub const IN_USE: Refusal = Refusal::coded(Code::InUse, "another session has this maildrop open");
/// The server cannot do it now.
pub const TEMPORARY: Refusal = Refusal::coded(Code::Temporary, "try again later");
/// The stored message is damaged.
pub const DAMAGED: Refusal = Refusal::coded(Code::Permanent, "the stored message is damaged");
/// The server ends.
pub const STOPPING: Refusal = Refusal::coded(Code::Temporary, "server is stopping");
/// The number is none of a message, or of a deleted one.
pub const NO_SUCH_MESSAGE: Refusal = Refusal::plain("no such message");
/// The message was removed by another program since the session began.
pub const GONE: Refusal = Refusal::plain("message was removed meanwhile");
/// Removal at QUIT failed.
pub const NOT_REMOVED: Refusal =
    Refusal::coded(Code::Temporary, "deleted messages were not removed");
/// A command in the wrong state.
pub const WRONG_STATE: Refusal = Refusal::plain("not now");
/// PASS without USER.
pub const USER_FIRST: Refusal = Refusal::plain("USER first");
/// A word that is no command.
pub const UNKNOWN_COMMAND: Refusal = Refusal::plain("unknown command");
/// Arguments that do not fit the command.
pub const SYNTAX: Refusal = Refusal::plain("arguments not understood");
/// Control characters or octets that are no UTF-8.
pub const FORBIDDEN_OCTETS: Refusal = Refusal::plain("forbidden octets in the line");
/// A line over the limit.
pub const LINE_TOO_LONG: Refusal = Refusal::plain("line too long");
/// A mechanism that is not offered.
pub const UNKNOWN_MECHANISM: Refusal = Refusal::plain("mechanism not offered");
/// STLS where it is not offered.
pub const NO_TLS: Refusal = Refusal::plain("TLS is not offered");
/// STLS after UTF8 (RFC 6856 §2.1).
pub const STLS_AFTER_UTF8: Refusal = Refusal::plain("STLS comes before UTF8");
/// STLS under TLS (RFC 2595 §4).
pub const TLS_ACTIVE: Refusal = Refusal::plain("TLS is active already");
/// Commands behind STLS in clear: closes.
pub const INJECTED: Refusal = Refusal::plain("commands behind STLS");
/// Closes.
pub const TOO_MANY_ERRORS: Refusal = Refusal::plain("too many errors");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_lines() {
        assert_eq!(
            WRONG_CREDENTIALS.line(None),
            "-ERR [AUTH] wrong name or password\r\n"
        );
        assert_eq!(NO_SUCH_MESSAGE.line(None), "-ERR no such message\r\n");
        let refusal = Refusal::new(None, "[AUTH] x\r\n+OK é");
        assert_eq!(refusal.line(None), "-ERR (AUTH] x  +OK  \r\n");
        let long = Refusal::new(Some(Code::Temporary), "x".repeat(2000)).line(None);
        assert_eq!(
            long.len(),
            LINE_LIMIT - "LOGIN-DELAY".len() + "SYS/TEMP".len()
        );
        fn long_words(text: &str) -> Option<String> {
            (text == "no such message").then(|| "é".repeat(300))
        }
        let line = NO_SUCH_MESSAGE.line(Some(long_words));
        assert!(line.len() <= LINE_LIMIT && line.ends_with("é\r\n"));
        assert_eq!(GONE.line(Some(long_words)), GONE.line(None));
    }
}
