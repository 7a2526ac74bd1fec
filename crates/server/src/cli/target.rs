//! Whom a command asks: the running server, or the store itself.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc;

use serde_json::Value;
use store::{Flags, Store};

use super::Result;
use crate::admin::{AHEAD, Client};
use crate::manage::{self, Answer, Append, Request};
use crate::transfer::{self, Account, Folder, Item, Listed};

/// Messages listed in one request of an export.
const PAGE: usize = 1000;

/// A running server or an open store.
pub(super) enum Target {
    Server(Client),
    Store {
        store: Store,
        awaited: VecDeque<mpsc::Receiver<store::Result<()>>>,
    },
}

impl Target {
    /// The store in `data`, through the server that has it.
    pub(super) fn reach(data: &Path) -> Result<Target> {
        if let Some(client) = Client::connect(data)? {
            return Ok(Target::Server(client));
        }
        if !data.exists() {
            let what = "does not exist; `waxwing serve` or `waxwing setup DOMAIN` makes it";
            return Err(format!("the data folder {} {what}", data.display()).into());
        }
        Target::open(data)
    }

    /// The store in `data`, made when missing. No server may run.
    pub(super) fn open(data: &Path) -> Result<Target> {
        let store = crate::serve::open_store(data)?;
        Ok(Target::Store {
            store,
            awaited: VecDeque::new(),
        })
    }

    /// Asks for something.
    pub(super) fn ask(&mut self, request: &Request) -> Result<Answer> {
        self.settle(0)?;
        match self {
            Target::Server(client) => Ok(client.ask(request)?),
            Target::Store { store, .. } => Ok(manage::execute(store, request.clone())?),
        }
    }

    /// Keeps a message; its failure may show later, in the next call.
    pub(super) fn append(&mut self, request: Append, message: &[u8]) -> Result {
        match self {
            Target::Server(client) => client.append(request, message)?,
            Target::Store { store, awaited } => {
                let (sender, receiver) = mpsc::sync_channel(1);
                manage::append(store, request, message, move |result| {
                    let _ = sender.send(result);
                });
                awaited.push_back(receiver);
            }
        }
        self.settle(AHEAD)
    }

    fn settle(&mut self, leave: usize) -> Result {
        let Target::Store { awaited, .. } = self else {
            return Ok(());
        };
        while awaited.len() > leave {
            let Some(oldest) = awaited.pop_front() else {
                break;
            };
            oldest.recv().unwrap_or(Err(store::Error::Closed))?;
        }
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Target::Store { store, .. } = self {
            store.close();
        }
    }
}

/// An account of a target, for import and export.
pub(super) struct Mailbag {
    pub(super) target: Target,
    pub(super) address: String,
    /// Into this mailbox instead of INBOX.
    pub(super) inbox: Option<String>,
    /// The key of the message before, while an import runs.
    pub(super) last: Option<String>,
}

impl Mailbag {
    fn ask(&mut self, request: &Request) -> std::result::Result<Answer, transfer::Error> {
        self.target
            .ask(request)
            .map_err(|error| transfer::Error::Account(error.to_string()))
    }
}

impl Account for Mailbag {
    fn resume_key(&mut self, source: &str) -> std::result::Result<Option<String>, transfer::Error> {
        let request = Request::ResumeKey {
            address: self.address.clone(),
            source: source.to_owned(),
        };
        let answer = self.ask(&request)?;
        self.last = answer.value.as_str().map(str::to_owned);
        Ok(self.last.clone())
    }

    fn append(&mut self, source: &str, item: Item) -> std::result::Result<(), transfer::Error> {
        let mailbox = match &self.inbox {
            Some(other) if item.mailbox.eq_ignore_ascii_case("INBOX") => other.clone(),
            _ => item.mailbox,
        };
        let request = Append {
            address: self.address.clone(),
            source: source.to_owned(),
            after: self.last.replace(item.key.clone()),
            key: item.key,
            mailbox,
            flags: item.flags.0,
            keywords: item.keywords,
            received: item.received,
            pop3_uid: item.pop3_uid,
            remote: None,
        };
        let appended = self.target.append(request, &item.message);
        appended.map_err(|error| transfer::Error::Account(error.to_string()))
    }

    fn finish(&mut self, source: &str) -> std::result::Result<(), transfer::Error> {
        let request = Request::Finish {
            address: self.address.clone(),
            source: source.to_owned(),
        };
        self.ask(&request).map(drop)
    }

    fn folders(&mut self) -> std::result::Result<Vec<Folder>, transfer::Error> {
        let answer = self.ask(&Request::MailboxList {
            address: self.address.clone(),
        })?;
        let folder = |row: &Value| {
            Some(Folder {
                name: row.get("name")?.as_str()?.to_owned(),
                uid_validity: number(row, "uid_validity")?,
                messages: number(row, "messages")?,
            })
        };
        rows(&answer, folder)
    }

    fn list(
        &mut self,
        folder: &str,
        after: u32,
        limit: usize,
    ) -> std::result::Result<Vec<Listed>, transfer::Error> {
        let request = Request::MessageList {
            address: self.address.clone(),
            mailbox: folder.to_owned(),
            after,
            limit: limit.min(PAGE),
        };
        let answer = self.ask(&request)?;
        let listed = |row: &Value| {
            let keywords = row.get("keywords")?.as_array()?;
            Some(Listed {
                uid: number(row, "uid")?,
                flags: Flags(number(row, "flags")?),
                keywords: keywords
                    .iter()
                    .filter_map(|name| name.as_str().map(str::to_owned))
                    .collect(),
                received: row.get("received")?.as_i64()?,
                size: row.get("size")?.as_u64()?,
            })
        };
        rows(&answer, listed)
    }

    fn message(
        &mut self,
        folder: &str,
        uid: u32,
    ) -> std::result::Result<Option<Vec<u8>>, transfer::Error> {
        let (address, mailbox) = (self.address.clone(), folder.to_owned());
        Ok(self
            .ask(&Request::Message {
                address,
                mailbox,
                uid,
            })?
            .octets)
    }
}

fn number<N: TryFrom<u64>>(row: &Value, key: &str) -> Option<N> {
    N::try_from(row.get(key)?.as_u64()?).ok()
}

fn rows<T>(
    answer: &Answer,
    row: impl Fn(&Value) -> Option<T>,
) -> std::result::Result<Vec<T>, transfer::Error> {
    let all: Option<Vec<T>> = answer
        .value
        .as_array()
        .and_then(|rows| rows.iter().map(row).collect());
    all.ok_or_else(|| transfer::Error::Account("the server answered something unknown".to_owned()))
}
