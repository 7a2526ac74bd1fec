//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3), and what a client has missed of the mailbox (RFC 7162 §3.2.5).

use ::imap::{Capability, Code, Reply, Select, Untagged};
use ::store::Rights;

use super::selected::Selected;
use super::{Answer, Imap, Link, access, annotate, error, list, objectid, resync};

/// Opens a mailbox. What was selected before is forgotten already.
pub async fn select(imap: &mut Imap, link: &mut Link, command: Select) -> Answer {
    let account = imap.account()?;
    let read_only = command.read_only;
    let wanted = command.mailbox.as_str().to_owned();
    let opened = imap.shared.db.blocking_for(account, move |store| {
        let found = store.read(|snapshot| {
            let place = match access::find(snapshot, account, &wanted, Rights::READ)?.place() {
                Ok(place) => place,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let entry = list::one(snapshot, account, &place)?;
            Ok(Ok((place, entry)))
        })?;
        let (place, entry) = match found {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let view = store.view_as(account, place.owner, place.mailbox.id)?;
        Ok(Ok((place, entry, view)))
    });
    let (place, entry, view) = opened.await??;
    imap.shared.recent.keep(&view);
    let mut selected = Selected::new(account, &place, view, read_only);
    if selected.told.gone() {
        return Err(error::NO_MAILBOX.into());
    }
    selected.annotations.asked = command.annotate;
    selected.annotations.db = Some(imap.shared.db.clone());
    let told = &selected.told;
    let session = &mut link.session;
    let flags = selected.defined_flags();
    // RFC 9586 §3: no message number in any response.
    let unseen = told
        .first_unseen()
        .filter(|_| !session.is_enabled(&Capability::UidOnly));
    session.untagged(&Untagged::Flags(flags.clone()));
    session.untagged(&Untagged::Exists(told.len()));
    session.untagged(&Untagged::Recent(0));
    let mut tell = |code: Code, text: &'static str| {
        session.untagged(&Untagged::Status(Reply::ok(text).with(code)))
    };
    tell(selected.permanent_flags(), "these flags are kept");
    if let Some(seq) = unseen {
        tell(Code::Unseen(seq), "the first unseen message");
    }
    tell(Code::UidValidity(told.uid_validity()), "UIDs are valid");
    tell(Code::UidNext(told.uid_next()), "the next UID");
    // RFC 7162 §3.1.2: with every SELECT, whether or not the client knows mod-sequences.
    tell(
        Code::HighestModSeq(told.highest_modseq()),
        "the highest mod-sequence",
    );
    // RFC 8474 §4.2
    let id = objectid::mailbox(place.owner, place.mailbox.id);
    tell(Code::MailboxId(id), "the mailbox's identifier");
    // RFC 4467 §8
    tell(Code::UrlMech, "URLs can be authorized");
    // RFC 5257 §4.1
    tell(annotate::support(read_only), "messages can be annotated");
    imap.condstore |= session.is_enabled(&Capability::CondStore);
    // RFC 9051 §6.3.2, and only for those who know: libraries with one list of untagged LIST data (Python's imaplib,
    // Ruby's net-imap) take it for a part of what their next LIST brings.
    if let Some(entry) = entry.filter(|_| session.is_enabled(&Capability::Imap4rev2)) {
        session.untagged(&Untagged::List(entry));
    }
    if let Some(known) = command
        .qresync
        .filter(|known| known.uid_validity == told.uid_validity())
    {
        resync::after_select(imap, link, &selected, &known).await?;
    }
    selected.url_resets = imap.shared.url_resets.now();
    imap.selected = Some(Box::new(selected));
    // RFC 4314 §5.2: what is one's own in a mailbox of another does not make it writable.
    let writes = Rights::INSERT
        .with(Rights::EXPUNGE)
        .with(Rights::WRITE)
        .with(Rights::DELETE_MESSAGES);
    Ok(match read_only || !place.rights.any(writes) {
        true => Reply::ok("opened for reading").with(Code::ReadOnly),
        false => Reply::ok("opened").with(Code::ReadWrite),
    })
}
