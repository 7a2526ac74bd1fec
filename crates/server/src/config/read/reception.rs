//! The table `[reception]`.

use super::{Reader, Table};
use crate::judge::{DmarcRule, FromRule, Network, Options, SpfRule};

/// A century of records is kept by nobody; it keeps the arithmetic small.
const MOST_DAYS: u64 = 36_500;

const KEYS: [&str; 9] = [
    "from",
    "dmarc",
    "spf_fail",
    "accept_on_dns_failure",
    "trusted",
    "trusted_arc",
    "check_private",
    "record_days",
    "refused_record_days",
];

impl<'a> Reader<'a> {
    pub(super) fn reception(&mut self, top: &Table<'a>) -> Options {
        let mut options = Options::default();
        let Some(table) = self.table(top, "reception", &KEYS) else {
            return options;
        };
        let rules = [("strict", FromRule::Strict), ("accept", FromRule::Accept)];
        options.from = self.one_of(&table, "from", &rules).unwrap_or(options.from);
        let rules = [("obey", DmarcRule::Obey), ("record", DmarcRule::Record)];
        options.dmarc = self
            .one_of(&table, "dmarc", &rules)
            .unwrap_or(options.dmarc);
        let rules = [
            ("record", SpfRule::Record),
            ("junk", SpfRule::Junk),
            ("reject", SpfRule::Reject),
        ];
        let chosen = self.one_of(&table, "spf_fail", &rules);
        options.spf_fail = chosen.unwrap_or(options.spf_fail);
        if let Some(accept) = self.boolean(&table, "accept_on_dns_failure") {
            options.accept_on_dns_failure = accept;
        }
        if let Some(check) = self.boolean(&table, "check_private") {
            options.check_private = check;
        }
        let wanted = "a list of addresses and networks, for example [\"192.0.2.0/24\"]";
        options.trusted = self.list(&table, "trusted", wanted, Network::parse);
        let wanted = "a list of domains, for example [\"lists.example.org\"]";
        options.trusted_arc = self.list(&table, "trusted_arc", wanted, |text| {
            super::is_hostname(text).then(|| text.to_ascii_lowercase())
        });
        if let Some(days) = self.integer(&table, "record_days", 0..=MOST_DAYS) {
            options.record_days = u32::try_from(days).unwrap_or(u32::MAX);
        }
        if let Some(days) = self.integer(&table, "refused_record_days", 0..=MOST_DAYS) {
            options.refused_record_days = u32::try_from(days).unwrap_or(u32::MAX);
        }
        options
    }

    /// A word out of several.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        table: &Table<'a>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let wanted = quoted.join(" or ");
        let (at, text) = self.string(table, key, &wanted)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let what = format!("is {text:?} but must be {wanted}");
            self.wrong(at, &table.key(key), what);
        }
        found.map(|(_, value)| *value)
    }

    /// A list of strings, each understood by `parse`.
    pub(super) fn list<T>(
        &mut self,
        table: &Table<'a>,
        key: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = table.value(key) else {
            return Vec::new();
        };
        let name = table.key(key);
        let Some(array) = value.get_ref().as_array() else {
            self.type_wrong(value, &name, wanted);
            return Vec::new();
        };
        let mut found = Vec::new();
        for value in array.iter() {
            let Some((at, text)) = self.string_in(value, &name, wanted) else {
                continue;
            };
            match parse(text) {
                Some(parsed) => found.push(parsed),
                None => {
                    let what = format!("has {text:?}; it must be {wanted}");
                    self.wrong(at, &name, what);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;
    use crate::judge::{DmarcRule, Network, Options, SpfRule};

    const TOP: &str = "hostname = \"mail.example.org\"\ndata = \"data\"\n[reception]\n";

    #[test]
    fn all_keys() {
        let text = "dmarc = \"record\"\nspf_fail = \"junk\"\ntrusted = [\"192.0.2.0/24\", \"::1\"]\n\
            trusted_arc = [\"Lists.example.org\"]\ncheck_private = true\nrecord_days = 30\n\
            accept_on_dns_failure = true\nrefused_record_days = 3\nfrom = \"strict\"\n";
        let config = Config::parse(&format!("{TOP}{text}"), Path::new("w.toml")).unwrap();
        let expected = Options {
            dmarc: DmarcRule::Record,
            spf_fail: SpfRule::Junk,
            trusted: vec![
                Network::parse("192.0.2.0/24").unwrap(),
                Network::parse("::1").unwrap(),
            ],
            trusted_arc: vec!["lists.example.org".to_owned()],
            check_private: true,
            record_days: 30,
            refused_record_days: 3,
            accept_on_dns_failure: true,
            ..Options::default()
        };
        assert_eq!(config.reception, expected);
    }

    #[test]
    fn mistakes_name_their_remedy() {
        for (text, remedy) in [
            ("dmarc = \"maybe\"", "\"obey\" or \"record\""),
            ("trusted = [\"192.0.2.0/40\"]", "192.0.2.0/24"),
            ("trusted = \"192.0.2.0\"", "a list of addresses"),
            ("trusted_arc = [\"no host\"]", "lists.example.org"),
            ("record_days = -1", "from 0 to"),
            ("spf = \"junk\"", "there are from"),
        ] {
            let error = Config::parse(&format!("{TOP}{text}"), Path::new("w.toml")).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(remedy) && error.contains("w.toml:4: reception."),
                "{error}"
            );
        }
    }
}
