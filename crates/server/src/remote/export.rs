//! An account carried to another server over IMAP, as often as wanted: each run adds what is missing there.
//!
//! Nothing is remembered of a run: what is there is asked for each time, and a message is there that has the Message-ID and
//! the date of ours, or where it has no Message-ID, size and date. So a run that was cut off anywhere, in the middle of an
//! APPEND as well, is followed by one that adds neither too little nor too much.

use std::collections::HashMap;

use imap::{
    Append, AppendPart, Capability, Command, DateTime, FetchAttribute, FetchModifiers, Fetched,
    Flag, MailboxName, NewMessage, Section, SectionText, Status, Store, StoreAction, Untagged,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{Flags, SpecialUse};

use super::client::{Imap, Lost, refused};
use super::connect::Login;
use super::import::{everything, mailbox::ours, rows, set};
use super::names::{self, Listed};
use super::{Door, Error, MESSAGES, MailboxReport, Report, Watch, shown};
use crate::manage::{Answer, Request};

/// Messages in one APPEND (RFC 3502).
const TOGETHER: usize = 50;

/// Their octets: those of one APPEND are in memory.
const TOGETHER_OCTETS: u64 = 4 << 20;

/// Messages of our own listed at once.
const PAGE: usize = 1000;

/// Octets of a header field with a Message-ID and what stands around it; the largest answer we ask for.
const ANSWER: u64 = 1 << 20;

/// Octets of the keywords of all messages in a mailbox there.
const KEYWORDS: usize = 256 << 20;

/// A mailbox of ours.
#[derive(Debug, Clone)]
struct Ours {
    name: String,
    special_use: Option<SpecialUse>,
    subscribed: bool,
}

/// A message of ours.
#[derive(Debug, Clone)]
struct Mine {
    uid: u32,
    flags: Flags,
    keywords: Vec<String>,
    received: i64,
    size: u64,
}

/// A message there.
#[derive(Debug, Clone)]
struct Theirs {
    uid: u32,
    size: u64,
    flags: Flags,
    keywords: Vec<String>,
}

/// What is there, by the key that [`key`] makes, and the dates there are.
#[derive(Default)]
struct There {
    messages: HashMap<u128, Vec<Theirs>>,
    dates: std::collections::HashSet<i64>,
}

struct Run<'a> {
    door: &'a mut dyn Door,
    watch: &'a mut dyn Watch,
    account: String,
    imap: Imap,
    prefix: String,
    delimiter: Option<char>,
    listed: Vec<Listed>,
    lost: Lost,
    report: Report,
}

/// Carries an account there.
pub async fn export(
    door: &mut dyn Door,
    login: &Login,
    account: &str,
    watch: &mut dyn Watch,
) -> Result<Report, Error> {
    let mut imap = Imap::open(login, ANSWER).await?;
    let (prefix, _) = imap.namespace().await?;
    let listed = imap.list().await?;
    let delimiter = listed.iter().find_map(|one| one.delimiter);
    let mut run = Run {
        door,
        watch,
        account: account.to_owned(),
        imap,
        prefix,
        delimiter,
        listed,
        lost: Lost::default(),
        report: Report::default(),
    };
    for ours in run.ours()? {
        if login
            .address
            .mailbox
            .as_ref()
            .is_some_and(|wanted| !is_within(&ours.name, wanted))
        {
            continue;
        }
        let mut report = MailboxReport::default();
        loop {
            match run.mailbox(&ours, &mut report).await {
                Ok(()) => break,
                Err(error @ Error::Refused { .. }) => {
                    run.leave_out(format!("{}: {error}", ours.name));
                    break;
                }
                Err(error) if error.is_broken() => {
                    run.imap = run.lost.reopen(login, ANSWER, error, run.watch).await?;
                }
                Err(error) => return Err(error),
            }
        }
        run.report.mailboxes.push(report);
    }
    run.imap.quit().await;
    Ok(run.report)
}

fn is_within(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What makes a message the same as another, in 128 bits of SHA-256: senders choose Message-IDs, and none shall be able to
/// make two messages look like one.
fn key(message_id: &str, received: i64, size: u64) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update(received.to_be_bytes());
    match message_id.is_empty() {
        true => hasher.update(size.to_be_bytes()),
        false => hasher.update(message_id),
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let (half, _) = digest.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    u128::from_be_bytes(*half)
}

/// The Message-ID of a header, without what is folded around it.
fn message_id(octets: &[u8]) -> String {
    let end = super::header_end(octets);
    let field = mime::header::fields(octets, 0..end).find(|field| field.is("Message-ID"));
    let text = field.map(|field| String::from_utf8_lossy(field.value()).into_owned());
    text.unwrap_or_default().split_whitespace().collect()
}

fn flags(flags: Flags, keywords: &[String]) -> Vec<Flag> {
    let system = [
        (Flags::SEEN, Flag::Seen),
        (Flags::ANSWERED, Flag::Answered),
        (Flags::FLAGGED, Flag::Flagged),
        (Flags::DELETED, Flag::Deleted),
        (Flags::DRAFT, Flag::Draft),
    ];
    let set = system
        .into_iter()
        .filter(|(bit, _)| flags.contains(*bit))
        .map(|(_, flag)| flag);
    set.chain(keywords.iter().cloned().map(Flag::Keyword))
        .collect()
}

impl Run<'_> {
    fn leave_out(&mut self, what: String) {
        super::leave_out(&mut self.report.left_out, self.watch, what);
    }

    fn ours(&mut self) -> Result<Vec<Ours>, Error> {
        let answer = self.door.ask(Request::MailboxList {
            address: self.account.clone(),
        })?;
        let ours = rows(&answer).filter_map(|row| {
            Some(Ours {
                name: row.get("name")?.as_str()?.to_owned(),
                special_use: row
                    .get("special_use")
                    .and_then(Value::as_str)
                    .and_then(SpecialUse::from_name),
                subscribed: row
                    .get("subscribed")
                    .and_then(Value::as_bool)
                    .unwrap_or(false),
            })
        });
        Ok(ours.collect())
    }

    /// What a mailbox of ours is called there; whether it is there.
    fn name_there(&self, ours: &Ours) -> Result<(MailboxName, bool), Error> {
        if let Some(special_use) = ours.special_use
            && let Some(at) = names::uses(&self.listed, &self.prefix)
                .iter()
                .position(|found| *found == Some(special_use))
            && let Some(listed) = self.listed.get(at)
        {
            return Ok((listed.name.clone(), true));
        }
        // Where all are below INBOX anyway, what is below it here is there as well.
        let within = match self.prefix.is_empty() {
            true => ours.name.as_str(),
            false => ours.name.strip_prefix("INBOX/").unwrap_or(&ours.name),
        };
        let levels = within.split('/').map(|level| match self.delimiter {
            Some(delimiter) if delimiter != '/' => level.replace(delimiter, "_"),
            _ => level.to_owned(),
        });
        let parts: Vec<String> = levels.collect();
        let joined = parts.join(&self.delimiter.unwrap_or('_').to_string());
        let name = match ours.name == "INBOX" {
            true => joined,
            false => format!("{}{joined}", self.prefix),
        };
        let name = MailboxName::new(&name).map_err(|error| Error::Refused {
            what: "CREATE",
            reply: error.to_string(),
        })?;
        let there = name.is_inbox()
            || self
                .listed
                .iter()
                .any(|listed| listed.selectable && listed.name == name);
        Ok((name, there))
    }

    async fn mailbox(&mut self, ours: &Ours, report: &mut MailboxReport) -> Result<(), Error> {
        let (name, there) = self.name_there(ours)?;
        report.here.clone_from(&ours.name);
        report.there = name.as_str().to_owned();
        report.differs.clear();
        if !there {
            self.create(ours, &name).await?;
        }
        if ours.subscribed {
            self.imap
                .run(&Command::Subscribe(name.clone()), |_| Ok(()))
                .await?;
        }
        let selected = self.imap.select(&name, false).await?;
        let mut found = self.look(selected.exists).await?;
        let missing = self.compare(ours, &mut found, true, report).await?;
        self.watch.expect(missing.len() as u64);
        self.carry(&name, ours, missing, report).await?;
        // What is there now, as its server tells it.
        let selected = self.imap.select(&name, false).await?;
        let mut found = self.look(selected.exists).await?;
        let missing = self.compare(ours, &mut found, false, report).await?;
        if !missing.is_empty() {
            report.differs.push(format!(
                "{} messages here, {} of them there",
                report.messages_here, report.messages_there
            ));
        } else if report.octets_here != report.octets_there {
            report.differs.push(format!(
                "{} octets here; the server says that it has {}",
                report.octets_here, report.octets_there
            ));
        }
        Ok(())
    }

    async fn create(&mut self, ours: &Ours, name: &MailboxName) -> Result<(), Error> {
        use imap::SpecialUse as There;
        let special_use = match ours.special_use {
            Some(SpecialUse::Drafts) => Some(There::Drafts),
            Some(SpecialUse::Sent) => Some(There::Sent),
            Some(SpecialUse::Junk) => Some(There::Junk),
            Some(SpecialUse::Trash) => Some(There::Trash),
            Some(SpecialUse::Archive) => Some(There::Archive),
            _ => None,
        };
        let uses = special_use.filter(|_| self.imap.has(&Capability::CreateSpecialUse));
        let command = |uses: Option<There>| Command::Create {
            mailbox: name.clone(),
            uses: uses.into_iter().collect(),
        };
        let mut reply = self.imap.run(&command(uses), |_| Ok(())).await?;
        if reply.status != Status::Ok && uses.is_some() {
            reply = self.imap.run(&command(None), |_| Ok(())).await?;
        }
        // A connection that broke behind an earlier CREATE.
        let exists = matches!(reply.code, Some(imap::Code::AlreadyExists));
        match reply.status == Status::Ok || exists {
            true => Ok(()),
            false => Err(refused("CREATE", &reply)),
        }
    }

    /// What is there.
    async fn look(&mut self, exists: u32) -> Result<There, Error> {
        let mut there = There::default();
        if exists == 0 {
            return Ok(there);
        }
        let section = Section {
            part: Vec::new(),
            text: Some(SectionText::HeaderFields {
                names: vec!["Message-ID".to_owned()],
                not: false,
            }),
        };
        let command = Command::Fetch {
            uid: true,
            set: everything(),
            attributes: vec![
                FetchAttribute::Uid,
                FetchAttribute::Flags,
                FetchAttribute::InternalDate,
                FetchAttribute::Rfc822Size,
                FetchAttribute::BodySection {
                    section,
                    partial: None,
                    peek: true,
                },
            ],
            modifiers: FetchModifiers::default(),
        };
        let (mut count, mut octets) = (0_usize, 0_usize);
        self.imap
            .must(&command, |untagged| {
                if let Untagged::Fetch { items, .. } = untagged
                    && let Some((key, date, theirs)) = read(items)
                {
                    count = count.saturating_add(1);
                    octets = theirs
                        .keywords
                        .iter()
                        .fold(octets, |sum, name| sum.saturating_add(name.len()));
                    if count > MESSAGES || octets > KEYWORDS {
                        return Err(Error::Hostile(format!(
                            "lists more than {MESSAGES} messages in a mailbox"
                        )));
                    }
                    there.dates.insert(date);
                    there.messages.entry(key).or_default().push(theirs);
                }
                Ok(())
            })
            .await?;
        // What it does not list may be one of ours, and would be there twice.
        if (count as u64) < u64::from(exists) {
            return Err(Error::Refused {
                what: "to list its messages",
                reply: format!("it says that it has {exists}, and lists {count}"),
            });
        }
        Ok(there)
    }

    /// Which of our messages are not there; with `mend` those that are get our flags.
    async fn compare(
        &mut self,
        ours: &Ours,
        there: &mut There,
        mend: bool,
        report: &mut MailboxReport,
    ) -> Result<Vec<Mine>, Error> {
        let mut missing = Vec::new();
        let mut changes: HashMap<(u8, Vec<String>), Vec<u32>> = HashMap::new();
        (report.messages_here, report.octets_here) = (0, 0);
        (report.messages_there, report.octets_there) = (0, 0);
        let mut after = 0;
        loop {
            let page = self.page(&ours.name, after)?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.uid;
            for mine in page {
                report.messages_here = report.messages_here.saturating_add(1);
                report.octets_here = report.octets_here.saturating_add(mine.size);
                let Some(theirs) = self.find(ours, &mine, there)? else {
                    missing.push(mine);
                    continue;
                };
                report.messages_there = report.messages_there.saturating_add(1);
                report.octets_there = report.octets_there.saturating_add(theirs.size);
                if (theirs.flags, &theirs.keywords) != (mine.flags, &mine.keywords) {
                    let uids = changes.entry((mine.flags.0, mine.keywords)).or_default();
                    uids.push(theirs.uid);
                }
            }
        }
        if mend {
            for ((system, keywords), mut uids) in changes {
                uids.sort_unstable();
                report.flags = report.flags.saturating_add(uids.len() as u64);
                for uids in uids.chunks(super::import::BATCH) {
                    let store = Command::Store(Store {
                        uid: true,
                        set: set(uids),
                        action: StoreAction::Set,
                        silent: true,
                        unchanged_since: None,
                        flags: flags(Flags(system), &keywords),
                    });
                    self.imap.run(&store, |_| Ok(())).await?;
                }
            }
        }
        Ok(missing)
    }

    fn page(&mut self, mailbox: &str, after: u32) -> Result<Vec<Mine>, Error> {
        let answer = self.door.ask(Request::MessageList {
            address: self.account.clone(),
            mailbox: mailbox.to_owned(),
            after,
            limit: PAGE,
        })?;
        let mine = |row: &Value| {
            let number = |key: &str| row.get(key).and_then(Value::as_u64);
            let keywords = row.get("keywords")?.as_array()?.iter();
            let mut keywords: Vec<String> = keywords
                .filter_map(|name| Some(name.as_str()?.to_owned()))
                .collect();
            keywords.sort_unstable();
            Some(Mine {
                uid: u32::try_from(number("uid")?).ok()?,
                flags: Flags(u8::try_from(number("flags")?).ok()?),
                keywords,
                received: row.get("received")?.as_i64()?,
                size: number("size")?,
            })
        };
        rows(&answer)
            .map(mine)
            .collect::<Option<Vec<Mine>>>()
            .ok_or_else(|| Error::Account("the server here answered something unknown".to_owned()))
    }

    /// The message there that is ours, taken out.
    fn find(
        &mut self,
        ours: &Ours,
        mine: &Mine,
        there: &mut There,
    ) -> Result<Option<Theirs>, Error> {
        // Reading ours is worth it only where something could be the same.
        if !there.dates.contains(&mine.received) {
            return Ok(None);
        }
        let Some(octets) = self.octets(ours, mine.uid)? else {
            return Ok(None);
        };
        let key = key(&message_id(&octets), mine.received, mine.size);
        Ok(there.messages.get_mut(&key).and_then(|same| {
            let best = same
                .iter()
                .position(|theirs| theirs.size == mine.size)
                .unwrap_or(0);
            (best < same.len()).then(|| same.swap_remove(best))
        }))
    }

    fn octets(&mut self, ours: &Ours, uid: u32) -> Result<Option<Vec<u8>>, Error> {
        let Answer { octets, .. } = self.door.ask(Request::Message {
            address: self.account.clone(),
            mailbox: ours.name.clone(),
            uid,
        })?;
        Ok(octets)
    }

    /// Carries messages there, several in one APPEND where that is allowed.
    async fn carry(
        &mut self,
        name: &MailboxName,
        ours: &Ours,
        missing: Vec<Mine>,
        report: &mut MailboxReport,
    ) -> Result<(), Error> {
        let most = match self.imap.has(&Capability::MultiAppend) {
            true => TOGETHER,
            false => 1,
        };
        let mut batch: Vec<Mine> = Vec::new();
        let mut octets = 0_u64;
        for mine in missing {
            let full = batch.len() >= most || octets.saturating_add(mine.size) > TOGETHER_OCTETS;
            if full && !batch.is_empty() {
                self.append(name, ours, &batch, report).await?;
                batch.clear();
                octets = 0;
            }
            octets = octets.saturating_add(mine.size);
            batch.push(mine);
        }
        self.append(name, ours, &batch, report).await
    }

    /// One APPEND; when several are refused together, each by itself.
    async fn append(
        &mut self,
        name: &MailboxName,
        ours: &Ours,
        batch: &[Mine],
        report: &mut MailboxReport,
    ) -> Result<(), Error> {
        if self.append_at_once(name, ours, batch, report).await? || batch.len() < 2 {
            return Ok(());
        }
        for one in batch {
            self.append_at_once(name, ours, std::slice::from_ref(one), report)
                .await?;
        }
        Ok(())
    }

    async fn append_at_once(
        &mut self,
        name: &MailboxName,
        ours: &Ours,
        batch: &[Mine],
        report: &mut MailboxReport,
    ) -> Result<bool, Error> {
        let mut messages = Vec::with_capacity(batch.len());
        for mine in batch {
            // It may have been removed meanwhile.
            let Some(octets) = self.octets(ours, mine.uid)? else {
                continue;
            };
            let header = octets.get(..super::header_end(&octets)).unwrap_or_default();
            // RFC 9755 §4: once UTF-8 is taken, such a header says that it is.
            let utf8 = self.imap.utf8 && !header.is_ascii();
            messages.push(NewMessage {
                flags: flags(mine.flags, &mine.keywords),
                date: Some(DateTime::utc(mine.received)),
                parts: vec![AppendPart::Text {
                    binary: !utf8 && octets.contains(&0),
                    utf8,
                    octets,
                }],
                ..NewMessage::default()
            });
        }
        if messages.is_empty() {
            return Ok(true);
        }
        let command = Command::Append(Append {
            mailbox: name.clone(),
            replaces: None,
            messages,
        });
        let reply = self.imap.run(&command, |_| Ok(())).await?;
        if reply.status == Status::Ok {
            self.lost.forget();
            for mine in batch {
                report.new = report.new.saturating_add(1);
                report.octets = report.octets.saturating_add(mine.size);
                self.watch.done();
            }
            return Ok(true);
        }
        if let [mine] = batch {
            let text = shown(&reply.text);
            self.leave_out(format!(
                "{}, UID {}: the server refuses it: {text}",
                ours.name, mine.uid
            ));
        }
        Ok(false)
    }
}

/// Key, date and the rest of a message there.
fn read(items: Vec<Fetched>) -> Option<(u128, i64, Theirs)> {
    let (mut uid, mut size, mut date, mut header, mut found) = (None, None, None, None, None);
    for item in items {
        match item {
            Fetched::Uid(value) => uid = Some(value),
            Fetched::Rfc822Size(value) => size = Some(value),
            Fetched::InternalDate(value) => date = Some(value.unix),
            Fetched::Flags(value) => found = Some(ours(&value)),
            Fetched::Body { body, .. } => header = Some(body.unwrap_or_default()),
            _ => {}
        }
    }
    let (size, date) = (size?, date?);
    let key = key(&message_id(&header?), date, size);
    let (flags, keywords) = found?;
    Some((
        key,
        date,
        Theirs {
            uid: uid?,
            size,
            flags,
            keywords,
        },
    ))
}
