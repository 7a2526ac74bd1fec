//! The tables `[smtp]`, `[submission]`, `[proxy]` and `[auth.oidc]`, and `tls.client_ca`.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{Reader, Table};
use crate::config::{Introspection, Oidc, Proxy, Service, Smtp, Submission};
use crate::judge::Network;

const NETWORKS: &str = "a list of addresses and networks, for example [\"192.0.2.0/24\"]";

impl<'a> Reader<'a> {
    pub(super) fn smtp(&mut self, top: &Table<'a>) -> Smtp {
        let mut smtp = Smtp::default();
        let keys = [
            "trusted",
            "greeting_delay_ms",
            "no_soliciting",
            "check_sender_domain",
        ];
        let Some(table) = self.table(top, "smtp", &keys) else {
            return smtp;
        };
        smtp.trusted = self.list(&table, "trusted", NETWORKS, Network::parse);
        // RFC 5321 §4.5.3.2.1: clients wait five minutes; some give up after half of one.
        if let Some(delay) = self.integer(&table, "greeting_delay_ms", 0..=20_000) {
            smtp.greeting_delay = Duration::from_millis(delay);
        }
        let wanted = "a list of classes, for example [\"org.example:ADV\"]";
        smtp.no_soliciting = self.list(&table, "no_soliciting", wanted, |text| {
            let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text.len() <= 200
                && text
                    .bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b".-_:".contains(&octet));
            plain.then(|| text.to_owned())
        });
        if let Some(check) = self.boolean(&table, "check_sender_domain") {
            smtp.check_sender_domain = check;
        }
        smtp
    }

    pub(super) fn submission(&mut self, top: &Table<'a>) -> Submission {
        let mut submission = Submission::default();
        let Some(table) = self.table(top, "submission", &["hold_days", "priority"]) else {
            return submission;
        };
        if let Some(days) = self.integer(&table, "hold_days", 0..=3_650) {
            submission.hold = Duration::from_secs(days.saturating_mul(86_400));
        }
        if let Some(priority) = self.integer(&table, "priority", 0..=9) {
            submission.priority = i8::try_from(priority).unwrap_or(0);
        }
        submission
    }

    pub(super) fn proxy(&mut self, top: &Table<'a>) -> Proxy {
        let mut proxy = Proxy::default();
        let Some(table) = self.table(top, "proxy", &["from", "services"]) else {
            return proxy;
        };
        proxy.from = self.list(&table, "from", NETWORKS, Network::parse);
        let names = Service::ALL.map(Service::name).join(", ");
        let wanted = format!("a list of services, of {names}");
        proxy.services = self.list(&table, "services", &wanted, |text| {
            Service::ALL.into_iter().find(|one| one.name() == text)
        });
        proxy
    }

    pub(super) fn client_ca(&mut self, top: &Table<'a>) -> Option<PathBuf> {
        let table = top.value("tls")?.get_ref().as_table()?;
        self.path(&Table { name: "tls", table }, "client_ca")
    }

    pub(super) fn oidc(&mut self, auth: &Table<'a>) -> Option<Oidc> {
        let value = auth.value("oidc")?;
        let Some(table) = value.get_ref().as_table() else {
            self.type_wrong(value, "auth.oidc", "a table, [auth.oidc]");
            return None;
        };
        let table = Table {
            name: "auth.oidc",
            table,
        };
        let keys = [
            "issuer",
            "audience",
            "claim",
            "jwks",
            "introspection",
            "client",
            "secret",
        ];
        self.known(&table, &keys);
        let issuer = self.demanded(&table, value, "issuer", "\"https://id.example.org\"");
        let audience = self.demanded(&table, value, "audience", "\"mail.example.org\"");
        let mut https = |key: &str| {
            let (at, text) = self.string(&table, key, "an https: address, in quotes")?;
            if text.starts_with("https://") || is_loopback_http(text) {
                return Some(text.to_owned());
            }
            let what = format!("is {text:?} but must be an https: address");
            self.wrong(at, &table.key(key), what);
            None
        };
        let (jwks, url) = (https("jwks"), https("introspection"));
        if table.value("issuer").is_some() {
            https("issuer");
        }
        let introspection = match url {
            Some(url) => Some(Introspection {
                url,
                client: self.demanded(&table, value, "client", "\"waxwing\"")?,
                secret: self.demanded(&table, value, "secret", "the client's password")?,
            }),
            None => None,
        };
        let claim = self.string(&table, "claim", "the name of a claim, in quotes");
        Some(Oidc {
            issuer: issuer?,
            audience: audience?,
            claim: claim.map_or("email", |(_, claim)| claim).to_owned(),
            jwks,
            introspection,
        })
    }

    /// A text that has no default.
    fn demanded(
        &mut self,
        table: &Table<'a>,
        at: &Spanned<DeValue<'a>>,
        key: &str,
        example: &str,
    ) -> Option<String> {
        if table.value(key).is_none() {
            let what = format!("is missing; give {key} = {example}");
            self.wrong(at.span().start, &table.key(key), what);
        }
        let (at, text) = self.string(table, key, "a text, in quotes")?;
        if text.is_empty() {
            self.wrong(at, &table.key(key), format!("is empty; give {example}"));
            return None;
        }
        Some(text.to_owned())
    }
}

/// An issuer on this machine, behind which there is no network to protect from.
fn is_loopback_http(url: &str) -> bool {
    ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"]
        .iter()
        .any(|prefix| url.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config;
    use super::*;

    const MINIMAL: &str = "hostname = \"mail.example.org\"\ndata = \"data\"\n";

    #[test]
    fn tables() {
        let text = format!(
            "{MINIMAL}[smtp]\ntrusted = [\"192.0.2.0/24\"]\ngreeting_delay_ms = 0\n\
             no_soliciting = [\"org.example:ADV\"]\n[submission]\nhold_days = 1\npriority = 0\n[proxy]\n\
             from = [\"::1\"]\nservices = [\"imaps\"]\n[auth.oidc]\nissuer = \"https://id.example\"\n\
             audience = \"mail\"\nintrospection = \"https://id.example/i\"\nclient = \"c\"\nsecret = \"s\"\n"
        );
        let config = config(&text, Path::new("/etc/w/waxwing.toml")).unwrap();
        assert!(config.smtp.trusts("192.0.2.9".parse().unwrap()));
        assert_eq!(config.smtp.no_soliciting, ["org.example:ADV"]);
        assert_eq!(config.submission.hold, Duration::from_secs(86_400));
        let loopback = "::1".parse().unwrap();
        assert!(config.proxy.expects(Service::Imaps, loopback));
        assert!(!config.proxy.expects(Service::Imap, loopback));
        let oidc = config.auth.oidc.unwrap();
        assert_eq!(oidc.claim, "email");
        assert!(!format!("{oidc:?}").contains("\"s\""));
    }

    #[test]
    fn mistakes() {
        let table = [
            ("[smtp]\ntrusted = [\"10.0.0.0/33\"]", "smtp.trusted"),
            ("[smtp]\ntrusted = \"::1\"", "smtp.trusted"),
            ("[smtp]\nno_soliciting = [\"1\"]", "smtp.no_soliciting"),
            ("[submission]\npriority = 10", "submission.priority"),
            ("[proxy]\nservices = [\"http\"]", "proxy.services"),
            ("[proxy]\nfrom = [1]", "proxy.from"),
            ("[auth]\noidc = 1", "auth.oidc"),
        ];
        for (text, key) in table {
            let text = format!("{MINIMAL}{text}\n");
            let found = config(&text, Path::new("/x")).unwrap_err();
            let [mistake] = found.as_slice() else {
                panic!("{text}: {found:?}")
            };
            assert_eq!(mistake.key, key, "{text}");
        }
        let text = format!("{MINIMAL}[auth.oidc]\nissuer = \"http://id.example\"\n");
        let found = config(&text, Path::new("/x")).unwrap_err();
        let keys: Vec<_> = found.iter().map(|mistake| mistake.key.as_str()).collect();
        assert!(
            keys.contains(&"auth.oidc.audience") && keys.contains(&"auth.oidc.issuer"),
            "{keys:?}"
        );
    }
}
