//! Commands, as a client writes them.
//!
//! A command is cut behind every synchronizing literal's announcement: the client waits there for the server.

use wire::output::Output;

use super::{annotation, date_time, fetch, flag, flags, month, name_form, number, separated};
use crate::{
    Append, AppendPart, Bound, Command, Date, FetchAttribute, FetchModifiers, List, ListReturn,
    ListSelection, MailboxFilter, MailboxName, Search, SearchKey, SearchReturn, Select,
    SequenceSet, SortCriterion, SortKey, StatusItem, Store, StoreAction, StoreLabels,
    ThreadAlgorithm,
};

/// Writes a command in pieces.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Names are UTF-8.
    pub utf8: bool,
    /// The server takes non-synchronizing literals up to this size.
    pub unasked: u64,
    /// Pieces that are complete; each but the first waits for a continuation.
    pieces: Vec<Vec<u8>>,
    pub(super) out: Output,
}

impl Writer {
    pub(crate) fn new(utf8: bool, unasked: u64) -> Writer {
        Writer {
            utf8,
            unasked,
            pieces: Vec::new(),
            out: Output::new(),
        }
    }

    /// The pieces of `tag command CRLF`.
    pub(crate) fn command(mut self, tag: &str, command: &Command) -> Vec<Vec<u8>> {
        self.put(tag);
        self.put(" ");
        self.put(command.name());
        self.arguments(command);
        self.put("\r\n");
        self.cut();
        self.pieces
    }

    fn cut(&mut self) {
        let mut piece = Vec::new();
        while let Some(chunk) = self.out.take() {
            piece.extend_from_slice(&chunk);
        }
        self.pieces.push(piece);
    }

    pub(super) fn put(&mut self, text: &str) {
        self.out.put(text.as_bytes());
    }

    fn arguments(&mut self, command: &Command) {
        match command {
            Command::Capability
            | Command::Noop
            | Command::Logout
            | Command::StartTls
            | Command::Namespace
            | Command::Unauthenticate
            | Command::Idle
            | Command::Check
            | Command::Close
            | Command::Unselect
            | Command::Expunge { uids: None } => {}
            Command::Compress => self.put(" DEFLATE"),
            Command::Id(pairs) => self.id(pairs),
            Command::Authenticate { mechanism, initial } => {
                self.put(" ");
                self.put(mechanism);
                if let Some(initial) = initial {
                    let text = wire::base64::encode(initial);
                    self.put(" ");
                    self.put(if text.is_empty() { "=" } else { &text });
                }
            }
            Command::Login { user, password } => {
                self.sp_astring(user.as_bytes());
                self.sp_astring(password.expose().as_bytes());
            }
            Command::Enable(capabilities) => {
                for capability in capabilities {
                    self.put(&format!(" {capability}"));
                }
            }
            Command::Select(select) => self.select(select),
            Command::Delete(name) | Command::Subscribe(name) | Command::Unsubscribe(name) => {
                self.sp_mailbox(name)
            }
            Command::Create { mailbox, uses } => {
                self.sp_mailbox(mailbox);
                if !uses.is_empty() {
                    self.put(" (USE (");
                    separated(&mut self.out, uses, |out, special| {
                        out.put(special.name().as_bytes())
                    });
                    self.put("))");
                }
            }
            Command::Acl(command) => self.acl(command),
            Command::Quota(command) => self.quota(command),
            Command::Metadata(command) => self.metadata(command),
            Command::Notify(command) => self.notify(command),
            Command::UrlAuth(command) => self.urlauth(command),
            Command::Rename { from, to } => {
                self.sp_mailbox(from);
                self.sp_mailbox(to);
            }
            Command::List(list) => self.list(list),
            Command::Lsub { reference, pattern } => {
                self.sp_name(reference);
                self.sp_name(pattern.as_str());
            }
            Command::Status { mailbox, items } => {
                self.sp_mailbox(mailbox);
                self.put(" ");
                self.status_items(items);
            }
            Command::Append(append) => self.append(append),
            Command::Expunge { uids: Some(set) } => self.sp_set(set),
            Command::Search(search) => self.search(search),
            Command::Sort { criteria, search } => self.sort(criteria, search),
            Command::Thread { algorithm, search } => {
                self.put(match algorithm {
                    ThreadAlgorithm::OrderedSubject => " ORDEREDSUBJECT UTF-8",
                    ThreadAlgorithm::References => " REFERENCES UTF-8",
                });
                self.search_keys(&search.key);
            }
            Command::Esearch { sources, search } => {
                self.put(" IN (");
                for (index, source) in sources.iter().enumerate() {
                    if index > 0 {
                        self.put(" ");
                    }
                    self.mailbox_filter(source);
                }
                self.put(")");
                self.search(search);
            }
            Command::CancelUpdate(words) => {
                for word in words {
                    self.put(" ");
                    super::string(&mut self.out, word.as_bytes(), false);
                }
            }
            Command::Comparator(words) | Command::Language(words) => {
                for word in words {
                    self.sp_astring(word.as_bytes());
                }
            }
            Command::Fetch {
                set,
                attributes,
                modifiers,
                ..
            } => {
                self.sp_set(set);
                self.put(" ");
                self.attributes(attributes);
                self.fetch_modifiers(modifiers);
            }
            Command::UidBatches { size, batches } => {
                self.put(&format!(" {size}"));
                if let Some((first, last)) = batches {
                    self.put(&format!(" {first}:{last}"));
                }
            }
            Command::Store(store) => self.store(store),
            Command::StoreAnnotation(store) => self.store_annotation(store),
            Command::StoreLabels(store) => self.store_labels(store),
            Command::Copy { set, mailbox, .. } | Command::Move { set, mailbox, .. } => {
                self.sp_set(set);
                self.sp_mailbox(mailbox);
            }
        }
    }

    /// ```text
    /// SP astring
    /// ```
    pub(super) fn sp_astring(&mut self, text: &[u8]) {
        self.put(" ");
        self.astring(text);
    }

    /// ```text
    /// astring
    /// ```
    pub(super) fn astring(&mut self, text: &[u8]) {
        // 8-bit text is in quotes only when IMAP4rev2 was enabled (RFC 9051 §4.3).
        let quotable =
            |&octet: &u8| !matches!(octet, b'\r' | b'\n' | 0) && (octet < 0x80 || self.utf8);
        if text.len() <= super::QUOTED_LIMIT && text.iter().all(quotable) {
            super::astring(&mut self.out, text, self.utf8);
        } else {
            self.literal(text, "");
        }
    }

    /// A literal, with `~` before it for a literal8.
    pub(super) fn literal(&mut self, text: &[u8], prefix: &str) {
        self.put(prefix);
        self.put("{");
        number(&mut self.out, text.len() as u64);
        if text.len() as u64 <= self.unasked {
            self.put("+}\r\n");
        } else {
            self.put("}\r\n");
            self.cut();
        }
        self.out.put(text);
    }

    pub(super) fn sp_mailbox(&mut self, name: &MailboxName) {
        self.sp_name(name.as_str());
    }

    /// A name, reference or pattern. A pattern in quotes keeps its wildcards.
    fn sp_name(&mut self, name: &str) {
        let form = name_form(name, self.utf8).into_owned();
        self.sp_astring(form.as_bytes());
    }

    pub(super) fn sp_set(&mut self, set: &SequenceSet) {
        self.put(" ");
        sequence_set(&mut self.out, set);
    }

    /// ```text
    /// SP id-params-list
    /// ```
    fn id(&mut self, pairs: &[(String, Option<String>)]) {
        if pairs.is_empty() {
            return self.put(" NIL");
        }
        for (index, (field, value)) in pairs.iter().enumerate() {
            self.put(if index == 0 { " (" } else { " " });
            super::string(&mut self.out, field.as_bytes(), true);
            self.put(" ");
            match value {
                Some(value) => super::string(&mut self.out, value.as_bytes(), true),
                None => self.put("NIL"),
            }
        }
        self.put(")");
    }

    /// ```text
    /// [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
    /// ```
    fn list(&mut self, list: &List) {
        let ListSelection {
            subscribed,
            remote,
            recursive_match,
            special_use,
        } = list.selection;
        let selection = options(&[
            (subscribed, "SUBSCRIBED"),
            (remote, "REMOTE"),
            (recursive_match, "RECURSIVEMATCH"),
            (special_use, "SPECIAL-USE"),
        ]);
        if list.extended {
            self.put(&format!(" ({selection})"));
        }
        self.sp_name(&list.reference);
        match list.patterns.as_slice() {
            [pattern] => self.sp_name(pattern.as_str()),
            patterns => {
                self.put(" (");
                for (index, pattern) in patterns.iter().enumerate() {
                    if index > 0 {
                        self.put(" ");
                    }
                    let form = name_form(pattern.as_str(), self.utf8).into_owned();
                    super::string(&mut self.out, form.as_bytes(), self.utf8);
                }
                self.put(")");
            }
        }
        if list.extended {
            self.list_returns(&list.returns);
        }
    }

    fn list_returns(&mut self, returns: &ListReturn) {
        let ListReturn {
            subscribed,
            children,
            special_use,
            status,
            my_rights,
            metadata,
        } = returns;
        let words = options(&[
            (*subscribed, "SUBSCRIBED"),
            (*children, "CHILDREN"),
            (*special_use, "SPECIAL-USE"),
            (*my_rights, "MYRIGHTS"),
        ]);
        self.put(&format!(" RETURN ({words}"));
        if !metadata.is_empty() {
            self.put(if words.is_empty() {
                "METADATA "
            } else {
                " METADATA "
            });
            self.metadata_entries(metadata);
        }
        if !status.is_empty() {
            self.put(if words.is_empty() && metadata.is_empty() {
                "STATUS "
            } else {
                " STATUS "
            });
            self.status_items(status);
        }
        self.put(")");
    }

    fn status_items(&mut self, items: &[StatusItem]) {
        self.put("(");
        separated(&mut self.out, items, |out, item| {
            out.put(match item {
                StatusItem::Messages => b"MESSAGES",
                StatusItem::Recent => b"RECENT",
                StatusItem::UidNext => b"UIDNEXT",
                StatusItem::UidValidity => b"UIDVALIDITY",
                StatusItem::Unseen => b"UNSEEN",
                StatusItem::Deleted => b"DELETED",
                StatusItem::Size => b"SIZE",
                StatusItem::DeletedStorage => b"DELETED-STORAGE",
                StatusItem::MailboxId => b"MAILBOXID",
                StatusItem::HighestModSeq => b"HIGHESTMODSEQ",
                StatusItem::AppendLimit => b"APPENDLIMIT",
            });
        });
        self.put(")");
    }

    fn append(&mut self, append: &Append) {
        if let Some(replaced) = append.replaces {
            self.put(" ");
            bound(&mut self.out, &replaced.message);
        }
        self.sp_mailbox(&append.mailbox);
        for message in &append.messages {
            if !message.flags.is_empty() {
                self.put(" ");
                flags(&mut self.out, &message.flags);
            }
            if let Some(date) = message.date {
                self.put(" ");
                date_time(&mut self.out, date);
            }
            if !message.annotations.is_empty() {
                self.att_annotate(&message.annotations);
            }
            if message.catenate {
                self.put(" CATENATE (");
            }
            for (index, part) in message.parts.iter().enumerate() {
                if index > 0 || !message.catenate {
                    self.put(" ");
                }
                self.append_part(part, message.catenate);
            }
            if message.catenate {
                self.put(")");
            }
        }
    }

    fn append_part(&mut self, part: &AppendPart, catenate: bool) {
        match part {
            AppendPart::Url(url) => {
                self.put("URL");
                self.sp_astring(url.as_bytes());
            }
            AppendPart::Text {
                octets, utf8: true, ..
            } => {
                self.put("UTF8 (");
                self.literal(octets, "~");
                self.put(")");
            }
            AppendPart::Text { octets, binary, .. } => {
                if catenate {
                    self.put("TEXT ");
                }
                self.literal(octets, if *binary { "~" } else { "" });
            }
        }
    }

    fn select(&mut self, select: &Select) {
        self.sp_mailbox(&select.mailbox);
        let words = [
            (select.annotate, "ANNOTATE"),
            (select.condstore, "CONDSTORE"),
        ];
        let words = options(&words);
        if words.is_empty() && select.qresync.is_none() {
            return;
        }
        self.put(" (");
        self.put(&words);
        if let Some(known) = &select.qresync {
            self.put(if words.is_empty() { "" } else { " " });
            self.put(&format!("QRESYNC ({} {}", known.uid_validity, known.modseq));
            if let Some(uids) = &known.known_uids {
                self.put(" ");
                super::number_set(&mut self.out, uids);
            }
            if let Some((numbers, uids)) = &known.matches {
                self.put(" (");
                super::number_set(&mut self.out, numbers);
                self.put(" ");
                super::number_set(&mut self.out, uids);
                self.put(")");
            }
            self.put(")");
        }
        self.put(")");
    }

    fn fetch_modifiers(&mut self, modifiers: &FetchModifiers) {
        let mut words = Vec::new();
        if let Some(modseq) = modifiers.changed_since {
            words.push(format!("CHANGEDSINCE {modseq}"));
        }
        if modifiers.vanished {
            words.push("VANISHED".to_owned());
        }
        if let Some(range) = modifiers.partial {
            let sign = if range.from_end { "-" } else { "" };
            words.push(format!(
                "PARTIAL {sign}{}:{sign}{}",
                range.first, range.last
            ));
        }
        if !words.is_empty() {
            self.put(&format!(" ({})", words.join(" ")));
        }
    }

    fn attributes(&mut self, attributes: &[FetchAttribute]) {
        self.put("(");
        for (index, attribute) in attributes.iter().enumerate() {
            if index > 0 {
                self.put(" ");
            }
            fetch::attribute(&mut self.out, attribute);
        }
        self.put(")");
    }

    fn store(&mut self, store: &Store) {
        self.sp_set(&store.set);
        if let Some(modseq) = store.unchanged_since {
            self.put(&format!(" (UNCHANGEDSINCE {modseq})"));
        }
        self.put(match store.action {
            StoreAction::Set => " FLAGS",
            StoreAction::Add => " +FLAGS",
            StoreAction::Remove => " -FLAGS",
        });
        self.put(if store.silent { ".SILENT " } else { " " });
        flags(&mut self.out, &store.flags);
    }

    fn store_labels(&mut self, store: &StoreLabels) {
        self.sp_set(&store.set);
        self.put(match store.action {
            StoreAction::Set => " X-GM-LABELS",
            StoreAction::Add => " +X-GM-LABELS",
            StoreAction::Remove => " -X-GM-LABELS",
        });
        self.put(if store.silent { ".SILENT " } else { " " });
        fetch::gmail_labels(&mut self.out, &store.labels, self.utf8);
    }

    fn search(&mut self, search: &Search) {
        self.search_returns(search.returns, &search.fetch);
        // A server of RFC 3501 takes texts for US-ASCII unless told.
        if !self.utf8 && !key_is_ascii(&search.key) {
            self.put(" CHARSET UTF-8");
        }
        self.search_keys(&search.key);
    }

    fn sort(&mut self, criteria: &[SortCriterion], search: &Search) {
        self.search_returns(search.returns, &search.fetch);
        for (index, criterion) in criteria.iter().enumerate() {
            self.put(if index == 0 { " (" } else { " " });
            if criterion.reverse {
                self.put("REVERSE ");
            }
            if let SortKey::Annotation { entry, scope } = &criterion.key {
                self.put("ANNOTATION");
                self.sp_astring(entry.as_bytes());
                self.put(" value");
                self.put(scope.suffix());
                continue;
            }
            let named = SortKey::NAMES.iter().find(|(_, key)| *key == criterion.key);
            self.put(named.map_or("ARRIVAL", |(name, _)| name));
        }
        self.put(") UTF-8");
        self.search_keys(&search.key);
    }

    pub(super) fn mailbox_filter(&mut self, filter: &MailboxFilter) {
        let (word, names): (_, &[MailboxName]) = match filter {
            MailboxFilter::Selected => ("selected", &[]),
            MailboxFilter::Inboxes => ("inboxes", &[]),
            MailboxFilter::Personal => ("personal", &[]),
            MailboxFilter::Subscribed => ("subscribed", &[]),
            MailboxFilter::Subtree(names) => ("subtree", names),
            MailboxFilter::SubtreeOne(names) => ("subtree-one", names),
            MailboxFilter::Mailboxes(names) => ("mailboxes", names),
        };
        self.put(word);
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                self.put(" ");
                self.put(word);
            }
            self.sp_mailbox(name);
        }
    }

    fn search_returns(&mut self, returns: Option<SearchReturn>, fetches: &[FetchAttribute]) {
        let Some(returns) = returns else { return };
        let SearchReturn {
            min,
            max,
            all,
            count,
            save,
            update,
            context,
            relevancy,
            partial,
        } = returns;
        let mut words = options(&[
            (min, "MIN"),
            (max, "MAX"),
            (all, "ALL"),
            (count, "COUNT"),
            (save, "SAVE"),
            (update, "UPDATE"),
            (context, "CONTEXT"),
            (relevancy, "RELEVANCY"),
        ]);
        if let Some(range) = partial {
            if !words.is_empty() {
                words.push(' ');
            }
            let sign = if range.from_end { "-" } else { "" };
            words.push_str(&format!(
                "PARTIAL {sign}{}:{sign}{}",
                range.first, range.last
            ));
        }
        if update && !fetches.is_empty() {
            // RFC 5465 §7
            let mut list = Output::new();
            separated(&mut list, fetches, fetch::attribute);
            let list = list.take().unwrap_or_default();
            let list = String::from_utf8_lossy(&list);
            words = words.replace("UPDATE", &format!("UPDATE ({list})"));
        }
        self.put(&format!(" RETURN ({words})"));
    }

    fn search_keys(&mut self, key: &SearchKey) {
        match key {
            SearchKey::And(keys) => {
                for key in keys {
                    self.put(" ");
                    self.search_key(key);
                }
            }
            key => {
                self.put(" ");
                self.search_key(key);
            }
        }
    }

    /// Recursive; keys nest no deeper than [`SearchKey::DEPTH_LIMIT`].
    fn search_key(&mut self, key: &SearchKey) {
        match key {
            SearchKey::All => self.put("ALL"),
            SearchKey::Flag(one) => self.search_flag(one, ""),
            SearchKey::Sequence(set) => sequence_set(&mut self.out, set),
            SearchKey::Uid(set) => {
                self.put("UID");
                self.sp_set(set);
            }
            SearchKey::From(text) => self.search_text("FROM", text),
            SearchKey::To(text) => self.search_text("TO", text),
            SearchKey::Cc(text) => self.search_text("CC", text),
            SearchKey::Bcc(text) => self.search_text("BCC", text),
            SearchKey::Subject(text) => self.search_text("SUBJECT", text),
            SearchKey::Body(text) => self.search_text("BODY", text),
            SearchKey::Text(text) => self.search_text("TEXT", text),
            SearchKey::Header { field, text } => {
                self.search_text("HEADER", field);
                self.sp_astring(text.as_bytes());
            }
            SearchKey::Before(day) => self.search_date("BEFORE", *day),
            SearchKey::On(day) => self.search_date("ON", *day),
            SearchKey::Since(day) => self.search_date("SINCE", *day),
            SearchKey::SentBefore(day) => self.search_date("SENTBEFORE", *day),
            SearchKey::SentOn(day) => self.search_date("SENTON", *day),
            SearchKey::SentSince(day) => self.search_date("SENTSINCE", *day),
            SearchKey::Older(seconds) => self.put(&format!("OLDER {seconds}")),
            SearchKey::Younger(seconds) => self.put(&format!("YOUNGER {seconds}")),
            SearchKey::ModSeq(modseq) => self.put(&format!("MODSEQ {modseq}")),
            SearchKey::SavedBefore(day) => self.search_date("SAVEDBEFORE", *day),
            SearchKey::SavedOn(day) => self.search_date("SAVEDON", *day),
            SearchKey::SavedSince(day) => self.search_date("SAVEDSINCE", *day),
            SearchKey::SaveDateSupported => self.put("SAVEDATESUPPORTED"),
            SearchKey::EmailId(id) => self.search_text("EMAILID", id),
            SearchKey::ThreadId(id) => self.search_text("THREADID", id),
            SearchKey::GmailMessageId(id) => self.put(&format!("X-GM-MSGID {id}")),
            SearchKey::GmailThreadId(id) => self.put(&format!("X-GM-THRID {id}")),
            SearchKey::GmailLabel(label) => {
                self.put("X-GM-LABELS ");
                fetch::gmail_label(&mut self.out, label, self.utf8);
            }
            SearchKey::GmailRaw(text) => self.search_text("X-GM-RAW", text),
            SearchKey::GmailAttachment(None) => self.search_text("X-GM-RAW", "has:attachment"),
            SearchKey::GmailAttachment(Some(name)) => {
                let name = name.replace('"', " ");
                self.search_text("X-GM-RAW", &format!("filename:\"{name}\""));
            }
            SearchKey::Filter(name) => self.put(&format!("FILTER {name}")),
            SearchKey::Annotation { entry, scope, text } => {
                self.put("ANNOTATION ");
                annotation::pattern(&mut self.out, entry);
                self.put(" value");
                self.put(annotation::scope(*scope));
                self.put(" ");
                // An atom is no value.
                match text {
                    None => self.put("NIL"),
                    Some(text) => self.literal(text.as_bytes(), ""),
                }
            }
            SearchKey::Fuzzy(inner) => {
                self.put("FUZZY ");
                self.search_key(inner);
            }
            SearchKey::Larger(size) => self.put(&format!("LARGER {size}")),
            SearchKey::Smaller(size) => self.put(&format!("SMALLER {size}")),
            SearchKey::Not(inner) => match &**inner {
                SearchKey::Flag(one) => self.search_flag(one, "UN"),
                inner => {
                    self.put("NOT ");
                    self.search_key(inner);
                }
            },
            SearchKey::Or(keys) => {
                for (index, key) in keys.iter().enumerate() {
                    let last = index.saturating_add(1) == keys.len();
                    if index > 0 {
                        self.put(" ");
                    }
                    if !last {
                        self.put("OR ");
                    }
                    self.search_key(key);
                }
            }
            SearchKey::And(keys) => {
                for (index, key) in keys.iter().enumerate() {
                    self.put(if index == 0 { "(" } else { " " });
                    self.search_key(key);
                }
                self.put(")");
            }
        }
    }

    fn search_flag(&mut self, one: &crate::Flag, un: &str) {
        use crate::Flag;
        let word = match one {
            Flag::Answered => "ANSWERED",
            Flag::Flagged => "FLAGGED",
            Flag::Deleted => "DELETED",
            Flag::Seen => "SEEN",
            Flag::Draft => "DRAFT",
            Flag::Recent => return self.put(if un.is_empty() { "RECENT" } else { "OLD" }),
            Flag::Keyword(_) | Flag::Extension(_) => {
                self.put(un);
                self.put("KEYWORD ");
                return flag(&mut self.out, one);
            }
        };
        self.put(un);
        self.put(word);
    }

    fn search_text(&mut self, word: &str, text: &str) {
        self.put(word);
        self.sp_astring(text.as_bytes());
    }

    fn search_date(&mut self, word: &str, day: Date) {
        let (year, month_number, day) = day.parts();
        self.put(&format!("{word} {day}-{}-{year:04}", month(month_number)));
    }
}

/// The words whose condition is true, with spaces between them.
fn options(words: &[(bool, &str)]) -> String {
    words
        .iter()
        .filter(|(chosen, _)| *chosen)
        .map(|(_, word)| *word)
        .collect::<Vec<_>>()
        .join(" ")
}

/// ```text
/// seq-number = nz-number / "*"
/// ```
fn bound(out: &mut Output, bound: &Bound) {
    match bound {
        Bound::Number(value) => number(out, value.get()),
        Bound::Last => out.put(b"*"),
    }
}

/// ```text
/// sequence-set = (seq-number / seq-range) ["," sequence-set] / seq-last-command
/// ```
fn sequence_set(out: &mut Output, set: &SequenceSet) {
    match set {
        SequenceSet::Saved => out.put(b"$"),
        SequenceSet::Ranges(ranges) => {
            for (index, (first, second)) in ranges.iter().enumerate() {
                if index > 0 {
                    out.put(b",");
                }
                bound(out, first);
                if first != second {
                    out.put(b":");
                    bound(out, second);
                }
            }
        }
    }
}

fn key_is_ascii(key: &SearchKey) -> bool {
    match key {
        SearchKey::GmailRaw(text)
        | SearchKey::GmailAttachment(Some(text))
        | SearchKey::From(text)
        | SearchKey::To(text)
        | SearchKey::Cc(text)
        | SearchKey::Bcc(text)
        | SearchKey::Subject(text)
        | SearchKey::Body(text)
        | SearchKey::Text(text) => text.is_ascii(),
        SearchKey::Annotation {
            text: Some(text), ..
        } => text.is_ascii(),
        SearchKey::Header { field, text } => field.is_ascii() && text.is_ascii(),
        SearchKey::Not(inner) | SearchKey::Fuzzy(inner) => key_is_ascii(inner),
        SearchKey::Or(keys) | SearchKey::And(keys) => keys.iter().all(key_is_ascii),
        _ => true,
    }
}
