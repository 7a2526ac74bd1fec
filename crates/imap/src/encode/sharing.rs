//! Commands about rights, quotas and annotations, as a client writes them.

use super::command::Writer;
use super::{astring, atom, fetch, number, separated};
use crate::{
    AclCommand, EventGroup, MetadataCommand, MetadataDepth, NotifyCommand, NotifyFilter,
    QuotaCommand, RightsMode, UrlAuthCommand, UrlFetch, UrlItem,
};

impl Writer {
    pub(super) fn acl(&mut self, command: &AclCommand) {
        match command {
            AclCommand::Get(mailbox) | AclCommand::My(mailbox) => self.sp_mailbox(mailbox),
            AclCommand::Delete {
                mailbox,
                identifier,
            }
            | AclCommand::List {
                mailbox,
                identifier,
            } => {
                self.sp_mailbox(mailbox);
                self.sp_astring(identifier.as_bytes());
            }
            AclCommand::Set {
                mailbox,
                identifier,
                mode,
                rights,
            } => {
                self.sp_mailbox(mailbox);
                self.sp_astring(identifier.as_bytes());
                let sign = match mode {
                    RightsMode::Replace => "",
                    RightsMode::Add => "+",
                    RightsMode::Remove => "-",
                };
                self.sp_astring(format!("{sign}{rights}").as_bytes());
            }
        }
    }

    pub(super) fn quota(&mut self, command: &QuotaCommand) {
        match command {
            QuotaCommand::Get(root) => self.sp_astring(root.as_bytes()),
            QuotaCommand::Root(mailbox) => self.sp_mailbox(mailbox),
            QuotaCommand::Set { root, limits } => {
                self.sp_astring(root.as_bytes());
                self.put(" (");
                separated(&mut self.out, limits, |out, (name, limit)| {
                    atom(out, name);
                    out.put(b" ");
                    number(out, *limit);
                });
                self.put(")");
            }
        }
    }

    pub(super) fn metadata(&mut self, command: &MetadataCommand) {
        match command {
            MetadataCommand::Get {
                mailbox,
                max_size,
                depth,
                entries,
            } => {
                let mut options = Vec::new();
                options.extend(max_size.map(|size| format!("MAXSIZE {size}")));
                match depth {
                    MetadataDepth::Zero => {}
                    MetadataDepth::One => options.push("DEPTH 1".to_owned()),
                    MetadataDepth::Infinity => options.push("DEPTH infinity".to_owned()),
                }
                if !options.is_empty() {
                    self.put(&format!(" ({})", options.join(" ")));
                }
                self.sp_mailbox(mailbox);
                self.put(" ");
                self.metadata_entries(entries);
            }
            MetadataCommand::Set { mailbox, entries } => {
                self.sp_mailbox(mailbox);
                let mut before = " (";
                for (entry, value) in entries {
                    self.put(before);
                    before = " ";
                    astring(&mut self.out, entry.as_bytes(), self.utf8);
                    self.put(" ");
                    match value {
                        None => self.put("NIL"),
                        Some(value) => {
                            let prefix = if value.contains(&0) { "~" } else { "" };
                            self.literal(value, prefix);
                        }
                    }
                }
                self.put(")");
            }
        }
    }

    pub(super) fn metadata_entries(&mut self, entries: &[String]) {
        self.put("(");
        let utf8 = self.utf8;
        separated(&mut self.out, entries, |out, entry| {
            astring(out, entry.as_bytes(), utf8);
        });
        self.put(")");
    }

    pub(super) fn notify(&mut self, command: &NotifyCommand) {
        let NotifyCommand::Set { status, groups } = command else {
            return self.put(" NONE");
        };
        self.put(if *status { " SET STATUS" } else { " SET" });
        for EventGroup { filter, events } in groups {
            self.put(" (");
            match filter {
                NotifyFilter::Selected { delayed: false } => self.put("SELECTED"),
                NotifyFilter::Selected { delayed: true } => self.put("SELECTED-DELAYED"),
                NotifyFilter::Other(filter) => self.mailbox_filter(filter),
            }
            let named = [
                (events.messages, "MessageExpunge"),
                (events.flags, "FlagChange"),
                (events.annotations, "AnnotationChange"),
                (events.names, "MailboxName"),
                (events.subscriptions, "SubscriptionChange"),
                (events.metadata, "MailboxMetadataChange"),
                (events.server_metadata, "ServerMetadataChange"),
            ];
            if !named.iter().any(|(asked, _)| *asked) {
                self.put(" NONE)");
                continue;
            }
            let mut before = " (";
            if events.messages {
                self.put(" (MessageNew");
                before = " ";
                if !events.fetch.is_empty() {
                    self.put(" (");
                    separated(&mut self.out, &events.fetch, fetch::attribute);
                    self.put(")");
                }
            }
            for (_, name) in named.iter().filter(|(asked, _)| *asked) {
                self.put(before);
                self.put(name);
                before = " ";
            }
            self.put("))");
        }
    }

    pub(super) fn urlauth(&mut self, command: &UrlAuthCommand) {
        match command {
            UrlAuthCommand::Generate(urls) => {
                for (url, mechanism) in urls {
                    self.sp_astring(url.as_bytes());
                    self.put(&format!(" {mechanism}"));
                }
            }
            UrlAuthCommand::Reset(None) => {}
            UrlAuthCommand::Reset(Some((mailbox, mechanisms))) => {
                self.sp_mailbox(mailbox);
                for mechanism in mechanisms {
                    self.put(&format!(" {mechanism}"));
                }
            }
            UrlAuthCommand::Fetch(urls) => {
                for UrlFetch { url, items } in urls {
                    if items.is_empty() {
                        self.sp_astring(url.as_bytes());
                        continue;
                    }
                    self.put(" (");
                    self.astring(url.as_bytes());
                    for item in items {
                        let names = UrlItem::NAMES.iter();
                        let name = names.filter(|(_, known)| known == item);
                        name.for_each(|(name, _)| self.put(&format!(" {name}")));
                    }
                    self.put(")");
                }
            }
        }
    }
}
