//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3).

use ::imap::{Code, MailboxName, Reply, Untagged};

use super::selected::Selected;
use super::{Answer, Imap, Link, error, list};

/// Opens a mailbox. What was selected before is forgotten already.
pub async fn select(
    imap: &mut Imap,
    link: &mut Link,
    name: &MailboxName,
    read_only: bool,
) -> Answer {
    let account = imap.account()?;
    let wanted = name.as_str().to_owned();
    let opened = imap.shared.db.blocking(move |store| {
        let found = store.read(|snapshot| {
            let Some(mailbox) = snapshot.mailbox(account, &wanted)? else {
                return Ok(None);
            };
            let entry = list::one(snapshot, account, &mailbox)?;
            Ok(Some((mailbox.id, entry)))
        })?;
        let Some((id, entry)) = found else {
            return Ok(None);
        };
        Ok(Some((id, entry, store.view(account, id)?)))
    });
    let Some((id, entry, view)) = opened.await? else {
        return Err(error::NO_MAILBOX.into());
    };
    imap.shared.recent.keep(&view);
    let selected = Selected::new(account, id, view, read_only);
    if selected.told.gone() {
        return Err(error::NO_MAILBOX.into());
    }
    let told = &selected.told;
    let session = &mut link.session;
    let flags = selected.defined_flags();
    session.untagged(&Untagged::Flags(flags.clone()));
    session.untagged(&Untagged::Exists(told.len()));
    session.untagged(&Untagged::Recent(0));
    let mut tell = |code: Code, text: &'static str| {
        session.untagged(&Untagged::Status(Reply::ok(text).with(code)))
    };
    let changeable = if read_only { Vec::new() } else { flags };
    tell(
        Code::PermanentFlags {
            flags: changeable,
            new_keywords: !read_only,
        },
        "these flags are kept",
    );
    if let Some(seq) = told.first_unseen() {
        tell(Code::Unseen(seq), "the first unseen message");
    }
    tell(Code::UidValidity(told.uid_validity()), "UIDs are valid");
    tell(Code::UidNext(told.uid_next()), "the next UID");
    if let Some(entry) = entry {
        session.untagged(&Untagged::List(entry));
    }
    imap.selected = Some(Box::new(selected));
    Ok(match read_only {
        true => Reply::ok("opened for reading").with(Code::ReadOnly),
        false => Reply::ok("opened").with(Code::ReadWrite),
    })
}
