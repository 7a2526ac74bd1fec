//! Annotations of messages (RFC 5257): what may be stored, STORE, what FETCH tells, SEARCH and SORT by them.
//!
//! Private values take the right to read, shared ones the right `n` (RFC 5257 §3.4). Names are those that are registered
//! and those of vendors (RFC 5257 §3.2.1); others can be asked for, and are not there.
//!
//! Owns [`Telling`]: whether a session is told which entries others changed. That comes from the change stream, like
//! everything else: a change raises the message's mod-sequence in the picture, and then the names with a higher one are
//! looked up.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use ::imap::{
    AnnotationData, AnnotationFetch, AnnotationKind, AnnotationScope, AnnotationSupport, Bound,
    Capability, Code, NewAnnotation, Reply, SearchKey, SequenceSet, Status, StoreAnnotation,
};
use ::store::{
    AccountId, AnnotationChange, Columns, Diff, MESSAGE_ANNOTATION_VALUE, Rights, Snapshot,
    ViewSnapshot, Whose,
};

use super::error::Failure;
use super::search::fold::Collation;
use super::search::text::Needle;
use super::search::{TOO_LONG, WORK};
use super::selected::{self, Expunges, Run};
use super::{Answer, Imap, Link, access, store};
use crate::db::Db;
use crate::shared::Shared;

/// RFC 5257 §4.5.
pub const TOO_BIG: Reply = Reply::coded(
    Status::No,
    Code::AnnotateTooBig,
    "the value of the annotation is too big",
);
/// RFC 5257 §4.5.
pub const TOO_MANY: Reply = Reply::coded(
    Status::No,
    Code::AnnotateTooMany,
    "the message has too many annotations",
);
/// RFC 5257 §3.2.1: a part that the message does not have.
pub const NO_SUCH_PART: Reply = Reply::bad("there is no such part");
/// RFC 5257 §3.2.1: a name that is neither registered nor a vendor's.
const NO_SUCH_ENTRY: Reply = Reply::coded(
    Status::No,
    Code::Cannot,
    "there is no such entry; those of vendors are /vendor/TOKEN/...",
);
/// RFC 5257 §3.2.1.
const NO_FLAG: Reply = Reply::coded(Status::No, Code::Cannot, "a flag is \"1\", \"0\" or NIL");

/// Which annotations a message has, as one user sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// For all who may read the mailbox.
    pub shared: bool,
    /// Name of the entry.
    pub name: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Annotation {
    /// Octets it takes in memory and in an answer.
    pub fn octets(&self) -> usize {
        self.name.len().saturating_add(self.value.len())
    }
}

/// What SELECT says of annotations (RFC 5257 §4.1).
pub fn support(read_only: bool) -> Code {
    let size = u32::try_from(MESSAGE_ANNOTATION_VALUE).unwrap_or(u32::MAX);
    Code::Annotations(AnnotationSupport::Some {
        max_size: (!read_only).then_some(size),
        private: true,
    })
}

/// Why annotations cannot be stored on any message.
pub fn refused(annotations: &[NewAnnotation]) -> Option<Reply> {
    annotations.iter().find_map(|one| {
        let value = one.value.as_deref().unwrap_or(b"1");
        match known(&one.entry) {
            None => Some(NO_SUCH_ENTRY),
            Some(true) if !matches!(value, b"0" | b"1") => Some(NO_FLAG),
            _ if value.len() > MESSAGE_ANNOTATION_VALUE => Some(TOO_BIG),
            _ => None,
        }
    })
}

/// Whether an entry is one of those that there are, and whether it is a flag.
fn known(entry: &str) -> Option<bool> {
    let levels: Vec<&str> = entry.split('/').skip(1).collect();
    let of_part = |first: &&&str| first.starts_with(|c: char| c.is_ascii_digit());
    let rest = match levels.first().filter(of_part) {
        Some(_) => levels.get(1..).unwrap_or_default(),
        None => levels.as_slice(),
    };
    match rest {
        ["comment"] | ["vendor", _, ..] => Some(false),
        ["altsubject"] if rest.len() == levels.len() => Some(false),
        ["flags", "seen" | "answered" | "flagged" | "forwarded"] if rest.len() < levels.len() => {
            Some(true)
        }
        _ => None,
    }
}

/// The part that an entry is about; none for the whole message, and where a pattern leaves it open.
fn part(entry: &str) -> Option<Vec<u32>> {
    let first = entry.split('/').nth(1)?;
    first.split('.').map(|number| number.parse().ok()).collect()
}

/// The parts that some entries are about, each once.
fn parts<'e>(entries: impl Iterator<Item = &'e String>) -> Vec<Vec<u32>> {
    let mut parts: Vec<Vec<u32>> = entries.filter_map(|entry| part(entry)).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// The parts that values to be stored are about.
pub fn parts_of(annotations: &[NewAnnotation]) -> Vec<Vec<u32>> {
    parts(annotations.iter().map(|one| &one.entry))
}

/// The parts that FETCH asks for by their numbers.
pub fn parts_wanted(wanted: &AnnotationFetch) -> Vec<Vec<u32>> {
    parts(wanted.entries.iter())
}

/// Whether a message has all of these parts, going by its stored index.
pub fn has_parts(index: &[u8], parts: &[Vec<u32>]) -> bool {
    parts.is_empty()
        || mime::Index::from_bytes(index)
            .is_ok_and(|index| parts.iter().all(|part| index.find(part).is_some()))
}

/// Whether somebody may store these (RFC 5257 §3.4).
pub fn may(rights: Rights, annotations: &[NewAnnotation]) -> bool {
    annotations.iter().all(|one| match one.scope {
        AnnotationScope::Private => rights.contains(Rights::READ),
        AnnotationScope::Shared => rights.contains(Rights::ANNOTATE),
    })
}

/// The changes for the store.
pub fn changes(annotations: Vec<NewAnnotation>) -> Vec<AnnotationChange> {
    let change = |one: NewAnnotation| AnnotationChange {
        shared: one.scope == AnnotationScope::Shared,
        name: one.entry,
        value: one.value,
    };
    annotations.into_iter().map(change).collect()
}

/// STORE of annotations of all messages of the set, in one commit.
pub async fn store(imap: &mut Imap, link: &mut Link, command: StoreAnnotation) -> Answer {
    if let Some(refusal) = refused(&command.annotations) {
        return Ok(refusal);
    }
    let selected = imap.writable()?;
    if !may(selected.rights, &command.annotations) {
        return Err(access::NO_PERMISSION.into());
    }
    let (uids, expected) = if command.uid {
        let (uids, newest) = (selected.newest_uids(&command.set), selected.view.snapshot());
        (imap.limit.cut_uids(&newest, uids), None)
    } else {
        let (runs, told) = (
            selected.runs(&command.set, false)?,
            Arc::clone(&selected.told),
        );
        let runs = imap.limit.cut(&told, runs);
        let count = selected::count(&runs);
        (imap.selected()?.uids(&runs), Some(count))
    };
    let selected = imap.selected()?;
    if uids.is_empty() || selected.view.snapshot().gone() {
        return Ok(Reply::ok("nothing to store"));
    }
    let (user, whose) = (selected.user, (selected.account, selected.mailbox));
    let parts = parts_of(&command.annotations);
    let mine: Vec<String> = command
        .annotations
        .iter()
        .map(|one| one.entry.clone())
        .collect();
    let stored = uids.clone();
    let (annotations, since) = (command.annotations, command.unchanged_since);
    let written = imap.shared.db.write(move |tx| {
        if !may(tx.rights(user, whose.0, whose.1)?, &annotations) {
            return Ok(Err(access::NO_PERMISSION));
        }
        let columns = Columns {
            index: true,
            ..Columns::ENTRY
        };
        let mut there = true;
        if !parts.is_empty() {
            tx.messages(whose.0, whose.1, &stored, columns, &mut |row| {
                there &= has_parts(row.index, &parts);
                Ok(match there {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                })
            })?;
        }
        if !there {
            return Ok(Err(NO_SUCH_PART));
        }
        tx.annotate(user, whose, &stored, &changes(annotations), since)
            .map(Ok)
    });
    let done = imap.progress.during(link, None, written).await???;
    let newest_first = imap.limit.was_cut();
    let selected = imap.selected()?;
    let expunges = if command.uid {
        Expunges::Told
    } else {
        Expunges::Kept
    };
    let newest = selected.view.snapshot();
    let all = expected.is_none_or(|expected| selected::count_in(&newest, &uids) == expected);
    let condstore = link.session.is_enabled(&Capability::CondStore);
    let modified = selected::runs_of(done.modified.iter().copied());
    let before = Arc::clone(&selected.told);
    // RFC 5257 §4.5: it is silent. What others changed is told, here as ever.
    let known = |_: u32, entry: &::store::Entry| {
        let old = before.entry_of(entry.uid);
        selected::holds(&uids, entry.uid)
            && old.is_some_and(|old| (old.flags, old.keywords) == (entry.flags, entry.keywords))
    };
    selected.annotations.mine = mine;
    let told = selected.sync_but(link, expunges, known).await;
    selected.annotations.mine.clear();
    told?;
    if condstore {
        // RFC 7162 §3.1.3: the new mod-sequences are told all the same.
        let telling = store::Telling {
            uid: true,
            flags: false,
            modseq: true,
            but: since.is_none().then_some(&*before),
            alive: (!all).then_some(&*newest),
            newest_first,
        };
        store::tell(selected, link, &uids, &modified, &telling).await?;
    }
    let silent = since.is_none();
    Ok(store::conclude(
        selected,
        command.uid,
        silent,
        &done.modified,
        all,
    ))
}

/// What FETCH tells of a message; none where nothing that was left open is there.
pub fn told(wanted: &AnnotationFetch, all: &[Annotation]) -> Option<AnnotationData> {
    let find = |entry: &str, scope| {
        let shared = scope == AnnotationScope::Shared;
        all.iter()
            .find(|one| one.shared == shared && one.name == entry)
            .map(|one| one.value.as_slice())
    };
    let attributes: Vec<(AnnotationKind, AnnotationScope)> = wanted
        .attributes
        .iter()
        .flat_map(|attribute| {
            let both = [AnnotationScope::Private, AnnotationScope::Shared];
            both.into_iter()
                .filter(|scope| attribute.scope.is_none_or(|asked| asked == *scope))
                .map(|scope| (attribute.kind, scope))
        })
        .collect();
    let mut entries: Vec<&str> = Vec::new();
    for entry in &wanted.entries {
        if !entry.contains(['*', '%']) {
            entries.push(entry);
            continue;
        }
        let asked = |one: &&Annotation| {
            let scope = match one.shared {
                true => AnnotationScope::Shared,
                false => AnnotationScope::Private,
            };
            attributes.iter().any(|(_, asked)| *asked == scope)
        };
        let names = all.iter().filter(asked).map(|one| one.name.as_str());
        let mut names: Vec<&str> = names.filter(|name| matches(entry, name)).collect();
        names.sort_unstable();
        entries.extend(names);
    }
    let mut values: Vec<(String, Vec<_>)> = Vec::new();
    for entry in entries {
        if values.iter().any(|(known, _)| known == entry) {
            continue;
        }
        let told = attributes.iter().map(|(kind, scope)| {
            let value = find(entry, *scope);
            let value = match kind {
                AnnotationKind::Value => value.map(<[u8]>::to_vec),
                // RFC 5257 §3.2.2: the size of what is not there is 0.
                AnnotationKind::Size => Some(value.map_or(0, <[u8]>::len).to_string().into_bytes()),
            };
            (format!("{}{}", kind.name(), scope.suffix()), value)
        });
        values.push((entry.to_owned(), told.collect()));
    }
    (!values.is_empty()).then_some(AnnotationData::Values(values))
}

/// Whether a name matches a pattern: `*` stands for one or more characters, `%` for such without a slash (RFC 5257 §4.3).
/// Takes time in proportion to both lengths, which the parser bounds.
fn matches(pattern: &str, name: &str) -> bool {
    let name = name.as_bytes();
    // Which beginnings of the name the pattern so far matches.
    let mut reached = vec![false; name.len().saturating_add(1)];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for wanted in pattern.bytes() {
        let mut next = vec![false; reached.len()];
        let mut running = false;
        for (at, octet) in name.iter().enumerate() {
            let before = reached.get(at).copied().unwrap_or(false);
            let after = match wanted {
                b'*' | b'%' => (before || running) && (wanted == b'*' || *octet != b'/'),
                wanted => before && wanted == *octet,
            };
            running = after && matches!(wanted, b'*' | b'%');
            if let Some(place) = next.get_mut(at.saturating_add(1)) {
                *place = after;
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// One ANNOTATION key of a search, and which messages have such a value.
struct Criterion {
    entry: String,
    scope: Option<AnnotationScope>,
    /// None asks for messages without a value.
    needle: Option<Needle>,
    uids: Vec<u32>,
}

/// Puts what is found for ANNOTATION keys into a search (RFC 5257 §4.8).
pub async fn expand(
    shared: &Arc<Shared>,
    user: AccountId,
    told: &ViewSnapshot,
    collation: Collation,
    key: SearchKey,
) -> Result<SearchKey, Failure> {
    if !key.any(&|key| matches!(key, SearchKey::Annotation { .. })) {
        return Ok(key);
    }
    let mut criteria = Vec::new();
    collect(&key, collation, &mut criteria);
    let whose = (told.account(), told.mailbox());
    let turn = shared.searches.take(user).await;
    let found = shared.db.read(move |snapshot| {
        let done = scan(snapshot, user, whose, collation, &mut criteria)?;
        Ok(done.then_some(criteria))
    });
    let found = found.await?;
    drop(turn);
    let mut sets = found.ok_or(TOO_LONG)?.into_iter().map(|found| {
        let has = uid_key(found.uids);
        match found.needle {
            Some(_) => has,
            None => SearchKey::Not(Box::new(has)),
        }
    });
    Ok(substitute(key, &mut sets))
}

/// Looks through all values of a mailbox; false if that takes too long.
fn scan(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    whose: Whose,
    collation: Collation,
    criteria: &mut [Criterion],
) -> ::store::Result<bool> {
    let begun = Instant::now();
    let mut in_time = true;
    snapshot.message_annotations(user, whose, &[1..=u32::MAX], &mut |one| {
        let mut folded = None;
        for criterion in criteria.iter_mut() {
            let scope = match one.shared {
                true => AnnotationScope::Shared,
                false => AnnotationScope::Private,
            };
            if criterion.scope.is_some_and(|asked| asked != scope)
                || criterion.uids.last() == Some(&one.uid)
                || !matches(&criterion.entry, one.name)
            {
                continue;
            }
            let has = criterion.needle.as_ref().is_none_or(|needle| {
                let fold = || {
                    let text = String::from_utf8_lossy(one.value);
                    collation.fold(&text).into_owned()
                };
                let text: &String = folded.get_or_insert_with(fold);
                needle.is_in_folded(text.as_bytes())
            });
            if has {
                criterion.uids.push(one.uid);
            }
        }
        in_time = begun.elapsed() <= WORK;
        Ok(match in_time {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })?;
    Ok(in_time)
}

/// The ANNOTATION keys in a search, in their order. Recursion is bounded by [`SearchKey::DEPTH_LIMIT`].
fn collect(key: &SearchKey, collation: Collation, criteria: &mut Vec<Criterion>) {
    match key {
        SearchKey::Annotation { entry, scope, text } => criteria.push(Criterion {
            entry: entry.clone(),
            scope: *scope,
            needle: text.as_ref().map(|text| Needle::new(text, collation)),
            uids: Vec::new(),
        }),
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => collect(key, collation, criteria),
        SearchKey::Or(keys) | SearchKey::And(keys) => {
            for key in keys {
                collect(key, collation, criteria);
            }
        }
        _ => {}
    }
}

/// The search with sets of UIDs in the place of ANNOTATION keys.
fn substitute(key: SearchKey, sets: &mut dyn Iterator<Item = SearchKey>) -> SearchKey {
    match key {
        SearchKey::Annotation { .. } => sets.next().unwrap_or(SearchKey::All),
        SearchKey::Not(key) => SearchKey::Not(Box::new(substitute(*key, sets))),
        SearchKey::Fuzzy(key) => SearchKey::Fuzzy(Box::new(substitute(*key, sets))),
        SearchKey::Or(keys) => {
            SearchKey::Or(keys.into_iter().map(|key| substitute(key, sets)).collect())
        }
        SearchKey::And(keys) => {
            SearchKey::And(keys.into_iter().map(|key| substitute(key, sets)).collect())
        }
        other => other,
    }
}

fn uid_key(uids: Vec<u32>) -> SearchKey {
    let bound = |number: u32| std::num::NonZeroU32::new(number).map(Bound::Number);
    let runs: Vec<Run> = selected::runs_of(uids.into_iter());
    let ranges: Vec<(Bound, Bound)> = runs
        .iter()
        .filter_map(|run| Some((bound(*run.start())?, bound(*run.end())?)))
        .collect();
    match ranges.is_empty() {
        true => SearchKey::Not(Box::new(SearchKey::All)),
        false => SearchKey::Uid(SequenceSet::Ranges(ranges)),
    }
}

/// Whether, and how, a session hears of annotations that others change (RFC 5257 §4.4).
#[derive(Default)]
pub struct Telling {
    /// Where names are looked up; none without the ANNOTATE parameter of SELECT, and without NOTIFY.
    pub db: Option<Db>,
    /// The ANNOTATE parameter was there.
    pub asked: bool,
    /// What NOTIFY says, which counts for more.
    pub watched: Option<bool>,
    /// Entries that the session's own command sets: it knows.
    pub mine: Vec<String>,
}

impl Telling {
    /// The names of entries that others changed, by UID, between the picture that was told and the next.
    pub async fn changed(
        &self,
        user: AccountId,
        before: &ViewSnapshot,
        diff: &Diff,
    ) -> BTreeMap<u32, Vec<String>> {
        let mut names: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        let (Some(db), true) = (&self.db, self.watched.unwrap_or(self.asked)) else {
            return names;
        };
        let (Some((_, first)), Some((_, last))) = (diff.changed.first(), diff.changed.last())
        else {
            return names;
        };
        let since: BTreeMap<u32, u64> = diff
            .changed
            .iter()
            .filter_map(|(_, entry)| Some((entry.uid, before.entry_of(entry.uid)?.modseq)))
            .collect();
        let lowest = since.values().copied().min().unwrap_or(u64::MAX);
        let found = look(db, user, before, first.uid..=last.uid, lowest).await;
        for (uid, name, modseq) in found {
            let new = since.get(&uid).is_some_and(|since| modseq > *since);
            let list = names.entry(uid).or_default();
            if new && !self.mine.contains(&name) && !list.contains(&name) {
                list.push(name);
            }
        }
        names.retain(|_, list| !list.is_empty());
        names
    }

    /// The names of entries that changed after a mod-sequence, by UID, for a client that was away (RFC 7162 §3.2.5).
    pub async fn since(
        &self,
        user: AccountId,
        told: &ViewSnapshot,
        modseq: u64,
    ) -> BTreeMap<u32, Vec<String>> {
        let mut names: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        if let (Some(db), true) = (&self.db, self.asked) {
            for (uid, name, _) in look(db, user, told, 1..=u32::MAX, modseq).await {
                let list = names.entry(uid).or_default();
                if !list.contains(&name) {
                    list.push(name);
                }
            }
        }
        names
    }
}

/// UIDs, names and mod-sequences of what changed; nothing where that cannot be read: what is not told can be fetched.
async fn look(
    db: &Db,
    user: AccountId,
    told: &ViewSnapshot,
    run: Run,
    since: u64,
) -> Vec<(u32, String, u64)> {
    let whose = (told.account(), told.mailbox());
    let read = db.read(move |snapshot| snapshot.annotations_changed(user, whose, run, since));
    read.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "changes of annotations are not told");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_character_or_more() {
        for (pattern, name, is) in [
            ("*", "/comment", true),
            ("/*", "/comment", true),
            ("/*", "/1/comment", true),
            ("/%", "/comment", true),
            ("/%", "/1/comment", false),
            ("/%/comment", "/1.2/comment", true),
            ("/comment*", "/comment", false),
            ("/com%t", "/comment", true),
            ("/**", "/ab", true),
            ("/**", "/a", false),
            ("/vendor/*/x", "/vendor/a/b/x", true),
            ("/vendor/%/x", "/vendor/a/b/x", false),
            ("/comment", "/comment", true),
            ("/comment", "/Comment", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn entries_that_there_are() {
        for (entry, is) in [
            ("/comment", Some(false)),
            ("/altsubject", Some(false)),
            ("/vendor/x", Some(false)),
            ("/vendor/x/y/z", Some(false)),
            ("/1.2/comment", Some(false)),
            ("/1/vendor/x/y", Some(false)),
            ("/1/flags/seen", Some(true)),
            ("/1/flags/forwarded", Some(true)),
            ("/flags/seen", None),
            ("/flags", None),
            ("/1/flags", None),
            ("/1/flags/draft", None),
            ("/1/altsubject", None),
            ("/1", None),
            ("/vendor", None),
            ("/comment/below", None),
            ("/other", None),
        ] {
            assert_eq!(known(entry), is, "{entry}");
        }
        assert_eq!(part("/1.2/comment"), Some(vec![1, 2]));
        assert_eq!(part("/comment"), None);
        assert_eq!(part("/*"), None);
        assert_eq!(part("/1%/comment"), None);
    }

    #[test]
    fn what_is_asked_for_by_name_is_told_and_what_is_left_open_only_where_it_is() {
        let one = |shared, name: &str, value: &str| Annotation {
            shared,
            name: name.to_owned(),
            value: value.as_bytes().to_vec(),
        };
        let all = [
            one(true, "/altsubject", "Patches?"),
            one(false, "/comment", "My comment"),
        ];
        let ask = |entries: &[&str], kind, scope| AnnotationFetch {
            entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
            attributes: vec![::imap::AnnotationAttribute { kind, scope }],
        };
        let names = |wanted: &AnnotationFetch| match told(wanted, &all) {
            Some(AnnotationData::Values(values)) => {
                values.into_iter().map(|(name, _)| name).collect()
            }
            _ => Vec::new(),
        };
        let both = ask(&["/*"], AnnotationKind::Value, None);
        assert_eq!(names(&both), ["/altsubject", "/comment"]);
        let private = ask(
            &["/*", "/comment"],
            AnnotationKind::Size,
            Some(AnnotationScope::Private),
        );
        assert_eq!(names(&private), ["/comment"]);
        assert_eq!(
            told(&ask(&["/x*"], AnnotationKind::Value, None), &all),
            None
        );
        let sizes = told(&ask(&["/none"], AnnotationKind::Size, None), &all);
        let zero = |name: &str| (name.to_owned(), Some(b"0".to_vec()));
        let values = vec![(
            "/none".to_owned(),
            vec![zero("size.priv"), zero("size.shared")],
        )];
        assert_eq!(sizes, Some(AnnotationData::Values(values)));
    }
}
