//! An IMAP account brought here, whole, as often as wanted: each run brings what is new since the last one.
//!
//! For each mailbox: EXAMINE; what is there (all of it, or with CONDSTORE what changed since the last complete look) is
//! compared with what is remembered; new messages come by FETCH in batches and are kept one by one, changed flags are passed
//! on, and at the end numbers and octets there are compared with those here.

pub(super) mod mailbox;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use imap::{Bound, SequenceSet};
use serde_json::Value;
use store::SpecialUse;

use super::admin::{self, Gone};
use super::client::{Imap, Lost};
use super::connect::Login;
use super::names::{self, Here, Listed, Plan};
use super::{Door, Error, Watch};
use crate::manage::{Answer, Request};

/// Messages in one FETCH: many enough that waiting for its end costs nothing, few enough for a command line (RFC 7162 §4 asks
/// for lines of 8192 octets at most).
pub const BATCH: usize = 500;

/// Octets of the largest answer while we wait for news.
const ANSWER: u64 = 1 << 20;

/// What is brought, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Into which account.
    pub account: String,
    /// Messages that are gone there are removed here.
    pub delete: bool,
    /// Mailboxes that only show what others keep are left out.
    pub skip_views: bool,
    /// What comes from INBOX goes there.
    pub inbox: Option<String>,
    /// The mailbox of the URL alone, or INBOX, is brought, into this one here.
    pub into: Option<String>,
    /// Flags are carried, and their changes; without it a message is new here, whatever it was there.
    pub flags: bool,
    /// Messages are removed there once they are safe here.
    pub remove_there: bool,
    /// Nothing is remembered of messages that are gone there.
    pub forget: bool,
    /// The largest message taken.
    pub message_limit: u64,
}

/// What became of one mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxReport {
    /// Its name there.
    pub there: String,
    /// Where its mail is here.
    pub here: String,
    /// Messages there.
    pub messages_there: u64,
    /// Their octets, as its server says.
    pub octets_there: u64,
    /// Messages of it that are here.
    pub messages_here: u64,
    /// Their octets.
    pub octets_here: u64,
    /// Of these, those that its owner has removed or moved here since.
    pub removed_here: u64,
    /// Of these, those that are here from another mailbox, which this one only shows.
    pub elsewhere: u64,
    /// Brought by this run.
    pub new: u64,
    /// Octets brought by this run.
    pub octets: u64,
    /// Messages whose flags this run changed.
    pub flags: u64,
    /// Messages this run found gone there.
    pub gone: u64,
    /// UIDNEXT there when it was looked at.
    pub uid_next: Option<u32>,
    /// What differs, in words.
    pub differs: Vec<String>,
}

/// What became of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Each mailbox.
    pub mailboxes: Vec<MailboxReport>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

impl Report {
    /// Whether everything that is there is here.
    pub fn is_complete(&self) -> bool {
        self.left_out.is_empty()
            && self
                .mailboxes
                .iter()
                .all(|mailbox| mailbox.differs.is_empty())
    }
}

/// A run.
struct Run<'a> {
    door: &'a mut dyn Door,
    watch: &'a mut dyn Watch,
    login: &'a Login,
    options: &'a Options,
    source: String,
    imap: Imap,
    lost: Lost,
    report: Report,
}

/// Brings an account here.
pub async fn import(
    door: &mut dyn Door,
    login: &Login,
    options: &Options,
    watch: &mut dyn Watch,
) -> Result<Report, Error> {
    let imap = Imap::open(login, options.message_limit).await?;
    let mut run = Run {
        door,
        watch,
        login,
        options,
        source: login.address.source(),
        imap,
        lost: Lost::default(),
        report: Report::default(),
    };
    let plans = run.plan().await?;
    // Each account has an INBOX: to bring nothing would not be all that is there.
    if plans.is_empty() {
        let wanted = login.address.mailbox.as_deref().unwrap_or("INBOX");
        return Err(Error::Address(format!(
            "there is no mailbox {wanted} on the server"
        )));
    }
    for plan in &plans {
        run.persist(plan).await?;
    }
    run.imap.quit().await;
    Ok(run.report)
}

/// Waits until a mailbox has changed since a look at it, but not for ever. At once where its server does not tell (RFC 2177).
pub async fn wait(login: &Login, seen: &MailboxReport, limit: Duration) -> Result<bool, Error> {
    let Ok(name) = imap::MailboxName::new(&seen.there) else {
        return Ok(false);
    };
    let mut imap = Imap::open(login, ANSWER).await?;
    if !imap.has(&imap::Capability::Idle) {
        imap.quit().await;
        return Ok(false);
    }
    let selected = imap.select(&name, true).await?;
    let changed = selected.uid_next != seen.uid_next || imap.idle(limit).await?;
    imap.quit().await;
    Ok(changed)
}

impl Run<'_> {
    fn remote(&mut self, request: admin::Request) -> Result<Answer, Error> {
        self.door.ask(Request::Remote(request))
    }

    /// Where each mailbox goes.
    async fn plan(&mut self) -> Result<Vec<Plan>, Error> {
        let (prefix, foreign) = self.imap.namespace().await?;
        let mut listed = self.imap.list().await?;
        while let Some(text) = self.imap.passed_over() {
            if text.to_ascii_uppercase().starts_with("* LIST") {
                self.leave_out(format!(
                    "a mailbox whose name is not written as names must be: {text}"
                ));
            }
        }
        let shared = |listed: &Listed| {
            foreign
                .iter()
                .any(|prefix| listed.name.as_str().starts_with(prefix.as_str()))
        };
        for one in listed.iter().filter(|one| one.selectable && shared(one)) {
            self.watch.note(&format!(
                "{}: belongs to others and is not brought",
                one.name
            ));
        }
        listed.retain(|one| !shared(one));
        if let Some(wanted) = &self.login.address.mailbox {
            let below = format!("{wanted}/");
            listed.retain(|one| {
                let name = names::translated(one, &prefix);
                name == *wanted || name.starts_with(&below) || one.name.as_str() == wanted
            });
        }
        if self.options.skip_views {
            for one in listed.iter().filter(|one| one.is_view()) {
                self.watch.note(&format!(
                    "{}: not brought; what is in no other mailbox stays there",
                    one.name
                ));
            }
            listed.retain(|one| !one.is_view());
        }
        if self.options.into.is_some() {
            let wanted = self.login.address.mailbox.as_deref().unwrap_or("INBOX");
            let is = |name: &str| {
                name == wanted || (name == "INBOX" && wanted.eq_ignore_ascii_case("INBOX"))
            };
            listed.retain(|one| is(&names::translated(one, &prefix)) || is(one.name.as_str()));
            listed.truncate(1);
        }
        let (here, remembered) = self.here()?;
        let mut plans = names::plan(listed, &prefix, &here, &remembered);
        if let Some(inbox) = &self.options.inbox {
            for plan in plans.iter_mut().filter(|plan| plan.listed.name.is_inbox()) {
                plan.name.clone_from(inbox);
            }
        }
        if let Some(into) = &self.options.into {
            for plan in &mut plans {
                plan.name.clone_from(into);
                plan.special_use = None;
            }
        }
        Ok(plans)
    }

    /// The mailboxes of the account here, and where mailboxes of this source went before.
    fn here(&mut self) -> Result<(Vec<Here>, HashMap<String, String>), Error> {
        let address = self.options.account.clone();
        let answer = self.door.ask(Request::MailboxList {
            address: address.clone(),
        })?;
        let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        let here = rows(&answer).filter_map(|row| {
            Some(Here {
                name: text(row, "name")?,
                special_use: text(row, "special_use")
                    .as_deref()
                    .and_then(SpecialUse::from_name),
            })
        });
        let here = here.collect();
        let source = self.source.clone();
        let answer = self.remote(admin::Request::Remembered { address, source })?;
        let remembered =
            rows(&answer).filter_map(|row| Some((text(row, "name")?, text(row, "mailbox")?)));
        Ok((here, remembered.collect()))
    }

    /// Looks at a mailbox until that has worked, over as many connections as it takes.
    async fn persist(&mut self, plan: &Plan) -> Result<(), Error> {
        let mut kept = MailboxReport::default();
        loop {
            let error = match self.mailbox(plan, &mut kept).await {
                Ok(()) => {
                    self.report.mailboxes.push(kept);
                    return Ok(());
                }
                // It was there when it was listed; or it is not for us.
                Err(error @ Error::Refused { .. }) => {
                    self.leave_out(format!("{}: {error}", plan.listed.name));
                    return Ok(());
                }
                Err(error) if error.is_broken() => error,
                Err(error) => return Err(error),
            };
            let (login, limit) = (self.login, self.options.message_limit);
            self.imap = self.lost.reopen(login, limit, error, self.watch).await?;
        }
    }

    fn leave_out(&mut self, what: String) {
        super::leave_out(&mut self.report.left_out, self.watch, what);
    }

    fn gone(&self) -> Gone {
        match (self.options.delete, self.options.forget) {
            (true, _) => Gone::Remove,
            (false, true) => Gone::Forget,
            (false, false) => Gone::Keep,
        }
    }
}

/// The rows of an answer.
pub(super) fn rows(answer: &Answer) -> impl Iterator<Item = &Value> {
    answer.value.as_array().into_iter().flatten()
}

/// A set of UIDs, ascending.
pub(super) fn set(uids: &[u32]) -> SequenceSet {
    let mut ranges: Vec<(NonZeroU32, NonZeroU32)> = Vec::new();
    for uid in uids.iter().filter_map(|uid| NonZeroU32::new(*uid)) {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    SequenceSet::Ranges(
        ranges
            .into_iter()
            .map(|(first, last)| (Bound::Number(first), Bound::Number(last)))
            .collect(),
    )
}

/// All messages.
pub(super) fn everything() -> SequenceSet {
    SequenceSet::Ranges(vec![(Bound::Number(NonZeroU32::MIN), Bound::Last)])
}
