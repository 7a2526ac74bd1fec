//! What a recipient address means: account, sub-address, alias, catch-all, in this order.
//!
//! Aliases may point to aliases. Each is expanded once, so loops end; depth and the number of recipients are limited, and what
//! is beyond fails with `Limit` instead of being dropped silently.

use std::collections::{HashSet, VecDeque};

use crate::address::Address;
use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::types::*;

/// Aliases behind one another.
const DEPTH: usize = 10;
/// Recipients that one address can become; also bounds the work of one RCPT.
const WIDTH: usize = 2_000;

/// What a single address is, before expansion.
enum Step {
    Account(Resolved),
    Alias(AliasId, Option<String>),
    Unknown,
    Remote,
}

impl Snapshot<'_> {
    /// What an address (without angle brackets) means: account, sub-address, alias, catch-all, in this order. Any case. An alias
    /// whose targets lead nowhere is `Unknown`.
    pub fn resolve(&self, address: &str) -> Result<Resolution> {
        let Ok(address) = Address::parse(address) else {
            return Ok(Resolution::Unknown);
        };
        let (alias, detail) = match self.step(&address)? {
            Step::Remote => return Ok(Resolution::Remote),
            Step::Unknown => return Ok(Resolution::Unknown),
            Step::Account(account) => {
                return Ok(Resolution::Local {
                    accounts: vec![account],
                    remote: Vec::new(),
                });
            }
            Step::Alias(alias, detail) => (alias, detail),
        };
        let (accounts, remote) = self.expand(alias, detail)?;
        if accounts.is_empty() && remote.is_empty() {
            return Ok(Resolution::Unknown);
        }
        Ok(Resolution::Local { accounts, remote })
    }

    /// Since when an address means what it means now: the creation of its account, or of its alias where that is later than
    /// that of each account behind it. `None` for an address that is not served here.
    pub fn assigned(&self, address: &str) -> Result<Option<Timestamp>> {
        let Ok(parsed) = Address::parse(address) else {
            return Ok(None);
        };
        let alias = match self.step(&parsed)? {
            Step::Remote | Step::Unknown => return Ok(None),
            Step::Account(_) => None,
            Step::Alias(alias, _) => self.sql.row(
                "SELECT created FROM alias WHERE alias_id = $1",
                values![alias],
                |row| row.int(0),
            )?,
        };
        let Resolution::Local { accounts, .. } = self.resolve(address)? else {
            return Ok(None);
        };
        let mut latest = alias;
        for resolved in accounts {
            let created = self.account_by_id(resolved.account)?.map(|a| a.created);
            latest = latest.max(created);
        }
        Ok(latest)
    }

    fn expand(
        &self,
        alias: AliasId,
        detail: Option<String>,
    ) -> Result<(Vec<Resolved>, Vec<String>)> {
        let (mut accounts, mut remote): (Vec<Resolved>, Vec<String>) = Default::default();
        let mut known: HashSet<AccountId> = HashSet::new();
        let mut known_remote: HashSet<String> = HashSet::new();
        let mut expanded = HashSet::from([alias]);
        let mut waiting = VecDeque::from([(alias, detail, 1)]);
        while let Some((alias, detail, depth)) = waiting.pop_front() {
            if depth > DEPTH {
                return Err(Error::Limit("aliases behind one another"));
            }
            for target in self.alias_targets(alias)? {
                match self.step(&Address::parse(&target)?)? {
                    Step::Account(mut account) => {
                        // A sub-address given to an alias is one of its targets'.
                        account.detail = account.detail.or_else(|| detail.clone());
                        if known.insert(account.account) {
                            accounts.push(account);
                        }
                    }
                    Step::Alias(next, own) => {
                        if expanded.insert(next) {
                            waiting.push_back((next, own.or_else(|| detail.clone()), depth + 1));
                        }
                    }
                    Step::Remote => {
                        if known_remote.insert(target.clone()) {
                            remote.push(target);
                        }
                    }
                    Step::Unknown => {}
                }
                if accounts.len() + remote.len() + waiting.len() > WIDTH {
                    return Err(Error::Limit("recipients of an alias"));
                }
            }
        }
        Ok((accounts, remote))
    }

    fn step(&self, address: &Address) -> Result<Step> {
        if self.domain(&address.domain)?.is_none() {
            return Ok(Step::Remote);
        }
        if let Some(step) = self.exact(address, None)? {
            return Ok(step);
        }
        if let Some((user, detail)) = address.split_detail()
            && let Some(step) = self.exact(&user, Some(detail))?
        {
            return Ok(step);
        }
        let catch_all = Address {
            local: String::new(),
            domain: address.domain.clone(),
        };
        let alias = self.alias_id(&catch_all.to_string())?;
        Ok(alias.map_or(Step::Unknown, |alias| Step::Alias(alias, None)))
    }

    fn exact(&self, address: &Address, detail: Option<String>) -> Result<Option<Step>> {
        let text = address.to_string();
        if let Some(account) = self.account(&text)? {
            return Ok(Some(Step::Account(Resolved {
                account: account.id,
                address: account.address,
                detail,
            })));
        }
        Ok(self
            .alias_id(&text)?
            .map(|alias| Step::Alias(alias, detail)))
    }
}
