//! ESEARCH (RFC 7377 §4), CANCELUPDATE (RFC 5267 §5) and COMPARATOR (RFC 5255 §4.10).

use super::search::check;
use super::{Parsed, Parser, Stop, too_many};
use crate::server::State;
use crate::{Command, MailboxFilter, MailboxName, Reply, Search, SearchReturn};

impl Parser<'_> {
    /// ```text
    /// esearch             = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program
    /// esearch-source-opts = "IN" SP "(" source-mbox [SP "(" scope-options ")"] ")"
    /// ```
    pub(super) fn esearch(&mut self) -> Parsed<Command> {
        let mut sources = vec![MailboxFilter::Selected];
        if self.cursor.eat_ignore_case(b" IN ") {
            self.open()?;
            sources = self.mailbox_filters()?;
        }
        let returns = self.sp_search_returns()?;
        let (charset, key) = self.search_program()?;
        // RFC 7377 §2.1: without result options, ALL.
        let returns = returns.unwrap_or(SearchReturn {
            all: true,
            ..SearchReturn::default()
        });
        let fetch = std::mem::take(&mut self.fetches);
        let search = Search {
            fetch,
            uid: true,
            returns: Some(returns),
            key,
        };
        check(&search, charset, false)?;
        let selected = sources.contains(&MailboxFilter::Selected);
        let only_selected = sources
            .iter()
            .all(|source| *source == MailboxFilter::Selected);
        // RFC 7377 §2.2
        if (selected || returns.update) && self.context.state != State::Selected {
            return Err(Stop::Refused(Reply::bad("Select a mailbox first")));
        }
        if returns.save && !only_selected {
            return Err(Stop::Refused(Reply::bad(
                "SAVE is for the selected mailbox alone",
            )));
        }
        Ok(Command::Esearch { sources, search })
    }

    /// The mailboxes behind an opening parenthesis, and the closing one.
    ///
    /// ```text
    /// source-mbox               = filter-mailboxes *(SP filter-mailboxes)
    /// filter-mailboxes-selected = "selected"
    /// filter-mailboxes-other    = "inboxes" / "personal" / "subscribed" / ("subtree" SP one-or-more-mailbox) /
    ///                             ("mailboxes" SP one-or-more-mailbox)
    /// filter-mailboxes-other    =/ ("subtree-one" SP one-or-more-mailbox)
    /// ```
    fn mailbox_filters(&mut self) -> Parsed<Vec<MailboxFilter>> {
        let mut filters = Vec::new();
        let mut names = 0_usize;
        loop {
            let error = self.wrong("a choice of mailboxes");
            let filter = match self.word("a choice of mailboxes")?.as_str() {
                "SELECTED" => MailboxFilter::Selected,
                "INBOXES" => MailboxFilter::Inboxes,
                "PERSONAL" => MailboxFilter::Personal,
                "SUBSCRIBED" => MailboxFilter::Subscribed,
                "SUBTREE" => MailboxFilter::Subtree(self.one_or_more_mailbox(&mut names)?),
                "SUBTREE-ONE" => MailboxFilter::SubtreeOne(self.one_or_more_mailbox(&mut names)?),
                "MAILBOXES" => MailboxFilter::Mailboxes(self.one_or_more_mailbox(&mut names)?),
                _ => return Err(error),
            };
            names = names.saturating_add(1);
            if names > self.context.limits.items {
                return Err(too_many("ESEARCH names too many mailboxes"));
            }
            filters.push(filter);
            if self.list_ends()? {
                return Ok(filters);
            }
            // No scope options are defined (RFC 7377 §4).
        }
    }

    /// ```text
    /// one-or-more-mailbox = mailbox / many-mailboxes
    /// many-mailboxes      = "(" mailbox *(SP mailbox) ")"
    /// ```
    pub(super) fn one_or_more_mailbox(&mut self, names: &mut usize) -> Parsed<Vec<MailboxName>> {
        self.sp()?;
        if !self.cursor.eat(b'(') {
            return Ok(vec![self.mailbox()?]);
        }
        let mut mailboxes = Vec::new();
        loop {
            mailboxes.push(self.mailbox()?);
            *names = names.saturating_add(1);
            if *names > self.context.limits.items {
                return Err(too_many("ESEARCH names too many mailboxes"));
            }
            if self.list_ends()? {
                return Ok(mailboxes);
            }
        }
    }

    /// ```text
    /// command-select =/ "CANCELUPDATE" 1*(SP quoted)
    /// ```
    pub(super) fn cancel_update(&mut self) -> Parsed<Command> {
        let mut tags = Vec::new();
        loop {
            self.sp()?;
            tags.push(self.astring_text("a tag in quotes")?);
            if tags.len() > self.context.limits.items {
                return Err(too_many("CANCELUPDATE has too many tags"));
            }
            if self.cursor.is_empty() {
                return Ok(Command::CancelUpdate(tags));
            }
        }
    }

    /// ```text
    /// comparator-cmd = "COMPARATOR" *(SP comp-order-quoted)
    /// ```
    pub(super) fn comparator(&mut self) -> Parsed<Command> {
        let mut wanted = Vec::new();
        while !self.cursor.is_empty() {
            self.sp()?;
            wanted.push(self.astring_text("a comparator")?);
            if wanted.len() > self.context.limits.items {
                return Err(too_many("COMPARATOR has too many arguments"));
            }
        }
        Ok(Command::Comparator(wanted))
    }
}
