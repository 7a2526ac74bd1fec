//! The tables `dns` and `courier` and the list `route`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use hickory_resolver::proto::dnssec::TrustAnchors;
use wire::sasl::Secret;

use super::{Reader, Table, is_hostname};
use crate::config::{CourierOptions, DnsOptions, Dnssec, Pattern, Route, RouteTls};

impl<'a> Reader<'a> {
    pub(super) fn dns(&mut self, top: &Table<'a>) -> DnsOptions {
        let mut dns = DnsOptions::default();
        let keys = ["servers", "dnssec", "trust_anchor"];
        let Some(table) = self.table(top, "dns", &keys) else {
            return dns;
        };
        dns.servers = self.list(
            &table,
            "servers",
            "IP addresses, with ports if they are not 53",
            |text| {
                let port = |ip| SocketAddr::new(ip, 53);
                text.parse().or_else(|_| text.parse().map(port)).ok()
            },
        );
        let wanted = "\"validate\", \"trust\" or \"off\"";
        if let Some((at, text)) = self.string(&table, "dnssec", wanted) {
            match text {
                "validate" => dns.dnssec = Dnssec::Validate,
                "trust" => dns.dnssec = Dnssec::Trust,
                "off" => dns.dnssec = Dnssec::Off,
                _ => self.wrong(
                    at,
                    "dns.dnssec",
                    format!("is {text:?} but must be {wanted}"),
                ),
            }
        }
        if let (Some(value), Some(file)) = (
            table.value("trust_anchor"),
            self.path(&table, "trust_anchor"),
        ) {
            let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            let checked = read.and_then(|text| match TrustAnchors::from_str(&text) {
                Ok(anchors) if !anchors.is_empty() => Ok(text),
                Ok(_) => Err("holds no DNSKEY record of the root".to_owned()),
                Err(error) => Err(format!(
                    "must hold DNSKEY records as in a zone file: {error}"
                )),
            });
            match checked {
                Ok(text) => dns.trust_anchor = Some(text),
                Err(error) => {
                    let what = format!("{}: {error}", file.display());
                    self.wrong(value.span().start, "dns.trust_anchor", what);
                }
            }
        }
        dns
    }

    pub(super) fn courier(&mut self, top: &Table<'a>) -> CourierOptions {
        let mut courier = CourierOptions::default();
        let Some(table) = self.table(top, "courier", &["port", "sources", "patience"]) else {
            return courier;
        };
        if let Some(port) = self.port(&table, "port") {
            courier.port = port;
        }
        courier.sources = self.list(&table, "sources", "IP addresses of this machine", |text| {
            IpAddr::from_str(text).ok()
        });
        if let Some(patience) = self.duration(&table, "patience") {
            courier.patience = patience;
        }
        courier
    }

    pub(super) fn routes(&mut self, top: &Table<'a>) -> Vec<Route> {
        let Some(value) = top.value("route") else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.type_wrong(value, "route", "a list of tables, each begun by [[route]]");
            return Vec::new();
        };
        let mut routes: Vec<Route> = Vec::new();
        for value in array.iter() {
            let Some(table) = value.get_ref().as_table() else {
                self.type_wrong(value, "route", "a table, [[route]]");
                continue;
            };
            let table = Table {
                name: "route",
                table,
            };
            let at = value.span().start;
            if let Some(route) = self.route(&table, at) {
                if routes.iter().any(|other| other.domain == route.domain) {
                    self.wrong(at, "route.domain", "has a route already; one is enough");
                }
                routes.push(route);
            }
        }
        routes
    }

    fn route(&mut self, table: &Table<'a>, at: usize) -> Option<Route> {
        let keys = [
            "domain",
            "host",
            "port",
            "tls",
            "user",
            "password",
            "password_file",
            "source",
        ];
        self.known(table, &keys);
        let domain = self.pattern(table, at);
        let host = self.route_host(table);
        let login = self.login(table, at);
        let tls = self.route_tls(table, login.is_some());
        let port = self.port(table, "port");
        if let (Some(value), None) = (table.value("port"), table.value("host")) {
            let what = "needs a host; courier.port is the port of the domains' own servers";
            self.wrong(value.span().start, "route.port", what);
        }
        let source = self
            .string(table, "source", "an IP address of this machine")
            .and_then(|(at, text)| {
                let address = text.parse().ok();
                if address.is_none() {
                    let what = format!("is {text:?} but must be an IP address of this machine");
                    self.wrong(at, "route.source", what);
                }
                address
            });
        if login.is_some() && host.is_none() {
            self.wrong(at, "route.user", "needs a host to log in at");
        }
        Some(Route {
            domain: domain?,
            host,
            port: port.unwrap_or(if tls == RouteTls::Implicit { 465 } else { 25 }),
            tls,
            login,
            source,
        })
    }

    fn pattern(&mut self, table: &Table<'a>, at: usize) -> Option<Pattern> {
        let wanted = "a domain, for example \"example.org\", \".example.org\" for all below it, or \"*\" for all";
        if table.value("domain").is_none() {
            self.wrong(at, "route.domain", format!("is missing; give {wanted}"));
        }
        let (at, text) = self.string(table, "domain", wanted)?;
        if text == "*" {
            return Some(Pattern::All);
        }
        let below = text.strip_prefix('.');
        let name = idna::domain_to_ascii(below.unwrap_or(text)).unwrap_or_default();
        // A name without a dot is a domain of some networks.
        if !is_hostname(&name) && !is_hostname(&format!("{name}.x")) {
            self.wrong(
                at,
                "route.domain",
                format!("is {text:?} but must be {wanted}"),
            );
            return None;
        }
        Some(match below {
            Some(_) => Pattern::Below(name),
            None => Pattern::Exactly(name),
        })
    }

    fn route_host(&mut self, table: &Table<'a>) -> Option<String> {
        let wanted = "a host name or an IP address";
        let (at, text) = self.string(table, "host", wanted)?;
        let name = idna::domain_to_ascii(text).unwrap_or_default();
        if text.parse::<IpAddr>().is_ok() {
            return Some(text.to_owned());
        }
        if is_hostname(&name) || is_hostname(&format!("{name}.x")) {
            return Some(name);
        }
        let what = format!("is {text:?} but must be {wanted}; its port is route.port");
        self.wrong(at, "route.host", what);
        None
    }

    fn route_tls(&mut self, table: &Table<'a>, login: bool) -> RouteTls {
        let default = if login {
            RouteTls::Required
        } else {
            RouteTls::Policy
        };
        let wanted = "\"policy\", \"required\", \"implicit\" or \"none\"";
        let Some((at, text)) = self.string(table, "tls", wanted) else {
            return default;
        };
        let tls = match text {
            "policy" => RouteTls::Policy,
            "required" => RouteTls::Required,
            "implicit" => RouteTls::Implicit,
            "none" => RouteTls::None,
            _ => {
                self.wrong(at, "route.tls", format!("is {text:?} but must be {wanted}"));
                return default;
            }
        };
        if login && tls == RouteTls::Policy {
            let what = "is \"policy\", which may be in the clear, but there is a password; give \"required\" or \"implicit\"";
            self.wrong(at, "route.tls", what);
        }
        tls
    }

    fn login(&mut self, table: &Table<'a>, at: usize) -> Option<(String, Secret)> {
        let user = self.string(table, "user", "a user name");
        let password = self.string(table, "password", "a password");
        let file = self.path(table, "password_file");
        let secret = match (password, file) {
            (Some((at, _)), Some(_)) => {
                self.wrong(
                    at,
                    "route.password",
                    "stands beside route.password_file; one is enough",
                );
                return None;
            }
            (Some((_, text)), None) => Some(Secret::new(text.to_owned())),
            (None, Some(file)) => match std::fs::read_to_string(&file) {
                Ok(text) => Some(Secret::new(
                    text.lines().next().unwrap_or_default().to_owned(),
                )),
                Err(error) => {
                    let what = format!("{}: {error}", file.display());
                    self.wrong(at, "route.password_file", what);
                    return None;
                }
            },
            (None, None) => None,
        };
        match (user, secret) {
            (Some((_, user)), Some(secret)) => Some((user.to_owned(), secret)),
            (None, None) => None,
            (Some((at, _)), None) => {
                self.wrong(
                    at,
                    "route.user",
                    "needs route.password or route.password_file",
                );
                None
            }
            (None, Some(_)) => {
                self.wrong(at, "route.password", "needs route.user");
                None
            }
        }
    }

    fn port(&mut self, table: &Table<'a>, key: &str) -> Option<u16> {
        let port = self.integer(table, key, 1..=65_535)?;
        u16::try_from(port).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Dnssec, Error, Pattern, RouteTls};

    const TOP: &str = "hostname = \"mail.example.org\"\ndata = \"data\"\n";

    fn read(text: &str) -> Result<Config, String> {
        Config::parse(&format!("{TOP}{text}\n"), Path::new("/etc/w/waxwing.toml")).map_err(
            |error| match error {
                Error::Wrong { mistakes, .. } => mistakes
                    .iter()
                    .map(|one| format!("{}: {}: {}", one.line, one.key, one.what))
                    .collect::<Vec<_>>()
                    .join("\n"),
                error => error.to_string(),
            },
        )
    }

    #[test]
    fn the_way_out() {
        let plain = read("").unwrap();
        assert_eq!(
            (plain.dns.dnssec, plain.courier.port),
            (Dnssec::Validate, 25)
        );
        let config = read(
            "[dns]\nservers = [\"::1\", \"127.0.0.1:5353\"]\ndnssec = \"trust\"\n[courier]\nport = 2525\npatience = \"90s\"\nsources = [\"192.0.2.1\"]\n[[route]]\ndomain = \"*\"\nhost = \"relay.example\"\nuser = \"me\"\npassword = \"p\"\n[[route]]\ndomain = \".b\u{fc}cher.example\"\nhost = \"10.0.0.1\"\ntls = \"implicit\"",
        )
        .unwrap();
        assert_eq!(
            config.dns.servers,
            [
                "[::1]:53".parse().unwrap(),
                "127.0.0.1:5353".parse().unwrap()
            ]
        );
        assert_eq!(config.courier.patience.as_secs(), 90);
        let [all, below] = config.routes.as_slice() else {
            panic!("{:?}", config.routes)
        };
        assert_eq!(
            (&all.domain, all.port, all.tls),
            (&Pattern::All, 25, RouteTls::Required)
        );
        let inside = Pattern::Below("xn--bcher-kva.example".to_owned());
        assert_eq!(
            (&below.domain, below.port, below.tls),
            (&inside, 465, RouteTls::Implicit)
        );
    }

    #[test]
    fn mistakes_on_the_way_out() {
        let route = "[[route]]\ndomain = \"a.test\"\n";
        for (text, key, what) in [
            (
                "[dns]\nservers = [\"ns.test\"]".to_owned(),
                "dns.servers",
                "IP addresses",
            ),
            (
                "[dns]\ndnssec = \"on\"".to_owned(),
                "dns.dnssec",
                "\"validate\"",
            ),
            (
                "[dns]\ntrust_anchor = \"/nonexistent\"".to_owned(),
                "dns.trust_anchor",
                "/nonexistent",
            ),
            (
                "[courier]\nport = 0".to_owned(),
                "courier.port",
                "from 1 to 65535",
            ),
            (
                "[courier]\npatience = \"soon\"".to_owned(),
                "courier.patience",
                "with its unit",
            ),
            ("[route]\nhost = \"x\"".to_owned(), "route", "[[route]]"),
            (
                "[[route]]\nhost = \"x\"".to_owned(),
                "route.domain",
                "is missing",
            ),
            (
                format!("{route}{route}"),
                "route.domain",
                "has a route already",
            ),
            (format!("{route}port = 587"), "route.port", "needs a host"),
            (
                format!("{route}host = \"a:25\""),
                "route.host",
                "its port is route.port",
            ),
            (format!("{route}tls = \"maybe\""), "route.tls", "\"policy\""),
            (
                format!("{route}host = \"r.test\"\nuser = \"u\""),
                "route.user",
                "needs route.password",
            ),
            (
                format!("{route}host = \"r.test\"\npassword = \"p\""),
                "route.password",
                "needs route.user",
            ),
            (
                format!("{route}user = \"u\"\npassword = \"p\""),
                "route.user",
                "needs a host",
            ),
            (
                format!(
                    "{route}host = \"r.test\"\nuser = \"u\"\npassword = \"p\"\ntls = \"policy\""
                ),
                "route.tls",
                "in the clear",
            ),
            (
                format!("{route}source = \"eth0\""),
                "route.source",
                "IP address",
            ),
            (
                format!("{route}hots = \"x\""),
                "route.hots",
                "did you mean route.host?",
            ),
        ] {
            let found = read(&text).unwrap_err();
            assert!(
                found.contains(&format!("{key}: ")) && found.contains(what),
                "{text}: {found}"
            );
        }
    }
}
