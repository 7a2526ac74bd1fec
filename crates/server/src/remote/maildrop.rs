//! A POP3 maildrop brought here: the unique-ids that its server gives its messages say what is here already, and stay with
//! them, so that POP3 clients of the account do not fetch everything once more.

use std::collections::{HashMap, HashSet};

use pop3::command::Command;
use serde_json::Value;

use super::admin::{self, Arrival, Gone};
use super::client::Lost;
use super::connect::Login;
use super::import::rows;
use super::pop3::Pop3;
use super::{
    Door, Error, MESSAGES, MailboxReport, Options, Report, Watch, dated, leave_out, shown,
};
use crate::manage::{Append, Request};

/// Octets of a unique-id; RFC 1939 §7 allows 70, and some servers take more.
const UNIQUE_ID: usize = 250;

/// Messages asked for ahead where the server allows it. They are sent one after the other anyway.
const AHEAD: usize = 16;

/// Remembered messages asked for at once.
const PAGE: usize = 1000;

/// A message there.
struct There {
    number: u32,
    unique_id: String,
    key: String,
    size: u64,
}

/// Brings a maildrop here.
pub async fn import(
    door: &mut dyn Door,
    login: &Login,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Report, Error> {
    let mut mailbox = MailboxReport {
        there: login.address.source(),
        here: options.inbox.clone().unwrap_or_else(|| "INBOX".to_owned()),
        ..MailboxReport::default()
    };
    let mut lost = Lost::default();
    let mut pop3 = Pop3::open(login).await?;
    loop {
        let before = mailbox.new;
        match once(pop3, door, login, options, &mut mailbox, watch).await {
            Ok(left_out) => {
                return Ok(Report {
                    mailboxes: vec![mailbox],
                    left_out,
                });
            }
            Err(mut error) if error.is_broken() => {
                if mailbox.new > before {
                    lost.forget();
                }
                pop3 = loop {
                    lost.pause(error, watch).await?;
                    match Pop3::open(login).await {
                        Err(again) if again.is_broken() => error = again,
                        other => break other?,
                    }
                };
            }
            Err(error) => return Err(error),
        }
    }
}

/// Brings what is there over one connection; what was left out.
async fn once(
    mut pop3: Pop3,
    door: &mut dyn Door,
    login: &Login,
    options: &Options,
    mailbox: &mut MailboxReport,
    watch: &mut dyn Watch,
) -> Result<Vec<String>, Error> {
    let mut left_out = Vec::new();
    let Look { there, lines } = look(&mut pop3).await?;
    let whole = lines == there.len();
    let begun = door.ask(Request::Remote(admin::Request::Begin(admin::Begin {
        address: options.account.clone(),
        source: login.address.source(),
        name: String::new(),
        // Unique-ids never change their meaning (RFC 1939 §7).
        uid_validity: 1,
        mailbox: mailbox.here.clone(),
        special_use: None,
        subscribe: false,
    })))?;
    let id = begun
        .value
        .get("id")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let known = known(door, options, id)?;
    let keys: HashSet<&str> = there.iter().map(|one| one.key.as_str()).collect();
    let gone: Vec<String> = known
        .iter()
        // Where the two lists differ, what is not listed may well be there.
        .filter(|key| whole && !keys.contains(key.as_str()))
        .cloned()
        .collect();
    mailbox.gone = gone.len() as u64;
    for keys in gone.chunks(500) {
        door.ask(Request::Remote(admin::Request::Gone {
            address: options.account.clone(),
            id,
            keys: keys.to_vec(),
            // Some servers show an empty maildrop for a while, or only what is new: should a message come back, its octets say
            // that it is here. What we remove there ourselves does not come back.
            then: match options.remove_there {
                true => Gone::Forget,
                false => Gone::Keep,
            },
        }))?;
    }
    mailbox.messages_there = lines.max(there.len()) as u64;
    mailbox.octets_there = there
        .iter()
        .fold(0, |sum, one| one.size.saturating_add(sum));
    let mut new = Vec::new();
    for one in there.iter().filter(|one| !known.contains(&one.key)) {
        match one.size > options.message_limit {
            true => leave_out(
                &mut left_out,
                watch,
                format!(
                    "message {}: {} octets, and a message may have {}",
                    shown(&one.unique_id),
                    one.size,
                    options.message_limit
                ),
            ),
            false => new.push(one),
        }
    }
    watch.expect(new.len() as u64);
    let mut run = Run {
        pop3,
        door,
        watch,
        options,
        id,
    };
    run.bring(&new, mailbox, &mut left_out).await?;
    mailbox.differs.clear();
    run.compare(mailbox)?;
    if options.remove_there {
        run.remove_there(&there).await?;
    }
    run.quit(options.remove_there).await?;
    Ok(left_out)
}

/// What UIDL and LIST say.
struct Look {
    there: Vec<There>,
    /// Lines of the longer list: with more of them than messages, something was not understood or is missing.
    lines: usize,
}

/// UIDL and LIST: what is there.
async fn look(pop3: &mut Pop3) -> Result<Look, Error> {
    let ids = match pop3.list(&Command::Uidl(None)).await? {
        Ok(list) => list,
        Err(_) => {
            let why = "has no unique-ids (UIDL), so that nobody could tell which messages are here already";
            return Err(Error::Hostile(why.to_owned()));
        }
    };
    let sizes = match pop3.list(&Command::List(None)).await? {
        Ok(list) => list,
        Err(response) => {
            return Err(Error::Refused {
                what: "LIST",
                reply: shown(&response.text),
            });
        }
    };
    let mut octets: HashMap<u32, u64> = HashMap::new();
    for (number, size) in pairs(&sizes) {
        if let Ok(size) = size.parse() {
            octets.insert(number, size);
        }
    }
    let mut times: HashMap<String, u32> = HashMap::new();
    let mut there = Vec::new();
    for (number, unique_id) in pairs(&ids) {
        if there.len() >= MESSAGES {
            return Err(Error::Hostile(format!(
                "lists more than {MESSAGES} messages"
            )));
        }
        let usable =
            unique_id.len() <= UNIQUE_ID && unique_id.bytes().all(|octet| octet.is_ascii_graphic());
        if !usable || unique_id.is_empty() {
            return Err(Error::Hostile(format!(
                "gives message {number} a unique-id that is none: {}",
                shown(unique_id)
            )));
        }
        // Two messages with one id are two, and are told apart by their order.
        let time = times.entry(unique_id.to_owned()).or_default();
        *time = time.saturating_add(1);
        let key = match *time {
            1 => format!("u{unique_id}"),
            time => format!("u{unique_id} {time}"),
        };
        there.push(There {
            number,
            unique_id: unique_id.to_owned(),
            key,
            size: octets.get(&number).copied().unwrap_or(0),
        });
    }
    let lines = |list: &[u8]| {
        let lines = list.split(|&octet| octet == b'\n');
        lines.filter(|line| !line.trim_ascii().is_empty()).count()
    };
    Ok(Look {
        there,
        lines: lines(&ids).max(lines(&sizes)),
    })
}

/// `number SP word` on each line.
fn pairs(list: &[u8]) -> impl Iterator<Item = (u32, &str)> {
    list.split(|&octet| octet == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split_whitespace();
        let number = words.next()?.parse().ok().filter(|number| *number > 0)?;
        Some((number, words.next().unwrap_or_default()))
    })
}

fn known(door: &mut dyn Door, options: &Options, id: i64) -> Result<HashSet<String>, Error> {
    let mut known = HashSet::new();
    let mut after = String::new();
    loop {
        let page = door.ask(Request::Remote(admin::Request::Known {
            address: options.account.clone(),
            id,
            after: after.clone(),
            limit: PAGE,
        }))?;
        let mut keys = rows(&page)
            .filter_map(|row| row.get("key")?.as_str())
            .peekable();
        if keys.peek().is_none() {
            return Ok(known);
        }
        for key in keys {
            after = key.to_owned();
            known.insert(key.to_owned());
        }
    }
}

struct Run<'a> {
    pop3: Pop3,
    door: &'a mut dyn Door,
    watch: &'a mut dyn Watch,
    options: &'a Options,
    id: i64,
}

impl Run<'_> {
    /// Brings messages; those that its server does not give out are left out.
    async fn bring(
        &mut self,
        new: &[&There],
        report: &mut MailboxReport,
        left_out: &mut Vec<String>,
    ) -> Result<(), Error> {
        let ahead = match self.pop3.has("PIPELINING") {
            true => AHEAD,
            false => 1,
        };
        let mut asked = new.iter();
        for one in asked.by_ref().take(ahead) {
            self.pop3.send(&Command::Retr(one.number))?;
        }
        for one in new {
            let response = self.pop3.response().await?;
            if response.ok {
                let limit = usize::try_from(self.options.message_limit).unwrap_or(usize::MAX);
                let octets = self.pop3.body(limit).await?;
                self.keep(one, &octets)?;
                report.new = report.new.saturating_add(1);
                report.octets = report.octets.saturating_add(octets.len() as u64);
            } else {
                let (id, text) = (shown(&one.unique_id), shown(&response.text));
                leave_out(left_out, self.watch, format!("message {id}: {text}"));
            }
            self.watch.done();
            if let Some(next) = asked.next() {
                self.pop3.send(&Command::Retr(next.number))?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, one: &There, octets: &[u8]) -> Result<(), Error> {
        let append = Append {
            address: self.options.account.clone(),
            source: String::new(),
            key: one.key.clone(),
            after: None,
            mailbox: String::new(),
            flags: 0,
            keywords: Vec::new(),
            received: dated(octets),
            pop3_uid: Some(one.unique_id.clone()),
            remote: Some(Arrival {
                id: self.id,
                view: false,
            }),
        };
        self.door.append(append, octets)
    }

    fn compare(&mut self, report: &mut MailboxReport) -> Result<(), Error> {
        let answer = self.door.ask(Request::Remote(admin::Request::Count {
            address: self.options.account.clone(),
            id: self.id,
        }))?;
        let number = |key: &str| answer.value.get(key).and_then(Value::as_u64).unwrap_or(0);
        report.messages_here = number("here").saturating_add(number("removed"));
        report.octets_here = number("octets").saturating_add(number("removed_octets"));
        report.removed_here = number("removed");
        if report.messages_here != report.messages_there {
            report.differs.push(format!(
                "{} messages there, {} of them here",
                report.messages_there, report.messages_here
            ));
        } else if report.octets_here != report.octets_there {
            // RFC 1939 §11 wants it exact; many servers count line ends as one octet.
            self.watch.note(&format!(
                "the server says that its messages have {} octets, and gave out {}",
                report.octets_there, report.octets_here
            ));
        }
        Ok(())
    }

    /// Removes there what is durable here.
    async fn remove_there(&mut self, there: &[There]) -> Result<(), Error> {
        let safe = known(self.door, self.options, self.id)?;
        let commands: Vec<Command> = there
            .iter()
            .filter(|one| safe.contains(&one.key))
            .map(|one| Command::Dele(one.number))
            .collect();
        for refused in self.pop3.all(&commands).await? {
            self.watch.note(&format!(
                "the server does not remove a message: {}",
                shown(&refused.text)
            ));
        }
        Ok(())
    }

    /// QUIT, with which messages really go (RFC 1939 §6).
    async fn quit(&mut self, matters: bool) -> Result<(), Error> {
        self.pop3.send(&Command::Quit)?;
        match self.pop3.response().await {
            Ok(response) if !response.ok && matters => Err(Error::Refused {
                what: "to remove messages",
                reply: shown(&response.text),
            }),
            Err(error) if matters => Err(error),
            _ => Ok(()),
        }
    }
}
