//! NOTIFY.

use super::{Parsed, Parser, Stop, too_many};
use crate::{
    Code, Command, EventGroup, MailboxFilter, NotifyCommand, NotifyEvents, NotifyFilter, Reply,
};

/// Event groups of one command: each is held against every name.
const GROUPS: usize = 50;

/// The events there are.
const EVENTS: [&str; 8] = [
    "MessageNew",
    "MessageExpunge",
    "FlagChange",
    "AnnotationChange",
    "MailboxName",
    "SubscriptionChange",
    "MailboxMetadataChange",
    "ServerMetadataChange",
];

/// What the events of a group were, before they are held to be in order.
#[derive(Default)]
struct Named {
    events: NotifyEvents,
    new: bool,
    expunge: bool,
    unknown: bool,
}

impl Parser<'_> {
    /// ```text
    /// notify       = "NOTIFY" SP (notify-set / notify-none) ; RFC 5465 §8
    /// notify-set   = "SET" [SP "STATUS"] SP event-groups
    /// event-groups = event-group *(SP event-group)
    /// ```
    pub(super) fn notify(&mut self) -> Parsed<Command> {
        self.sp()?;
        let error = self.wrong("SET or NONE");
        match self.word("SET or NONE")?.as_str() {
            "NONE" => return Ok(Command::Notify(NotifyCommand::None)),
            "SET" => {}
            _ => return Err(error),
        }
        let status = self.cursor.eat_ignore_case(b" STATUS");
        let mut groups: Vec<EventGroup> = Vec::new();
        let mut unknown = false;
        while self.cursor.eat(b' ') {
            if groups.len() == GROUPS {
                return Err(too_many("NOTIFY has too many event groups"));
            }
            let again = self.wrong("SELECTED once");
            let (group, odd) = self.event_group()?;
            unknown |= odd;
            let selected =
                |group: &EventGroup| matches!(group.filter, NotifyFilter::Selected { .. });
            if selected(&group) && groups.iter().any(selected) {
                return Err(again);
            }
            groups.push(group);
        }
        if groups.is_empty() {
            return Err(self.wrong("an event group"));
        }
        // RFC 5465 §3.1: NO, not BAD, with the events that there are.
        if unknown {
            let code = Code::BadEvent(EVENTS.map(str::to_owned).to_vec());
            return Err(Stop::Refused(
                Reply::no("NOTIFY names an unknown event").with(code),
            ));
        }
        Ok(Command::Notify(NotifyCommand::Set { status, groups }))
    }

    /// ```text
    /// event-group = "(" filter-mailboxes SP events ")"
    /// events      = ( "(" event *(SP event) ")" ) / "NONE"
    /// ```
    fn event_group(&mut self) -> Parsed<(EventGroup, bool)> {
        self.open()?;
        let filter = self.notify_filter()?;
        self.sp()?;
        let misused = self.wrong("events that go together and belong to these mailboxes");
        let mut named = Named::default();
        if self.cursor.eat(b'(') {
            loop {
                self.event(&mut named)?;
                if self.list_ends()? {
                    break;
                }
            }
        } else if !self.cursor.eat_ignore_case(b"NONE") {
            return Err(self.wrong("events or NONE"));
        }
        self.cursor.expect(b')', "a closing parenthesis")?;
        let Named {
            mut events,
            new,
            expunge,
            unknown,
        } = named;
        events.messages = new && expunge;
        let selected = matches!(filter, NotifyFilter::Selected { .. });
        let others =
            events.names || events.subscriptions || events.metadata || events.server_metadata;
        // RFC 5465 §5, §6.1, §8
        if new != expunge
            || ((events.flags || events.annotations) && !new)
            || (selected && others)
            || (!selected && !events.fetch.is_empty())
        {
            return Err(misused);
        }
        Ok((EventGroup { filter, events }, unknown))
    }

    /// ```text
    /// filter-mailboxes = "selected" / "selected-delayed" / "inboxes" / "personal" / "subscribed" /
    ///                    ("subtree" SP one-or-more-mailbox) / ("mailboxes" SP one-or-more-mailbox)
    /// ```
    fn notify_filter(&mut self) -> Parsed<NotifyFilter> {
        let error = self.wrong("a choice of mailboxes");
        let mut names = 0;
        Ok(match self.word("a choice of mailboxes")?.as_str() {
            "SELECTED" => NotifyFilter::Selected { delayed: false },
            "SELECTED-DELAYED" => NotifyFilter::Selected { delayed: true },
            "INBOXES" => NotifyFilter::Other(MailboxFilter::Inboxes),
            "PERSONAL" => NotifyFilter::Other(MailboxFilter::Personal),
            "SUBSCRIBED" => NotifyFilter::Other(MailboxFilter::Subscribed),
            "SUBTREE" => NotifyFilter::Other(MailboxFilter::Subtree(
                self.one_or_more_mailbox(&mut names)?,
            )),
            "MAILBOXES" => NotifyFilter::Other(MailboxFilter::Mailboxes(
                self.one_or_more_mailbox(&mut names)?,
            )),
            _ => return Err(error),
        })
    }

    fn event(&mut self, named: &mut Named) -> Parsed<()> {
        match self.word("an event")?.as_str() {
            "MESSAGENEW" => {
                named.new = true;
                if self.cursor.eat_ignore_case(b" (") {
                    named.events.fetch = self.fetch_list()?;
                }
            }
            "MESSAGEEXPUNGE" => named.expunge = true,
            "FLAGCHANGE" => named.events.flags = true,
            "ANNOTATIONCHANGE" => named.events.annotations = true,
            "MAILBOXNAME" => named.events.names = true,
            "SUBSCRIPTIONCHANGE" => named.events.subscriptions = true,
            "MAILBOXMETADATACHANGE" => named.events.metadata = true,
            "SERVERMETADATACHANGE" => named.events.server_metadata = true,
            _ => named.unknown = true,
        }
        Ok(())
    }
}
