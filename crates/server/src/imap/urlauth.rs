//! GENURLAUTH, RESETKEY (RFC 4467): URLs that let others read one message or a part of it, and who may use them.
//!
//! A URL is signed with a key that its user has for the mailbox; a new key revokes what was signed with the old one.
//! What is read is read with the rights that this user has now, whoever asks (RFC 4467 §7, URLFETCH): a URL outlives no
//! right, and is worth nothing while its user is kept out. `submit+` URLs are for submission (BURL), on behalf of the user
//! they name; no session of IMAP may use them, and submission may not use those of `user+`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ::imap::url::ImapUrl;
use ::imap::{Code, MailboxName, Reply, Untagged, UrlAuthCommand, UrlAuthData};
use ::store::{AccountId, MailboxId, Rights, Snapshot};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::access::{self, Found};
use super::{Answer, Imap, Link, catenate, urlfetch};

/// The one mechanism.
const INTERNAL: &str = "INTERNAL";
/// In front of each token: which algorithm made it (RFC 4467 §10).
const VERSION: &str = "01";
/// Octets of a key.
const KEY: usize = 32;

/// Keys changed since the start, for the sessions that have their mailbox selected (RFC 4467 §7, RESETKEY).
#[derive(Default)]
pub struct Resets {
    total: AtomicU64,
    /// By user and mailbox, at which total; all of a user's under no mailbox.
    each: Mutex<HashMap<Reset, u64>>,
}

type Reset = (AccountId, Option<(AccountId, MailboxId)>);

/// Changes remembered; a session that comes late for one of them misses a hint that it can do without.
const RESETS: usize = 10_000;

impl Resets {
    fn note(&self, reset: Reset) -> u64 {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if each.len() >= RESETS {
            each.clear();
        }
        let now = self.total.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        each.insert(reset, now);
        now
    }

    /// Where they stand.
    pub fn now(&self) -> u64 {
        self.total.load(Ordering::Acquire)
    }

    /// Whether one of these keys was changed since then.
    fn changed(&self, user: AccountId, mailbox: (AccountId, MailboxId), since: u64) -> bool {
        let each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [(user, None), (user, Some(mailbox))];
        keys.iter()
            .any(|key| each.get(key).is_some_and(|at| *at > since))
    }
}

/// Tells a session whose selected mailbox has got a new key from another one.
pub fn tell(imap: &mut Imap, link: &mut Link) {
    let now = imap.shared.url_resets.now();
    let Some(selected) = imap.selected.as_deref_mut() else {
        return;
    };
    if selected.url_resets == now {
        return;
    }
    let (user, mailbox) = (selected.user, (selected.account, selected.mailbox));
    let since = std::mem::replace(&mut selected.url_resets, now);
    if imap.shared.url_resets.changed(user, mailbox, since) {
        let reply = Reply::ok("the key is new").with(Code::UrlMech);
        link.session.untagged(&Untagged::Status(reply));
    }
}

/// A URL that cannot be authorized (RFC 4467 §7, GENURLAUTH).
const NO_URL: Reply = Reply::bad("that is no URL of a message of yours with an access identifier");
const NO_MECHANISM: Reply = Reply::bad("INTERNAL is the only mechanism");

/// Carries out a command about authorized URLs.
pub async fn urlauth(imap: &mut Imap, link: &mut Link, command: UrlAuthCommand) -> Answer {
    let user = imap.account()?;
    match command {
        UrlAuthCommand::Generate(urls) => generate(imap, link, user, urls).await,
        UrlAuthCommand::Reset(None) => {
            imap.shared
                .db
                .write(move |tx| tx.remove_url_keys(user))
                .await?;
            noted(imap, (user, None));
            Ok(Reply::ok("all keys are removed"))
        }
        UrlAuthCommand::Reset(Some((mailbox, mechanisms))) => {
            reset(imap, user, mailbox, mechanisms).await
        }
        UrlAuthCommand::Fetch(urls) => urlfetch::fetch(imap, link, user, urls).await,
    }
}

fn token(key: &[u8], rump: &str) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(rump.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

async fn generate(
    imap: &mut Imap,
    link: &mut Link,
    user: AccountId,
    urls: Vec<(String, String)>,
) -> Answer {
    if urls.iter().any(|(_, mechanism)| mechanism != INTERNAL) {
        return Ok(NO_MECHANISM);
    }
    let host = imap.shared.config().hostname.clone();
    let fresh: Vec<[u8; KEY]> = urls.iter().map(|_| imap.shared.random()).collect();
    let signed = imap.shared.db.write(move |tx| {
        let mut signed = Vec::with_capacity(urls.len());
        for ((rump, _), fresh) in urls.into_iter().zip(fresh) {
            let Some(url) = ImapUrl::parse(&rump).filter(|url| authorizable(url, &host)) else {
                return Ok(None);
            };
            let Some((owner, place)) = place(tx, &url)?.filter(|(owner, _)| *owner == user) else {
                return Ok(None);
            };
            let (whose, mailbox) = (place.owner, place.mailbox.id);
            let key = match tx.url_key(owner, whose, mailbox)? {
                Some(key) => key,
                None => {
                    tx.set_url_key(owner, whose, mailbox, &fresh)?;
                    fresh.to_vec()
                }
            };
            let Some(token) = token(&key, &rump) else {
                return Ok(None);
            };
            signed.push(format!("{rump}:internal:{VERSION}{}", hex(&token)));
        }
        Ok(Some(signed))
    });
    let Some(signed) = signed.await? else {
        return Ok(NO_URL);
    };
    link.session
        .untagged(&Untagged::UrlAuth(UrlAuthData::Generated(signed)));
    Ok(Reply::ok("URLs are authorized"))
}

/// Whether a URL is of a message here, says who may use it, and has no token yet.
fn authorizable(url: &ImapUrl, host: &str) -> bool {
    let here = |server: &::imap::url::UrlServer| server.host.eq_ignore_ascii_case(host);
    let Some(auth) = url.auth.as_ref().filter(|auth| auth.token.is_none()) else {
        return false;
    };
    let named = |prefix: &str| {
        auth.access
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && auth.access.len() > prefix.len()
    };
    let everybody = ["authuser", "anonymous"]
        .iter()
        .any(|word| auth.access.eq_ignore_ascii_case(word));
    url.server.as_ref().is_some_and(here)
        && url.uid.is_some()
        && (everybody || named("user+") || named("submit+"))
        && url
            .expire
            .as_ref()
            .is_none_or(|expire| moment(expire).is_some())
}

/// The account whose URL it is, and the mailbox as that account may read it now.
fn place(
    snapshot: &Snapshot<'_>,
    url: &ImapUrl,
) -> ::store::Result<Option<(AccountId, access::Place)>> {
    let user = url.server.as_ref().and_then(|server| server.user.as_ref());
    let (Some(user), Some(mailbox)) = (user, &url.mailbox) else {
        return Ok(None);
    };
    let Some(account) = snapshot.account(user)?.filter(|found| !found.disabled) else {
        return Ok(None);
    };
    match access::find(snapshot, account.id, mailbox.as_str(), Rights::READ)? {
        Found::There(place) if is_of(url, &place) => Ok(Some((account.id, place))),
        _ => Ok(None),
    }
}

async fn reset(
    imap: &mut Imap,
    user: AccountId,
    mailbox: MailboxName,
    mechanisms: Vec<String>,
) -> Answer {
    if mechanisms.iter().any(|mechanism| mechanism != INTERNAL) {
        return Ok(NO_MECHANISM);
    }
    let key: [u8; KEY] = imap.shared.random();
    let outcome = imap.shared.db.write(move |tx| {
        let place = match access::find(tx, user, mailbox.as_str(), Rights::READ)?.place() {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        tx.set_url_key(user, place.owner, place.mailbox.id, &key)?;
        Ok(Ok((place.owner, place.mailbox.id)))
    });
    let mailbox = outcome.await??;
    noted(imap, (user, Some(mailbox)));
    Ok(Reply::ok("the key is new").with(Code::UrlMech))
}

/// Notes a change; the session that made it knows.
fn noted(imap: &mut Imap, reset: Reset) {
    let now = imap.shared.url_resets.note(reset);
    if let Some(selected) = imap.selected.as_deref_mut() {
        selected.url_resets = now;
    }
}

/// Who asks for what a URL names.
#[derive(Clone, Copy, Debug)]
pub enum Asker {
    /// This user, in a session of IMAP.
    Session(AccountId),
    /// Message submission, on behalf of this user (RFC 4467 §3, RFC 4468 §3.3).
    Submission(AccountId),
}

/// What the URL of a BURL comes to.
pub enum Submitted {
    /// It is no IMAP URL of this server.
    Elsewhere,
    /// Its token or holder is not right, or its time is over.
    Forbidden,
    /// There is nothing where it points.
    Nothing,
    /// Octets of a message.
    Octets(catenate::Found),
}

/// Resolves a URL for submission (RFC 4468 §3.3): one with a token, or a plain one with the rights of who submits, whom
/// we know as well as IMAP would.
pub fn submitted(
    snapshot: &Snapshot<'_>,
    user: AccountId,
    text: &str,
    host: &str,
    now: i64,
) -> ::store::Result<Submitted> {
    let imap = text
        .get(..7)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("imap://"));
    let parsed = ImapUrl::parse(text);
    let (Some(url), true) = (parsed, imap) else {
        return Ok(if imap {
            Submitted::Nothing
        } else {
            Submitted::Elsewhere
        });
    };
    let Some(server) = url
        .server
        .as_ref()
        .filter(|at| at.host.eq_ignore_ascii_case(host))
    else {
        return Ok(Submitted::Elsewhere);
    };
    let place = if url.auth.is_some() {
        match valid(snapshot, Asker::Submission(user), text, host, now)? {
            Some((place, _)) => place,
            None => return Ok(Submitted::Forbidden),
        }
    } else {
        let named = match &server.user {
            Some(name) => snapshot.account(name)?.map(|account| account.id),
            None => Some(user),
        };
        if named != Some(user) {
            return Ok(Submitted::Forbidden);
        }
        let name = url.mailbox.as_ref().map_or("", |mailbox| mailbox.as_str());
        match access::find(snapshot, user, name, Rights::READ)? {
            Found::There(place) if is_of(&url, &place) => place,
            _ => return Ok(Submitted::Nothing),
        }
    };
    let form = catenate::Form::default();
    let found = catenate::locate_in(snapshot, &place, url, form)?;
    Ok(found.map_or(Submitted::Nothing, Submitted::Octets))
}

/// Whether the mailbox is still the one that the URL was made for.
fn is_of(url: &ImapUrl, place: &access::Place) -> bool {
    let validity = place.mailbox.uid_validity;
    url.uid_validity.is_none_or(|asked| asked == validity)
}

/// The place a URL may be read from, if its token, time and access identifier are right (RFC 4467 §6).
pub fn valid(
    snapshot: &Snapshot<'_>,
    asker: Asker,
    full: &str,
    host: &str,
    now: i64,
) -> ::store::Result<Option<(access::Place, ImapUrl)>> {
    // The rump is the text itself, nothing decoded.
    let mut parts = full.rsplitn(3, ':');
    let (given, mechanism, rump) = (parts.next(), parts.next(), parts.next());
    let (Some(given), Some(mechanism), Some(rump)) = (given, mechanism, rump) else {
        return Ok(None);
    };
    let Some(url) = ImapUrl::parse(rump).filter(|url| authorizable(url, host)) else {
        return Ok(None);
    };
    let found = place(snapshot, &url)?;
    let key = match &found {
        Some((owner, place)) => snapshot.url_key(*owner, place.owner, place.mailbox.id)?,
        None => None,
    };
    // Without a mailbox or a key a token is made all the same, so that time tells nothing.
    let known = key.is_some();
    let signed = match token(&key.unwrap_or_else(|| vec![0; KEY]), rump) {
        Some(token) => format!("{VERSION}{}", hex(&token)),
        None => return Ok(None),
    };
    use subtle::ConstantTimeEq;
    let same = bool::from(
        signed
            .as_bytes()
            .ct_eq(given.to_ascii_lowercase().as_bytes()),
    );
    let fresh = url
        .expire
        .as_deref()
        .is_none_or(|expire| moment(expire).is_some_and(|end| now <= end));
    let access = url.auth.as_ref().map(|auth| auth.access.clone());
    if !known || !same || !fresh || !mechanism.eq_ignore_ascii_case(INTERNAL) {
        return Ok(None);
    }
    let may = match access.as_deref().and_then(|access| access.split_once('+')) {
        // `authuser` and `anonymous`: whoever has logged in.
        None => true,
        Some((prefix, who)) => {
            let (wanted, user) = match asker {
                Asker::Session(user) => ("user", user),
                Asker::Submission(user) => ("submit", user),
            };
            let named = snapshot.account(who)?;
            prefix.eq_ignore_ascii_case(wanted) && named.is_some_and(|account| account.id == user)
        }
    };
    Ok(found.filter(|_| may).map(|(_, place)| (place, url)))
}

/// A date-time of RFC 3339 as seconds since 1970.
fn moment(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
        plain.then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let marks = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    let marked = marks
        .iter()
        .all(|(at, mark)| text.get(*at..*at + 1) == Some(mark));
    let t = text.get(10..11)?.eq_ignore_ascii_case("t");
    let bounds = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    if !marked || !t || !bounds || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let offset = if rest.eq_ignore_ascii_case("z") {
        0
    } else {
        let sign = match rest.get(..1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        // RFC 3339 §5.6: two digits each.
        if rest.len() != 6 || rest.get(3..4) != Some(":") {
            return None;
        }
        let at = text.len() - 5;
        let (hours, minutes) = (number(at..at + 2)?, number(at + 3..at + 5)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        sign * (hours * 60 + minutes)
    };
    // Days of the civil calendar, counted from March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let days =
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day
            - 1
            - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second - offset * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T23:59:59.5z", Some(951_868_799)),
            ("2024-03-01T01:00:00+01:00", Some(1_709_251_200)),
            ("1994-11-05T08:15:30-05:00", Some(784_041_330)),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01 00:00:00Z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01T00:00:00+23:59", Some(1_703_980_860)),
            ("2024-01-01T00:00:00+24:00", None),
            ("2024-01-01T00:00:00-00:60", None),
            ("2024-01-01T00:00:00+1:00", None),
            ("2024-01-01T00:00:00+0100", None),
            ("2024-01-01T00:00:00+\u{e9}:00", None),
            ("2024-01-01T00:00:00+9223372036854775807:00", None),
            ("2024-01-01T00:00:00-00:-9223372036854775808", None),
            ("9999-12-31T23:59:60-23:59", Some(253_402_387_140)),
            ("0000-01-01T00:00:00+23:59", Some(-62_167_305_540)),
            ("", None),
        ] {
            assert_eq!(moment(text), seconds, "{text}");
        }
    }
}
