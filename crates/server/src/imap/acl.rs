//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).
//!
//! Identifiers are addresses of accounts and `anyone`, with `-` before them for rights that are taken away. The owner has
//! all rights for ever, and is listed with them.

use ::imap::{AclCommand, AclData, Code, MailboxName, Reply, RightsMode, Status, Untagged};
use ::store::{AccountId, Grantee, Rights, Snapshot};

use super::access::{self, Place};
use super::error::Failure;
use super::{Answer, Imap, Link};

/// The rights that can be given, each alone: what is `d` and `c` to RFC 2086 is not tied to anything (RFC 4314 §2.1.1).
const OPTIONAL: &str = "lrswipkxteancd";

/// An identifier that is no account here.
const NO_SUCH_IDENTIFIER: Reply =
    Reply::coded(Status::No, Code::Cannot, "there is no such account");

/// Carries out a command about rights.
pub async fn acl(imap: &mut Imap, link: &mut Link, command: AclCommand) -> Answer {
    let user = imap.account()?;
    match command {
        AclCommand::My(name) => my_rights(imap, link, user, name),
        AclCommand::Get(name) => get(imap, link, user, name),
        AclCommand::List {
            mailbox,
            identifier,
        } => list(imap, link, user, mailbox, identifier),
        AclCommand::Set {
            mailbox,
            identifier,
            mode,
            rights,
        } => {
            let Some(rights) = parse(&rights) else {
                // RFC 4314 §3.1: rights that there are not are BAD.
                return Ok(Reply::bad("no such right"));
            };
            change(imap, user, mailbox, identifier, Some((mode, rights))).await
        }
        AclCommand::Delete {
            mailbox,
            identifier,
        } => change(imap, user, mailbox, identifier, None).await,
    }
}

/// The rights of letters.
pub fn parse(letters: &str) -> Option<Rights> {
    letters.chars().try_fold(Rights::NONE, |all, letter| {
        Some(all.with(Rights::of_letter(letter)?))
    })
}

/// Rights as they are told: with the `c` and `d` of RFC 2086 where a member is there (RFC 4314 §2.1.1).
pub fn letters(rights: Rights) -> String {
    let mut letters = rights.letters();
    if rights.any(Rights::CREATE.with(Rights::DELETE)) {
        letters.push('c');
    }
    if rights.any(Rights::DELETE_MESSAGES.with(Rights::EXPUNGE)) {
        letters.push('d');
    }
    letters
}

fn my_rights(imap: &Imap, link: &mut Link, user: AccountId, name: MailboxName) -> Answer {
    let found = imap
        .shared
        .db
        .glance(|snapshot| access::find_any(snapshot, user, name.as_str(), Rights::KNOWN))?;
    let rights = letters(found.place()?.rights);
    link.session.untagged(&Untagged::Acl(AclData::MyRights {
        mailbox: name,
        rights,
    }));
    Ok(Reply::ok("rights told"))
}

fn get(imap: &Imap, link: &mut Link, user: AccountId, name: MailboxName) -> Answer {
    let found = imap.shared.db.glance(|snapshot| {
        let place = match access::find(snapshot, user, name.as_str(), Rights::ADMIN)?.place() {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        entries(snapshot, &place).map(Ok)
    })?;
    link.session.untagged(&Untagged::Acl(AclData::Acl {
        mailbox: name,
        entries: found?,
    }));
    Ok(Reply::ok("rights told"))
}

fn entries(snapshot: &Snapshot<'_>, place: &Place) -> ::store::Result<Vec<(String, String)>> {
    let owner = snapshot.account_by_id(place.owner)?;
    let owner = owner.map(|owner| (owner.address, letters(Rights::ALL)));
    let others = snapshot.acl(place.owner, place.mailbox.id)?;
    let others = others.into_iter().map(|entry| {
        let sign = if entry.negative { "-" } else { "" };
        (format!("{sign}{}", entry.name), letters(entry.rights))
    });
    Ok(owner.into_iter().chain(others).collect())
}

fn list(
    imap: &Imap,
    link: &mut Link,
    user: AccountId,
    name: MailboxName,
    identifier: String,
) -> Answer {
    let found = imap.shared.db.glance(|snapshot| {
        let place = match access::find(snapshot, user, name.as_str(), Rights::ADMIN)?.place() {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Ok(grantee(snapshot, &identifier)?
            .map(|who| who == (Grantee::Account(place.owner), false))))
    })?;
    let Some(owner) = found? else {
        return Ok(NO_SUCH_IDENTIFIER);
    };
    let (required, optional) = match owner {
        true => (letters(Rights::ALL), Vec::new()),
        false => (String::new(), OPTIONAL.chars().map(String::from).collect()),
    };
    link.session.untagged(&Untagged::Acl(AclData::ListRights {
        mailbox: name,
        identifier,
        required,
        optional,
    }));
    Ok(Reply::ok("rights told"))
}

/// Whom an identifier means, and whether its rights are taken away. The store prepares addresses as it compares them.
pub fn grantee(
    snapshot: &Snapshot<'_>,
    identifier: &str,
) -> ::store::Result<Option<(Grantee, bool)>> {
    let (name, negative) = match identifier.strip_prefix('-') {
        Some(name) => (name, true),
        None => (identifier, false),
    };
    if name == "anyone" {
        return Ok(Some((Grantee::Anyone, negative)));
    }
    let account = snapshot.account(name)?;
    Ok(account.map(|account| (Grantee::Account(account.id), negative)))
}

/// SETACL, or DELETEACL without a change.
async fn change(
    imap: &mut Imap,
    user: AccountId,
    name: MailboxName,
    identifier: String,
    change: Option<(RightsMode, Rights)>,
) -> Answer {
    let outcome = imap.shared.db.write(move |tx| {
        let place = match access::find(tx, user, name.as_str(), Rights::ADMIN)?.place() {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some((who, negative)) = grantee(tx, &identifier)? else {
            return Ok(Err(Failure::Reply(NO_SUCH_IDENTIFIER)));
        };
        let (owner, mailbox) = (place.owner, place.mailbox.id);
        let rights = match change {
            None => None,
            Some((mode, rights)) => {
                let now = tx.acl(owner, mailbox)?;
                let now = now
                    .iter()
                    .find(|entry| entry.grantee == who && entry.negative == negative)
                    .map_or(Rights::NONE, |entry| entry.rights);
                Some(match mode {
                    RightsMode::Replace => rights,
                    RightsMode::Add => now.with(rights),
                    RightsMode::Remove => now.without(rights),
                })
            }
        };
        match tx.set_acl(owner, mailbox, &who, negative, rights) {
            Err(::store::Error::Conflict(_)) => Ok(Err(Failure::Reply(OWNER))),
            done => done.map(Ok),
        }
    });
    outcome.await??;
    Ok(Reply::ok("rights changed"))
}

/// The owner cannot be kept out (RFC 4314 §2: rights may be tied to identifiers).
const OWNER: Reply = Reply::coded(Status::No, Code::Cannot, "the owner has all rights, always");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_rights_are_told_beside_their_members() {
        assert_eq!(letters(Rights::ALL), "lrswipkxteancd");
        assert_eq!(letters(Rights::EXPUNGE), "ed");
        assert_eq!(letters(Rights::LOOKUP), "l");
        assert_eq!(parse("d"), parse("te"));
        assert_eq!(parse("n"), Some(Rights::ANNOTATE));
        assert_eq!(parse("lq"), None);
    }
}
