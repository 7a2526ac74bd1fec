//! Small cases of our own, the limits, and the official suite where it is at hand.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use saphyr::{LoadableYamlNode, Yaml};

use super::super::table::{Entry, Table};
use super::*;

fn check(table: &Table, ip: &str, sender: &str, hello: &str) -> Verified {
    let (sender, domain) = match sender.rsplit_once('@') {
        Some(("", domain)) => (format!("postmaster@{domain}"), domain.to_owned()),
        Some((_, domain)) => (sender.to_owned(), domain.to_owned()),
        None => (format!("postmaster@{hello}"), hello.to_owned()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let ip = ip.parse().unwrap();
    runtime.block_on(async {
        match name::ascii(&domain) {
            Some(domain) => check_host(table, ip, &domain, &sender, hello).await,
            None => Verified::new(Outcome::None, "no domain"),
        }
    })
}

fn outcome(zone: &str, ip: &str) -> Outcome {
    check(&Table::parse(zone), ip, "a@example.org", "mx.example.org").outcome
}

#[test]
fn mechanisms() {
    use Outcome::*;
    let zone = "
        example.org TXT v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a:a.example.org mx ~ptr:ptr.example ?exists:%{i}.e.example.org -all
        example.org MX mx.example.org
        a.example.org A 198.51.100.1
        mx.example.org A 198.51.100.2
        mx.example.org AAAA 2001:db9::1
        3.100.51.198.in-addr.arpa PTR host.ptr.example
        host.ptr.example A 198.51.100.3
        198.51.100.4.e.example.org A 127.0.0.2
        5.100.51.198.in-addr.arpa PTR host.ptr.example";
    for (ip, expected) in [
        ("192.0.2.200", Pass),
        ("2001:db8:ffff::", Pass),
        ("198.51.100.1", Pass),
        ("198.51.100.2", Pass),
        ("2001:db9::1", Pass),
        ("198.51.100.3", SoftFail),
        ("198.51.100.4", Neutral),
        ("198.51.100.5", Fail),
        ("::ffff:192.0.2.1", Pass),
    ] {
        assert_eq!(outcome(zone, ip), expected, "{ip}");
    }
}

/// RFC 7208 §5.2: what an included record says passes through the qualifier of each include on the way.
#[test]
fn nested_includes() {
    let zone = "
        example.org TXT v=spf1 -include:b.example.org +all
        b.example.org TXT v=spf1 ~include:c.example.org include:d.example.org -all
        c.example.org TXT v=spf1 ip4:192.0.2.1 -all
        d.example.org TXT v=spf1 ip4:192.0.2.2 -all";
    // c passes, so b says softfail, which is no match of b.
    assert_eq!(outcome(zone, "192.0.2.1"), Outcome::Pass);
    // d passes, so b passes, so the outer says fail.
    assert_eq!(outcome(zone, "192.0.2.2"), Outcome::Fail);
    assert_eq!(outcome(zone, "192.0.2.3"), Outcome::Pass);
}

#[test]
fn errors_of_records() {
    use Outcome::*;
    for (record, expected) in [
        ("v=spf1 -all\nexample.org TXT v=spf1 +all", PermError),
        ("v=spf1 ip4:192.0.2.1 moo", PermError),
        ("v=spf1 -all x-more=%{d}/fine", Fail),
        ("v=spf1 include:nothing.example -all", PermError),
        ("v=spf1 redirect=nothing.example", PermError),
        ("v=spf1 a:gone.example.org/33", PermError),
        (
            "v=spf1 a:slow.example -all\nslow.example TIMEOUT",
            TempError,
        ),
        ("v=spf10 -all", None),
        ("v=spf1", Neutral),
        ("V=SPF1 IP4:192.0.2.1 -ALL", Pass),
    ] {
        let zone = format!("example.org TXT {record}");
        assert_eq!(outcome(&zone, "192.0.2.1"), expected, "{record}");
    }
}

#[test]
fn what_decided_is_told() {
    let table = Table::parse(
        "example.org TXT v=spf1 include:_spf.example.net -all
        _spf.example.net TXT v=spf1 ip4:192.0.2.1 -all",
    );
    let told = |ip| check(&table, ip, "a@example.org", "h").because;
    assert_eq!(
        told("192.0.2.1"),
        "the record of example.org says \"include:_spf.example.net\", and the record of _spf.example.net says \"ip4:192.0.2.1\""
    );
    assert_eq!(
        told("192.0.2.2"),
        "the record of example.org ends in \"-all\""
    );
}

/// A36: records made to keep us busy.
#[test]
fn a36_spf_limits() {
    let chain = |length: usize| {
        let link = |n: usize| match n == length {
            true => format!("i{n}.example TXT v=spf1 +all\n"),
            false => format!("i{n}.example TXT v=spf1 include:i{}.example\n", n + 1),
        };
        let links: String = (1..=length).map(link).collect();
        format!("example.org TXT v=spf1 include:i1.example -all\n{links}")
    };
    assert_eq!(outcome(&chain(10), "192.0.2.1"), Outcome::Pass);
    assert_eq!(outcome(&chain(11), "192.0.2.1"), Outcome::PermError);
    let around = "example.org TXT v=spf1 redirect=example.org";
    assert_eq!(outcome(around, "192.0.2.1"), Outcome::PermError);
    let voids = |count: usize| {
        let terms: String = (0..count).map(|n| format!("a:v{n}.example.org ")).collect();
        format!("example.org TXT v=spf1 {terms}-all")
    };
    assert_eq!(outcome(&voids(2), "192.0.2.1"), Outcome::Fail);
    assert_eq!(outcome(&voids(3), "192.0.2.1"), Outcome::PermError);
    let hosts = |count: usize| {
        let one = |n: usize| {
            format!("example.org MX h{n}.example.org\nh{n}.example.org A 198.51.100.{n}\n")
        };
        let records: String = (1..=count).map(one).collect();
        format!("example.org TXT v=spf1 mx -all\n{records}")
    };
    assert_eq!(outcome(&hosts(10), "198.51.100.10"), Outcome::Pass);
    assert_eq!(outcome(&hosts(11), "198.51.100.11"), Outcome::PermError);
}

/// A36: records as large as the DNS carries, and many of them.
#[test]
fn a36_spf_sizes() {
    let terms: String = (0..4_000)
        .map(|n| format!("ip4:198.51.{}.{} ", n / 250, n % 250))
        .collect();
    let large = format!("example.org TXT v=spf1 {terms}-all");
    assert!(large.len() > 60_000);
    assert_eq!(outcome(&large, "192.0.2.1"), Outcome::Fail);
    let many: String = (0..100)
        .map(|n| format!("example.org TXT text {n}\n"))
        .collect();
    assert_eq!(outcome(&many, "192.0.2.1"), Outcome::None);
    let many: String = (0..100).map(|_| "example.org TXT v=spf1 +all\n").collect();
    assert_eq!(outcome(&many, "192.0.2.1"), Outcome::PermError);
}

/// A36: many PTR names cost ten questions, not a thousand; long expansions and odd letters none.
#[test]
fn a36_spf_questions() {
    let mut zone = "example.org TXT v=spf1 ptr -all\n".to_owned();
    for n in 0..1_000 {
        zone.push_str(&format!("1.2.0.192.in-addr.arpa PTR p{n}.example.net\n"));
    }
    let table = Table::parse(&zone);
    let verified = check(&table, "192.0.2.1", "a@example.org", "h");
    assert_eq!(verified.outcome, Outcome::Fail);
    assert!(table.asked.load(Ordering::Relaxed) <= 12);
    let table = Table::parse("example.org TXT v=spf1 exists:%{l}.example.org -all");
    let sender = format!("{}\\046x@example.org", "a.".repeat(64));
    let verified = check(&table, "192.0.2.1", &sender, "h");
    assert_eq!(verified.outcome, Outcome::Fail);
    assert_eq!(table.asked.load(Ordering::Relaxed), 1);
}

/// A36: answers that take five seconds each end after twenty.
#[tokio::test(start_paused = true)]
async fn a36_spf_time() {
    struct Slow(Table);
    impl Lookup for Slow {
        async fn txt(&self, name: &str) -> Found<Vec<u8>> {
            self.0.txt(name).await
        }
        async fn a(&self, _: &str) -> Found<std::net::Ipv4Addr> {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(vec!["198.51.100.1".parse().unwrap()])
        }
        async fn aaaa(&self, _: &str) -> Found<std::net::Ipv6Addr> {
            Err(Missing::NoData)
        }
        async fn mx(&self, _: &str) -> Found<String> {
            Err(Missing::NoData)
        }
        async fn ptr(&self, _: IpAddr) -> Found<String> {
            Err(Missing::NoData)
        }
    }
    let terms: String = (0..10).map(|n| format!("a:h{n}.example.org ")).collect();
    let slow = Slow(Table::parse(&format!("example.org TXT v=spf1 {terms}-all")));
    let begun = tokio::time::Instant::now();
    let ip = "192.0.2.1".parse().unwrap();
    let verified = check_host(&slow, ip, "example.org", "a@example.org", "h").await;
    assert_eq!(verified.outcome, Outcome::TempError);
    assert_eq!(begun.elapsed(), TIME);
}

fn vectors() -> Option<PathBuf> {
    let shared = std::env::var_os("WAXWING_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let file = shared.join("corpus/vectors/spf/rfc7208-tests.yml");
    file.is_file().then_some(file)
}

fn octets(yaml: &Yaml<'_>) -> Vec<u8> {
    match yaml.as_vec() {
        Some(parts) => parts.iter().flat_map(octets).collect(),
        // Escapes of the file stand for octets.
        None => yaml
            .as_str()
            .unwrap_or_default()
            .chars()
            .map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?'))
            .collect(),
    }
}

fn table(zone: &Yaml<'_>) -> Table {
    let mut table = Table::default();
    for (name, records) in zone.as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        let records = records.as_vec().unwrap();
        let has_txt = records
            .iter()
            .any(|record| record.as_mapping_get("TXT").is_some());
        for record in records {
            if record.as_str() == Some("TIMEOUT") {
                table.add(name, Entry::Timeout);
                continue;
            }
            let (kind, value) = record.as_mapping().unwrap().iter().next().unwrap();
            let text = value.as_str().unwrap_or_default();
            match kind.as_str().unwrap() {
                // Records of the old type stand for TXT where there are none.
                "SPF" if has_txt => {}
                "TXT" if text == "NONE" => {}
                "SPF" | "TXT" => table.add(name, Entry::Txt(octets(value))),
                "A" => table.add(name, Entry::A(text.parse().unwrap())),
                "AAAA" => table.add(name, Entry::Aaaa(text.parse().unwrap())),
                "PTR" => table.add(name, Entry::Ptr(text.to_owned())),
                "MX" => {
                    let pair = value.as_vec().unwrap();
                    let preference = pair[0].as_integer().unwrap() as u16;
                    let host = pair[1].as_str().unwrap().to_owned();
                    table.add(name, Entry::Mx(preference, host));
                }
                "CNAME" => table.add(name, Entry::Cname(text.to_owned())),
                other => panic!("{other}"),
            }
        }
    }
    table
}

/// The suite of openspf.org for RFC 7208. Explanations are not compared: RFC 7208 §6.2 makes them optional, and they are
/// never asked for.
#[test]
fn official_suite() {
    let Some(file) = vectors() else {
        eprintln!("skipped: the SPF suite is not at hand");
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let (mut run, mut wrong) = (0, Vec::new());
    for zone in Yaml::load_from_str(&text).unwrap() {
        let table = table(zone.as_mapping_get("zonedata").unwrap());
        for (name, test) in zone.as_mapping_get("tests").unwrap().as_mapping().unwrap() {
            run += 1;
            let name = name.as_str().unwrap();
            let word = |key: &str| {
                test.as_mapping_get(key)
                    .and_then(Yaml::as_str)
                    .unwrap_or_default()
            };
            let result = test.as_mapping_get("result").unwrap();
            let expected = match result.as_vec() {
                Some(all) => all[0].as_str(),
                None => result.as_str(),
            };
            let verified = check(&table, word("host"), word("mailfrom"), word("helo"));
            if expected != Some(verified.outcome.name()) {
                wrong.push(format!("{name}: {expected:?}, not {verified:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(run, 203);
}
