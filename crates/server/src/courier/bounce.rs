//! Notifications: what a sender is told about his message (RFC 3461, RFC 3464, RFC 6522, RFC 6533).
//!
//! A notification has the null reverse-path, and is never sent about a message that has it too, so that two servers never
//! tell each other about their notifications. It is placed in the transaction that settles what it tells: into the
//! mailbox of a sender here, or into the queue.
//!
//! Limits: [`FULL`], [`FULL_UNASKED`], [`SUBJECT`].

use std::fmt::Write as _;

use mime::write::build::{Builder, PartBuilder, Transport};
use mime::write::header;
use mime::{DateTime, Message};
use smtp::parameters::Original;
use store::{
    BodyKind, BodyMeta, Content, Delivery, Error, Flags, NewRecipient, NotifyOn, QueuedEnvelope,
    Recipient, Resolution, Ret, Target, Timestamp, Tx,
};

use super::destination_of;
use crate::shared::Shared;
use crate::{pipeline, sign};

/// Octets of a message that goes back whole when its sender asked for that, and when he said nothing.
const FULL: usize = 10 << 20;
const FULL_UNASKED: usize = 64 << 10;

/// Characters of the message's subject that are repeated.
const SUBJECT: usize = 150;

/// Octets of a line of the machine-readable part: RFC 5322 §2.1.1 allows 998.
const LINE: usize = 900;

/// What happened (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It will not be delivered.
    Failed,
    /// It is still tried.
    Delayed,
    /// It lies in the mailbox.
    Delivered,
    /// It was passed on to where nobody tells.
    Relayed,
    /// It was passed on to several.
    Expanded,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }

    /// Those that are told together.
    fn group(self) -> Group {
        match self {
            Action::Failed => Group::Failure,
            Action::Delayed => Group::Delay,
            Action::Delivered | Action::Relayed | Action::Expanded => Group::Success,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Failure,
    Delay,
    Success,
}

/// What is told about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The recipient.
    pub address: String,
    /// As the sender wrote it, with the type of the address.
    pub original: Option<String>,
    /// What happened.
    pub action: Action,
    /// Enhanced status code (RFC 3463).
    pub status: String,
    /// Who said so.
    pub peer: Option<String>,
    /// What he said.
    pub reply: Option<String>,
    /// What we say.
    pub why: String,
    /// When it was tried last.
    pub at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Until when it is tried.
    pub retry_until: Option<Timestamp>,
}

/// A notification that can be placed.
pub struct Report {
    to: String,
    content: Content,
    envelope: QueuedEnvelope,
    now: Timestamp,
}

/// Makes the notifications that tell all this, their octets in the pack already. None when there is nobody to tell.
pub async fn prepare(
    shared: &Shared,
    envelope: &QueuedEnvelope,
    message: &[u8],
    told: &[Told],
) -> store::Result<Vec<Report>> {
    let Some(to) = envelope.notified().filter(|_| !told.is_empty()) else {
        for told in told.iter().filter(|told| told.action == Action::Failed) {
            tracing::warn!(
                id = envelope.trace_id, to = ?told.address, status = told.status, why = ?told.why,
                "a message that nobody can be told about was not delivered"
            );
        }
        return Ok(Vec::new());
    };
    let mut reports = Vec::new();
    for group in [Group::Failure, Group::Delay, Group::Success] {
        let told: Vec<&Told> = told
            .iter()
            .filter(|told| told.action.group() == group)
            .collect();
        if !told.is_empty() {
            reports.push(one(shared, envelope, message, group, &told, to).await?);
        }
    }
    Ok(reports)
}

async fn one(
    shared: &Shared,
    about: &QueuedEnvelope,
    message: &[u8],
    group: Group,
    told: &[&Told],
    to: &str,
) -> store::Result<Report> {
    let config = shared.config();
    let now = shared.timestamp();
    let id = pipeline::new_id(shared);
    let domain = own_domain(shared, to)?;
    let notice = Notice {
        hostname: &config.hostname,
        domain: &domain,
        id: &id,
        now,
        about,
        message,
        group,
        told,
        to,
    };
    let octets = notice.octets();
    let eight = !octets.is_ascii();
    let signature = sign::dkim(shared, &domain, &octets);
    let top = format!("Return-Path: <>\r\n{signature}");
    let meta = BodyMeta {
        accounts: Vec::new(),
        received: now,
        reverse_path: String::new(),
        recipients: vec![to.to_owned()],
    };
    let content = shared
        .db
        .ingest(meta, vec![top.into_bytes(), octets])
        .await?;
    let (expires, _) = config.queue.times(now);
    tracing::info!(id, about = about.trace_id, ?to, kind = ?group, "notification");
    let envelope = QueuedEnvelope {
        reverse_path: String::new(),
        report_to: None,
        envid: None,
        ret: None,
        body: if eight {
            BodyKind::EightBit
        } else {
            BodyKind::SevenBit
        },
        smtputf8: !to.is_ascii() || notice.is_global(),
        // RFC 8689 §5: protected like the message.
        require_tls: about.require_tls,
        tls_optional: about.tls_optional,
        priority: about.priority,
        deliver_by: None,
        release_at: now,
        submitter: None,
        auth: Some(String::new()),
        trace_id: id,
        received: now,
        warn_at: expires,
        expires,
    };
    Ok(Report {
        to: to.to_owned(),
        content,
        envelope,
        now,
    })
}

/// A message of our own that expects no answer: a report to another server, signed by `domain`. It goes out under the
/// null path, so that nothing comes back.
pub async fn letter(
    shared: &Shared,
    domain: &str,
    to: &str,
    octets: Vec<u8>,
    tls_optional: bool,
) -> store::Result<Report> {
    let now = shared.timestamp();
    let id = pipeline::new_id(shared);
    let signature = sign::dkim(shared, domain, &octets);
    let top = format!("Return-Path: <>\r\n{signature}");
    let meta = BodyMeta {
        accounts: Vec::new(),
        received: now,
        reverse_path: String::new(),
        recipients: vec![to.to_owned()],
    };
    let content = shared
        .db
        .ingest(meta, vec![top.into_bytes(), octets])
        .await?;
    let (expires, _) = shared.config().queue.times(now);
    let envelope = QueuedEnvelope {
        reverse_path: String::new(),
        report_to: None,
        envid: None,
        ret: None,
        body: BodyKind::SevenBit,
        smtputf8: !to.is_ascii(),
        require_tls: false,
        tls_optional,
        // Letters of people go first.
        priority: -2,
        deliver_by: None,
        release_at: now,
        submitter: None,
        auth: Some(String::new()),
        trace_id: id,
        received: now,
        warn_at: expires,
        expires,
    };
    Ok(Report {
        to: to.to_owned(),
        content,
        envelope,
        now,
    })
}

/// The domain a notification comes from: the reader's own, or that of this server.
fn own_domain(shared: &Shared, to: &str) -> store::Result<String> {
    let host = shared.config().hostname.clone();
    shared.db.glance(|snapshot| {
        let of_reader = to.rsplit_once('@').map_or("", |(_, domain)| domain);
        if let Ok(Some(domain)) = snapshot.domain(of_reader) {
            return Ok(domain.name);
        }
        Ok(pipeline::route::own_domain(snapshot, &host)?.unwrap_or(host))
    })
}

impl Report {
    /// Puts it into the mailboxes of its reader, or into the queue, where it also waits for room in a mailbox that is full.
    /// Who cannot be reached is not told; nobody is told of that.
    pub fn place(&self, tx: &mut Tx<'_>) -> store::Result<()> {
        let (accounts, remote) = match tx.resolve(&self.to) {
            Ok(Resolution::Local { accounts, remote }) => (accounts, remote),
            Ok(Resolution::Remote) => (Vec::new(), vec![self.to.clone()]),
            Ok(Resolution::Unknown) | Err(Error::Limit(_)) => {
                // The store's limits of addresses are narrower than those of others.
                match is_own(tx, &self.to)? {
                    true => (Vec::new(), Vec::new()),
                    false => (Vec::new(), vec![self.to.clone()]),
                }
            }
            Err(error) => return Err(error),
        };
        let mut remote: Vec<NewRecipient> = remote.into_iter().filter_map(recipient).collect();
        if accounts.is_empty() && remote.is_empty() {
            tracing::warn!(id = self.envelope.trace_id, to = ?self.to, "there is nobody to notify");
        }
        if !accounts.is_empty() {
            let delivery = Delivery {
                content: self.content.clone(),
                received: self.now,
                recipients: accounts
                    .iter()
                    .map(|resolved| Recipient {
                        account: resolved.account,
                        target: Target::Inbox,
                        flags: Flags::NONE,
                    })
                    .collect(),
            };
            let outcomes = tx.deliver(&delivery)?;
            for (resolved, outcome) in accounts.iter().zip(outcomes) {
                let Err(error) = outcome else {
                    continue;
                };
                let waiting = match error {
                    // By the account's own address: the others of an alias have theirs.
                    Error::OverQuota => tx.account_by_id(resolved.account)?,
                    _ => None,
                };
                match waiting.and_then(|account| recipient(account.address)) {
                    Some(account) => remote.push(account),
                    None => tracing::warn!(
                        id = self.envelope.trace_id, to = ?self.to, %error,
                        "a notification was not delivered"
                    ),
                }
            }
        }
        if !remote.is_empty() {
            tx.enqueue(&self.content, &self.envelope, &remote)?;
        }
        Ok(())
    }
}

fn recipient(address: String) -> Option<NewRecipient> {
    Some(NewRecipient {
        domain: destination_of(&address)?,
        address,
        original: None,
        notify: NotifyOn::NEVER,
        rrvs: None,
    })
}

fn is_own(tx: &Tx<'_>, address: &str) -> store::Result<bool> {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    match tx.domain(domain) {
        Ok(found) => Ok(found.is_some()),
        Err(Error::Invalid(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A notification to be written.
struct Notice<'a> {
    hostname: &'a str,
    domain: &'a str,
    id: &'a str,
    now: Timestamp,
    about: &'a QueuedEnvelope,
    message: &'a [u8],
    group: Group,
    told: &'a [&'a Told],
    to: &'a str,
}

impl Notice<'_> {
    fn octets(&self) -> Vec<u8> {
        let message = Message::parse(self.message);
        let root = message.root();
        let subject = root
            .field(mime::Name::Subject)
            .map(|field| field.text().into_owned())
            .unwrap_or_default();
        let subject: String = subject.chars().take(SUBJECT).collect();
        let begin = match self.group {
            Group::Failure => "Not delivered",
            Group::Delay => "Delayed",
            Group::Success => "Delivered",
        };
        let subject = match subject.trim() {
            "" => format!("{begin}: your message"),
            subject => format!("{begin}: {subject}"),
        };
        let mut builder = Builder::new()
            .from(
                "Mail Delivery System",
                &format!("postmaster@{}", self.domain),
            )
            .to("", self.to)
            .subject(&subject)
            .date(DateTime::from_timestamp(self.now, 0))
            .message_id(&format!("{}@{}", self.id, self.hostname))
            // RFC 3834 §5
            .raw_field("Auto-Submitted: auto-replied");
        let ids = root
            .field(mime::Name::MessageId)
            .map(|field| field.ids())
            .unwrap_or_default();
        if let Some(id) = ids.into_iter().next() {
            builder = builder.in_reply_to(&id).references([id.as_ref()]);
        }
        let status = match self.is_global() {
            true => "message/global-delivery-status",
            false => "message/delivery-status",
        };
        let mut parts = vec![
            PartBuilder::text(self.text()),
            PartBuilder::raw(status, self.status()),
        ];
        parts.extend(self.returned(&root));
        let report =
            PartBuilder::multipart("report", parts).param("report-type", "delivery-status");
        let transport = match self.message.is_ascii() {
            true => Transport::SevenBit,
            false => Transport::EightBit,
        };
        builder.body(report).transport(transport).to_vec()
    }

    /// RFC 6533 §4: with addresses that only SMTPUTF8 carries, to a sender who uses it.
    fn is_global(&self) -> bool {
        self.about.smtputf8 && self.told.iter().any(|told| !told.address.is_ascii())
    }

    /// What of the message goes back (RFC 3461 §4.3, §6.2).
    fn returned(&self, root: &mime::Part<'_>) -> Option<PartBuilder> {
        if self.message.is_empty() {
            return None;
        }
        let limit = match (self.group, self.about.ret) {
            // RFC 8689 §5, and nobody sends much to somebody whom we do not know.
            _ if self.about.require_tls || self.about.report_to.is_some() => 0,
            (Group::Failure, Some(Ret::Full)) => FULL,
            (Group::Failure, None) => FULL_UNASKED,
            _ => 0,
        };
        let header = self
            .message
            .get(root.header_range())
            .unwrap_or_default()
            .to_vec();
        let utf8 = !header.is_ascii();
        // Lines that no transport but BINARYMIME carries stay here.
        let binary =
            self.about.body == BodyKind::Binary || memchr::memchr(0, self.message).is_some();
        if self.message.len() <= limit && !binary {
            return Some(match utf8 {
                true => PartBuilder::raw("message/global", self.message),
                false => PartBuilder::message(self.message),
            });
        }
        Some(PartBuilder::raw(
            match utf8 {
                true => "message/global-headers",
                false => "text/rfc822-headers",
            },
            header,
        ))
    }

    /// The part for people.
    fn text(&self) -> String {
        let mut text = format!("This is the mail server {}.\n\n", self.hostname);
        let received = DateTime::from_timestamp(self.about.received, 0);
        let begin = match self.group {
            Group::Failure => "Your message of {} could not be delivered to:\n",
            Group::Delay => "Your message of {} has not been delivered yet to:\n",
            Group::Success => "Your message of {} has reached:\n",
        };
        text.push_str(&begin.replace("{}", &received.to_string()));
        for told in self.told {
            self.about_one(told, &mut text);
        }
        text.push_str(match self.group {
            Group::Failure => "\nIt is not tried any more. The part below the next one has what you sent, or its header.\n",
            Group::Delay => "\nYou need not do anything: it is tried again by itself.\n",
            Group::Success => "",
        });
        text
    }

    fn about_one(&self, told: &Told, text: &mut String) {
        let _ = write!(text, "\n  <{}>", clean(&told.address));
        let wrote = told
            .original
            .as_deref()
            .and_then(|original| original.split_once(';'))
            .map(|(_, address)| clean(address))
            .filter(|address| !address.eq_ignore_ascii_case(&told.address));
        if let Some(wrote) = wrote {
            let _ = write!(text, " (you wrote to {wrote})");
        }
        text.push('\n');
        let last = DateTime::from_timestamp(told.at, 0);
        let times = |n: u32| match n {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        let what = match told.action {
            Action::Delivered => "It is in the mailbox.".to_owned(),
            Action::Relayed => {
                "It was passed on to a server that does not tell what becomes of it.".to_owned()
            }
            Action::Expanded => "It was passed on to all that this address stands for.".to_owned(),
            Action::Failed if told.attempts > 1 => format!(
                "{}; tried {} until {last}.",
                upper(words(&told.status, &told.why)),
                times(told.attempts)
            ),
            Action::Failed => format!("{}.", upper(words(&told.status, &told.why))),
            Action::Delayed if told.attempts == 0 => {
                format!("{}.", upper(words(&told.status, &told.why)))
            }
            Action::Delayed => format!(
                "{}; tried {} so far, at last {last}.",
                upper(words(&told.status, &told.why)),
                times(told.attempts)
            ),
        };
        let _ = writeln!(text, "    {what}");
        if let Some(until) = told.retry_until {
            let until = DateTime::from_timestamp(until, 0);
            let _ = writeln!(text, "    It is tried until {until}.");
        }
        if !matches!(told.action, Action::Failed | Action::Delayed) {
            return;
        }
        match (&told.reply, &told.peer) {
            (Some(reply), Some(peer)) => {
                let _ = writeln!(text, "    {} said: {}", clean(peer), clean(reply));
            }
            (Some(reply), None) => {
                let _ = writeln!(text, "    The other server said: {}", clean(reply));
            }
            (None, Some(peer)) => {
                let _ = writeln!(text, "    {}: {}", clean(peer), clean(&told.why));
            }
            (None, None) => {
                let _ = writeln!(text, "    ({})", clean(&told.why));
            }
        }
    }

    /// The part for programs (RFC 3464 §2).
    fn status(&self) -> Vec<u8> {
        let global = self.is_global();
        let mut out = String::new();
        // RFC 3464 §2.2.1: as the sender gave it, octet by octet.
        if let Some(envid) = &self.about.envid {
            field("Original-Envelope-Id", envid, &mut out);
        }
        field(
            "Reporting-MTA",
            &format!("dns; {}", self.hostname),
            &mut out,
        );
        let date = |at: Timestamp| DateTime::from_timestamp(at, 0).to_string();
        field("Arrival-Date", &date(self.about.received), &mut out);
        if let Some(by) = self.about.deliver_by {
            // RFC 2852 §5
            field("Deliver-By-Date", &date(by.at), &mut out);
        }
        for told in self.told {
            out.push_str("\r\n");
            if let Some(original) = &told.original {
                field(
                    "Original-Recipient",
                    &original_of(original, global),
                    &mut out,
                );
            }
            field("Final-Recipient", &typed(&told.address, global), &mut out);
            field("Action", told.action.name(), &mut out);
            field("Status", &told.status, &mut out);
            if let Some(peer) = &told.peer {
                field("Remote-MTA", &format!("dns; {peer}"), &mut out);
            }
            if let Some(reply) = &told.reply {
                // RFC 3464 §2.3.6, in ASCII unless the part is not.
                let reply = match global {
                    true => clean(reply),
                    false => ascii(reply),
                };
                field("Diagnostic-Code", &format!("smtp; {reply}"), &mut out);
            }
            if told.attempts > 0 {
                field("Last-Attempt-Date", &date(told.at), &mut out);
            }
            if let Some(until) = told.retry_until.filter(|_| told.action == Action::Delayed) {
                field("Will-Retry-Until", &date(until), &mut out);
            }
        }
        out.into_bytes()
    }
}

/// One field. Short values stay as they are; long ones are folded, which only diagnostics ever are.
fn field(name: &str, value: &str, out: &mut String) {
    let value = clean(value);
    if value.len() < LINE {
        let _ = write!(out, "{name}: {value}\r\n");
    } else {
        out.push_str(&header::words(name, value.split_whitespace()));
    }
}

/// RFC 3464 §2.3.2, RFC 6533 §3.
fn typed(address: &str, global: bool) -> String {
    if address.is_ascii() {
        return format!("rfc822; {address}");
    }
    original_of(&format!("utf-8;{address}"), global)
}

/// As the sender gave it; what is not ASCII is escaped where the part is (RFC 6533 §3).
fn original_of(original: &str, global: bool) -> String {
    if original.is_ascii() {
        return original.to_owned();
    }
    match Original::from_text(original) {
        Some(parsed) => parsed.encode(global),
        None => ascii(original),
    }
}

/// Without controls, so that nothing looks like another line.
fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                letter
            }
        })
        .collect()
}

fn ascii(text: &str) -> String {
    clean(text)
        .chars()
        .map(|letter| if letter.is_ascii() { letter } else { '?' })
        .collect()
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

/// What an enhanced status code means (RFC 3463 §3), for people. Where it says nothing, our own words do.
fn words<'a>(status: &str, why: &'a str) -> &'a str {
    let (_, detail) = status.split_once('.').unwrap_or_default();
    match detail {
        "1.0" | "1.1" | "1.6" => "there is no such mailbox",
        "1.2" => "there is no such domain, or it has no mail server",
        "1.3" | "1.5" => "the address is not a valid one",
        "1.4" => "the address is not unique there",
        "1.7" | "1.8" => "the other server does not accept your address as sender",
        "1.10" => "the domain says that it takes no mail",
        "2.1" => "the mailbox is disabled",
        "2.2" => "the mailbox is full",
        "2.3" | "3.4" => "the message is too large",
        "2.0" | "2.4" => "there is a problem with the mailbox",
        "3.1" => "the other server has no space left",
        "3.2" | "3.5" => "the other server is not ready for mail",
        "4.1" => "the other server does not answer",
        "4.2" => "the connection to the other server broke",
        "4.3" => "the address of the other server could not be found at the moment",
        "4.4" => "there is no way to the other server",
        "4.5" => "the other server is overloaded",
        "4.6" => "the message goes round in circles",
        "4.7" => "it could not be delivered in time",
        "5.3" => "there are too many recipients",
        "6.1" | "6.3" | "6.5" => "the other server cannot take this kind of message",
        "6.7" | "6.9" => "the address or the message needs a server that knows international mail",
        "7.1" | "7.2" | "7.0" => "the other server refuses it",
        "7.10" | "7.11" | "7.30" => "it could not be sent safely, as was asked",
        _ => why,
    }
}
