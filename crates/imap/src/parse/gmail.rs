//! Labels of X-GM-EXT-1.

use super::{Parsed, Parser, too_many};
use crate::{Command, GmailLabel, MailboxName, SequenceSet, StoreAction, StoreLabels, SystemLabel};

impl Parser<'_> {
    /// A system label may stand as it is or in quotes, where its backslash is escaped.
    ///
    /// ```text
    /// label = astring / "\" atom
    /// ```
    pub(super) fn gmail_label(&mut self) -> Parsed<GmailLabel> {
        let text = if self.cursor.eat(b'\\') {
            format!("\\{}", self.atom("a label")?)
        } else {
            let text = self.astring("a label")?;
            self.decode_name(&text)?
        };
        if let Some(name) = text.strip_prefix('\\') {
            let known = SystemLabel::from_name(name).map(GmailLabel::System);
            return Ok(known.unwrap_or(GmailLabel::Other(text)));
        }
        MailboxName::new(&text)
            .map(GmailLabel::Mailbox)
            .map_err(super::mailbox::no_name)
    }

    /// ```text
    /// "(" [label *(SP label)] ")"
    /// ```
    pub(super) fn gmail_labels(&mut self) -> Parsed<Vec<GmailLabel>> {
        let mut labels = Vec::new();
        self.open()?;
        if self.cursor.eat(b')') {
            return Ok(labels);
        }
        loop {
            if labels.len() >= self.context.limits.items {
                return Err(too_many("too many labels"));
            }
            labels.push(self.gmail_label()?);
            if self.list_ends()? {
                return Ok(labels);
            }
        }
    }

    /// What follows `X-GM-LABELS` or `X-GM-LABELS.SILENT` in a STORE, with its space.
    pub(super) fn store_labels(
        &mut self,
        uid: bool,
        set: SequenceSet,
        action: StoreAction,
        silent: bool,
    ) -> Parsed<Command> {
        self.sp()?;
        let labels = if self.cursor.peek() == Some(b'(') {
            self.gmail_labels()?
        } else {
            let mut labels = vec![self.gmail_label()?];
            while self.cursor.eat(b' ') {
                if labels.len() >= self.context.limits.items {
                    return Err(too_many("too many labels"));
                }
                labels.push(self.gmail_label()?);
            }
            labels
        };
        Ok(Command::StoreLabels(StoreLabels {
            uid,
            set,
            action,
            silent,
            labels,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, wrong_at};
    use super::*;
    use crate::{FetchAttribute, SearchKey};

    fn labels(text: &str) -> (StoreAction, bool, Vec<GmailLabel>) {
        match parse(text) {
            Ok(Command::StoreLabels(store)) => (store.action, store.silent, store.labels),
            other => panic!("{text}: {other:?}"),
        }
    }

    fn named(name: &str) -> GmailLabel {
        GmailLabel::Mailbox(MailboxName::new(name).unwrap())
    }

    #[test]
    fn labels_in_all_their_forms() {
        use GmailLabel::System;
        use SystemLabel::*;
        assert_eq!(
            labels("STORE 1 +X-GM-LABELS (\\Inbox \"\\\\Sent\" \"Muy Importante\" foo &AOQ-)"),
            (
                StoreAction::Add,
                false,
                vec![
                    System(Inbox),
                    System(Sent),
                    named("Muy Importante"),
                    named("foo"),
                    named("\u{e4}")
                ]
            )
        );
        assert_eq!(
            labels("UID STORE 1:* -x-gm-labels.silent \\draft \\SPAM \\Muted"),
            (
                StoreAction::Remove,
                true,
                vec![
                    System(Drafts),
                    System(Junk),
                    GmailLabel::Other("\\Muted".into())
                ]
            )
        );
        assert_eq!(
            labels("STORE 1 X-GM-LABELS ()"),
            (StoreAction::Set, false, vec![])
        );
        for text in [
            "STORE 1 +X-GM-LABELS",
            "STORE 1 +X-GM-LABELS (foo",
            "STORE 1 +X-GM-LABELS (foo) bar",
            "STORE 1 +X-GM-FOO (foo)",
            "STORE 1 (UNCHANGEDSINCE 5) +X-GM-LABELS (foo)",
        ] {
            wrong_at(text);
        }
    }

    #[test]
    fn items_and_keys() {
        let Ok(Command::Fetch { attributes, .. }) =
            parse("FETCH 1 (X-GM-MSGID X-GM-THRID X-GM-LABELS)")
        else {
            panic!("no FETCH");
        };
        assert_eq!(
            attributes,
            [
                FetchAttribute::GmailMessageId,
                FetchAttribute::GmailThreadId,
                FetchAttribute::GmailLabels
            ]
        );
        let Ok(Command::Search(search)) = parse(
            "SEARCH X-GM-MSGID 1278455344230334865 X-GM-THRID 1266894439832287888 X-GM-LABELS \\Inbox X-GM-LABELS foo X-GM-RAW \"has:attachment in:unread\"",
        ) else {
            panic!("no SEARCH");
        };
        assert_eq!(
            search.key,
            SearchKey::And(vec![
                SearchKey::GmailMessageId(1_278_455_344_230_334_865),
                SearchKey::GmailThreadId(1_266_894_439_832_287_888),
                SearchKey::GmailLabel(GmailLabel::System(SystemLabel::Inbox)),
                SearchKey::GmailLabel(named("foo")),
                SearchKey::GmailRaw("has:attachment in:unread".into()),
            ])
        );
        wrong_at("SEARCH X-GM-MSGID x");
        wrong_at("SEARCH X-GM-MSGID 18446744073709551616");
    }
}
