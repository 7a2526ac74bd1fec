//! `waxwing doctor` and `waxwing dns records` against a name server of the test's.

use serde_json::Value;
use testkit::dns;
use testkit::server::Server;

const DOMAIN: &str = "example.test";

fn start(dns: &dns::Server) -> Server {
    let server = Server::builder()
        .setting("dns.servers", &dns.setting())
        .setting("dns.dnssec", "\"trust\"")
        .start()
        .expect("server");
    server.add_domain(DOMAIN).expect("domain");
    server
}

/// The findings of a run as check and grade, the exit code, and all the text.
fn examine(server: &Server) -> (Vec<(String, String)>, i32, String) {
    let port = server.ports().smtp.to_string();
    let arguments = [
        "--json",
        "doctor",
        DOMAIN,
        "--port",
        &port,
        "--probe",
        "nobody.example",
        "--blocklist",
        "list.example",
    ];
    let output = server.cli_with(&arguments, "").expect("doctor");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<Value> = serde_json::from_str(&text).expect(&text);
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let findings = rows
        .iter()
        .map(|row| (word(row, "check"), word(row, "grade")))
        .collect();
    (findings, output.status.code().unwrap_or(-1), text)
}

fn grades<'f>(findings: &'f [(String, String)], check: &str) -> Vec<&'f str> {
    let of = findings.iter().filter(|(name, _)| name == check);
    of.map(|(_, grade)| grade.as_str()).collect()
}

/// Puts what `waxwing dns records` says into the DNS.
fn publish(server: &Server, dns: &dns::Server) -> String {
    let text = server
        .cli(&["--json", "dns", "records", DOMAIN])
        .expect("records");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let host = answer["hostname"].as_str().expect("a name").to_owned();
    for record in answer["records"].as_array().expect("records") {
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        let name = text("name").trim_end_matches('.');
        match text("type") {
            "TXT" => dns.txt(name, &[text("data")]),
            "MX" => dns.mx(name, &[(10, &host)]),
            "TLSA" => {
                let data = text("data").strip_prefix("3 1 1 ").expect("DANE-EE");
                let octets: Vec<u8> = (0..data.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&data[at..at + 2], 16).expect("digits"))
                    .collect();
                dns.tlsa(name, &[(3, 1, 1, &octets)]);
            }
            _ => {}
        }
    }
    host
}

#[test]
fn a_domain_without_records_is_broken_and_the_doctor_says_what_to_add() {
    let dns = dns::Server::start().expect("name server");
    let server = start(&dns);
    let (findings, code, text) = examine(&server);
    assert_eq!(code, 2, "{text}");
    for (check, grade) in [
        ("host", "broken"),
        ("MX", "broken"),
        ("SPF", "advice"),
        ("DMARC", "advice"),
    ] {
        assert_eq!(grades(&findings, check), [grade], "{check}: {text}");
    }
    assert_eq!(grades(&findings, "DKIM"), ["advice", "advice"], "{text}");
    assert!(
        text.contains("put into the DNS: example.test. 3600 IN MX 10 "),
        "{text}"
    );
    assert!(text.contains("v=spf1 mx -all"), "{text}");
}

#[test]
fn with_the_records_that_we_print_all_is_well() {
    let dns = dns::Server::start().expect("name server");
    let server = start(&dns);
    let host = publish(&server, &dns);
    dns.host(&host, &["127.0.0.1"]);
    dns.authentic(true);
    let (findings, code, text) = examine(&server);
    for check in [
        "host",
        "MX",
        "SPF",
        "DMARC",
        "port 25 in",
        "STARTTLS",
        "DANE",
        "TLS reports",
        "blocklists",
    ] {
        assert_eq!(grades(&findings, check), ["good"], "{check}: {text}");
    }
    assert_eq!(grades(&findings, "DKIM"), ["good", "good"], "{text}");
    // The name of this address is localhost, whatever the DNS says.
    assert_eq!(grades(&findings, "reverse DNS"), ["advice"], "{text}");
    // The certificate of the test is its own authority, and nobody is there to be called.
    assert!(
        grades(&findings, "certificate").contains(&"advice"),
        "{text}"
    );
    assert_eq!(grades(&findings, "port 25 out"), ["unknown"], "{text}");
    assert_eq!(code, 1, "{text}");

    // And what goes wrong is seen.
    dns.txt(DOMAIN, &["v=spf1 ip4:192.0.2.1 -all"]);
    dns.tlsa(&format!("_25._tcp.{host}"), &[(3, 1, 1, &[7; 32])]);
    dns.host("1.0.0.127.list.example", &["127.0.0.2"]);
    dns.mx(DOMAIN, &[(10, "elsewhere.example")]);
    let (findings, code, text) = examine(&server);
    for check in ["SPF", "DANE", "blocklists", "MX"] {
        assert_eq!(grades(&findings, check), ["broken"], "{check}: {text}");
    }
    assert_eq!(code, 2);
    let words = server
        .cli_with(
            &[
                "doctor",
                DOMAIN,
                "--port",
                "1",
                "--probe",
                "x.example",
                "--blocklist",
                "list.example",
            ],
            "",
        )
        .expect("doctor");
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(words.contains("broken   port 25 in"), "{words}");
    assert!(
        words.contains(" -> let the provider of the address set its reverse name to "),
        "{words}"
    );
}
