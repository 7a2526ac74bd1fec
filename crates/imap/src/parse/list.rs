//! LIST and LSUB.

use super::base::is_list_char;
use super::{Parsed, Parser, too_many};
use crate::{Command, List, ListPattern, ListReturn, ListSelection};

/// Patterns of one LIST: every name is matched against every pattern.
const PATTERNS: usize = 100;

impl Parser<'_> {
    /// ```text
    /// list        = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]
    /// mbox-or-pat = list-mailbox / patterns
    /// patterns    = "(" list-mailbox *(SP list-mailbox) ")" ; RFC 5258 §6
    /// ```
    pub(super) fn list(&mut self) -> Parsed<Command> {
        self.sp()?;
        let mut list = List {
            selection: ListSelection::default(),
            reference: String::new(),
            patterns: Vec::new(),
            returns: ListReturn::default(),
            extended: false,
        };
        if self.cursor.eat(b'(') {
            list.extended = true;
            list.selection = self.list_select_opts()?;
            self.sp()?;
        }
        list.reference = self.reference()?;
        self.sp()?;
        if self.cursor.eat(b'(') {
            list.extended = true;
            loop {
                if list.patterns.len() == PATTERNS {
                    return Err(too_many("LIST names too many patterns"));
                }
                list.patterns.push(self.list_mailbox()?);
                if self.list_ends()? {
                    break;
                }
            }
        } else {
            list.patterns.push(self.list_mailbox()?);
        }
        if self.cursor.eat(b' ') {
            list.extended = true;
            list.returns = self.list_return_opts()?;
        }
        // RFC 5258 §3.1: SUBSCRIBED as selection has its attribute returned; RFC 6154 §5.2 likewise.
        list.returns.subscribed |= list.selection.subscribed;
        list.returns.special_use |= list.selection.special_use;
        Ok(Command::List(list))
    }

    /// ```text
    /// lsub = "LSUB" SP mailbox SP list-mailbox ; RFC 3501 §9
    /// ```
    pub(super) fn lsub(&mut self) -> Parsed<Command> {
        self.sp()?;
        let reference = self.reference()?;
        self.sp()?;
        let pattern = self.list_mailbox()?;
        Ok(Command::Lsub { reference, pattern })
    }

    fn reference(&mut self) -> Parsed<String> {
        let reference = self.astring("a reference name")?;
        self.decode_name(&reference)
    }

    /// ```text
    /// list-mailbox = 1*list-char / string
    /// ```
    fn list_mailbox(&mut self) -> Parsed<ListPattern> {
        let expected = "a mailbox pattern";
        let pattern = match self.string()? {
            Some(string) => string,
            None => self.cursor.take_while1(is_list_char, expected)?.into(),
        };
        Ok(ListPattern::new(&self.decode_name(&pattern)?))
    }

    /// Options behind their opening parenthesis.
    ///
    /// ```text
    /// list-select-opts = "(" [(*(list-select-opt SP) list-select-base-opt *(SP list-select-opt))
    ///                    / (list-select-independent-opt *(SP list-select-independent-opt))] ")"
    /// ```
    fn list_select_opts(&mut self) -> Parsed<ListSelection> {
        let mut selection = ListSelection::default();
        if self.cursor.eat(b')') {
            return Ok(selection);
        }
        loop {
            let error = self.wrong("SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE");
            match self.word("a selection option")?.as_str() {
                "SUBSCRIBED" => selection.subscribed = true,
                "REMOTE" => selection.remote = true,
                "RECURSIVEMATCH" => selection.recursive_match = true,
                "SPECIAL-USE" => selection.special_use = true,
                _ => return Err(error),
            }
            if self.list_ends()? {
                break;
            }
        }
        // RFC 9051 §6.3.9.1: RECURSIVEMATCH needs an option that says what to match, or the command is BAD.
        if selection.recursive_match && !(selection.subscribed || selection.special_use) {
            return Err(self.wrong("SUBSCRIBED or SPECIAL-USE beside RECURSIVEMATCH"));
        }
        Ok(selection)
    }

    /// ```text
    /// list-return-opts = "RETURN" SP "(" [list-return-opt *(SP list-return-opt)] ")"
    /// status-option    = "STATUS" SP "(" status-att *(SP status-att) ")"
    /// ```
    fn list_return_opts(&mut self) -> Parsed<ListReturn> {
        let error = self.wrong("RETURN");
        if self.word("RETURN")? != "RETURN" {
            return Err(error);
        }
        self.sp()?;
        self.open()?;
        let mut returns = ListReturn::default();
        if self.cursor.eat(b')') {
            return Ok(returns);
        }
        loop {
            let error =
                self.wrong("SUBSCRIBED, CHILDREN, SPECIAL-USE, STATUS, MYRIGHTS or METADATA");
            match self.word("a return option")?.as_str() {
                "SUBSCRIBED" => returns.subscribed = true,
                "CHILDREN" => returns.children = true,
                "SPECIAL-USE" => returns.special_use = true,
                "MYRIGHTS" => returns.my_rights = true,
                "METADATA" => {
                    self.sp()?;
                    returns.metadata = self.metadata_entries()?;
                }
                "STATUS" => {
                    self.sp()?;
                    returns.status = self.status_items()?;
                }
                _ => return Err(error),
            }
            if self.list_ends()? {
                return Ok(returns);
            }
        }
    }
}
