//! Untagged data, as a client reads it.

use super::base::number64;
use super::{Parsed, Parser};
use crate::{
    Esearch, Fetched, ListChange, ListEntry, MailboxAttribute, MailboxName, Namespace,
    NamespaceEntry, NumberSet, SpecialUse, StatusData, ThreadToken, Untagged,
};

/// Parentheses in a value that is kept as it is: message structures nest at most 100 deep or so.
const VALUE_DEPTH: usize = 1000;

impl Parser<'_> {
    /// What follows `* `.
    ///
    /// ```text
    /// response-data = "*" SP (resp-cond-state / resp-cond-bye / mailbox-data / message-data / capability-data /
    ///                 enable-data) CRLF
    /// ```
    pub(super) fn untagged(&mut self) -> Parsed<Untagged> {
        if let Some(reply) = self.resp_cond()? {
            return Ok(Untagged::Status(reply));
        }
        let unknown = self.wrong("untagged data");
        if self
            .cursor
            .peek()
            .is_some_and(|octet| octet.is_ascii_digit())
        {
            let number = self.number("a number")?;
            self.sp()?;
            return Ok(
                match self
                    .word("EXISTS, RECENT, EXPUNGE, FETCH or UIDFETCH")?
                    .as_str()
                {
                    "EXISTS" => Untagged::Exists(number),
                    "RECENT" => Untagged::Recent(number),
                    "EXPUNGE" => Untagged::Expunge(number),
                    "FETCH" => {
                        self.sp()?;
                        Untagged::Fetch {
                            seq: number,
                            items: self.msg_att()?,
                        }
                    }
                    "UIDFETCH" => {
                        self.sp()?;
                        let mut items = self.msg_att()?;
                        items.retain(|item| !matches!(item, Fetched::Uid(_)));
                        items.insert(0, Fetched::Uid(number));
                        Untagged::Fetch { seq: 0, items }
                    }
                    _ => return Err(unknown),
                },
            );
        }
        Ok(match self.word("untagged data")?.as_str() {
            "CAPABILITY" => Untagged::Capability(self.capability_data()?),
            "ENABLED" => Untagged::Enabled(self.capability_data()?),
            "FLAGS" => {
                self.sp()?;
                Untagged::Flags(self.flag_fetch_list()?)
            }
            "LIST" => Untagged::List(self.mailbox_list()?),
            "LSUB" => Untagged::Lsub(self.mailbox_list()?),
            "STATUS" => self.status_data()?,
            "SEARCH" => Untagged::Search(self.search_data()?),
            "SORT" => Untagged::Sort(self.search_data()?),
            "THREAD" => Untagged::Thread(self.thread_data()?),
            "COMPARATOR" => self.comparator_data()?,
            "LANGUAGE" => self.language_data()?,
            "ESEARCH" => self.esearch_data()?,
            "NAMESPACE" => Untagged::Namespace(Namespace {
                personal: self.namespace()?,
                other_users: self.namespace()?,
                shared: self.namespace()?,
            }),
            "ACL" => self.acl_data()?,
            "LISTRIGHTS" => self.listrights_data()?,
            "MYRIGHTS" => self.myrights_data()?,
            "QUOTA" => self.quota_data()?,
            "QUOTAROOT" => self.quotaroot_data()?,
            "METADATA" => self.metadata_data()?,
            "GENURLAUTH" => self.genurlauth_data()?,
            "URLFETCH" => self.urlfetch_data()?,
            "ID" => self.id_data()?,
            "UIDBATCHES" => self.uid_batches_data()?,
            "VANISHED" => {
                self.sp()?;
                Untagged::Vanished {
                    earlier: self.cursor.eat_ignore_case(b"(EARLIER) "),
                    uids: self.number_set()?,
                }
            }
            _ => return Err(unknown),
        })
    }

    /// ```text
    /// SP mailbox-list
    /// mailbox-list = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox [SP mbox-list-extended]
    /// ```
    fn mailbox_list(&mut self) -> Parsed<ListEntry> {
        self.sp()?;
        let attributes = self.flag_fetch_list()?.into_iter().map(attribute).collect();
        let delimiter = self.sp_delimiter()?;
        let mailbox = self.sp_mailbox()?;
        let mut entry = ListEntry {
            attributes,
            delimiter,
            ..ListEntry::new(mailbox)
        };
        if self.cursor.eat(b' ') {
            self.mbox_list_extended(&mut entry)?;
        }
        Ok(entry)
    }

    /// ```text
    /// mbox-list-extended      = "(" [mbox-list-extended-item *(SP mbox-list-extended-item)] ")"
    /// mbox-list-extended-item = mbox-list-extended-item-tag SP tagged-ext-val
    /// ```
    fn mbox_list_extended(&mut self, entry: &mut ListEntry) -> Parsed<()> {
        self.open()?;
        if self.cursor.eat(b')') {
            return Ok(());
        }
        loop {
            let name = self.astring_text("the name of extended data")?;
            self.sp()?;
            match name.to_ascii_uppercase().as_str() {
                "OLDNAME" => {
                    self.open()?;
                    entry.old_name = Some(self.mailbox()?);
                    self.cursor.expect(b')', "a closing parenthesis")?;
                }
                "CHILDINFO" => {
                    self.value()?;
                    entry.child_info = true;
                }
                _ => {
                    self.value()?;
                }
            }
            if self.list_ends()? {
                return Ok(());
            }
        }
    }

    /// ```text
    /// SP (DQUOTE QUOTED-CHAR DQUOTE / nil)
    /// ```
    fn sp_delimiter(&mut self) -> Parsed<Option<char>> {
        self.sp()?;
        if self.cursor.eat_ignore_case(b"NIL") {
            return Ok(None);
        }
        let error = self.wrong("a hierarchy delimiter");
        let Some(text) = self.string()? else {
            return Err(error);
        };
        Ok(std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.chars().next()))
    }

    /// ```text
    /// SP mailbox SP "(" [status-att-list] ")"
    /// ```
    fn status_data(&mut self) -> Parsed<Untagged> {
        let mailbox: MailboxName = self.sp_mailbox()?;
        self.sp()?;
        self.open()?;
        let mut data = StatusData::default();
        if !self.cursor.eat(b')') {
            loop {
                self.status_att_val(&mut data)?;
                if self.list_ends()? {
                    break;
                }
            }
        }
        // Another slip of some servers: a space at the end.
        self.cursor.eat(b' ');
        Ok(Untagged::StatusData { mailbox, data })
    }

    fn status_att_val(&mut self, data: &mut StatusData) -> Parsed<()> {
        let name = self.word("a status item")?;
        self.sp()?;
        if name == "MAILBOXID" {
            data.mailbox_id = Some(self.mailbox_id()?);
            return Ok(());
        }
        if name == "APPENDLIMIT" && self.cursor.eat_ignore_case(b"NIL") {
            data.append_limit = Some(None);
            return Ok(());
        }
        let value = number64(&mut self.cursor, "a number")?;
        let small = u32::try_from(value).ok();
        match name.as_str() {
            "MESSAGES" => data.messages = small,
            "RECENT" => data.recent = small,
            "UIDNEXT" => data.uid_next = small,
            "UIDVALIDITY" => data.uid_validity = small,
            "UNSEEN" => data.unseen = small,
            "DELETED" => data.deleted = small,
            "SIZE" => data.size = Some(value),
            "DELETED-STORAGE" => data.deleted_storage = Some(value),
            "HIGHESTMODSEQ" => data.highest_modseq = Some(value),
            "APPENDLIMIT" => data.append_limit = Some(Some(value)),
            _ => {}
        }
        Ok(())
    }

    /// ```text
    /// "(" objectid ")" ; RFC 8474 §7
    /// objectid = 1*255(ALPHA / DIGIT / "_" / "-")
    /// ```
    pub(super) fn mailbox_id(&mut self) -> Parsed<String> {
        self.open()?;
        let id = self.atom("an identifier")?.to_owned();
        self.cursor.expect(b')', "a closing parenthesis")?;
        Ok(id)
    }

    /// ```text
    /// obsolete-search-response = "SEARCH" *(SP nz-number)
    /// ```
    fn search_data(&mut self) -> Parsed<Vec<u32>> {
        let mut results = Vec::new();
        while self.cursor.eat(b' ') {
            if self.cursor.is_empty() {
                break;
            }
            if self.cursor.peek() == Some(b'(') {
                // RFC 7162 §3.1.5: (MODSEQ n)
                self.value()?;
                continue;
            }
            results.push(self.nz_number("a number")?);
        }
        Ok(results)
    }

    /// ```text
    /// thread-data = "THREAD" [SP 1*thread-list]
    /// ```
    fn thread_data(&mut self) -> Parsed<Vec<ThreadToken>> {
        let mut tokens = Vec::new();
        let mut depth = 0_usize;
        while let Some(octet) = self.cursor.peek() {
            let error = self.wrong("a thread");
            match octet {
                b' ' => self.sp()?,
                b'(' => {
                    self.open()?;
                    depth = depth.saturating_add(1);
                    tokens.push(ThreadToken::Open);
                }
                b')' => {
                    self.cursor.eat(b')');
                    depth = depth.checked_sub(1).ok_or(error)?;
                    tokens.push(ThreadToken::Close);
                }
                _ if depth == 0 => return Err(error),
                _ => tokens.push(ThreadToken::Message(self.nz_number("a number")?)),
            }
        }
        let error = self.wrong("a closing parenthesis");
        if depth == 0 { Ok(tokens) } else { Err(error) }
    }

    /// ```text
    /// comparator-data = "COMPARATOR" SP comp-sel-quoted [SP "(" comp-id-quoted *(SP comp-id-quoted) ")"]
    /// ```
    fn comparator_data(&mut self) -> Parsed<Untagged> {
        self.sp()?;
        let active = self.astring_text("a comparator")?;
        let mut matching = Vec::new();
        if self.cursor.eat(b' ') {
            self.open()?;
            loop {
                matching.push(self.astring_text("a comparator")?);
                if self.list_ends()? {
                    break;
                }
            }
        }
        Ok(Untagged::Comparator { active, matching })
    }

    /// ```text
    /// esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)
    /// ```
    fn esearch_data(&mut self) -> Parsed<Untagged> {
        let mut data = Esearch::default();
        while self.cursor.eat(b' ') {
            if self.cursor.peek() == Some(b'(') {
                self.search_correlator(&mut data)?;
                continue;
            }
            match self.word("search data")?.as_str() {
                "UID" => data.uid = true,
                "MIN" => data.min = Some(self.sp_number()?),
                "MAX" => data.max = Some(self.sp_number()?),
                "COUNT" => data.count = Some(self.sp_number()?),
                "ALL" => data.all = Some(self.sp_number_set()?),
                "MODSEQ" => {
                    self.sp()?;
                    data.modseq = Some(number64(&mut self.cursor, "a mod-sequence")?);
                }
                "PARTIAL" => {
                    self.sp()?;
                    self.open()?;
                    let range = self.partial_range()?;
                    self.sp()?;
                    let found = if self.cursor.eat_ignore_case(b"NIL") {
                        NumberSet::new()
                    } else {
                        self.number_set()?
                    };
                    self.cursor.expect(b')', "a closing parenthesis")?;
                    data.partial = Some((range, found));
                }
                "RELEVANCY" => data.relevancy = Some(self.score_list()?),
                "ADDTO" => self.list_changes(&mut data.changes, ListChange::Add)?,
                "REMOVEFROM" => self.list_changes(&mut data.changes, ListChange::Remove)?,
                _ => {
                    self.sp()?;
                    self.value()?;
                }
            }
        }
        Ok(Untagged::Esearch(Box::new(data)))
    }

    /// ```text
    /// search-correlator = SP "(" one-correlator *(SP one-correlator) ")"
    /// ```
    fn search_correlator(&mut self, data: &mut Esearch) -> Parsed<()> {
        self.open()?;
        let (mut mailbox, mut uid_validity) = (None, None);
        loop {
            let error = self.wrong("a correlator");
            match self.word("a correlator")?.as_str() {
                "TAG" => {
                    self.sp()?;
                    data.tag = Some(self.astring_text("a tag")?);
                }
                "MAILBOX" => mailbox = Some(self.sp_mailbox()?),
                "UIDVALIDITY" => uid_validity = Some(self.sp_number()?),
                _ => return Err(error),
            }
            if self.list_ends()? {
                break;
            }
        }
        data.mailbox = mailbox.zip(uid_validity);
        Ok(())
    }

    /// ```text
    /// score-list = "(" [score *(SP score)] ")"
    /// ```
    fn score_list(&mut self) -> Parsed<Vec<u8>> {
        self.sp()?;
        self.open()?;
        let mut scores = Vec::new();
        if self.cursor.eat(b')') {
            return Ok(scores);
        }
        loop {
            let error = self.wrong("a score");
            scores.push(u8::try_from(self.number("a score")?).map_err(|_| error)?);
            if self.list_ends()? {
                return Ok(scores);
            }
        }
    }

    /// ```text
    /// ret-data-addto = "ADDTO" SP "(" context-position SP sequence-set *(SP context-position SP sequence-set) ")"
    /// ```
    fn list_changes(
        &mut self,
        changes: &mut Vec<ListChange>,
        change: fn(u32, NumberSet) -> ListChange,
    ) -> Parsed<()> {
        self.sp()?;
        self.open()?;
        loop {
            let position = self.number("a position")?;
            changes.push(change(position, self.sp_number_set()?));
            if self.list_ends()? {
                return Ok(());
            }
        }
    }

    /// ```text
    /// uidbatches-response = "UIDBATCHES" search-correlator [SP uid-range-desc *("," uid-range-desc)] ; RFC 10022
    /// ```
    fn uid_batches_data(&mut self) -> Parsed<Untagged> {
        let error = self.wrong("a tag");
        if !self.cursor.eat_ignore_case(b" (TAG ") {
            return Err(error);
        }
        let tag = self.astring_text("a tag")?;
        self.cursor.expect(b')', "a closing parenthesis")?;
        let mut ranges = Vec::new();
        while self.cursor.eat(b' ') || self.cursor.eat(b',') {
            let high = self.nz_number("a UID")?;
            let low = match self.cursor.eat(b':') {
                true => self.nz_number("a UID")?,
                false => high,
            };
            ranges.push((high.max(low), high.min(low)));
        }
        Ok(Untagged::UidBatches { tag, ranges })
    }

    /// ```text
    /// SP namespace
    /// namespace = nil / "(" 1*namespace-descr ")"
    /// ```
    fn namespace(&mut self) -> Parsed<Vec<NamespaceEntry>> {
        self.sp()?;
        let mut entries = Vec::new();
        if self.cursor.eat_ignore_case(b"NIL") {
            return Ok(entries);
        }
        self.open()?;
        while !self.cursor.eat(b')') {
            self.cursor.eat(b' ');
            self.open()?;
            let prefix = self.astring("a prefix")?;
            let prefix = self.decode_name(&prefix)?;
            let delimiter = self.sp_delimiter()?;
            let mut translation = None;
            while self.cursor.eat(b' ') {
                let extension = self.astring("an extension")?;
                self.sp()?;
                if !extension.eq_ignore_ascii_case(b"TRANSLATION") {
                    self.value()?;
                    continue;
                }
                // RFC 5255 §3.5, `namespace-trans`
                self.open()?;
                let translated = self.astring("a translation")?;
                translation = Some(self.decode_name(&translated)?);
                self.cursor.expect(b')', "a closing parenthesis")?;
            }
            self.cursor.expect(b')', "a closing parenthesis")?;
            entries.push(NamespaceEntry {
                prefix,
                delimiter,
                translation,
            });
        }
        Ok(entries)
    }

    fn id_data(&mut self) -> Parsed<Untagged> {
        self.sp()?;
        let mut pairs = Vec::new();
        if self.cursor.eat_ignore_case(b"NIL") {
            return Ok(Untagged::Id(pairs));
        }
        self.open()?;
        while !self.cursor.eat(b')') {
            self.cursor.eat(b' ');
            let field = self.astring_text("a field name")?;
            self.sp()?;
            let value = self
                .nstring()?
                .map(|value| String::from_utf8_lossy(&value).into_owned());
            pairs.push((field, value));
        }
        Ok(Untagged::Id(pairs))
    }

    /// ```text
    /// msg-att = "(" (msg-att-dynamic / msg-att-static) *(SP (msg-att-dynamic / msg-att-static)) ")"
    /// ```
    fn msg_att(&mut self) -> Parsed<Vec<Fetched>> {
        self.open()?;
        let mut items = Vec::new();
        if self.cursor.eat(b')') {
            return Ok(items);
        }
        loop {
            items.push(self.msg_att_item()?);
            if self.list_ends()? {
                return Ok(items);
            }
        }
    }

    fn msg_att_item(&mut self) -> Parsed<Fetched> {
        let name = self.word("an item")?;
        if self.cursor.peek() == Some(b'[') {
            return self.msg_att_section(&name);
        }
        self.sp()?;
        Ok(match name.as_str() {
            "UID" => Fetched::Uid(self.nz_number("a UID")?),
            "FLAGS" => Fetched::Flags(self.flag_fetch_list()?),
            "INTERNALDATE" => Fetched::InternalDate(self.date_time()?),
            "RFC822.SIZE" => Fetched::Rfc822Size(number64(&mut self.cursor, "a size")?),
            "MODSEQ" => {
                self.open()?;
                let modseq = self.mod_sequence_or_zero()?;
                self.cursor.expect(b')', "a closing parenthesis")?;
                Fetched::ModSeq(modseq)
            }
            "SAVEDATE" if self.cursor.eat_ignore_case(b"NIL") => Fetched::SaveDate(None),
            "SAVEDATE" => Fetched::SaveDate(Some(self.date_time()?)),
            "ANNOTATION" => Fetched::Annotation(self.annotation_item()?),
            "PREVIEW" => Fetched::Preview(
                self.nstring()?
                    .map(|text| String::from_utf8_lossy(&text).into_owned()),
            ),
            "X-GM-MSGID" => Fetched::GmailMessageId(number64(&mut self.cursor, "a number")?),
            "X-GM-THRID" => Fetched::GmailThreadId(number64(&mut self.cursor, "a number")?),
            "X-GM-LABELS" => Fetched::GmailLabels(self.gmail_labels()?),
            "ENVELOPE" | "BODY" | "BODYSTRUCTURE" => Fetched::Structure {
                name,
                value: self.value()?,
            },
            _ => Fetched::Other {
                name,
                value: self.value()?,
            },
        })
    }

    /// An item with a section.
    fn msg_att_section(&mut self, name: &str) -> Parsed<Fetched> {
        let unknown = self.wrong("BODY or BINARY");
        Ok(match name {
            "BODY" => {
                let section = self.section()?;
                let origin = self.origin()?;
                self.sp()?;
                Fetched::Body {
                    section,
                    origin,
                    body: self.nstring()?,
                }
            }
            "BINARY" => {
                let part = self.section_binary()?;
                let origin = self.origin()?;
                self.sp()?;
                Fetched::Binary {
                    part,
                    origin,
                    body: self.nstring()?,
                }
            }
            "BINARY.SIZE" => {
                let part = self.section_binary()?;
                self.sp()?;
                Fetched::BinarySize {
                    part,
                    size: number64(&mut self.cursor, "a size")?,
                }
            }
            _ => return Err(unknown),
        })
    }

    /// ```text
    /// ["<" number ">"]
    /// ```
    fn origin(&mut self) -> Parsed<Option<u64>> {
        if !self.cursor.eat(b'<') {
            return Ok(None);
        }
        let origin = number64(&mut self.cursor, "the first octet")?;
        self.cursor.expect(b'>', "a closing angle bracket")?;
        Ok(Some(origin))
    }

    /// Octets, NUL among them too: what a server stored is not the client's to refuse.
    ///
    /// ```text
    /// nstring / literal8
    /// ```
    pub(super) fn nstring(&mut self) -> Parsed<Option<Vec<u8>>> {
        if self.cursor.eat_ignore_case(b"NIL") {
            return Ok(None);
        }
        let error = self.wrong("a string or NIL");
        if let Some(octets) = self.any_literal()? {
            return Ok(Some(octets.to_vec()));
        }
        // Quoted strings of servers may hold any charset.
        if !self.cursor.eat(b'"') {
            return Err(error);
        }
        self.quoted_octets().map(|octets| Some(octets.into_owned()))
    }

    /// A value of a form that does not matter, as it is: an atom, a string, a literal, or a list of values.
    ///
    /// ```text
    /// tagged-ext-val
    /// ```
    pub(super) fn value(&mut self) -> Parsed<Vec<u8>> {
        let start = self.cursor.position();
        let mut depth = 0_usize;
        loop {
            let error = self.wrong("a value");
            match self.cursor.peek() {
                Some(b'(') if depth < VALUE_DEPTH => {
                    self.cursor.eat(b'(');
                    depth = depth.saturating_add(1);
                    continue;
                }
                Some(b')') if depth > 0 => {
                    self.cursor.eat(b')');
                    depth = depth.saturating_sub(1);
                }
                Some(b'"') => {
                    self.cursor.eat(b'"');
                    self.quoted_octets()?;
                }
                Some(b' ') if depth > 0 => {
                    self.cursor.eat(b' ');
                    continue;
                }
                Some(b'{' | b'~') if self.any_literal()?.is_some() => {}
                _ => {
                    let atom = self.cursor.take_while(|octet| {
                        !matches!(octet, b' ' | b'(' | b')' | b'"' | b'{' | 0..=0x1f)
                    });
                    if atom.is_empty() {
                        return Err(error);
                    }
                }
            }
            if depth == 0 {
                return Ok(self.cursor.since(start).to_vec());
            }
        }
    }
}

/// An attribute of a mailbox from the flag it looks like.
fn attribute(flag: crate::Flag) -> MailboxAttribute {
    use crate::Flag;
    let name = match flag {
        // \Flagged is a special use here (RFC 6154 §2).
        Flag::Flagged => return MailboxAttribute::Use(SpecialUse::Flagged),
        Flag::Extension(name) | Flag::Keyword(name) => name,
        Flag::Answered => "Answered".to_owned(),
        Flag::Deleted => "Deleted".to_owned(),
        Flag::Seen => "Seen".to_owned(),
        Flag::Draft => "Draft".to_owned(),
        Flag::Recent => "Recent".to_owned(),
    };
    let known = [
        ("Noselect", MailboxAttribute::NoSelect),
        ("NonExistent", MailboxAttribute::NonExistent),
        ("Noinferiors", MailboxAttribute::NoInferiors),
        ("HasChildren", MailboxAttribute::HasChildren),
        ("HasNoChildren", MailboxAttribute::HasNoChildren),
        ("Marked", MailboxAttribute::Marked),
        ("Unmarked", MailboxAttribute::Unmarked),
        ("Subscribed", MailboxAttribute::Subscribed),
        ("Remote", MailboxAttribute::Remote),
        ("All", MailboxAttribute::Use(SpecialUse::All)),
        ("Archive", MailboxAttribute::Use(SpecialUse::Archive)),
        ("Drafts", MailboxAttribute::Use(SpecialUse::Drafts)),
        ("Junk", MailboxAttribute::Use(SpecialUse::Junk)),
        ("Sent", MailboxAttribute::Use(SpecialUse::Sent)),
        ("Trash", MailboxAttribute::Use(SpecialUse::Trash)),
    ];
    let found = known
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&name));
    found.map_or(MailboxAttribute::Other(name), |(_, attribute)| attribute)
}
