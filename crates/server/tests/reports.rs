//! Reports between mail servers: those of others about our domains.

use std::io::Write;

use serde_json::Value;
use testkit::dns;
use testkit::server::Server;
use testkit::sink::Sink;

const XML: &str = "<?xml version=\"1.0\"?>\n<feedback><report_metadata><org_name>Big Mail</org_name>\
    <report_id>r1</report_id><date_range><begin>BEGIN</begin><end>END</end></date_range></report_metadata>\
    <policy_published><domain>example.test</domain><p>none</p></policy_published>\
    <record><row><source_ip>192.0.2.9</source_ip><count>7</count><policy_evaluated><disposition>none</disposition>\
    <dkim>fail</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>example.test</header_from>\
    </identifiers><auth_results><spf><domain>evil.example</domain><result>pass</result></spf></auth_results></record>\
    </feedback>";

fn report(id: &str) -> Vec<u8> {
    use base64::Engine as _;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock")
        .as_secs();
    let xml = XML
        .replace("BEGIN", &(now - 86_400).to_string())
        .replace("END", &now.to_string())
        .replace("r1", id);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(xml.as_bytes()).expect("gzip");
    let packed = base64::engine::general_purpose::STANDARD.encode(gz.finish().expect("gzip"));
    format!(
        "From: noreply@big.example\r\nTo: x@example.test\r\nSubject: Report Domain: example.test Submitter: big.example\r\n\
         \tReport-ID: <{id}>\r\nMIME-Version: 1.0\r\nContent-Type: application/gzip; name=\"big!example.test!1!2.xml.gz\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{packed}\r\n"
    )
    .into_bytes()
}

fn summary(server: &Server) -> Value {
    let text = server
        .cli(&["--json", "reports", "dmarc"])
        .expect("reports");
    serde_json::from_str(&text).expect("JSON")
}

/// Waits until as many reports are kept: they are read beside their delivery.
fn await_reports(server: &Server, count: usize) -> Value {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let summary = summary(server);
        let found = summary.pointer("/0/reports").and_then(Value::as_array);
        if found.map_or(0, Vec::len) >= count {
            return summary;
        }
        assert!(
            std::time::Instant::now() < until,
            "{summary:#}\n{}",
            server.log()
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn reports_to_the_address_in_the_records_are_kept_and_others_are_only_mail() {
    let dns = dns::Server::start().expect("name server");
    let server = Server::builder()
        .setting("dns.servers", &dns.setting())
        .start()
        .expect("server");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("alice");
    // To somebody whom no record names.
    server
        .deliver("alice@example.test", &report("a"))
        .expect("LMTP");
    // To the address that we propose, which reaches somebody without being an account.
    server
        .deliver("postmaster+dmarc@example.test", &report("b"))
        .expect("LMTP");
    await_reports(&server, 1);
    // To one that the record names.
    dns.txt(
        "_dmarc.example.test",
        &["v=DMARC1; p=none; rua=mailto:other@example.test, mailto:Alice@example.test!10m"],
    );
    server
        .deliver("alice@example.test", &report("c"))
        .expect("LMTP");
    // Once more.
    server
        .deliver("alice@example.test", &report("c"))
        .expect("LMTP");
    let summary = await_reports(&server, 2);
    assert_eq!(
        summary[0]["reports"].as_array().map(Vec::len),
        Some(2),
        "{summary:#}"
    );
    assert_eq!(
        (summary[0]["bad"].as_u64(), summary[0]["good"].as_u64()),
        (Some(14), Some(0))
    );
    assert_eq!(summary[0]["failures"][0]["source"], "192.0.2.9");
    let words = server
        .cli(&["reports", "dmarc", "example.test"])
        .expect("words");
    assert!(
        words.contains("192.0.2.9: neither SPF nor DKIM stands for example.test"),
        "{words}"
    );
}

fn today() -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%d"])
        .output()
        .expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// RFC 7489 §7: who publishes a policy hears what came in its name; nobody gets reports that he has not agreed to.
#[test]
fn domains_hear_what_came_in_their_name() {
    let dns = dns::Server::start().expect("name server");
    let sink = Sink::new().start().expect("sink");
    let route = format!(
        "[{{ domain = \"*\", host = \"127.0.0.1\", port = {} }}]",
        sink.port()
    );
    let server = Server::builder()
        .setting("dns.servers", &dns.setting())
        .setting("dns.dnssec", "\"off\"")
        .setting("reception.check_private", "true")
        .setting("route", &route)
        .start()
        .expect("server");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("alice");
    dns.mx("author.example", &[(10, "mx.author.example")]);
    dns.host("mx.author.example", &["192.0.2.1"]);
    dns.txt("author.example", &["v=spf1 ip4:192.0.2.1 -all"]);
    let rua = "rua=mailto:r@author.example, mailto:spy@other.example, mailto:small@author.example!10, mailto:ok@third.example!1m";
    dns.txt(
        "_dmarc.author.example",
        &[&format!("v=DMARC1; p=none; {rua}")],
    );
    dns.txt("author.example._report._dmarc.third.example", &["v=DMARC1"]);
    let mut smtp = server.connect(server.ports().smtp).expect("connection");
    smtp.reply().expect("greeting");
    for _ in 0..2 {
        smtp.smtp("EHLO author.example", 250).expect("EHLO");
        smtp.smtp("MAIL FROM:<ann@author.example>", 250)
            .expect("MAIL");
        smtp.smtp("RCPT TO:<alice@example.test>", 250)
            .expect("RCPT");
        smtp.smtp("DATA", 354).expect("DATA");
        smtp.send(b"From: ann@author.example\r\nSubject: x\r\n\r\nx\r\n")
            .expect("message");
        smtp.smtp(".", 250).expect("end");
    }
    let told = server
        .cli(&["--json", "reports", "send", "--day", &today()])
        .expect("send");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let outcomes: Vec<(String, String)> = told
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            (text("to"), text("outcome"))
        })
        .collect();
    let of = |to: &str| {
        let found = outcomes.iter().find(|(address, _)| address == to);
        found
            .map(|(_, outcome)| outcome.as_str())
            .unwrap_or_default()
    };
    assert_eq!(of("r@author.example"), "queued", "{told:#}");
    assert_eq!(of("ok@third.example"), "queued", "{told:#}");
    assert!(
        of("spy@other.example").contains("has not agreed"),
        "{told:#}"
    );
    assert!(of("small@author.example").contains("larger"), "{told:#}");
    sink.wait(|_, messages| messages.len() == 2);
    for message in sink.messages() {
        let report =
            mail_auth::report::Report::parse_rfc5322(&message.content, 1 << 20).expect("a report");
        assert_eq!(
            (report.domain(), report.records().len()),
            ("author.example", 1)
        );
        let record = &report.records()[0];
        assert_eq!(record.count(), 2);
        assert_eq!(
            record.source_ip(),
            Some("127.0.0.1".parse().expect("an address"))
        );
        assert_eq!(record.spf_auth_result()[0].result().to_string(), "fail");
        assert!(message.mail.contains("<>"), "{}", message.mail);
        let text = String::from_utf8_lossy(&message.content);
        assert!(text.starts_with("DKIM-Signature: "), "{text}");
        assert!(!text.contains("Return-Path"), "{text}");
    }
    // What was reported is not reported again.
    let again = server
        .cli(&["--json", "reports", "send", "--day", &today()])
        .expect("send");
    assert_eq!(again.trim(), "[]");
}
