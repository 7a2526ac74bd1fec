//! What is asked about mail from other servers, through the admin socket or directly. Blocks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{
    AccountId, Error, FetchOrder, Flags, REMOTE_DIGEST, RemoteArrival, RemoteGone, Result,
    SpecialUse, Store, Tx,
};

use crate::manage::Answer;

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "remote", rename_all = "kebab-case")]
pub enum Request {
    /// The mailboxes of a source that were looked at before.
    Remembered {
        /// Whose account.
        address: String,
        /// Server and user.
        source: String,
    },
    /// Begins to look at one.
    Begin(Begin),
    /// What was brought from one, by key.
    Known {
        /// Whose account.
        address: String,
        /// Which remote mailbox.
        id: i64,
        /// Only keys behind this one.
        after: String,
        /// At most as many.
        limit: usize,
    },
    /// Passes changes of flags on.
    Flags {
        /// Whose account.
        address: String,
        /// Which remote mailbox.
        id: i64,
        /// Key, system flags and keywords now.
        changes: Vec<(String, u8, Vec<String>)>,
    },
    /// Takes note of messages that are gone there.
    Gone {
        /// Whose account.
        address: String,
        /// Which remote mailbox.
        id: i64,
        /// Which messages.
        keys: Vec<String>,
        /// What becomes of them here.
        then: Gone,
    },
    /// Remembers a complete look, and counts what is here. With `modseq` 0 the next look is a complete one again.
    End {
        /// Whose account.
        address: String,
        /// Which remote mailbox.
        id: i64,
        /// HIGHESTMODSEQ there.
        modseq: u64,
        /// UIDNEXT there.
        uid_next: u32,
        /// Messages there.
        messages: u32,
    },
    /// Orders to fetch regularly.
    FetchAdd(FetchAdd),
    /// What is fetched, and how that goes.
    FetchList {
        /// Of this account.
        address: Option<String>,
    },
    /// Takes an order back.
    FetchRemove {
        /// Whose account.
        address: String,
        /// The account elsewhere.
        url: String,
    },
    /// Fetches at once; all orders of an account, or of all.
    FetchNow {
        /// Whose account.
        address: Option<String>,
        /// From this account elsewhere alone.
        url: Option<String>,
    },
    /// Counts what is here.
    Count {
        /// Whose account.
        address: String,
        /// Which remote mailbox.
        id: i64,
    },
}

/// See [`Request::Begin`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// Whose account.
    pub address: String,
    /// Server and user.
    pub source: String,
    /// Its name there.
    pub name: String,
    /// Its UIDVALIDITY there.
    pub uid_validity: u32,
    /// Where its mail goes; made when missing.
    pub mailbox: String,
    /// What the mailbox is for, where it is made.
    pub special_use: Option<String>,
    /// Whether it is to be subscribed.
    pub subscribe: bool,
}

/// See [`Request::FetchAdd`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FetchAdd {
    /// Whose account.
    pub address: String,
    /// The account elsewhere.
    pub url: String,
    /// The file with its password or token; absolute.
    pub secret_file: String,
    /// It holds an access token.
    pub token: bool,
    /// Certificates to trust; absolute.
    pub ca_file: Option<String>,
    /// Without TLS where none is offered.
    pub unencrypted: bool,
    /// The mailbox here.
    pub folder: String,
    /// Seconds between two looks.
    pub every: i64,
    /// Messages are removed there once they are safe here.
    pub remove: bool,
}

/// What becomes of messages that are gone there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gone {
    /// They stay, and are known should they come back.
    Keep,
    /// They stay, and nothing is remembered of them.
    Forget,
    /// They go here too.
    Remove,
    /// They are about to be removed there because they are here: they stay, whatever later runs find gone.
    Release,
}

/// With [`crate::manage::Append`]: where the message comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Which remote mailbox.
    pub id: i64,
    /// It shows messages of others.
    pub view: bool,
}

impl Request {
    /// What the log says of it.
    pub fn describe(&self) -> Option<String> {
        match self {
            Request::Begin(begin) => Some(format!(
                "import {} from {} {}",
                begin.address, begin.source, begin.name
            )),
            Request::FetchAdd(add) => {
                Some(format!("fetch add {} {}", add.address, logged(&add.url)))
            }
            Request::FetchRemove { address, url } => {
                Some(format!("fetch remove {address} {}", logged(url)))
            }
            _ => None,
        }
    }
}

/// A URL as the log has it: one that is none may hold a password.
fn logged(url: &str) -> &str {
    match super::Address::parse(url) {
        Ok(_) => url,
        Err(_) => "from a URL that is none",
    }
}

/// Does what is asked.
pub fn execute(store: &Store, request: Request) -> Result<Answer> {
    match request {
        Request::Remembered { address, source } => remembered(store, &address, &source),
        Request::Begin(request) => begin(store, request),
        Request::Known {
            address,
            id,
            after,
            limit,
        } => {
            let account = account(store, &address)?;
            let rows =
                store.read(|snapshot| snapshot.remote_messages(account, id, &after, limit))?;
            let rows = rows.iter().map(|row| {
                json!({"key": row.key, "size": row.size, "flags": row.flags.0, "keywords": row.keywords})
            });
            Ok(rows.collect::<Value>().into())
        }
        Request::Flags {
            address,
            id,
            changes,
        } => {
            let account = account(store, &address)?;
            let changes: Vec<_> = changes
                .into_iter()
                .map(|(key, flags, keywords)| (key, Flags(flags & Flags::ALL.0), keywords))
                .collect();
            let changed = store.write(move |tx| tx.remote_flags(account, id, &changes))?;
            Ok(json!(changed).into())
        }
        Request::Gone {
            address,
            id,
            keys,
            then,
        } => {
            let account = account(store, &address)?;
            let then = match then {
                Gone::Keep => RemoteGone::Keep,
                Gone::Forget => RemoteGone::Forget,
                Gone::Remove => RemoteGone::Remove,
                Gone::Release => RemoteGone::Release,
            };
            let removed = store.write(move |tx| tx.remote_gone(account, id, &keys, then))?;
            Ok(json!(removed).into())
        }
        Request::End {
            address,
            id,
            modseq,
            uid_next,
            messages,
        } => {
            let account = account(store, &address)?;
            store.write(move |tx| tx.end_remote(account, id, modseq, uid_next, messages))?;
            Ok(Answer::default())
        }
        Request::FetchAdd(add) => fetch_add(store, add),
        Request::FetchList { address } => fetch_list(store, address.as_deref()),
        Request::FetchRemove { address, url } => {
            let (account, id) = fetch_of(store, &address, &url)?;
            store.write(move |tx| tx.remove_fetch(account, id))?;
            super::poll::changed();
            Ok(Answer::default())
        }
        Request::FetchNow { address, url } => fetch_now(store, address.as_deref(), url.as_deref()),
        Request::Count { address, id } => {
            let account = account(store, &address)?;
            let counts = store.read(|snapshot| snapshot.remote_counts(account, id))?;
            Ok(json!({
                "here": counts.here, "octets": counts.octets,
                "elsewhere": counts.elsewhere, "elsewhere_octets": counts.elsewhere_octets,
                "removed": counts.removed, "removed_octets": counts.removed_octets,
            })
            .into())
        }
    }
}

fn account(store: &Store, address: &str) -> Result<AccountId> {
    let found = store.read(|snapshot| snapshot.account(address))?;
    found
        .map(|account| account.id)
        .ok_or(Error::NotFound("account"))
}

fn remembered(store: &Store, address: &str, source: &str) -> Result<Answer> {
    let account = account(store, address)?;
    let rows = store.read(|snapshot| {
        let mut rows = Vec::new();
        for remote in snapshot.remote_mailboxes(account, source)? {
            // A mailbox that was removed here is made again, where its server has it.
            if let Some(mailbox) = snapshot.mailbox_by_id(account, remote.mailbox)? {
                rows.push(json!({"name": remote.name, "mailbox": mailbox.name}));
            }
        }
        Ok(rows)
    })?;
    Ok(Value::Array(rows).into())
}

fn begin(store: &Store, request: Begin) -> Result<Answer> {
    store.write(move |tx| {
        let account = tx.account(&request.address)?.ok_or(Error::NotFound("account"))?.id;
        let mailbox = match tx.mailbox(account, &request.mailbox)? {
            Some(mailbox) => mailbox,
            None => {
                let wanted = request.special_use.as_deref().and_then(SpecialUse::from_name);
                let made = tx.create_mailbox(account, &request.mailbox, None)?;
                // Another mailbox may have got the use meanwhile.
                let taken = tx.mailboxes(account)?.iter().any(|other| other.special_use == wanted);
                if wanted.is_some() && !taken {
                    tx.set_special_use(account, made.id, wanted)?;
                }
                made
            }
        };
        if request.subscribe && !mailbox.subscribed {
            tx.subscribe(account, &mailbox.name, true)?;
        }
        let remote = tx.begin_remote(
            account,
            &request.source,
            &request.name,
            request.uid_validity,
            mailbox.id,
        )?;
        Ok(json!({
            "id": remote.id, "modseq": remote.modseq, "uid_next": remote.uid_next, "messages": remote.messages,
        })
        .into())
    })
}

/// Seconds between two looks: nobody likes to be asked more often, and nobody waits longer.
const EVERY: std::ops::RangeInclusive<i64> = 60..=7 * 86_400;

fn fetch_add(store: &Store, add: FetchAdd) -> Result<Answer> {
    let wrong = |error: super::Error| Error::Invalid(error.to_string());
    super::Address::parse(&add.url).map_err(wrong)?;
    super::poll::secret(std::path::Path::new(&add.secret_file)).map_err(wrong)?;
    if let Some(file) = &add.ca_file {
        super::Login::roots(Some(std::path::Path::new(file))).map_err(wrong)?;
    }
    if !EVERY.contains(&add.every) {
        return Err(Error::Invalid(
            "the time between two looks; a minute to seven days".to_owned(),
        ));
    }
    let account = account(store, &add.address)?;
    let order = FetchOrder {
        url: add.url,
        secret_file: add.secret_file,
        token: add.token,
        ca_file: add.ca_file,
        unencrypted: add.unencrypted,
        folder: add.folder,
        every: add.every,
        remove: add.remove,
    };
    store.write(move |tx| tx.add_fetch(account, &order))?;
    super::poll::changed();
    Ok(Answer::default())
}

fn fetch_list(store: &Store, address: Option<&str>) -> Result<Answer> {
    let account = address.map(|address| account(store, address)).transpose()?;
    let rows = store.read(|snapshot| {
        let mut rows = Vec::new();
        for fetch in snapshot.fetches(account)? {
            let account = snapshot.account_by_id(fetch.account)?;
            let order = fetch.order;
            rows.push(json!({
                "account": account.map(|account| account.address),
                "url": order.url,
                "folder": order.folder,
                "every": order.every,
                "delete": order.remove,
                "due": fetch.due,
                "last_success": fetch.last_success,
                "fetched": fetch.fetched,
                "failures": fetch.failures,
                "trouble": fetch.trouble,
            }));
        }
        Ok(rows)
    })?;
    Ok(Value::Array(rows).into())
}

fn fetch_of(store: &Store, address: &str, url: &str) -> Result<(AccountId, i64)> {
    let account = account(store, address)?;
    let all = store.read(|snapshot| snapshot.fetches(Some(account)))?;
    let found = all.iter().find(|fetch| fetch.order.url == url);
    found
        .map(|fetch| (account, fetch.id))
        .ok_or(Error::NotFound("fetching from there"))
}

fn fetch_now(store: &Store, address: Option<&str>, url: Option<&str>) -> Result<Answer> {
    let account = address.map(|address| account(store, address)).transpose()?;
    let mut all = store.read(|snapshot| snapshot.fetches(account))?;
    all.retain(|fetch| url.is_none_or(|url| fetch.order.url == url));
    if all.is_empty() {
        return Err(Error::NotFound("fetching from there"));
    }
    let count = all.len();
    store.write(move |tx| {
        all.iter()
            .try_for_each(|fetch| tx.fetch_now(fetch.account, fetch.id))
    })?;
    super::poll::changed();
    Ok(json!(count).into())
}

/// Names the octets of a message.
pub fn digest(octets: &[u8]) -> [u8; REMOTE_DIGEST] {
    let mut digest = [0; REMOTE_DIGEST];
    for (to, from) in digest.iter_mut().zip(Sha256::digest(octets)) {
        *to = from;
    }
    digest
}

/// Places a message that comes from elsewhere.
pub fn place(
    tx: &mut Tx<'_>,
    account: AccountId,
    key: &str,
    arrival: &Arrival,
    digest: [u8; REMOTE_DIGEST],
    message: &store::Append,
    unique_id: Option<&str>,
) -> Result<()> {
    let arrival = RemoteArrival {
        id: arrival.id,
        key: key.to_owned(),
        digest,
        view: arrival.view,
    };
    let placed = tx.place_remote(account, &arrival, message)?;
    if let (Some(placed), Some(unique_id)) = (placed, unique_id) {
        tx.set_pop3_uid(account, placed.mailbox, placed.uid, unique_id)?;
    }
    Ok(())
}
