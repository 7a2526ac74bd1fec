//! The selected mailbox as this client knows it.
//!
//! Owns `told`: the picture of the mailbox whose numbers the client counts in. It changes in [`Selected::sync`] only,
//! which tells every difference to the newest picture of the store's view and then takes that for its own. Where a
//! command forbids EXPUNGE (RFC 9051 §7.5.1), messages that others expunged stay in `told` in their places, and are told
//! by a later command.
//!
//! `\Recent` does not exist here: RFC 9051 dropped it, no client needs it, and for clients of RFC 3501 "0 RECENT" is a
//! truthful answer, because to which session a message is recent is for the server to say (RFC 3501 §2.3.2).

use std::ops::RangeInclusive;
use std::sync::Arc;

use ::imap::{
    AnnotationData, Capability, Code, Command, Flag, Reply, SearchKey, SequenceSet, Untagged,
};
use ::store::{
    AccountId, Entry, Flags, MailboxId, Rights, Subscription, UidRange, View, ViewSnapshot,
};

use super::Link;
use super::access::Place;
use super::annotate;
use super::error::{self, Failure};
use super::search::context::Contexts;
use crate::db::Db;
use crate::drive::Gone;

/// Whether EXPUNGE may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expunges {
    /// The client expects its numbers to change.
    Told,
    /// It does not: the command works with sequence numbers and says so in its answers.
    Kept,
}

impl Expunges {
    /// What a command allows at its end: all but FETCH, STORE and SEARCH by sequence number let EXPUNGE be told.
    pub fn after(command: &Command) -> Expunges {
        match command {
            Command::Fetch { uid: false, .. } => Expunges::Kept,
            Command::Store(store) if !store.uid => Expunges::Kept,
            Command::StoreAnnotation(store) if !store.uid => Expunges::Kept,
            Command::StoreLabels(store) if !store.uid => Expunges::Kept,
            Command::Search(search)
            | Command::Sort { search, .. }
            | Command::Thread { search, .. }
                if !search.uid =>
            {
                Expunges::Kept
            }
            _ => Expunges::Told,
        }
    }

    /// What is told before a command that works on messages, so that it works on the mailbox as it is: clients poll with
    /// SEARCH and UID FETCH and expect what has arrived. Numbers in a command mean what the client knew when it wrote
    /// them, so with numbers no EXPUNGE may come before. Nothing comes before STORE: a client may count its change in from
    /// the moment it asks for it, and would take flags of the time before for newer.
    pub fn before(command: &Command) -> Option<Expunges> {
        let uid = match command {
            Command::Fetch { uid, .. } | Command::Copy { uid, .. } | Command::Move { uid, .. } => {
                *uid
            }
            Command::Search(search)
            | Command::Sort { search, .. }
            | Command::Thread { search, .. }
            | Command::Esearch { search, .. } => search.uid && !has_numbers(&search.key),
            Command::Expunge { .. } | Command::UidBatches { .. } => true,
            _ => return None,
        };
        Some(if uid { Expunges::Told } else { Expunges::Kept })
    }
}

/// Whether a search names sequence numbers.
fn has_numbers(key: &SearchKey) -> bool {
    key.any(&|key| matches!(key, SearchKey::Sequence(set) if *set != SequenceSet::Saved))
}

/// Expunges told at once, between two looks at the output.
const EXPUNGES: usize = 4096;

/// A run of sequence numbers.
pub type Run = RangeInclusive<u32>;

/// The selected mailbox of one session.
pub struct Selected {
    /// Who looks.
    pub user: AccountId,
    /// What the user may do there.
    pub rights: Rights,
    /// Up to where changes of keys of URLs were looked at.
    pub url_resets: u64,
    /// The right to read was taken away: what is told from now on is that all is expunged.
    pub revoked: bool,
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub mailbox: MailboxId,
    /// Opened by EXAMINE.
    pub read_only: bool,
    /// The shared view.
    pub view: Arc<View>,
    /// What the client has been told.
    pub told: Arc<ViewSnapshot>,
    /// Up to which mod-sequence the client knows everything: behind that of `told` while expunges are kept back.
    pub known_modseq: u64,
    /// UIDs of the saved search result, ascending (RFC 9051 §6.4.4.1). Expunged ones drop out because they are looked up
    /// in `told`.
    pub saved: Vec<u32>,
    /// Wakes this session while it idles.
    pub idle: Option<Subscription>,
    /// Wakes it when its rights may have changed.
    pub idle_rights: Option<Subscription>,
    /// Whether new messages may be told now.
    pub tells_new: bool,
    /// Results whose changes the client is told.
    pub contexts: Contexts,
    /// Whether changes of annotations are told.
    pub annotations: annotate::Telling,
    /// Names of the keywords in `told`, by bit.
    keywords: Vec<Flag>,
}

impl Selected {
    /// A mailbox just opened; all of it counts as told.
    pub fn new(user: AccountId, place: &Place, view: Arc<View>, read_only: bool) -> Selected {
        let told = view.snapshot();
        let known_modseq = told.highest_modseq();
        let mut selected = Selected {
            user,
            rights: place.rights,
            url_resets: 0,
            revoked: false,
            account: place.owner,
            mailbox: place.mailbox.id,
            read_only,
            view,
            told,
            known_modseq,
            saved: Vec::new(),
            idle: None,
            tells_new: true,
            contexts: Contexts::default(),
            idle_rights: None,
            annotations: annotate::Telling::default(),
            keywords: Vec::new(),
        };
        selected.learn_keywords();
        selected
    }

    /// The flags a client may see in this mailbox.
    pub fn defined_flags(&self) -> Vec<Flag> {
        SYSTEM
            .iter()
            .map(|(_, flag)| flag)
            .chain(&self.keywords)
            .cloned()
            .collect()
    }

    /// Which flags the user can change here (RFC 4314 §5.1.1).
    pub fn permanent_flags(&self) -> Code {
        let allowed = match self.read_only {
            true => Rights::NONE,
            false => self.rights,
        };
        let flags = allowed.flags();
        let keywords = allowed.contains(Rights::WRITE);
        let system = SYSTEM
            .iter()
            .filter(|(bit, _)| flags.contains(*bit))
            .map(|(_, flag)| flag);
        Code::PermanentFlags {
            flags: system
                .chain(self.keywords.iter().filter(|_| keywords))
                .cloned()
                .collect(),
            new_keywords: keywords,
        }
    }

    /// Looks again what the user may do in a mailbox of another. One that may be read no more is from then on like one
    /// that was deleted: empty, its messages expunged.
    pub fn recheck(&mut self, db: &Db, link: &mut Link) {
        if self.user == self.account {
            return;
        }
        let (user, account, mailbox) = (self.user, self.account, self.mailbox);
        // When it cannot be known, nothing is allowed.
        let rights = db
            .glance(|snapshot| snapshot.rights(user, account, mailbox))
            .unwrap_or_default();
        if rights == self.rights {
            return;
        }
        self.rights = rights;
        // Once gone it stays gone until it is selected again: its numbers have no meaning any more.
        self.revoked |= !rights.contains(Rights::READ);
        if self.revoked {
            self.view = View::nothing(account, mailbox);
            self.idle = None;
        }
        let reply = Reply::ok("your rights have changed").with(self.permanent_flags());
        link.session.untagged(&Untagged::Status(reply));
    }

    /// The flags of a message, as names.
    pub fn flags(&self, entry: &Entry) -> impl Iterator<Item = &Flag> {
        let (flags, keywords) = (entry.flags, entry.keywords);
        let system = SYSTEM
            .iter()
            .filter(move |(flag, _)| flags.contains(*flag))
            .map(|(_, name)| name);
        // Most messages have no keyword, and pay nothing for those that exist.
        let names = if keywords == 0 {
            &[][..]
        } else {
            &self.keywords[..]
        };
        let named = names.iter().enumerate();
        system.chain(
            named
                .filter(move |(bit, _)| keywords >> (*bit).min(63) & 1 == 1)
                .map(|(_, name)| name),
        )
    }

    /// The messages a set names, as runs of sequence numbers of `told`, ascending and disjoint.
    ///
    /// UIDs that no message has are left out (RFC 9051 §6.4.9). A sequence number that no message has is an error; `*`
    /// in an empty mailbox names nothing, because clients ask for `1:*` without looking.
    pub fn runs(&self, set: &SequenceSet, uid: bool) -> Result<Vec<Run>, Failure> {
        let count = self.told.len();
        if *set == SequenceSet::Saved {
            return Ok(runs_of(
                self.saved.iter().filter_map(|uid| self.told.seq_of(*uid)),
            ));
        }
        if !uid {
            let runs = set.resolve(count);
            return match runs.last() {
                Some(last) if *last.end() > count => Err(error::NO_SUCH_NUMBER.into()),
                _ => Ok(runs),
            };
        }
        let last = self.told.uid_at(count).unwrap_or(0);
        Ok(self.runs_of_uids(&set.resolve(last)))
    }

    /// The messages of these UIDs, as runs of sequence numbers of `told`.
    pub fn runs_of_uids(&self, uids: &[UidRange]) -> Vec<Run> {
        let count = self.told.len();
        let runs = uids.iter().map(|uids| {
            let first = self.told.count_below(*uids.start()).saturating_add(1);
            let last = uids
                .end()
                .checked_add(1)
                .map_or(count, |end| self.told.count_below(end));
            first..=last
        });
        runs.filter(|run| !run.is_empty()).collect()
    }

    /// The UIDs a UID set names in the newest picture, which the client may not have been told of.
    pub fn newest_uids(&self, set: &SequenceSet) -> Vec<UidRange> {
        if *set == SequenceSet::Saved {
            return runs_of(self.saved.iter().copied());
        }
        let newest = self.view.snapshot();
        set.resolve(newest.uid_at(newest.len()).unwrap_or(0))
    }

    /// The UIDs of runs of sequence numbers. A run stays a run: what is between two UIDs the client knows, it knows, too.
    pub fn uids(&self, runs: &[Run]) -> Vec<UidRange> {
        let uid = |seq: u32| self.told.uid_at(seq);
        runs.iter()
            .filter_map(|run| Some(uid(*run.start())?..=uid(*run.end())?))
            .collect()
    }

    /// Tells what changed.
    pub async fn sync(&mut self, link: &mut Link, expunges: Expunges) -> Result<(), Gone> {
        self.sync_but(link, expunges, |_, _| false).await
    }

    /// Tells what changed, but not the flags of messages of which `known` says, by their new number, that the client knows
    /// them.
    pub async fn sync_but(
        &mut self,
        link: &mut Link,
        expunges: Expunges,
        known: impl Fn(u32, &Entry) -> bool + Send,
    ) -> Result<(), Gone> {
        let newest = self.view.snapshot();
        if Arc::ptr_eq(&newest, &self.told) {
            return Ok(());
        }
        let mut next = Arc::clone(&newest);
        let mut diff = ViewSnapshot::diff(&self.told, &next);
        if expunges == Expunges::Kept && !diff.expunged.is_empty() {
            next = ViewSnapshot::keeping_expunged(&self.told, &newest);
            diff = ViewSnapshot::diff(&self.told, &next);
        }
        if !self.tells_new && diff.new.is_some() {
            next = ViewSnapshot::keeping_new(&self.told, &next);
            diff = ViewSnapshot::diff(&self.told, &next);
        }
        if next.len() == newest.len() {
            self.known_modseq = newest.highest_modseq();
        }
        self.contexts.before(link, &diff);
        let annotated = self.annotations.changed(self.user, &self.told, &diff).await;
        let before = std::mem::replace(&mut self.told, next);
        for expunged in diff.expunged.chunks(EXPUNGES) {
            let gone = expunged.iter().map(|gone| (gone.seq, gone.uid));
            link.session.expunged(gone);
            link.flush_if_full().await?;
        }
        if diff.keywords_added {
            self.learn_keywords();
            link.session
                .untagged(&Untagged::Flags(self.defined_flags()));
        }
        if diff.new.is_some() {
            link.session.untagged(&Untagged::Exists(self.told.len()));
            link.session.untagged(&Untagged::Recent(0));
        }
        let condstore = link.session.is_enabled(&Capability::CondStore);
        for (seq, entry) in &diff.changed {
            // Annotations have the message's mod-sequence, which is of no use to those who do not know of any.
            let same = || {
                let old = before.entry_of(entry.uid);
                old.is_some_and(|old| (old.flags, old.keywords) == (entry.flags, entry.keywords))
            };
            let flags = !known(*seq, entry) && (condstore || !same());
            let names = annotated.get(&entry.uid);
            if !flags && names.is_none() {
                continue;
            }
            // RFC 9051 §7.5.2: an unsolicited FETCH carries the UID.
            let mut fetch = link.session.fetch(*seq, entry.uid);
            fetch.uid(entry.uid);
            if flags {
                fetch.flags(self.flags(entry));
            }
            if let Some(names) = names {
                // RFC 5257 §4.4: names without values.
                fetch.annotation(&AnnotationData::Changed(names.clone()));
            }
            if condstore {
                // RFC 7162 §3.2.4
                fetch.modseq(entry.modseq);
            }
            fetch.end();
            link.flush_if_full().await?;
        }
        self.contexts.after(&self.told, &diff);
        Ok(())
    }

    fn learn_keywords(&mut self) {
        let known = self.keywords.len();
        let names = self.told.keywords().iter().skip(known);
        self.keywords
            .extend(names.map(|name| Flag::Keyword(name.to_string())));
    }
}

/// The bit of a keyword in a picture, 0 if it is not there.
pub fn keyword_bit(picture: &ViewSnapshot, name: &str) -> u64 {
    let bit = picture
        .keywords()
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name));
    bit.and_then(|bit| 1u64.checked_shl(u32::try_from(bit).ok()?))
        .unwrap_or(0)
}

/// The system flags by their names.
static SYSTEM: [(Flags, Flag); 5] = [
    (Flags::ANSWERED, Flag::Answered),
    (Flags::FLAGGED, Flag::Flagged),
    (Flags::DELETED, Flag::Deleted),
    (Flags::SEEN, Flag::Seen),
    (Flags::DRAFT, Flag::Draft),
];

/// System flags as bits, and keywords by name. `\Recent` and what begins with a backslash otherwise is neither.
pub fn split(flags: &[Flag]) -> (Flags, Vec<String>) {
    let mut bits = Flags::NONE;
    let mut keywords = Vec::new();
    for flag in flags {
        match flag {
            Flag::Keyword(name) => keywords.push(name.clone()),
            system => {
                let found = SYSTEM.iter().find(|(_, known)| known == system);
                bits = bits.with(found.map_or(Flags::NONE, |(bit, _)| *bit));
            }
        }
    }
    (bits, keywords)
}

/// The bit of a system flag, none for others.
pub fn system_bit(flag: &Flag) -> Flags {
    split(std::slice::from_ref(flag)).0
}

/// Ascending numbers as runs.
pub fn runs_of(numbers: impl Iterator<Item = u32>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if run.end().checked_add(1) == Some(number) => *run = *run.start()..=number,
            _ => runs.push(number..=number),
        }
    }
    runs
}

/// How many numbers runs hold.
pub fn count(runs: &[Run]) -> u64 {
    runs.iter()
        .map(|run| u64::from(run.end().saturating_sub(*run.start())) + 1)
        .sum()
}

/// Whether ascending, disjoint runs hold a number.
pub fn holds(runs: &[RangeInclusive<u32>], number: u32) -> bool {
    let after = runs.partition_point(|run| *run.start() <= number);
    after
        .checked_sub(1)
        .and_then(|at| runs.get(at))
        .is_some_and(|run| run.contains(&number))
}

/// How many of these UIDs a picture has.
pub fn count_in(picture: &ViewSnapshot, uids: &[UidRange]) -> u64 {
    let below = |uid: Option<u32>| uid.map_or(picture.len(), |uid| picture.count_below(uid));
    uids.iter()
        .map(|run| {
            u64::from(below(run.end().checked_add(1)).saturating_sub(below(Some(*run.start()))))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_runs() {
        assert_eq!(
            runs_of([1, 2, 3, 7, 9, 10].into_iter()),
            [1..=3, 7..=7, 9..=10]
        );
        assert_eq!(count(&[1..=3, 7..=7]), 4);
        assert!(
            holds(&[1..=3, 7..=7], 2) && holds(&[1..=3, 7..=7], 7) && !holds(&[1..=3, 7..=7], 5)
        );
        assert!(!holds(&[], 1));
    }

    #[test]
    fn flags_are_split() {
        let flags = [
            Flag::Seen,
            Flag::Keyword("$Junk".to_owned()),
            Flag::Recent,
            Flag::Draft,
        ];
        assert_eq!(
            split(&flags),
            (Flags::SEEN | Flags::DRAFT, vec!["$Junk".to_owned()])
        );
    }
}
