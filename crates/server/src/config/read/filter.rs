//! The tables `[strangers]`, `[[list]]`, `[[milter]]` and `[rspamd]`.

use std::time::Duration;

use smtp::server::Kind;
use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, Table};
use crate::filter::{self, Milter, Place, Rspamd};
use crate::judge::Network;
use crate::strangers::{self, List};

const SERVICES: &str = "a list of \"smtp\", \"submission\" and \"lmtp\"";
const ON_FAILURE: [(&str, bool); 2] = [("defer", false), ("accept", true)];

impl<'a> Reader<'a> {
    pub(super) fn strangers(&mut self, top: &Table<'a>) -> strangers::Options {
        let mut options = strangers::Options {
            lists: self.tables(top, "list", Self::dns_list),
            ..strangers::Options::default()
        };
        let keys = [
            "messages_per_minute",
            "recipients_per_minute",
            "tarpit_seconds",
            "greylist",
            "greylist_seconds",
            "junk_at",
            "refuse_at",
        ];
        let Some(table) = self.table(top, "strangers", &keys) else {
            return options;
        };
        let mut number = |key: &str, most: u64| {
            let number = self.integer(&table, key, 0..=most)?;
            u32::try_from(number).ok()
        };
        if let Some(rate) = number("messages_per_minute", 1_000_000) {
            options.messages_per_minute = rate;
        }
        if let Some(rate) = number("recipients_per_minute", 1_000_000) {
            options.recipients_per_minute = rate;
        }
        // RFC 5321 §4.5.3.2.3: clients wait for five minutes; the slower a refusal, the more memory strangers hold.
        if let Some(seconds) = number("tarpit_seconds", 60) {
            options.tarpit = Duration::from_secs(seconds.into());
        }
        if let Some(seconds) = number("greylist_seconds", 3_600) {
            options.greylist_delay = Duration::from_secs(seconds.into());
        }
        if let Some(greylist) = self.boolean(&table, "greylist") {
            options.greylist = greylist;
        }
        if let Some(points) = self.points(&table, "junk_at", 0.1) {
            options.junk_at = points;
        }
        if let Some(points) = self.points(&table, "refuse_at", 0.1) {
            options.refuse_at = points;
        }
        options
    }

    fn dns_list(&mut self, table: &Table<'a>, at: usize) -> Option<List> {
        self.known(table, &["zone", "points", "answers"]);
        let wanted = "the zone of a list, for example \"list.example.org\"";
        self.needed(table, at, "zone", wanted);
        self.needed(table, at, "points", "points, for example 4");
        let zone =
            self.string(table, "zone", wanted).and_then(|(at, text)| {
                match super::is_hostname(text) {
                    true => Some(text.to_ascii_lowercase()),
                    false => {
                        self.wrong(at, "list.zone", format!("is {text:?} but must be {wanted}"));
                        None
                    }
                }
            });
        let points = self.points(table, "points", -100.0);
        let wanted = "a list of answers in 127.0.0.0/8, for example [\"127.0.0.2\"]";
        let answers = self.list(table, "answers", wanted, Network::parse);
        Some(List {
            zone: zone?,
            points: points?,
            answers,
        })
    }

    pub(super) fn filters(&mut self, top: &Table<'a>) -> filter::Options {
        filter::Options {
            milters: self.tables(top, "milter", Self::milter),
            rspamd: self.rspamd(top),
        }
    }

    fn milter(&mut self, table: &Table<'a>, at: usize) -> Option<Milter> {
        self.known(
            table,
            &["address", "timeout_seconds", "on_failure", "services"],
        );
        let wanted = "an address and a port or a socket, for example \"127.0.0.1:8891\" or \"unix:/run/filter.sock\"";
        self.needed(table, at, "address", wanted);
        let timeout = self.seconds(table, "timeout_seconds", 30);
        let open = self.one_of(table, "on_failure", &ON_FAILURE);
        let kinds = self.kinds(table);
        let (at, text) = self.string(table, "address", wanted)?;
        let place = match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Place::Unix(self.folder.join(path)),
            None if is_host_and_port(text) => Place::Tcp(text.to_owned()),
            _ => {
                self.wrong(
                    at,
                    "milter.address",
                    format!("is {text:?} but must be {wanted}"),
                );
                return None;
            }
        };
        Some(Milter {
            place,
            timeout,
            open: open.unwrap_or(false),
            kinds,
        })
    }

    fn rspamd(&mut self, top: &Table<'a>) -> Option<Rspamd> {
        let keys = [
            "url",
            "password",
            "timeout_seconds",
            "on_failure",
            "services",
        ];
        let at = top.value("rspamd")?.span().start;
        let table = self.table(top, "rspamd", &keys)?;
        let wanted = "an address, for example \"http://127.0.0.1:11333\"";
        self.needed(&table, at, "url", wanted);
        let password = self.string(&table, "password", "a text, in quotes");
        let timeout = self.seconds(&table, "timeout_seconds", 30);
        let open = self.one_of(&table, "on_failure", &ON_FAILURE);
        let kinds = self.kinds(&table);
        let (at, url) = self.string(&table, "url", wanted)?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            self.wrong(at, "rspamd.url", format!("is {url:?} but must be {wanted}"));
            return None;
        }
        Some(Rspamd {
            url: url.to_owned(),
            password: password.map(|(_, password)| password.to_owned()),
            timeout,
            open: open.unwrap_or(false),
            kinds,
        })
    }

    fn kinds(&mut self, table: &Table<'a>) -> Vec<Kind> {
        if table.value("services").is_none() {
            return vec![Kind::Reception, Kind::Submission];
        }
        self.list(table, "services", SERVICES, |text| match text {
            "smtp" => Some(Kind::Reception),
            "submission" => Some(Kind::Submission),
            "lmtp" => Some(Kind::Lmtp),
            _ => None,
        })
    }

    fn seconds(&mut self, table: &Table<'a>, key: &str, default: u64) -> Duration {
        let seconds = self.integer(table, key, 1..=240);
        Duration::from_secs(seconds.unwrap_or(default))
    }

    /// A number of points, with or without a fraction.
    fn points(&mut self, table: &Table<'a>, key: &str, least: f32) -> Option<f32> {
        let value = table.value(key)?;
        let found = number(value.get_ref());
        let right = found.filter(|points| (least..=100.0).contains(points));
        if right.is_none() {
            let what = format!("must be a number of points from {least} to 100");
            self.wrong(value.span().start, &table.key(key), what);
        }
        right
    }

    fn needed(&mut self, table: &Table<'a>, at: usize, key: &str, wanted: &str) {
        if table.value(key).is_none() {
            self.wrong(at, &table.key(key), format!("is missing; give {wanted}"));
        }
    }

    /// All tables of a name, each begun by `[[name]]`.
    fn tables<T>(
        &mut self,
        top: &Table<'a>,
        name: &'static str,
        read: impl Fn(&mut Self, &Table<'a>, usize) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = top.value(name) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            let wanted = format!("a list of tables, each begun by [[{name}]]");
            self.type_wrong(value, name, &wanted);
            return Vec::new();
        };
        let mut found = Vec::new();
        for value in array.iter() {
            found.extend(self.table_of(value, name).and_then(|table| {
                let at = value.span().start;
                read(self, &table, at)
            }));
        }
        found
    }

    fn table_of(
        &mut self,
        value: &'a Spanned<DeValue<'a>>,
        name: &'static str,
    ) -> Option<Table<'a>> {
        match value.get_ref().as_table() {
            Some(table) => Some(Table { name, table }),
            None => {
                self.type_wrong(value, name, &format!("a table, [[{name}]]"));
                None
            }
        }
    }
}

fn number(value: &DeValue<'_>) -> Option<f32> {
    if let Some(number) = value.as_integer() {
        return number.as_str().parse().ok();
    }
    value.as_float()?.as_str().parse().ok()
}

fn is_host_and_port(text: &str) -> bool {
    text.parse::<std::net::SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(host, port)| {
            super::is_hostname(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const TOP: &str = "hostname = \"mail.example.org\"\ndata = \"data\"\n";

    #[test]
    fn all_tables() {
        let text = "[strangers]\nmessages_per_minute = 0\ntarpit_seconds = 2\ngreylist = true\n\
            greylist_seconds = 5\njunk_at = 4.5\nrefuse_at = 9\n\
            [[list]]\nzone = \"List.example\"\npoints = -2.5\nanswers = [\"127.0.0.0/30\"]\n\
            [[milter]]\naddress = \"unix:filter.sock\"\nservices = [\"lmtp\"]\n\
            [[milter]]\naddress = \"localhost:8891\"\non_failure = \"accept\"\ntimeout_seconds = 3\n\
            [rspamd]\nurl = \"http://127.0.0.1:11333\"\npassword = \"p\"\n";
        let config = Config::parse(&format!("{TOP}{text}"), Path::new("/etc/w/w.toml")).unwrap();
        let strangers = &config.strangers;
        assert!(strangers.greylist && strangers.messages_per_minute == 0);
        assert_eq!((strangers.junk_at, strangers.refuse_at), (4.5, 9.0));
        assert_eq!(strangers.lists[0].zone, "list.example");
        assert_eq!(strangers.lists[0].points, -2.5);
        let [first, second] = config.filters.milters.as_slice() else {
            panic!("{:?}", config.filters)
        };
        assert_eq!(first.place, Place::Unix("/etc/w/filter.sock".into()));
        assert_eq!(first.kinds, [Kind::Lmtp]);
        assert!(!first.open && second.open);
        assert_eq!(second.timeout, Duration::from_secs(3));
        let rspamd = config.filters.rspamd.unwrap();
        assert_eq!(rspamd.kinds, [Kind::Reception, Kind::Submission]);
        assert!(!rspamd.open);
    }

    #[test]
    fn mistakes_name_their_remedy() {
        for (text, key, remedy) in [
            (
                "[strangers]\njunk_at = \"5\"",
                "strangers.junk_at",
                "from 0.1 to 100",
            ),
            (
                "[strangers]\ntarpit_seconds = 600",
                "strangers.tarpit_seconds",
                "from 0 to 60",
            ),
            ("[[list]]\npoints = 3", "list.zone", "list.example.org"),
            (
                "[[list]]\nzone = \"no zone\"\npoints = 3",
                "list.zone",
                "list.example.org",
            ),
            ("[list]\nzone = \"a.example\"", "list", "[[list]]"),
            (
                "[[milter]]\naddress = \"8891\"",
                "milter.address",
                "127.0.0.1:8891",
            ),
            (
                "[[milter]]\naddress = \"::1:0\"\non_failure = \"open\"",
                "milter.on_failure",
                "\"defer\" or \"accept\"",
            ),
            (
                "[rspamd]\nurl = \"127.0.0.1\"",
                "rspamd.url",
                "http://127.0.0.1:11333",
            ),
            ("[rspamd]", "rspamd.url", "is missing"),
        ] {
            let error = Config::parse(&format!("{TOP}{text}\n"), Path::new("w.toml")).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(remedy) && error.contains(key),
                "{text}: {error}"
            );
        }
    }
}
