//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208).
//!
//! Each account is one quota root, named by its address. Somebody else may ask for it while one of its mailboxes may be
//! seen; setting limits is for the administrators that the configuration names.

use ::imap::{MailboxName, QuotaCommand, QuotaData, QuotaResource, Reply, Untagged};
use ::store::{Account, AccountId, Resource, Rights, Snapshot, Usage};

use super::access::{self, Found, NO_PERMISSION};
use super::error::{self, Failure};
use super::{Answer, Imap, Link};

/// Octets in a unit of STORAGE (RFC 9208 §5.1).
const UNIT: u64 = 1024;

/// Carries out a command about quotas.
pub async fn quota(imap: &mut Imap, link: &mut Link, command: QuotaCommand) -> Answer {
    let user = imap.account()?;
    match command {
        QuotaCommand::Get(root) => {
            let admin = imap.administrator()?;
            let told = imap.shared.db.glance(|snapshot| {
                let Some(account) = snapshot.account(&root)? else {
                    return Ok(None);
                };
                if !admin && !snapshot.knows(user, account.id)? {
                    return Ok(None);
                }
                of(snapshot, &account).map(Some)
            })?;
            // Whether there is such an account is not told to strangers.
            let told = told.ok_or(Failure::Reply(error::NO_QUOTA_ROOT))?;
            link.session.untagged(&Untagged::Quota(told));
            Ok(Reply::ok("quota told"))
        }
        QuotaCommand::Root(name) => root(imap, link, user, name),
        QuotaCommand::Set { root, limits } => set(imap, link, root, limits).await,
    }
}

fn root(imap: &Imap, link: &mut Link, user: AccountId, name: MailboxName) -> Answer {
    let told = imap.shared.db.glance(|snapshot| {
        let owner = match access::parse(name.as_str()) {
            // RFC 9208 §4.1.2: the mailbox need not be there.
            access::Named::Own(_) => user,
            _ => match access::find(snapshot, user, name.as_str(), Rights::READ)? {
                Found::There(place) => place.owner,
                other => return Ok(Err(other)),
            },
        };
        let account = snapshot
            .account_by_id(owner)?
            .ok_or(::store::Error::NotFound("account"))?;
        let quota = of(snapshot, &account)?;
        Ok(Ok((account.address, quota)))
    })?;
    let (address, quota) = match told {
        Ok(told) => told,
        Err(refused) => {
            refused.place()?;
            return Err(error::NO_MAILBOX.into());
        }
    };
    let roots = QuotaData::Roots {
        mailbox: name,
        roots: vec![address],
    };
    link.session.untagged(&Untagged::Quota(roots));
    link.session.untagged(&Untagged::Quota(quota));
    Ok(Reply::ok("quota told"))
}

/// What is limited of an account (RFC 9208 §4.2.1: what is not named is not limited).
fn of(snapshot: &Snapshot<'_>, account: &Account) -> ::store::Result<QuotaData> {
    let usage = snapshot.usage(account.id)?;
    Ok(QuotaData::Quota {
        root: account.address.clone(),
        resources: usage.into_iter().filter_map(told).collect(),
    })
}

fn told(usage: Usage) -> Option<QuotaResource> {
    let limit = usage.limit?;
    let (used, limit) = match usage.resource {
        // RFC 9208 §5.4 counts annotations of messages; those of mailboxes are counted with them.
        Resource::Storage | Resource::AnnotationStorage => {
            (usage.used.div_ceil(UNIT), limit / UNIT)
        }
        Resource::Messages | Resource::Mailboxes => (usage.used, limit),
    };
    Some(QuotaResource {
        name: usage.resource.name().to_owned(),
        usage: used,
        limit,
    })
}

/// SETQUOTA: all limits of the root, those not named included (RFC 9208 §4.1.3).
async fn set(imap: &mut Imap, link: &mut Link, root: String, limits: Vec<(String, u64)>) -> Answer {
    if !imap.administrator()? {
        return Ok(NO_PERMISSION);
    }
    let mut wanted = Vec::new();
    for resource in Resource::ALL {
        let named = limits.iter().find(|(name, _)| name == resource.name());
        let limit = named.map(|(_, limit)| match resource {
            Resource::Storage | Resource::AnnotationStorage => limit.saturating_mul(UNIT),
            _ => *limit,
        });
        wanted.push((resource, limit));
    }
    let known = |name: &str| wanted.iter().any(|(resource, _)| resource.name() == name);
    if !limits.iter().all(|(name, _)| known(name)) {
        return Ok(Reply::no("there is no such resource"));
    }
    let told = imap.shared.db.write(move |tx| {
        let Some(account) = tx.account(&root)? else {
            return Ok(None);
        };
        for (resource, limit) in wanted {
            tx.set_limit(account.id, resource, limit)?;
        }
        of(tx, &account).map(Some)
    });
    let told = told.await?.ok_or(Failure::Reply(error::NO_QUOTA_ROOT))?;
    link.session.untagged(&Untagged::Quota(told));
    Ok(Reply::ok("quota set"))
}
