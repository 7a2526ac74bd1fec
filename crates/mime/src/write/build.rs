//! Building messages.
//!
//! Equal input gives equal output: no clock, no randomness. Boundaries are numbers behind `=_`, which neither base64 nor
//! quoted-printable can contain; where bodies are written as they are, they are searched.

use std::io::{self, Read, Write};

use encodify::{base64, qp};

use super::header;
use crate::DateTime;

/// What the next hop takes (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Transport {
    /// ASCII lines.
    #[default]
    SevenBit,
    /// Lines of any octets.
    EightBit,
    /// Anything.
    Binary,
}

/// A part to be written.
#[derive(Debug)]
pub struct PartBuilder {
    media_type: String,
    params: Vec<(String, String)>,
    disposition: Option<(String, Option<String>)>,
    fields: Vec<String>,
    content: Content,
}

enum Content {
    Text(String),
    Bytes(Vec<u8>),
    Stream(Box<dyn Read + Send>),
    /// A whole message, or another part that must stay as it is.
    Raw(Vec<u8>),
    Parts(Vec<PartBuilder>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::Text(text) => write!(f, "Text({} octets)", text.len()),
            Content::Bytes(bytes) => write!(f, "Bytes({} octets)", bytes.len()),
            Content::Stream(_) => write!(f, "Stream"),
            Content::Raw(bytes) => write!(f, "Raw({} octets)", bytes.len()),
            Content::Parts(parts) => f.debug_list().entries(parts).finish(),
        }
    }
}

impl PartBuilder {
    fn new(media_type: &str, content: Content) -> Self {
        PartBuilder {
            media_type: media_type.into(),
            params: Vec::new(),
            disposition: None,
            fields: Vec::new(),
            content,
        }
    }

    /// `text/plain`. Line ends may be LF or CRLF.
    pub fn text(text: impl Into<String>) -> Self {
        Self::text_of("text/plain", text)
    }

    /// `text/html`.
    pub fn html(html: impl Into<String>) -> Self {
        Self::text_of("text/html", html)
    }

    /// Text of another type.
    pub fn text_of(media_type: &str, text: impl Into<String>) -> Self {
        Self::new(media_type, Content::Text(text.into())).param("charset", "utf-8")
    }

    /// Data of any type.
    pub fn bytes(media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(media_type, Content::Bytes(bytes.into()))
    }

    /// Data that is read while the message is written, in base64: never whole in memory.
    pub fn stream(media_type: &str, from: impl Read + Send + 'static) -> Self {
        Self::new(media_type, Content::Stream(Box::new(from)))
    }

    /// A nested message, as it is.
    pub fn message(raw: impl Into<Vec<u8>>) -> Self {
        Self::new("message/rfc822", Content::Raw(raw.into()))
    }

    /// A body that is written as it is, without any encoding: it has to fit the transport.
    pub fn raw(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(media_type, Content::Raw(body.into()))
    }

    /// `multipart/subtype`.
    pub fn multipart(subtype: &str, parts: impl IntoIterator<Item = PartBuilder>) -> Self {
        Self::new(
            &format!("multipart/{subtype}"),
            Content::Parts(parts.into_iter().collect()),
        )
    }

    /// A parameter of the media type.
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// To be saved, under this name.
    pub fn attachment(mut self, file_name: &str) -> Self {
        self.disposition = Some(("attachment".into(), Some(file_name.into())));
        self
    }

    /// To be shown where `cid:` refers to it (RFC 2392).
    pub fn inline(mut self, content_id: &str) -> Self {
        self.disposition = Some(("inline".into(), self.disposition.and_then(|(_, name)| name)));
        self.fields.push(header::words(
            "Content-ID",
            [format!("<{content_id}>").as_str()],
        ));
        self
    }

    /// A file name beside the disposition that was given (`inline` if none was).
    pub fn file_name(mut self, name: &str) -> Self {
        let token = self.disposition.map_or("inline".into(), |(token, _)| token);
        self.disposition = Some((token, Some(name.into())));
        self
    }

    /// Another field of the part's header, its text encoded as needed.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push(header::text(name, value));
        self
    }
}

/// A message to be written.
///
/// ```
/// use waxwing_mime::{Message, Name, write::build::{Builder, PartBuilder}};
/// let raw = Builder::new()
///     .from("Anna Müller", "anna@example.org")
///     .to("", "ben@example.net")
///     .subject("Photos")
///     .text("See the attachment.\n")
///     .attach(PartBuilder::bytes("image/png", *b"\x89PNG").attachment("photo.png"))
///     .to_vec();
/// let message = Message::parse(&raw);
/// assert_eq!(message.root().addresses(Name::From).mailboxes().next().unwrap().name, Some("Anna Müller"));
/// assert_eq!(message.part(2).unwrap().file_name().as_deref(), Some("photo.png"));
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    fields: Vec<String>,
    lists: Vec<(&'static str, Vec<(String, String)>)>,
    text: Option<String>,
    html: Option<String>,
    inline: Vec<PartBuilder>,
    attachments: Vec<PartBuilder>,
    body: Option<PartBuilder>,
    transport: Transport,
}

impl Builder {
    /// A message without anything.
    pub fn new() -> Self {
        Self::default()
    }

    fn add(mut self, name: &'static str, display: &str, address: &str) -> Self {
        let entry = (display.to_string(), address.to_string());
        match self.lists.iter_mut().find(|(known, _)| *known == name) {
            Some((_, list)) => list.push(entry),
            None => self.lists.push((name, vec![entry])),
        }
        self
    }

    /// Adds an author: display name (may be empty) and address.
    pub fn from(self, display: &str, address: &str) -> Self {
        self.add("From", display, address)
    }

    /// Sets who sent it for the authors.
    pub fn sender(self, display: &str, address: &str) -> Self {
        self.add("Sender", display, address)
    }

    /// Adds an address for replies.
    pub fn reply_to(self, display: &str, address: &str) -> Self {
        self.add("Reply-To", display, address)
    }

    /// Adds a recipient.
    pub fn to(self, display: &str, address: &str) -> Self {
        self.add("To", display, address)
    }

    /// Adds a recipient of a copy.
    pub fn cc(self, display: &str, address: &str) -> Self {
        self.add("Cc", display, address)
    }

    /// Sets the subject.
    pub fn subject(mut self, subject: &str) -> Self {
        self.fields.push(header::text("Subject", subject));
        self
    }

    /// Sets the date.
    pub fn date(mut self, date: DateTime) -> Self {
        self.fields.push(format!("Date: {date}\r\n"));
        self
    }

    /// Sets the message id, given without angle brackets.
    pub fn message_id(self, id: &str) -> Self {
        self.ids("Message-ID", [id])
    }

    /// Sets the message it replies to.
    pub fn in_reply_to(self, id: &str) -> Self {
        self.ids("In-Reply-To", [id])
    }

    /// Sets the thread it is of.
    pub fn references<'a>(self, ids: impl IntoIterator<Item = &'a str>) -> Self {
        self.ids("References", ids)
    }

    fn ids<'a>(mut self, name: &str, ids: impl IntoIterator<Item = &'a str>) -> Self {
        let ids: Vec<String> = ids.into_iter().map(|id| format!("<{id}>")).collect();
        self.fields
            .push(header::words(name, ids.iter().map(String::as_str)));
        self
    }

    /// Another field, its text encoded as needed.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push(header::text(name, value));
        self
    }

    /// Another field as it is; a line break is added if it has none at its end.
    pub fn raw_field(mut self, field: &str) -> Self {
        let end = if field.ends_with('\n') { "" } else { "\r\n" };
        self.fields.push(format!("{field}{end}"));
        self
    }

    /// The body as plain text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The body as HTML, an alternative to the text if both are given.
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.html = Some(html.into());
        self
    }

    /// A part that the HTML refers to.
    pub fn inline(mut self, part: PartBuilder) -> Self {
        self.inline.push(part);
        self
    }

    /// An attachment.
    pub fn attach(mut self, part: PartBuilder) -> Self {
        self.attachments.push(part);
        self
    }

    /// The whole body, in place of what the other methods would put together.
    pub fn body(mut self, part: PartBuilder) -> Self {
        self.body = Some(part);
        self
    }

    /// What the next hop takes; [`Transport::SevenBit`] if not said.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Writes the message. Errors are those of `out` and of streams that are read.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        for (name, list) in &self.lists {
            let list = list
                .iter()
                .map(|(display, address)| (display.as_str(), address.as_str()));
            out.write_all(header::addresses(name, list).as_bytes())?;
        }
        for field in &self.fields {
            out.write_all(field.as_bytes())?;
        }
        out.write_all(b"MIME-Version: 1.0\r\n")?;
        let transport = self.transport;
        let mut boundaries = 0;
        let body = self.into_body();
        write_part(body, transport, &mut boundaries, out)
    }

    /// The message in memory. What a stream could not give is missing.
    pub fn to_vec(self) -> Vec<u8> {
        let mut out = Vec::new();
        let _ = self.write(&mut out);
        out
    }

    fn into_body(self) -> PartBuilder {
        if let Some(body) = self.body {
            return body;
        }
        let html = self.html.map(|html| {
            let html = PartBuilder::html(html);
            if self.inline.is_empty() {
                return html;
            }
            PartBuilder::multipart("related", std::iter::once(html).chain(self.inline))
                .param("type", "text/html")
        });
        let body = match (self.text, html) {
            (Some(text), Some(html)) => {
                PartBuilder::multipart("alternative", [PartBuilder::text(text), html])
            }
            (None, Some(html)) => html,
            (text, None) => PartBuilder::text(text.unwrap_or_default()),
        };
        if self.attachments.is_empty() {
            return body;
        }
        PartBuilder::multipart("mixed", std::iter::once(body).chain(self.attachments))
    }
}

fn write_part(
    part: PartBuilder,
    transport: Transport,
    boundaries: &mut u32,
    out: &mut impl Write,
) -> io::Result<()> {
    let PartBuilder {
        media_type,
        mut params,
        disposition,
        fields,
        content,
    } = part;
    let boundary = match &content {
        Content::Parts(parts) => {
            let boundary = unused_boundary(parts, boundaries);
            params.push(("boundary".into(), boundary.clone()));
            Some(boundary)
        }
        _ => None,
    };
    let pairs = params
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    out.write_all(header::with_params("Content-Type", &media_type, pairs).as_bytes())?;
    if let Some((token, name)) = &disposition {
        let params = name.as_deref().map(|name| ("filename", name));
        out.write_all(header::with_params("Content-Disposition", token, params).as_bytes())?;
    }
    for field in &fields {
        out.write_all(field.as_bytes())?;
    }
    match content {
        Content::Text(text) => {
            let lines = crlf(&text);
            write_encoded(lines.as_bytes(), true, transport, out)
        }
        Content::Bytes(bytes) => {
            write_encoded(&bytes, media_type.starts_with("text/"), transport, out)
        }
        Content::Raw(bytes) => {
            let encoding = match needs(&bytes) {
                Transport::SevenBit => "\r\n",
                Transport::EightBit => "Content-Transfer-Encoding: 8bit\r\n\r\n",
                Transport::Binary => "Content-Transfer-Encoding: binary\r\n\r\n",
            };
            out.write_all(encoding.as_bytes())?;
            out.write_all(&bytes)
        }
        Content::Stream(from) => {
            out.write_all(b"Content-Transfer-Encoding: base64\r\n\r\n")?;
            write_stream(from, out)
        }
        Content::Parts(parts) => {
            let boundary = boundary.unwrap_or_default();
            if !parts
                .iter()
                .all(|part| fits(part, transport, Transport::SevenBit))
            {
                let whole = parts
                    .iter()
                    .all(|part| fits(part, transport, Transport::EightBit));
                let encoding = if whole { "8bit" } else { "binary" };
                out.write_all(format!("Content-Transfer-Encoding: {encoding}\r\n").as_bytes())?;
            }
            for part in parts {
                out.write_all(format!("\r\n--{boundary}\r\n").as_bytes())?;
                write_part(part, transport, boundaries, out)?;
            }
            out.write_all(format!("\r\n--{boundary}--\r\n").as_bytes())
        }
    }
}

/// What the part is written with is within `limit`.
fn fits(part: &PartBuilder, transport: Transport, limit: Transport) -> bool {
    match &part.content {
        Content::Text(text) => needs(crlf(text).as_bytes()).min(transport) <= limit,
        Content::Bytes(bytes) => needs(bytes).min(transport) <= limit || needs(bytes) > transport,
        Content::Raw(bytes) => needs(bytes) <= limit,
        Content::Stream(_) => true,
        Content::Parts(parts) => parts.iter().all(|part| fits(part, transport, limit)),
    }
}

/// A boundary that does not stand in any body which is written as it is.
fn unused_boundary(parts: &[PartBuilder], boundaries: &mut u32) -> String {
    loop {
        *boundaries += 1;
        let boundary = format!("=_{}_waxwing", boundaries);
        if !parts.iter().any(|part| contains(part, boundary.as_bytes())) {
            return boundary;
        }
    }
}

fn contains(part: &PartBuilder, boundary: &[u8]) -> bool {
    match &part.content {
        Content::Text(text) => memchr::memmem::find(text.as_bytes(), boundary).is_some(),
        Content::Bytes(bytes) | Content::Raw(bytes) => {
            memchr::memmem::find(bytes, boundary).is_some()
        }
        Content::Stream(_) => false,
        Content::Parts(parts) => parts.iter().any(|part| contains(part, boundary)),
    }
}

/// Line ends as CRLF.
pub(crate) fn crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        out.push_str("\r\n");
        rest = tail
            .strip_prefix("\r\n")
            .or_else(|| tail.get(1..))
            .unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The least transport that takes these octets as they are.
pub(crate) fn needs(bytes: &[u8]) -> Transport {
    let mut high = false;
    for line in bytes.split(|b| *b == b'\n') {
        let (text, last) = match line {
            [text @ .., b'\r'] => (text, false),
            text => (text, true),
        };
        // RFC 5322 §2.1.1 and RFC 2045 §2.7: up to 998 octets, no NUL, CR and LF together only.
        let ends = !last || text.as_ptr_range().end == bytes.as_ptr_range().end;
        if text.len() > 998 || !ends || memchr::memchr2(0, b'\r', text).is_some() {
            return Transport::Binary;
        }
        high |= !text.is_ascii();
    }
    if high {
        Transport::EightBit
    } else {
        Transport::SevenBit
    }
}

fn write_encoded(
    bytes: &[u8],
    text: bool,
    transport: Transport,
    out: &mut impl Write,
) -> io::Result<()> {
    let need = needs(bytes);
    // Without line ends of its own, data would not survive as text.
    let as_is = need <= transport && (text || transport == Transport::Binary);
    if as_is {
        let encoding = match need {
            Transport::SevenBit => "7bit",
            Transport::EightBit => "8bit",
            Transport::Binary => "binary",
        };
        out.write_all(format!("Content-Transfer-Encoding: {encoding}\r\n\r\n").as_bytes())?;
        return out.write_all(bytes);
    }
    let escapes = bytes
        .iter()
        .filter(|b| !matches!(**b, b' '..=b'~' | b'\t' | b'\r' | b'\n') || **b == b'=')
        .count();
    let lines_survive = !bytes.windows(2).any(|w| {
        matches!(w, [b'\r', next] if *next != b'\n') || matches!(w, [last, b'\n'] if *last != b'\r')
    }) && !bytes.ends_with(b"\r")
        && !bytes.starts_with(b"\n");
    if text && lines_survive && escapes * 5 < bytes.len() {
        out.write_all(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n")?;
        return out.write_all(qp::BODY.encode(bytes).as_bytes());
    }
    out.write_all(b"Content-Transfer-Encoding: base64\r\n\r\n")?;
    write_base64(bytes, out)
}

fn write_base64(bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(base64::MIME.encode(bytes).as_bytes())
}

fn write_stream(mut from: Box<dyn Read + Send>, out: &mut impl Write) -> io::Result<()> {
    // A multiple of 57 octets, which make a line.
    let mut buffer = vec![0; 57 * 1024];
    loop {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match from.read(room) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        write_base64(buffer.get(..filled).unwrap_or_default(), out)?;
        if filled < buffer.len() {
            return Ok(());
        }
    }
}
