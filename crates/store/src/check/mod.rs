//! The examination of a store: `waxwing check`, and the end of every test.
//!
//! What must hold: every entry has its mailbox and content, every content its body, every body its record in a pack with the
//! right checksum; counts and quotas are the sums they claim to be; UIDs and modseqs are below what comes next; what was parsed
//! is what parsing says. A body without a row is no fault: it waits for housekeeping.
//!
//! Repair never invents and hardly deletes: sums are counted again, indexes parsed again, lost body rows looked up in the packs,
//! entries without a mailbox get one. Only an entry whose content is gone is removed.

mod examine;
mod queue;
mod repair;
mod sharing;

use std::collections::HashSet;
use std::sync::PoisonError;

use crate::engine::sqlite::{Connection, Role};
use crate::engine::values;
use crate::error::{Error, Result};
use crate::message::body_ref;
use crate::queue::QueueId;
use crate::store::Store;
use crate::types::*;
use repair::{Fix, Records};

/// Findings listed; a store with more is told so.
const FINDINGS: usize = 10_000;
/// Contents examined with one read of the database, so that the log can be emptied in between.
const PAGE: i64 = 256;
/// Repairs uncover what they make countable; each kind hides at most one other.
const ROUNDS: usize = 4;

/// What `check` saw.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// What is or was wrong; empty when all is well.
    pub findings: Vec<Finding>,
    /// Accounts examined.
    pub accounts: u64,
    /// Messages in mailboxes examined.
    pub messages: u64,
    /// Bodies whose checksum was verified.
    pub bodies: u64,
    /// Octets in packs that belong to no message: what housekeeping can give back.
    pub reclaimable: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In plain words, with names.
    pub text: String,
    /// Whether it has been mended in this run.
    pub repaired: bool,
}

/// A finding with the way to mend it.
pub(crate) struct Problem {
    text: String,
    fix: Fix,
}

/// Collects problems up to the limit.
#[derive(Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    more: bool,
}

impl Problems {
    fn add(&mut self, fix: Fix, text: impl Into<String>) {
        if self.list.len() < FINDINGS {
            self.list.push(Problem {
                text: text.into(),
                fix,
            });
        } else {
            self.more = true;
        }
    }
}

impl Store {
    /// Examines everything; with `repair` mends what can be mended. Findings are in plain words.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        // Packs must not move while their records are compared with rows.
        let _packs_stay = self
            .inner
            .maintenance
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut report = CheckReport::default();
        let database = Connection::open(&self.inner.folder.join("waxwing.db"), Role::Reader)?;
        for line in database.integrity()? {
            report.findings.push(Finding {
                text: format!("the database itself: {line}"),
                repaired: false,
            });
        }
        drop(database);
        for round in 0..ROUNDS {
            let mut problems = Problems::default();
            self.read(|snapshot| {
                examine::rows(snapshot, &mut problems)?;
                sharing::rows(snapshot, &mut problems)
            })?;
            if problems.list.is_empty() {
                break;
            }
            let fixable = self.settle(problems, repair, &mut report)?;
            if !repair || !fixable || round + 1 == ROUNDS {
                break;
            }
        }
        let mut problems = Problems::default();
        self.contents(&mut problems, &mut report)?;
        self.settle(problems, repair, &mut report)?;
        Ok(report)
    }

    /// Mends (if wanted) and reports; whether anything was mended.
    fn settle(&self, problems: Problems, repair: bool, report: &mut CheckReport) -> Result<bool> {
        let more = problems.more;
        let mut any = false;
        let mut records = Records::default();
        for Problem { text, fix } in problems.list {
            let repaired = repair && self.mend(fix, &text, &mut records)?;
            any |= repaired;
            report.findings.push(Finding { text, repaired });
        }
        if more {
            report.findings.push(Finding {
                text: "there is more than can be listed".into(),
                repaired: false,
            });
        }
        Ok(any)
    }

    /// Reads every body, verifies it and compares what parsing it says with what is stored.
    fn contents(&self, problems: &mut Problems, report: &mut CheckReport) -> Result<()> {
        let mut last = MessageId(i64::MIN);
        let mut seen: HashSet<BodyId> = HashSet::new();
        let mut live = 0;
        loop {
            let page = self.read(|snapshot| {
                snapshot.sql.rows(
                    "SELECT m.account_id, m.message_id, m.parsed, m.envelope, m.structure, \
                     b.body_id, b.pack, b.position, b.length, b.size, m.surrogate FROM message m JOIN body b ON b.body_id = m.body_id \
                     WHERE m.message_id > $1 ORDER BY m.message_id LIMIT $2",
                    values![last, PAGE],
                    |row| {
                        Ok((
                            AccountId(row.int(0)?),
                            MessageId(row.int(1)?),
                            Content {
                                index: row.blob(2)?.to_vec(),
                                envelope: row.blob(3)?.to_vec(),
                                body_structure: row.blob(4)?.to_vec(),
                                body: body_ref(row, 5)?,
                                surrogate: row.opt_int(10)?.map(i64::unsigned_abs),
                                thread_keys: Vec::new(),
                            },
                        ))
                    },
                )
            })?;
            let Some((_, next, _)) = page.last() else {
                break;
            };
            last = *next;
            for (account, message, content) in page {
                if seen.insert(content.body.id) {
                    live += content.body.length;
                    report.bodies += 1;
                }
                self.content(account, message, content, problems)?;
            }
        }
        self.queued_bodies(&mut seen, &mut live, problems, report)?;
        self.read(|snapshot| {
            report.accounts = snapshot
                .sql
                .number("SELECT COUNT(*) FROM account", &[])?
                .unsigned_abs();
            report.messages = snapshot
                .sql
                .number("SELECT COUNT(*) FROM entry", &[])?
                .unsigned_abs();
            Ok(())
        })?;
        let all: u64 = self
            .inner
            .packs
            .all()?
            .iter()
            .map(|(_, length)| length)
            .sum();
        report.reclaimable = all.saturating_sub(live);
        Ok(())
    }

    /// Reads every body that is queued and in no mailbox.
    fn queued_bodies(
        &self,
        seen: &mut HashSet<BodyId>,
        live: &mut u64,
        problems: &mut Problems,
        report: &mut CheckReport,
    ) -> Result<()> {
        let mut last = QueueId(i64::MIN);
        loop {
            let page = self.read(|snapshot| {
                snapshot.sql.rows(
                    "SELECT m.queue_id, b.body_id, b.pack, b.position, b.length, b.size FROM queue_message m \
                     JOIN body b ON b.body_id = m.body_id WHERE m.queue_id > $1 ORDER BY m.queue_id LIMIT $2",
                    values![last, PAGE],
                    |row| Ok((QueueId(row.int(0)?), body_ref(row, 1)?)),
                )
            })?;
            let Some((next, _)) = page.last() else {
                return Ok(());
            };
            last = *next;
            for (queue, body) in page {
                if !seen.insert(body.id) {
                    continue;
                }
                *live += body.length;
                report.bodies += 1;
                match self.body(&body) {
                    Ok(_) => {}
                    // A message that is sent while we look is no finding.
                    Err(_) if self.read(|snapshot| snapshot.body(body.id))? != Some(body) => {}
                    Err(error @ (Error::Corrupt(_) | Error::NotFound(_) | Error::Io(_))) => {
                        let text = format!(
                            "queued message {} is damaged (pack {}, offset {}): {error}",
                            queue.0, body.pack, body.offset
                        );
                        problems.add(Fix::Body(body.id), text);
                    }
                    Err(other) => return Err(other),
                }
            }
        }
    }

    fn content(
        &self,
        account: AccountId,
        message: MessageId,
        stored: Content,
        problems: &mut Problems,
    ) -> Result<()> {
        let body = stored.body;
        let raw = match self.body(&body) {
            Ok(raw) => raw,
            // A message that is deleted while we look is no finding.
            Err(_) if self.read(|snapshot| snapshot.body_of(account, message))? != Some(body) => {
                return Ok(());
            }
            Err(error @ (Error::Corrupt(_) | Error::NotFound(_) | Error::Io(_))) => {
                let account = self.name(account)?;
                problems.add(
                    Fix::Body(body.id),
                    format!(
                        "a message of {account} is damaged (pack {}, offset {}): {error}",
                        body.pack, body.offset
                    ),
                );
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let fresh = Content::parse(body, &raw);
        if derived(&fresh) != derived(&stored) {
            let text = format!(
                "what is stored about message {} of {} is not what it says",
                message.0,
                self.name(account)?
            );
            problems.add(Fix::Reparse(account, message, Box::new(fresh)), text);
        }
        Ok(())
    }

    fn name(&self, account: AccountId) -> Result<String> {
        self.read(|snapshot| examine::name(snapshot, account))
    }
}

/// What is stored of a message and follows from its octets.
fn derived(content: &Content) -> (&[u8], &[u8], &[u8], Option<u64>) {
    (
        &content.index,
        &content.envelope,
        &content.body_structure,
        content.surrogate,
    )
}
