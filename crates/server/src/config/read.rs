//! From the text of `waxwing.toml` to a [`Config`], or to everything that is wrong with it.
//!
//! Walks the parsed document by hand instead of deriving, so that each mistake has its line and says what would be
//! right, and so that one start shows all of them.

mod filter;
mod imap;
mod outbound;
mod pop3;
mod queue;
mod quirks;
mod reception;
mod smtp;

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Address, AuthOptions, Config, Limits, Listener, Mistake, Service, TlsFiles};

/// The keys of the file outside tables.
const TOP: &[&str] = &[
    "hostname",
    "data",
    "log",
    "listen",
    "tls",
    "auth",
    "limits",
    "imap",
    "pop3",
    "language",
    "quirks",
    "reception",
    "queue",
    "dns",
    "courier",
    "route",
    "smtp",
    "submission",
    "proxy",
    "strangers",
    "list",
    "milter",
    "rspamd",
];

/// Reads a configuration.
pub(super) fn config(text: &str, file: &Path) -> Result<Config, Vec<Mistake>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        text,
        mistakes: Vec::new(),
        folder: file.parent().unwrap_or(Path::new("")),
    };
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.wrong(at, "", format!("not TOML: {}", error.message()));
    }
    let top = Table {
        name: "",
        table: document.get_ref(),
    };
    reader.known(&top, TOP);
    let hostname = reader.hostname(&top);
    let data = reader.path(&top, "data");
    let log = reader.log(&top);
    let listeners = reader.listeners(&top);
    let tls = reader.tls(&top);
    let client_ca = reader.client_ca(&top);
    let auth = reader.auth(&top);
    let limits = reader.limits(&top);
    let imap = reader.imap(&top);
    let pop3 = reader.pop3(&top);
    let language = reader.language(&top);
    let quirks = reader.quirks(&top);
    let reception = reader.reception(&top);
    let queue = reader.queue(&top);
    let dns = reader.dns(&top);
    let courier = reader.courier(&top);
    let routes = reader.routes(&top);
    let smtp = reader.smtp(&top);
    let submission = reader.submission(&top);
    let proxy = reader.proxy(&top);
    let strangers = reader.strangers(&top);
    let filters = reader.filters(&top);
    if data.is_none() && !top.table.contains_key("data") {
        reader.wrong(
            0,
            "data",
            "is missing; give the data folder, for example data = \"/var/lib/waxwing\"",
        );
    }
    let mut mistakes = reader.mistakes;
    match (hostname, data) {
        (Some(hostname), Some(data)) if mistakes.is_empty() => {
            let tls = TlsFiles {
                client_ca,
                ..tls.unwrap_or_else(|| TlsFiles::in_folder(&data))
            };
            Ok(Config {
                file: Some(file.to_owned()),
                hostname,
                data,
                listeners,
                tls,
                auth,
                limits,
                imap,
                pop3,
                language,
                quirks,
                reception,
                queue,
                dns,
                courier,
                routes,
                smtp,
                submission,
                proxy,
                strangers,
                filters,
                log,
            })
        }
        _ => {
            mistakes.sort_by_key(|mistake| mistake.line);
            Err(mistakes)
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    folder: &'a Path,
    mistakes: Vec<Mistake>,
}

struct Table<'a> {
    name: &'a str,
    table: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    fn key(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }
}

impl<'a> Reader<'a> {
    fn wrong(&mut self, at: usize, key: &str, what: impl Display) {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|&&octet| octet == b'\n').count() + 1;
        self.mistakes.push(Mistake {
            line,
            key: key.to_owned(),
            what: what.to_string(),
        });
    }

    fn known(&mut self, table: &Table<'_>, keys: &[&str]) {
        for key in table.table.keys() {
            let name: &str = key.get_ref();
            if keys.contains(&name) {
                continue;
            }
            let what = match nearest(name, keys) {
                Some(near) => format!("no such key; did you mean {}?", table.key(near)),
                None => format!("no such key; there are {}", keys.join(", ")),
            };
            self.wrong(key.span().start, &table.key(name), what);
        }
    }

    fn table<'t>(&mut self, top: &Table<'t>, name: &'t str, keys: &[&str]) -> Option<Table<'t>> {
        let value = top.value(name)?;
        let Some(table) = value.get_ref().as_table() else {
            self.type_wrong(value, name, &format!("a table, [{name}]"));
            return None;
        };
        let table = Table { name, table };
        self.known(&table, keys);
        Some(table)
    }

    fn type_wrong(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) {
        let found = value.get_ref().type_str();
        self.wrong(
            value.span().start,
            key,
            format!("is {} {found} but must be {wanted}", article(found)),
        );
    }

    fn string(&mut self, table: &Table<'a>, key: &str, wanted: &str) -> Option<(usize, &'a str)> {
        self.string_in(table.value(key)?, &table.key(key), wanted)
    }

    fn string_in(
        &mut self,
        value: &'a Spanned<DeValue<'a>>,
        key: &str,
        wanted: &str,
    ) -> Option<(usize, &'a str)> {
        match value.get_ref().as_str() {
            Some(text) => Some((value.span().start, text)),
            None => {
                self.type_wrong(value, key, wanted);
                None
            }
        }
    }

    fn boolean(&mut self, table: &Table<'a>, key: &str) -> Option<bool> {
        let value = table.value(key)?;
        let answer = value.get_ref().as_bool();
        if answer.is_none() {
            self.type_wrong(value, &table.key(key), "true or false");
        }
        answer
    }

    fn integer(&mut self, table: &Table<'a>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = table.value(key)?;
        let name = table.key(key);
        let Some(number) = value.get_ref().as_integer() else {
            self.type_wrong(
                value,
                &name,
                &format!("an integer from {} to {}", range.start(), range.end()),
            );
            return None;
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let what = format!(
                    "is {number} but must be from {} to {}",
                    range.start(),
                    range.end()
                );
                self.wrong(value.span().start, &name, what);
                None
            }
        }
    }

    fn path(&mut self, table: &Table<'a>, key: &str) -> Option<PathBuf> {
        let (at, text) = self.string(table, key, "a path, in quotes")?;
        if text.is_empty() || text.contains('\0') {
            self.wrong(at, &table.key(key), "is empty but must be a path");
            return None;
        }
        Some(self.folder.join(text))
    }

    fn hostname(&mut self, top: &Table<'a>) -> Option<String> {
        let wanted = "a host name, for example \"mail.example.org\"";
        if !top.table.contains_key("hostname") {
            self.wrong(0, "hostname", format!("is missing; give {wanted}"));
        }
        let (at, text) = self.string(top, "hostname", wanted)?;
        if is_hostname(text) {
            return Some(text.to_ascii_lowercase());
        }
        self.wrong(
            at,
            "hostname",
            format!("is {text:?}, which is no host name; give {wanted}"),
        );
        None
    }

    fn log(&mut self, top: &Table<'a>) -> String {
        let wanted = "a level: error, warn, info, debug or trace, or a filter such as \"info,waxwing=debug\"";
        let default = "info".to_owned();
        let Some((at, text)) = self.string(top, "log", wanted) else {
            return default;
        };
        if tracing_subscriber::EnvFilter::try_new(text).is_err() || text.is_empty() {
            self.wrong(at, "log", format!("is {text:?} but must be {wanted}"));
            return default;
        }
        text.to_owned()
    }

    fn listeners(&mut self, top: &Table<'a>) -> Vec<Listener> {
        let names = Service::ALL.map(Service::name);
        let Some(table) = self.table(top, "listen", &names) else {
            return Vec::new();
        };
        let mut listeners: Vec<Listener> = Vec::new();
        for service in Service::ALL {
            let Some(value) = table.value(service.name()) else {
                continue;
            };
            let key = table.key(service.name());
            let wanted = "a list of addresses, for example [\"0.0.0.0:25\", \"[::]:25\"]";
            let Some(array) = value.get_ref().as_array() else {
                self.type_wrong(value, &key, wanted);
                continue;
            };
            for value in array.iter() {
                let Some((at, text)) = self.string_in(value, &key, "an address, in quotes") else {
                    continue;
                };
                match self.address(service, text) {
                    Ok(address) if taken(&listeners, &address) => {
                        self.wrong(
                            at,
                            &key,
                            format!("{address} is used twice; each listener needs its own"),
                        );
                    }
                    Ok(address) => listeners.push(Listener { service, address }),
                    Err(what) => self.wrong(at, &key, what),
                }
            }
        }
        listeners
    }

    fn address(&self, service: Service, text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match service {
                Service::Lmtp if !path.is_empty() => Ok(Address::Unix(self.folder.join(path))),
                Service::Lmtp => {
                    Err("has no path; give for example \"unix:/run/waxwing/lmtp\"".to_owned())
                }
                _ => Err(
                    "a Unix socket is possible for lmtp only; give an address and a port"
                        .to_owned(),
                ),
            };
        }
        text.parse::<SocketAddr>().map(Address::Tcp).map_err(|_| {
            format!("is {text:?} but must be an IP address and a port, for example \"127.0.0.1:25\" or \"[::]:25\"")
        })
    }

    fn tls(&mut self, top: &Table<'a>) -> Option<TlsFiles> {
        let table = self.table(top, "tls", &["certificate", "key", "client_ca"])?;
        let certificate = self.path(&table, "certificate");
        let key = self.path(&table, "key");
        for (have, other) in [("certificate", "key"), ("key", "certificate")] {
            if let (Some(value), None) = (table.value(have), table.value(other)) {
                let what = format!(
                    "stands alone; tls.{other} belongs to it (leave out both for a self-signed one)"
                );
                self.wrong(value.span().start, &table.key(have), what);
            }
        }
        Some(TlsFiles {
            certificate: certificate?,
            key: key?,
            client_ca: None,
            own: false,
        })
    }

    fn auth(&mut self, top: &Table<'a>) -> AuthOptions {
        let mut auth = AuthOptions::default();
        let keys = ["cleartext_on_loopback", "failures_per_minute", "oidc"];
        let Some(table) = self.table(top, "auth", &keys) else {
            return auth;
        };
        if let Some(allowed) = self.boolean(&table, "cleartext_on_loopback") {
            auth.cleartext_on_loopback = allowed;
        }
        if let Some(failures) = self.integer(&table, "failures_per_minute", 0..=10_000) {
            auth.failures_per_minute = u32::try_from(failures).unwrap_or(u32::MAX);
        }
        auth.oidc = self.oidc(&table);
        auth
    }

    fn limits(&mut self, top: &Table<'a>) -> Limits {
        let mut limits = Limits::default();
        let keys = [
            "message_mib",
            "memory_mib",
            "connections",
            "connections_per_network",
            "recipients",
            "messages_per_day",
            "strangers_per_day",
        ];
        let Some(table) = self.table(top, "limits", &keys) else {
            return limits;
        };
        if let Some(mib) = self.integer(&table, "message_mib", 1..=1024) {
            limits.message_size = mib << 20;
        }
        if let Some(mib) = self.integer(&table, "memory_mib", 8..=1 << 20) {
            limits.memory = mib << 20;
        }
        if let Some(number) = self.integer(&table, "connections", 1..=1_000_000) {
            limits.connections = usize::try_from(number).unwrap_or(usize::MAX);
        }
        if let Some(number) = self.integer(&table, "connections_per_network", 1..=1_000_000) {
            limits.connections_per_network = usize::try_from(number).unwrap_or(usize::MAX);
        }
        // RFC 5321 §4.5.3.1.8: at least 100 recipients.
        if let Some(number) = self.integer(&table, "recipients", 100..=100_000) {
            limits.recipients = usize::try_from(number).unwrap_or(usize::MAX);
        }
        for (key, limit) in [
            ("messages_per_day", &mut limits.daily.messages),
            ("strangers_per_day", &mut limits.daily.strangers),
        ] {
            *limit = self
                .integer(&table, key, 0..=1_000_000_000)
                .unwrap_or(*limit);
        }
        if limits.memory < limits.message_size.saturating_mul(2) {
            let at = table
                .value("memory_mib")
                .or(table.value("message_mib"))
                .map_or(0, |value| value.span().start);
            let what = format!(
                "must hold at least two of the largest messages: at least {} with limits.message_mib = {}",
                limits.message_size >> 19,
                limits.message_size >> 20
            );
            self.wrong(at, "limits.memory_mib", what);
        }
        limits
    }
}

/// Whether a listener has `address` already; port 0 is a different port each time.
fn taken(listeners: &[Listener], address: &Address) -> bool {
    let any = matches!(address, Address::Tcp(address) if address.port() == 0);
    !any && listeners
        .iter()
        .any(|listener| listener.address == *address)
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

/// A name of letters, digits and hyphens in labels (RFC 1123 §2.1), with at least one dot unless it is `localhost`.
pub(crate) fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    text.len() <= 253 && text.split('.').all(label) && (text.contains('.') || text == "localhost")
}

/// The key that `name` was probably meant to be: at most two letters differ.
fn nearest<'k>(name: &str, keys: &[&'k str]) -> Option<&'k str> {
    let scored = keys.iter().map(|key| (distance(name, key), *key));
    scored
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, key)| key)
}

/// The number of letters to insert, remove or change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            *cell = (diagonal + usize::from(x != *y))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "hostname = \"mail.example.org\"\ndata = \"data\"\n";

    fn mistakes(text: &str) -> Vec<(usize, String, String)> {
        let mistakes = config(text, Path::new("/etc/w/waxwing.toml")).unwrap_err();
        mistakes
            .into_iter()
            .map(|m| (m.line, m.key, m.what))
            .collect()
    }

    #[test]
    fn the_smallest_file_and_the_template_are_right() {
        let config = config(MINIMAL, Path::new("/etc/w/waxwing.toml")).unwrap();
        assert_eq!(config.data, Path::new("/etc/w/data"));
        assert_eq!(
            config.tls.certificate,
            Path::new("/etc/w/data/tls/certificate.pem")
        );
        assert_eq!(config.limits, Limits::default());
        let text = crate::config::template("mail.example.org", Path::new("/var/lib/waxwing"));
        let full = super::config(&text, Path::new("/etc/waxwing/waxwing.toml")).unwrap();
        assert_eq!(full.limits, Limits::default());
        assert_eq!(full.auth, AuthOptions::default());
        assert_eq!(full.listeners.len(), 14);
    }

    #[test]
    fn each_mistake_names_its_line_key_and_remedy() {
        let table = [
            ("limit.connections = 5", "limit", "did you mean limits?"),
            (
                "[limits]\nconections = 5",
                "limits.conections",
                "did you mean limits.connections?",
            ),
            (
                "[limits]\nwibble = 5",
                "limits.wibble",
                "there are message_mib",
            ),
            (
                "[limits]\nconnections = \"5\"",
                "limits.connections",
                "is a string but must be an integer",
            ),
            (
                "[limits]\nconnections = 0",
                "limits.connections",
                "is 0 but must be from 1 to 1000000",
            ),
            (
                "[limits]\nconnections = -1",
                "limits.connections",
                "is -1 but must be from 1",
            ),
            (
                "[limits]\nmessage_mib = 500",
                "limits.memory_mib",
                "at least 1000 with",
            ),
            (
                "[listen]\nsmtp = \"0.0.0.0:25\"",
                "listen.smtp",
                "is a string but must be a list",
            ),
            (
                "[listen]\nsmtp = [\"localhost\"]",
                "listen.smtp",
                "an IP address and a port",
            ),
            (
                "[listen]\nimap = [\"unix:/x\"]",
                "listen.imap",
                "possible for lmtp only",
            ),
            (
                "[listen]\nimap = [\"[::]:1\", \"[::]:1\"]",
                "listen.imap",
                "used twice",
            ),
            (
                "[listen]\nimap = [1]",
                "listen.imap",
                "is an integer but must be an address",
            ),
            (
                "[tls]\nkey = \"k\"",
                "tls.key",
                "tls.certificate belongs to it",
            ),
            (
                "[auth]\ncleartext_on_loopback = 1",
                "auth.cleartext_on_loopback",
                "must be true or false",
            ),
            ("auth = 1", "auth", "must be a table, [auth]"),
            ("log = \"\"", "log", "must be a level"),
            (
                "[imap]\nprogress_every = \"often\"",
                "imap.progress_every",
                "must be a time with its unit",
            ),
            (
                "[quirks]\nimap_append_dya = true",
                "quirks.imap_append_dya",
                "did you mean quirks.imap_append_day?",
            ),
            (
                "[quirks]\neudora = true",
                "quirks.eudora",
                "there are imap_append_day, imap_append_space",
            ),
            (
                "[quirks]\npop3_no_nuls = 1",
                "quirks.pop3_no_nuls",
                "must be true or false",
            ),
            (
                "[imap]\nmessage_limit = 0",
                "imap.message_limit",
                "must be from 1",
            ),
            (
                "[imap]\nmessage_limit = 5\nsave_limit = 5",
                "imap.save_limit",
                "leave one out",
            ),
        ];
        for (text, key, what) in table {
            let found = mistakes(&format!("{MINIMAL}{text}\n"));
            let [(line, found_key, found_what)] = found.as_slice() else {
                panic!("{text}: {found:?}")
            };
            assert_eq!(found_key, key, "{text}");
            assert!(found_what.contains(what), "{text}: {found_what}");
            assert_eq!(*line, 2 + text.lines().count(), "{text}");
        }
    }

    #[test]
    fn all_mistakes_come_together() {
        let found = mistakes("hostname = \"-x\"\nblah = 1\n[limits]\nrecipients = 1\n");
        let keys: Vec<&str> = found.iter().map(|(_, key, _)| key.as_str()).collect();
        assert_eq!(keys, ["hostname", "data", "blah", "limits.recipients"]);
        let broken = mistakes("hostname = mail\ndata = \n");
        assert!(
            broken
                .iter()
                .any(|(line, _, what)| *line == 1 && what.contains("not TOML")),
            "{broken:?}"
        );
    }

    #[test]
    fn hostnames() {
        for good in [
            "mail.example.org",
            "localhost",
            "xn--bcher-kva.example",
            "a.b-c.d",
        ] {
            assert!(is_hostname(good), "{good}");
        }
        for bad in [
            "",
            "mail",
            "-a.b",
            "a..b",
            "a b.c",
            "bücher.example",
            "a.b\r\n",
        ] {
            assert!(!is_hostname(bad), "{bad}");
        }
    }
}
