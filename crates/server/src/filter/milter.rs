//! A conversation with a milter: version 6 of the protocol, and the older ones it contains.
//!
//! Offered to a milter: adding, inserting, changing and removing fields, replacing the body, quarantine. Not offered: adding
//! and removing recipients and changing the sender, because each recipient here has had its reply; a milter that
//! cannot do without says so in the negotiation, and counts as one that fails.

use std::net::IpAddr;
use std::time::Duration;

use smtp::reply::{Enhanced, Reply};
use smtp::server::Kind;

use super::edit::Edit;
use super::packet::{self, Packet, Wire};
use super::{Answer, Error, Last, Milter, REFUSED, UNAVAILABLE};
use crate::shared::Shared;
use crate::stream::{Peer, TlsInfo};

/// The version spoken.
const VERSION: u32 = 6;

/// Changes offered: SMFIF_ADDHDRS, CHGBODY, CHGHDRS, QUARANTINE.
const ACTIONS: u32 = 0x01 | 0x02 | 0x10 | 0x20;

/// What a milter may leave out: every step, every reply, skipping the rest of a body, spaces that lead a value.
const PROTOCOL: u32 = 0x001f_ffff;

const NO_CONNECT: u32 = 0x01;
const NO_HELO: u32 = 0x02;
const NO_MAIL: u32 = 0x04;
const NO_RCPT: u32 = 0x08;
const NO_BODY: u32 = 0x10;
const NO_HEADERS: u32 = 0x20;
const NO_EOH: u32 = 0x40;
const NO_REPLY_HEADER: u32 = 0x80;
const NO_DATA: u32 = 0x200;
const NO_REPLY_CONNECT: u32 = 0x1000;
const NO_REPLY_HELO: u32 = 0x2000;
const NO_REPLY_MAIL: u32 = 0x4000;
const NO_REPLY_RCPT: u32 = 0x8000;
const NO_REPLY_DATA: u32 = 0x1_0000;
const NO_REPLY_EOH: u32 = 0x4_0000;
const NO_REPLY_BODY: u32 = 0x8_0000;
const LEADING_SPACE: u32 = 0x10_0000;

/// Octets of a body in one packet.
const CHUNK: usize = 65_535;

/// Changes that a milter may ask for at the end of a message, and octets of a replaced body.
const EDITS: usize = 10_000;

/// What filters are told about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Whose mail it is.
    pub kind: Kind,
    /// The client.
    pub peer: Peer,
    /// What it calls itself.
    pub hello: String,
    /// What protects it: version and cipher.
    pub tls: Option<(String, String)>,
    /// Who logged in.
    pub user: Option<String>,
    /// Our name.
    pub host: String,
}

impl Scene {
    /// Version and cipher of a connection.
    pub fn protection(tls: Option<&TlsInfo>) -> Option<(String, String)> {
        tls.map(|tls| (tls.version.to_owned(), tls.cipher.clone()))
    }
}

/// An open conversation.
#[derive(Debug)]
pub struct Conversation {
    wire: Wire,
    timeout: Duration,
    /// What it does without.
    flags: u32,
    scene: Scene,
    body_limit: u64,
}

impl Conversation {
    /// Connects, negotiates and tells who the client is.
    pub(super) async fn open(
        shared: &Shared,
        milter: &Milter,
        scene: &Scene,
    ) -> Result<(Conversation, Answer), Error> {
        let timeout = milter.timeout;
        let wire = Wire::open(&milter.place, timeout).await?;
        let mut conversation = Conversation {
            wire,
            timeout,
            flags: 0,
            scene: scene.clone(),
            body_limit: shared.config().limits.message_size,
        };
        conversation.negotiate().await?;
        let mut answer = conversation.connect().await?;
        if answer == Answer::Continue {
            answer = conversation.hello().await?;
        }
        Ok((conversation, answer))
    }

    /// Whether the milter was told about this client.
    pub fn is_about(&self, scene: &Scene) -> bool {
        self.scene == *scene
    }

    async fn negotiate(&mut self) -> Result<(), Error> {
        let offer: Vec<u8> = [VERSION, ACTIONS, PROTOCOL]
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        let reply = self.say(b'O', &offer).await?;
        let number = |at: usize| {
            let octets = reply.data.get(at..at.saturating_add(4))?;
            Some(u32::from_be_bytes(octets.try_into().ok()?))
        };
        let (Some(version), Some(actions), Some(flags)) = (number(0), number(4), number(8)) else {
            return Err(Error::Malformed("the negotiation"));
        };
        if reply.command != b'O' || !(2..=VERSION).contains(&version) {
            return Err(Error::Malformed("the negotiation"));
        }
        if actions & !ACTIONS != 0 {
            return Err(Error::Malformed(
                "it wants to change the envelope, which is not offered",
            ));
        }
        self.flags = flags & PROTOCOL;
        Ok(())
    }

    async fn connect(&mut self) -> Result<Answer, Error> {
        let ip = self.scene.peer.ip;
        let literal = format!("[{ip}]");
        let mut data = packet::strings([literal.as_bytes()]);
        match (self.scene.peer.unix, ip) {
            (true, _) => data.push(b'U'),
            (false, IpAddr::V4(ip)) => {
                address(&mut data, b'4', self.scene.peer.port, &ip.to_string())
            }
            // What the protocol's library writes and reads for IPv6.
            (false, IpAddr::V6(ip)) => {
                address(&mut data, b'6', self.scene.peer.port, &format!("IPv6:{ip}"));
            }
        }
        let host = self.scene.host.clone();
        let macros = [
            ("j", host.as_str()),
            ("{daemon_name}", "waxwing"),
            ("v", concat!("Waxwing ", env!("CARGO_PKG_VERSION"))),
        ];
        self.step(b'C', &data, &macros, NO_CONNECT, NO_REPLY_CONNECT)
            .await
    }

    async fn hello(&mut self) -> Result<Answer, Error> {
        let scene = self.scene.clone();
        let data = packet::strings([scene.hello.as_bytes()]);
        let mut macros = Vec::new();
        if let Some((version, cipher)) = &scene.tls {
            macros.push(("{tls_version}", version.as_str()));
            macros.push(("{cipher}", cipher.as_str()));
        }
        self.step(b'H', &data, &macros, NO_HELO, NO_REPLY_HELO)
            .await
    }

    /// MAIL; `path` without angle brackets.
    pub(super) async fn mail(&mut self, path: &str, scene: &Scene) -> Result<Answer, Error> {
        let bracketed = format!("<{path}>");
        let mut macros = vec![("{mail_addr}", path)];
        if let Some(user) = &scene.user {
            macros.push(("{auth_authen}", user.as_str()));
            macros.push(("{auth_type}", "SASL"));
        }
        let data = packet::strings([bracketed.as_bytes()]);
        self.step(b'M', &data, &macros, NO_MAIL, NO_REPLY_MAIL)
            .await
    }

    /// RCPT; `path` without angle brackets.
    pub(super) async fn recipient(&mut self, path: &str) -> Result<Answer, Error> {
        let bracketed = format!("<{path}>");
        let data = packet::strings([bracketed.as_bytes()]);
        let macros = [("{rcpt_addr}", path)];
        self.step(b'R', &data, &macros, NO_RCPT, NO_REPLY_RCPT)
            .await
    }

    /// The whole message, and what is to be changed in it.
    pub(super) async fn message(
        &mut self,
        message: &[u8],
        id: &str,
    ) -> Result<(Answer, Vec<Edit>), Error> {
        let end = crate::pipeline::header_end(message);
        let answer = self
            .step(b'T', &[], &[("i", id)], NO_DATA, NO_REPLY_DATA)
            .await?;
        if answer != Answer::Continue {
            return Ok((answer, Vec::new()));
        }
        for field in mime::header::fields(message, 0..end) {
            let data = packet::strings([field.name(), &value(&field, self.flags)]);
            let answer = self
                .step(b'L', &data, &[], NO_HEADERS, NO_REPLY_HEADER)
                .await?;
            if answer != Answer::Continue {
                return Ok((answer, Vec::new()));
            }
        }
        let answer = self.step(b'N', &[], &[], NO_EOH, NO_REPLY_EOH).await?;
        if answer != Answer::Continue {
            return Ok((answer, Vec::new()));
        }
        for chunk in message.get(end..).unwrap_or_default().chunks(CHUNK) {
            if self.flags & NO_BODY != 0 {
                break;
            }
            match self.chunk(chunk).await? {
                Some(Answer::Continue) => {}
                // It has seen enough of the body.
                None => break,
                Some(answer) => return Ok((answer, Vec::new())),
            }
        }
        self.end(id).await
    }

    /// A piece of the body; `None` when the rest may be left out.
    async fn chunk(&mut self, chunk: &[u8]) -> Result<Option<Answer>, Error> {
        let mut out = Vec::with_capacity(chunk.len().saturating_add(5));
        packet::put(&mut out, b'B', chunk);
        if self.flags & NO_REPLY_BODY != 0 {
            self.write(&out).await?;
            return Ok(Some(Answer::Continue));
        }
        let reply = self.ask(&out).await?;
        if reply.command == b's' {
            return Ok(None);
        }
        answer(&reply).map(Some)
    }

    async fn end(&mut self, id: &str) -> Result<(Answer, Vec<Edit>), Error> {
        let mut out = Vec::new();
        macros(&mut out, b'E', &[("i", id)]);
        packet::put(&mut out, b'E', &[]);
        let limit = self.body_limit;
        let deadline = self.timeout;
        let talk = async {
            self.wire.write(&out).await?;
            let (mut edits, mut body) = (Vec::new(), 0_u64);
            loop {
                let packet = self.wire.read().await?;
                if packet.command == b'p' {
                    continue;
                }
                let Some(edit) = edit(&packet)? else {
                    return Ok((answer(&packet)?, edits));
                };
                if let Edit::Body(octets) = &edit {
                    body = body.saturating_add(octets.len() as u64);
                }
                if edits.len() >= EDITS || body > limit {
                    return Err(Error::Malformed("it changes more than it may"));
                }
                edits.push(edit);
            }
        };
        tokio::time::timeout(deadline, talk)
            .await
            .map_err(|_| Error::TimedOut(deadline))?
    }

    /// The transaction is over.
    pub(super) async fn abort(&mut self) -> Result<(), Error> {
        let mut out = Vec::new();
        packet::put(&mut out, b'A', &[]);
        self.write(&out).await
    }

    /// One step with its macros, left out where the milter wants it so.
    async fn step(
        &mut self,
        command: u8,
        data: &[u8],
        known: &[(&str, &str)],
        left_out: u32,
        no_reply: u32,
    ) -> Result<Answer, Error> {
        if self.flags & left_out != 0 {
            return Ok(Answer::Continue);
        }
        let mut out = Vec::new();
        if !known.is_empty() {
            macros(&mut out, command, known);
        }
        packet::put(&mut out, command, data);
        if self.flags & no_reply != 0 {
            self.write(&out).await?;
            return Ok(Answer::Continue);
        }
        let reply = self.ask(&out).await?;
        answer(&reply)
    }

    async fn say(&mut self, command: u8, data: &[u8]) -> Result<Packet, Error> {
        let mut out = Vec::new();
        packet::put(&mut out, command, data);
        self.ask(&out).await
    }

    async fn ask(&mut self, octets: &[u8]) -> Result<Packet, Error> {
        let timeout = self.timeout;
        let talk = async {
            self.wire.write(octets).await?;
            loop {
                let packet = self.wire.read().await?;
                if packet.command != b'p' {
                    return Ok(packet);
                }
            }
        };
        tokio::time::timeout(timeout, talk)
            .await
            .map_err(|_| Error::TimedOut(timeout))?
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, self.wire.write(octets))
            .await
            .map_err(|_| Error::TimedOut(timeout))?
    }
}

fn address(data: &mut Vec<u8>, family: u8, port: u16, text: &str) {
    data.push(family);
    data.extend_from_slice(&port.to_be_bytes());
    data.extend_from_slice(&packet::strings([text.as_bytes()]));
}

fn macros(out: &mut Vec<u8>, command: u8, known: &[(&str, &str)]) {
    let mut data = vec![command];
    let texts = known
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    data.extend_from_slice(&packet::strings(texts));
    packet::put(out, b'D', &data);
}

/// A field's value as milters get it: lines end with LF, the space behind the colon only where it was asked for.
fn value(field: &mime::Field<'_>, flags: u32) -> Vec<u8> {
    let raw = field.raw();
    let colon = raw
        .iter()
        .position(|octet| *octet == b':')
        .map_or(raw.len(), |at| at.saturating_add(1));
    let value = raw.get(colon..).unwrap_or_default();
    let value = value.strip_suffix(b"\r\n").unwrap_or(value);
    let value = match flags & LEADING_SPACE {
        0 => value.trim_ascii_start(),
        _ => value,
    };
    value
        .iter()
        .copied()
        .filter(|octet| *octet != b'\r')
        .collect()
}

/// A change asked for at the end of a message; `None` for what ends the step.
fn edit(packet: &Packet) -> Result<Option<Edit>, Error> {
    let malformed = || Error::Malformed("a change");
    let pair = |data: &[u8]| match packet::split(data).as_slice() {
        [name, value] => Ok((name.to_vec(), value.to_vec())),
        [name] => Ok((name.to_vec(), Vec::new())),
        _ => Err(malformed()),
    };
    let indexed = || {
        let (index, rest) = packet.data.split_at_checked(4).ok_or_else(malformed)?;
        let index = u32::from_be_bytes(index.try_into().map_err(|_| malformed())?);
        let (name, value) = pair(rest)?;
        Ok::<_, Error>((usize::try_from(index).unwrap_or(usize::MAX), name, value))
    };
    Ok(Some(match packet.command {
        b'h' => {
            let (name, value) = pair(&packet.data)?;
            Edit::Append(name, value)
        }
        b'i' => {
            let (index, name, value) = indexed()?;
            Edit::Insert(index, name, value)
        }
        b'm' => {
            let (index, name, value) = indexed()?;
            Edit::Change(index, name, value)
        }
        b'b' => Edit::Body(packet.data.clone()),
        b'q' => Edit::Quarantine(words(&packet.data)),
        // Changes of the envelope, which were not offered.
        b'+' | b'2' | b'-' | b'e' => return Err(malformed()),
        _ => return Ok(None),
    }))
}

/// What ends a step.
fn answer(packet: &Packet) -> Result<Answer, Error> {
    Ok(match packet.command {
        b'c' | b's' => Answer::Continue,
        b'a' => Answer::Enough(Last::Accept),
        b'd' => Answer::Enough(Last::Discard),
        b'r' => Answer::Refuse(REFUSED),
        b't' => {
            Answer::Refuse(UNAVAILABLE.with_text("A filter of this server asks to try again later"))
        }
        b'y' => Answer::Refuse(reply(&packet.data).ok_or(Error::Malformed("a reply"))?),
        b'4' | b'f' => Answer::Refuse(Reply::new(
            421,
            Enhanced(4, 7, 1),
            "A filter of this server closes",
        )),
        _ => return Err(Error::Malformed("an unknown answer")),
    })
}

/// `550 5.7.1 text`, with lines `550-5.7.1 text` before it. Only refusals are believed.
fn reply(data: &[u8]) -> Option<Reply> {
    let text = words(data);
    let mut lines = Vec::new();
    let (mut code, mut enhanced) = (0, None);
    for line in text
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (number, rest) = line.split_at_checked(3)?;
        code = number.parse().ok()?;
        let rest = rest.trim_start_matches(['-', ' ']);
        let (first, words) = rest.split_once(' ').unwrap_or((rest, ""));
        match status(first) {
            Some(found) => {
                enhanced = Some(found);
                lines.push(words.to_owned());
            }
            None => lines.push(rest.to_owned()),
        }
    }
    let class = match code {
        400..500 => 4,
        500..600 => 5,
        _ => return None,
    };
    let enhanced = enhanced
        .filter(|Enhanced(found, ..)| *found == class)
        .unwrap_or(Enhanced(class, 7, 1));
    Some(Reply::new(code, enhanced, "").with_text(lines.join("\n")))
}

fn status(text: &str) -> Option<Enhanced> {
    let mut parts = text.split('.');
    let class = parts.next()?.parse().ok()?;
    let subject = parts.next()?.parse().ok()?;
    let detail = parts.next()?.parse().ok()?;
    (parts.next().is_none() && subject < 1_000 && detail < 1_000)
        .then_some(Enhanced(class, subject, detail))
}

/// Text of a milter, fit for a reply and a log.
fn words(data: &[u8]) -> String {
    let end = data.iter().position(|octet| *octet == 0);
    let text = String::from_utf8_lossy(data.get(..end.unwrap_or(data.len())).unwrap_or_default());
    text.replace('\r', "")
        .chars()
        .filter(|character| *character == '\n' || !character.is_control())
        .take(1_000)
        .collect()
}
