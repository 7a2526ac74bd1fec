//! Names as a user writes them, and what the user may do there (RFC 4314, RFC 2342).
//!
//! One's own mailboxes have plain names. Those of others are `Other Users/ADDRESS/NAME`. Every command that names a
//! mailbox comes through [`find`]; a mailbox of another account that is selected is looked at again before each command
//! ([`super::selected::Selected::recheck`]), so that rights that are taken away are gone at once.
//!
//! Invariant: a mailbox that a user has no right to see is answered like one that is not there, octet for octet
//! (attack A46).

use ::imap::{Code, Reply, Status};
use ::store::{Account, AccountId, Mailbox, MailboxId, Rights, Snapshot};

use super::error::{self, Failure};

/// What the names of other users' mailboxes begin with.
pub const OTHERS: &str = "Other Users/";

/// A right is missing on something the user may know of.
pub const NO_PERMISSION: Reply =
    Reply::coded(Status::No, Code::NoPerm, "you have no right to do that");

/// What a name says, before anybody looks whether it is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Named<'n> {
    /// One's own.
    Own(&'n str),
    /// Another account's: its address, and the name within.
    Other(&'n str, &'n str),
    /// A level of the namespace that holds no mailbox of its own.
    Level,
}

/// Takes a name apart. Addresses may hold `/`, domains may not.
pub fn parse(name: &str) -> Named<'_> {
    let Some(rest) = name.strip_prefix(OTHERS) else {
        return match OTHERS.strip_suffix('/') == Some(name) {
            true => Named::Level,
            false => Named::Own(name),
        };
    };
    let domain = address_end(rest);
    match rest.get(domain..).and_then(|rest| rest.strip_prefix('/')) {
        Some(inner) if domain > 0 && !inner.is_empty() => {
            Named::Other(rest.get(..domain).unwrap_or_default(), inner)
        }
        _ => Named::Level,
    }
}

/// Where an address at the beginning of a name ends: at the first `/` behind its last `@` outside of quotes.
fn address_end(rest: &str) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    let mut at = None;
    for (index, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '@' if !quoted => {
                at = Some(index);
                break;
            }
            _ => {}
        }
    }
    let Some(at) = at else { return 0 };
    let domain = rest.get(at..).unwrap_or_default();
    at.saturating_add(domain.find('/').unwrap_or(domain.len()))
}

/// The name of another account's mailbox.
pub fn other(address: &str, name: &str) -> String {
    format!("{OTHERS}{address}/{name}")
}

/// A mailbox that is there for somebody.
#[derive(Debug, Clone)]
pub struct Place {
    /// Whose.
    pub owner: AccountId,
    /// Its name as the user writes it.
    pub name: String,
    /// The mailbox as the user sees it, but under the name it has for its owner.
    pub mailbox: Mailbox,
    /// What the user may do there.
    pub rights: Rights,
}

impl Place {
    /// One of a user's own mailboxes.
    pub fn own(user: AccountId, mailbox: Mailbox) -> Place {
        Place {
            owner: user,
            name: mailbox.name.clone(),
            mailbox,
            rights: Rights::ALL,
        }
    }
}

/// What a look for a mailbox found.
#[derive(Debug, Clone)]
pub enum Found {
    /// It is there, with the rights asked for.
    There(Place),
    /// The user may know of it, but not do that.
    Forbidden,
    /// It is not there, or the user may not know.
    Missing,
}

impl Found {
    /// The place, or the refusal.
    pub fn place(self) -> Result<Place, Failure> {
        match self {
            Found::There(place) => Ok(place),
            Found::Forbidden => Err(NO_PERMISSION.into()),
            Found::Missing => Err(error::NO_MAILBOX.into()),
        }
    }

    /// The same for a mailbox that messages go to: one's own could be created (RFC 9051 §6.3.12).
    pub fn target(self, name: &str) -> Result<Place, Failure> {
        match (self, parse(name)) {
            (Found::Missing, Named::Own(_)) => Err(error::TRY_CREATE.into()),
            (found, _) => found.place(),
        }
    }
}

/// Looks for a mailbox on which a user has all of `needed`.
pub fn find(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    name: &str,
    needed: Rights,
) -> ::store::Result<Found> {
    Ok(match look(snapshot, user, name)? {
        Some(place) if place.rights.contains(needed) => Found::There(place),
        // RFC 4314 §6: what one may not list, one shall not know of.
        Some(place) if place.rights.contains(Rights::LOOKUP) => Found::Forbidden,
        _ => Found::Missing,
    })
}

/// The same with any one of `needed`.
pub fn find_any(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    name: &str,
    needed: Rights,
) -> ::store::Result<Found> {
    Ok(match look(snapshot, user, name)? {
        Some(place) if place.rights.any(needed) => Found::There(place),
        Some(place) if place.rights.contains(Rights::LOOKUP) => Found::Forbidden,
        _ => Found::Missing,
    })
}

fn look(snapshot: &Snapshot<'_>, user: AccountId, name: &str) -> ::store::Result<Option<Place>> {
    match parse(name) {
        Named::Level => Ok(None),
        Named::Own(name) => Ok(snapshot
            .mailbox(user, name)?
            .map(|mailbox| Place::own(user, mailbox))),
        Named::Other(address, name) => {
            let Some(Account {
                id: owner, address, ..
            }) = owner(snapshot, user, address)?
            else {
                return Ok(None);
            };
            let Some(mailbox) = snapshot.mailbox(owner, name)? else {
                return Ok(None);
            };
            let rights = snapshot.rights(user, owner, mailbox.id)?;
            let mailbox = snapshot.mailbox_as(user, owner, mailbox.id)?;
            Ok(mailbox.map(|mailbox| Place {
                owner,
                name: other(&address, &mailbox.name),
                mailbox,
                rights,
            }))
        }
    }
}

/// A mailbox by its identifier, as one has it who selected it, which takes no right to list it.
pub fn by_id(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    (owner, id): (AccountId, MailboxId),
) -> ::store::Result<Option<Place>> {
    if owner == user {
        let mailbox = snapshot.mailbox_by_id(user, id)?;
        return Ok(mailbox.map(|mailbox| Place::own(user, mailbox)));
    }
    let rights = snapshot.rights(user, owner, id)?;
    let account = snapshot.account_by_id(owner)?;
    let mailbox = snapshot.mailbox_as(user, owner, id)?;
    Ok(account.zip(mailbox).map(|(account, mailbox)| Place {
        owner,
        name: other(&account.address, &mailbox.name),
        mailbox,
        rights,
    }))
}

/// The account that an address in a name means. One's own mailboxes have no second name.
fn owner(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    address: &str,
) -> ::store::Result<Option<Account>> {
    let account = snapshot.account(address)?;
    Ok(account.filter(|account| account.id != user))
}

/// Where a new mailbox would come to be: whose it is, and its name there. `None` without the right to create it, which
/// another account's mailboxes give on the nearest level that is there (RFC 4314 §4, CREATE).
pub fn cradle(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    name: &str,
) -> ::store::Result<Option<(AccountId, String)>> {
    match parse(name) {
        Named::Level => Ok(None),
        Named::Own(name) => Ok(Some((user, name.to_owned()))),
        Named::Other(address, name) => {
            let Some(Account { id: owner, .. }) = owner(snapshot, user, address)? else {
                return Ok(None);
            };
            let mut above = name;
            while let Some((next, _)) = above.rsplit_once('/') {
                above = next;
                if let Some(mailbox) = snapshot.mailbox(owner, above)? {
                    let rights = snapshot.rights(user, owner, mailbox.id)?;
                    let may = rights.contains(Rights::CREATE);
                    return Ok(may.then(|| (owner, name.to_owned())));
                }
            }
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, named) in [
            ("INBOX", Named::Own("INBOX")),
            ("Other Users", Named::Level),
            ("Other Usersx/a@b/c", Named::Own("Other Usersx/a@b/c")),
            ("Other Users/", Named::Level),
            ("Other Users/bob@example.org", Named::Level),
            ("Other Users/bob@example.org/", Named::Level),
            (
                "Other Users/bob@example.org/INBOX",
                Named::Other("bob@example.org", "INBOX"),
            ),
            (
                "Other Users/a/b@example.org/Work/x@y/z",
                Named::Other("a/b@example.org", "Work/x@y/z"),
            ),
            (
                "Other Users/\"a@/b\"@example.org/c",
                Named::Other("\"a@/b\"@example.org", "c"),
            ),
            ("Other Users/bob/INBOX", Named::Level),
        ] {
            assert_eq!(parse(name), named, "{name}");
        }
    }
}
