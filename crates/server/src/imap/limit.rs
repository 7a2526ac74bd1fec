//! MESSAGELIMIT and SAVELIMIT (RFC 9738): on how many messages one command works.
//!
//! FETCH, STORE, SEARCH, MOVE and UID EXPUNGE work on those with the highest UIDs and say where they stopped; COPY, APPEND,
//! SORT and THREAD are done wholly or not at all. EXPUNGE, CLOSE and STATUS know no limit (RFC 9738 §3.1).

use ::imap::{Code, PartialRange, Reply, Status, Untagged};
use ::store::{Flags, UidRange, ViewSnapshot};

use super::Link;
use super::error::Failure;
use super::search::eval::Key;
use super::selected::{Run, count, count_in};
use crate::config::MessageLimit;

/// What limits the commands of a session, and whether it did so with the one under way.
#[derive(Debug, Default)]
pub struct Limit {
    limit: MessageLimit,
    /// The lowest UID the command worked on, of more that it named.
    stopped: Option<u32>,
}

impl Limit {
    /// The limit of a session.
    pub fn new(limit: MessageLimit) -> Limit {
        Limit {
            limit,
            stopped: None,
        }
    }

    /// A command begins.
    pub fn begin(&mut self) {
        self.stopped = None;
    }

    /// Messages of one command.
    pub fn messages(&self) -> Option<u32> {
        match self.limit {
            MessageLimit::Messages(limit) => Some(limit),
            MessageLimit::None | MessageLimit::Saved(_) => None,
        }
    }

    /// Messages that one COPY or APPEND adds.
    fn saved(&self) -> Option<u32> {
        match self.limit {
            MessageLimit::Messages(limit) | MessageLimit::Saved(limit) => Some(limit),
            MessageLimit::None => None,
        }
    }

    /// Whether the command under way was cut. Then it works from the highest UID down (RFC 9738 §3.1).
    pub fn was_cut(&self) -> bool {
        self.stopped.is_some()
    }

    /// Of runs of sequence numbers those with the highest, as many as one command works on.
    pub fn cut(&mut self, told: &ViewSnapshot, mut runs: Vec<Run>) -> Vec<Run> {
        let Some(limit) = self
            .messages()
            .filter(|limit| count(&runs) > u64::from(*limit))
        else {
            return runs;
        };
        if let Some(lowest) = keep_last(&mut runs, limit) {
            self.stopped = told.uid_at(lowest);
        }
        runs
    }

    /// The same of runs of UIDs, some of which no message may have.
    pub fn cut_uids(&mut self, picture: &ViewSnapshot, mut uids: Vec<UidRange>) -> Vec<UidRange> {
        let many = |limit: &u32| count_in(picture, &uids) > u64::from(*limit);
        let Some(limit) = self.messages().filter(many) else {
            return uids;
        };
        let seqs = uids.iter().map(|run| {
            let end = run.end().checked_add(1);
            let last = end.map_or(picture.len(), |end| picture.count_below(end));
            picture.count_below(*run.start()).saturating_add(1)..=last
        });
        let mut seqs: Vec<Run> = seqs.filter(|run| !run.is_empty()).collect();
        let lowest = keep_last(&mut seqs, limit).and_then(|lowest| picture.uid_at(lowest));
        if let Some(lowest) = lowest {
            uids.retain_mut(|run| {
                *run = (*run.start()).max(lowest)..=*run.end();
                !run.is_empty()
            });
            self.stopped = Some(lowest);
        }
        uids
    }

    /// The same of those that UID EXPUNGE removes.
    pub fn cut_deleted(&mut self, picture: &ViewSnapshot, uids: Vec<UidRange>) -> Vec<UidRange> {
        let Some(limit) = self.messages() else {
            return uids;
        };
        let mut deleted = uids
            .iter()
            .rev()
            .flat_map(|run| {
                let entries: Vec<_> = picture.uid_range(*run.start(), *run.end()).collect();
                entries.into_iter().rev()
            })
            .filter(|(_, entry)| entry.flags.contains(Flags::DELETED))
            .map(|(_, entry)| entry.uid);
        let last = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let Some(lowest) = deleted.nth(last) else {
            return uids;
        };
        if deleted.next().is_none() {
            return uids;
        }
        self.stopped = Some(lowest);
        let mut uids: Vec<UidRange> = uids;
        uids.retain_mut(|run| {
            *run = (*run.start()).max(lowest)..=*run.end();
            !run.is_empty()
        });
        uids
    }

    /// Of the messages a search looks at those with the highest numbers: the first UID to look at.
    pub fn cut_search(&mut self, told: &ViewSnapshot, key: &Key) -> Option<u32> {
        let limit = self.messages()?;
        let mut scope = scope(told, key);
        if count(&scope) <= u64::from(limit) {
            return None;
        }
        let lowest = keep_last(&mut scope, limit).and_then(|lowest| told.uid_at(lowest));
        self.stopped = lowest;
        lowest
    }

    /// Refuses what looks at more messages than that, `before` of them elsewhere, and is done wholly or not at all. Returns
    /// how many it looks at.
    pub fn whole(&self, told: &ViewSnapshot, key: &Key, before: u64) -> Result<u64, Failure> {
        let Some(limit) = self.messages() else {
            return Ok(0);
        };
        let all = before.saturating_add(count(&scope(told, key)));
        match all > u64::from(limit) {
            true => Err(too_many(limit, None).into()),
            false => Ok(all),
        }
    }

    /// Refuses a COPY of these runs if they are too many.
    pub fn copied(&self, told: &ViewSnapshot, runs: &[Run]) -> Result<(), Failure> {
        match self.saved() {
            Some(limit) if count(runs) > u64::from(limit) => {
                let mut runs = runs.to_vec();
                let lowest = keep_last(&mut runs, limit);
                let uid = lowest.and_then(|lowest| told.uid_at(lowest));
                Err(too_many(limit, uid).into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses an APPEND of so many messages.
    pub fn appended(&self, messages: usize) -> Result<(), Failure> {
        match self.saved() {
            Some(limit) if messages > usize::try_from(limit).unwrap_or(usize::MAX) => {
                Err(too_many(limit, None).into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses a window of a FETCH that is too wide (RFC 9738 §3.1).
    pub fn window(&self, window: Option<PartialRange>) -> Result<(), Failure> {
        let width = |window: PartialRange| window.first.get().abs_diff(window.last.get());
        match (self.messages(), window) {
            (Some(limit), Some(window)) if width(window) >= limit => {
                Err(too_many(limit, None).into())
            }
            _ => Ok(()),
        }
    }

    /// Says where the command stopped: in its reply, or before it where that has something else to say (RFC 9738 §3.1).
    /// `taken` for a code that is still to come.
    pub fn tell(&mut self, link: &mut Link, reply: Reply, taken: bool) -> Reply {
        let (Some(limit), Some(uid)) = (self.messages(), self.stopped.take()) else {
            return reply;
        };
        let uid = Some(uid);
        if reply.status == Status::Bad {
            return reply;
        }
        let code = Code::MessageLimit { limit, uid };
        if reply.status == Status::Ok && reply.code.is_none() && !taken {
            return reply.text("the newest were dealt with").with(code);
        }
        let told = Reply::no("only the newest were dealt with").with(code);
        link.session.untagged(&Untagged::Status(told));
        reply
    }
}

fn too_many(limit: u32, uid: Option<u32>) -> Reply {
    Reply::no("that is too many messages for one command").with(Code::MessageLimit { limit, uid })
}

/// Leaves the last so many numbers; answers the lowest of them.
fn keep_last(runs: &mut Vec<Run>, limit: u32) -> Option<u32> {
    let mut left = limit;
    let mut from = runs.len();
    let mut lowest = None;
    while left > 0
        && let Some(at) = from.checked_sub(1)
        && let Some(run) = runs.get_mut(at)
    {
        let size = run.end().saturating_sub(*run.start()).saturating_add(1);
        if size > left {
            *run = run.end().saturating_sub(left.saturating_sub(1))..=*run.end();
        }
        left = left.saturating_sub(size);
        lowest = Some(*run.start());
        from = at;
    }
    runs.drain(..from);
    lowest
}

/// The messages a search looks at: those that all its keys about numbers allow.
fn scope(told: &ViewSnapshot, key: &Key) -> Vec<Run> {
    let all = 1..=told.len();
    let within = |runs: &[Run]| {
        let cut = super::resync::intersect(runs, std::slice::from_ref(&all));
        cut.into_iter().filter(|run| !run.is_empty()).collect()
    };
    match key {
        Key::Sequence(runs) => within(runs),
        Key::Uid(uids) => {
            let seqs = uids.iter().map(|run| {
                let end = run.end().checked_add(1);
                let last = end.map_or(told.len(), |end| told.count_below(end));
                told.count_below(*run.start()).saturating_add(1)..=last
            });
            seqs.filter(|run| !run.is_empty()).collect()
        }
        Key::And(keys) => keys
            .iter()
            .fold(within(&[1..=u32::MAX]), |common: Vec<Run>, key| {
                super::resync::intersect(&common, &scope(told, key))
            }),
        Key::Always(false) => Vec::new(),
        Key::Not(key) if matches!(**key, Key::Always(true)) => Vec::new(),
        _ => within(&[1..=u32::MAX]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept() {
        for (runs, limit, kept, lowest) in [
            (vec![1..=10], 3, vec![8..=10], Some(8)),
            (vec![1..=2, 5..=6], 3, vec![2..=2, 5..=6], Some(2)),
            (vec![1..=2, 5..=6], 2, vec![5..=6], Some(5)),
            (vec![1..=2], 9, vec![1..=2], Some(1)),
            (vec![], 9, vec![], None),
        ] {
            let mut cut: Vec<Run> = runs;
            assert_eq!(keep_last(&mut cut, limit), lowest);
            assert_eq!(cut, kept);
        }
    }
}
