//! Responses, as a client reads them: their frame, status responses and their codes.
//!
//! More forgiving than the parser of commands: servers differ, and a response that is not understood is passed over.

use super::base::number64;
use super::{Context, Parsed, Parser, State};
use crate::server::{Enabled, Limits};
use crate::{Capability, Code, Flag, NumberSet, Reply, Status, Untagged};
use wire::cursor::Cursor;

/// One response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Response {
    /// `+` and what follows its space.
    Continue(Vec<u8>),
    /// Untagged data; `None` if of a kind or form that is not known.
    Untagged(Option<Box<Untagged>>),
    /// The end of a command: its tag and reply.
    Tagged(String, Reply),
}

/// Whether a literal may follow a line that looks like announcing one: never behind human text, which may look like
/// anything.
pub(crate) fn may_hold_literals(first_line: &[u8]) -> bool {
    let Some(rest) = first_line.strip_prefix(b"* ") else {
        return false;
    };
    let word = rest
        .split(|&octet| octet == b' ')
        .next()
        .unwrap_or_default();
    ![&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"]
        .iter()
        .any(|status| word.eq_ignore_ascii_case(status))
}

/// Parses one response: its lines without the last CRLF, literals in place. `None` if it has not even the frame of one.
///
/// ```text
/// response = *(continue-req / response-data) response-done
/// ```
pub(crate) fn response(text: &[u8], utf8: bool) -> Option<Response> {
    let limits = Limits {
        ranges: usize::MAX,
        items: usize::MAX,
        ..Limits::default()
    };
    let context = Context {
        state: State::Selected,
        utf8,
        login: true,
        enabled: Enabled::default(),
        quirks: crate::server::Quirks::default(),
        limits: &limits,
    };
    let mut parser = Parser {
        fetches: Vec::new(),
        cursor: Cursor::new(text),
        context,
    };
    if parser.cursor.eat(b'+') {
        parser.cursor.eat(b' ');
        return Some(Response::Continue(parser.cursor.take_rest().to_vec()));
    }
    if parser.cursor.eat(b'*') {
        parser.sp().ok()?;
        let parsed = parser.untagged().ok().filter(|_| parser.cursor.is_empty());
        return Some(Response::Untagged(parsed.map(Box::new)));
    }
    let tag = parser.tag().ok()?.to_owned();
    parser.sp().ok()?;
    let reply = parser.resp_cond().ok()??;
    Some(Response::Tagged(tag, reply))
}

impl Parser<'_> {
    /// A status response behind its tag; `None` if the word is none of a status.
    ///
    /// ```text
    /// resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text
    /// ```
    pub(super) fn resp_cond(&mut self) -> Parsed<Option<Reply>> {
        let start = self.cursor;
        let word = self.cursor.take_while(|octet| octet.is_ascii_alphabetic());
        let known = [
            (&b"OK"[..], Status::Ok),
            (b"NO", Status::No),
            (b"BAD", Status::Bad),
            (b"BYE", Status::Bye),
            (b"PREAUTH", Status::PreAuth),
        ];
        let Some((_, status)) = known
            .into_iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
        else {
            self.cursor = start;
            return Ok(None);
        };
        // Some servers send nothing behind the word.
        if !self.cursor.is_empty() {
            self.sp()?;
        }
        Ok(Some(self.resp_text(status)))
    }

    /// ```text
    /// resp-text = ["[" resp-text-code "]" SP] [text]
    /// ```
    fn resp_text(&mut self, status: Status) -> Reply {
        let mut code = None;
        let start = self.cursor;
        if self.cursor.eat(b'[') {
            let inside = self.cursor;
            code = self.resp_text_code().ok().filter(|_| self.cursor.eat(b']'));
            if code.is_none() {
                self.cursor = inside;
                let text = self.cursor.take_while(|octet| octet != b']');
                if self.cursor.eat(b']') {
                    code = Some(Code::Other(String::from_utf8_lossy(text).into_owned()));
                } else {
                    self.cursor = start;
                }
            }
            self.cursor.eat(b' ');
        }
        let text = String::from_utf8_lossy(self.cursor.take_rest()).into_owned();
        Reply {
            status,
            code,
            text: text.into(),
        }
    }

    /// ```text
    /// resp-text-code
    /// ```
    fn resp_text_code(&mut self) -> Parsed<Code> {
        let unknown = self.wrong("a response code");
        Ok(match self.word("a response code")?.as_str() {
            "ALERT" => Code::Alert,
            "ALREADYEXISTS" => Code::AlreadyExists,
            "APPENDUID" => Code::AppendUid {
                uid_validity: self.sp_number()?,
                uids: self.sp_number_set()?,
            },
            "AUTHENTICATIONFAILED" => Code::AuthenticationFailed,
            "AUTHORIZATIONFAILED" => Code::AuthorizationFailed,
            "BADCHARSET" => Code::BadCharset(self.charsets()?),
            "BADCOMPARATOR" => Code::BadComparator,
            "CANNOT" => Code::Cannot,
            "CAPABILITY" => Code::Capability(self.capability_data()?),
            "CLIENTBUG" => Code::ClientBug,
            "CLOSED" => Code::Closed,
            "CONTACTADMIN" => Code::ContactAdmin,
            "COPYUID" => Code::CopyUid {
                uid_validity: self.sp_number()?,
                source: self.sp_number_set()?,
                destination: self.sp_number_set()?,
            },
            "CORRUPTION" => Code::Corruption,
            "EXPIRED" => Code::Expired,
            "EXPUNGEISSUED" => Code::ExpungeIssued,
            "HASCHILDREN" => Code::HasChildren,
            "HIGHESTMODSEQ" => {
                self.sp()?;
                Code::HighestModSeq(number64(&mut self.cursor, "a mod-sequence")?)
            }
            "INUSE" => Code::InUse,
            "BADURL" => {
                self.sp()?;
                let url = self.cursor.take_while(|octet| octet != b']');
                Code::BadUrl(String::from_utf8_lossy(url).into_owned())
            }
            "TOOFEW" => Code::TooFew,
            "TOOMANY" => Code::TooMany,
            "COMPRESSIONACTIVE" => Code::CompressionActive,
            "INPROGRESS" => self.in_progress()?,
            "MESSAGELIMIT" => self.message_limit()?,
            "LIMIT" => Code::Limit,
            "METADATA" => self.metadata_code()?,
            "ANNOTATE" => self.annotate_code()?,
            "ANNOTATIONS" => self.annotations_code()?,
            "BADEVENT" => {
                self.sp()?;
                self.open()?;
                let mut events = Vec::new();
                loop {
                    events.push(self.atom("an event")?.to_owned());
                    if self.list_ends()? {
                        break Code::BadEvent(events);
                    }
                }
            }
            "NOTIFICATIONOVERFLOW" => Code::NotificationOverflow,
            // Only INTERNAL means anything here.
            "URLMECH" => {
                self.cursor.take_while(|octet| octet != b']');
                Code::UrlMech
            }
            "MAILBOXID" => {
                self.sp()?;
                Code::MailboxId(self.mailbox_id()?)
            }
            "MODIFIED" => Code::Modified(self.sp_number_set()?),
            "UIDREQUIRED" => Code::UidRequired,
            "NOMODSEQ" => Code::NoModSeq,
            "NOUPDATE" => {
                self.sp()?;
                Code::NoUpdate(self.astring_text("a tag")?)
            }
            "UNDEFINED-FILTER" => {
                self.sp()?;
                Code::UndefinedFilter(self.atom("a filter")?.to_owned())
            }
            "NONEXISTENT" => Code::NonExistent,
            "NOPERM" => Code::NoPerm,
            "NOTSAVED" => Code::NotSaved,
            "OVERQUOTA" => Code::OverQuota,
            "PARSE" => Code::Parse,
            "PERMANENTFLAGS" => self.permanent_flags()?,
            "PRIVACYREQUIRED" => Code::PrivacyRequired,
            "READ-ONLY" => Code::ReadOnly,
            "READ-WRITE" => Code::ReadWrite,
            "SERVERBUG" => Code::ServerBug,
            "TOOBIG" => Code::TooBig,
            "TRYCREATE" => Code::TryCreate,
            "UIDNEXT" => Code::UidNext(self.sp_number()?),
            "UIDNOTSTICKY" => Code::UidNotSticky,
            "UIDVALIDITY" => Code::UidValidity(self.sp_number()?),
            "UNAVAILABLE" => Code::Unavailable,
            "UNKNOWN-CTE" => Code::UnknownCte,
            "UNSEEN" => Code::Unseen(self.sp_number()?),
            "USEATTR" => Code::UseAttr,
            _ => return Err(unknown),
        })
    }

    /// ```text
    /// "INPROGRESS" [SP "(" tag-string SP (number / nil) SP (nz-number / nil) ")"] ; RFC 9585
    /// ```
    fn in_progress(&mut self) -> Parsed<Code> {
        let (mut tag, mut progress, mut goal) = (None, None, None);
        if self.cursor.eat(b' ') {
            self.open()?;
            tag = self
                .nstring()?
                .map(|tag| String::from_utf8_lossy(&tag).into_owned());
            self.sp()?;
            progress = self.number_or_nil()?;
            self.sp()?;
            // RFC 9585 §6: what cannot be true is not believed.
            goal = self
                .number_or_nil()?
                .filter(|goal| progress.is_some_and(|progress| progress < *goal));
            self.cursor.expect(b')', "a closing parenthesis")?;
        }
        Ok(Code::InProgress {
            tag,
            progress,
            goal,
        })
    }

    /// ```text
    /// resp-text-code =/ "MESSAGELIMIT" SP message-limit [SP uniqueid] ; RFC 9738
    /// ```
    fn message_limit(&mut self) -> Parsed<Code> {
        let limit = self.sp_number()?;
        let uid = match self.cursor.peek() {
            Some(b' ') => Some(self.sp_number()?),
            _ => None,
        };
        Ok(Code::MessageLimit { limit, uid })
    }

    fn number_or_nil(&mut self) -> Parsed<Option<u64>> {
        if self.cursor.eat_ignore_case(b"NIL") {
            return Ok(None);
        }
        Ok(Some(number64(&mut self.cursor, "a number or NIL")?))
    }

    pub(super) fn sp_number(&mut self) -> Parsed<u32> {
        self.sp()?;
        self.number("a number")
    }

    pub(super) fn sp_number_set(&mut self) -> Parsed<NumberSet> {
        self.sp()?;
        self.number_set()
    }

    /// Numbers in the order the server wrote them; a range that runs backwards is read forwards.
    ///
    /// ```text
    /// uid-set = (uniqueid / uid-range) *("," uid-set)
    /// ```
    pub(super) fn number_set(&mut self) -> Parsed<NumberSet> {
        let mut set = NumberSet::new();
        loop {
            let first = self.nz_number("a number")?;
            let second = if self.cursor.eat(b':') {
                self.nz_number("a number")?
            } else {
                first
            };
            set.push_range(first.min(second)..=first.max(second));
            if !self.cursor.eat(b',') {
                return Ok(set);
            }
        }
    }

    /// ```text
    /// *(SP capability)
    /// ```
    pub(super) fn capability_data(&mut self) -> Parsed<Vec<Capability>> {
        let mut capabilities = Vec::new();
        while self.cursor.eat(b' ') {
            // A trailing space is a common slip.
            if matches!(self.cursor.peek(), None | Some(b']')) {
                break;
            }
            capabilities.push(Capability::from_name(self.atom("a capability")?));
        }
        Ok(capabilities)
    }

    /// ```text
    /// [SP "(" charset *(SP charset) ")"]
    /// ```
    fn charsets(&mut self) -> Parsed<Vec<String>> {
        let mut charsets = Vec::new();
        if !self.cursor.eat(b' ') {
            return Ok(charsets);
        }
        self.open()?;
        loop {
            charsets.push(self.astring_text("a charset")?);
            if self.list_ends()? {
                return Ok(charsets);
            }
        }
    }

    /// ```text
    /// SP "(" [flag-perm *(SP flag-perm)] ")"
    /// ```
    fn permanent_flags(&mut self) -> Parsed<Code> {
        self.sp()?;
        let mut flags = self.flag_fetch_list()?;
        let count = flags.len();
        flags.retain(|flag| *flag != Flag::Extension("*".to_owned()));
        Ok(Code::PermanentFlags {
            new_keywords: flags.len() < count,
            flags,
        })
    }

    /// Flags as servers tell them: `\Recent` and extensions are among them, and keywords any server took.
    ///
    /// ```text
    /// "(" [flag-fetch *(SP flag-fetch)] ")"
    /// ```
    pub(super) fn flag_fetch_list(&mut self) -> Parsed<Vec<Flag>> {
        self.open()?;
        let mut flags = Vec::new();
        if self.cursor.eat(b')') {
            return Ok(flags);
        }
        loop {
            flags.push(self.flag_fetch()?);
            if self.list_ends()? {
                return Ok(flags);
            }
        }
    }

    fn flag_fetch(&mut self) -> Parsed<Flag> {
        let backslash = self.cursor.eat(b'\\');
        let error = self.wrong("a flag");
        let name = self.cursor.take_while(|octet| {
            !matches!(octet, b' ' | b')' | b'(' | b'"' | b'\\' | b'{' | 0..=0x1f)
        });
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())
            .ok_or(error)?;
        if !backslash {
            return Ok(Flag::Keyword(name.to_owned()));
        }
        let system = [
            ("Answered", Flag::Answered),
            ("Flagged", Flag::Flagged),
            ("Deleted", Flag::Deleted),
            ("Seen", Flag::Seen),
            ("Draft", Flag::Draft),
            ("Recent", Flag::Recent),
        ];
        let known = system
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        Ok(known.map_or_else(|| Flag::Extension(name.to_owned()), |(_, flag)| flag))
    }
}
