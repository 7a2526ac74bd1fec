//! Start, reload and end of the built server.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server, binary};
use testkit::tls::{HOST, Identity};

fn log_line(server: &Server, text: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while !server.log().contains(text) {
        assert!(
            Instant::now() < until,
            "the log never said {text:?}:\n{}",
            server.log()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_second_start_is_quick_and_finds_everything() {
    let mut server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    for n in 0..50 {
        let message = format!("Subject: {n}\r\n\r\ntext\r\n");
        server
            .deliver("alice@example.test", message.as_bytes())
            .expect("deliver");
    }
    let folder = server.data();
    assert_eq!(
        fs::metadata(&folder).expect("data").permissions().mode() & 0o777,
        0o700
    );
    let socket = fs::metadata(folder.join("admin.sock")).expect("socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let database = fs::metadata(folder.join("waxwing.db")).expect("database");
    assert_eq!(database.permissions().mode() & 0o077, 0);
    assert!(server.stop().expect("stop"));
    assert!(!folder.join("admin.sock").exists());
    let start = Instant::now();
    server.launch().expect("second start");
    let took = start.elapsed();
    assert!(took < Duration::from_millis(300), "{took:?}");
    assert!(
        server
            .cli(&["mailbox", "list", "alice@example.test"])
            .expect("list")
            .contains("50")
    );
}

#[test]
fn ending_says_goodbye_refuses_and_is_quick() {
    let mut server = Server::start().expect("start");
    let ports = server.ports();
    let mut idle = server.connect(ports.pop3).expect("connect");
    idle.answer().expect("greeting");
    let mut shy = server.connect(ports.imaps).expect("connect");
    let start = Instant::now();
    assert!(server.stop().expect("stop"));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let goodbye = idle.read_line().expect("goodbye");
    assert!(goodbye.is_none_or(|line| line.starts_with(b"-ERR")));
    assert_eq!(idle.read_line().expect("end"), None);
    assert_eq!(shy.read_line().expect("end"), None);
    assert!(TcpStream::connect(server.address(ports.pop3)).is_err());
}

#[test]
fn ending_under_load_keeps_what_was_accepted() {
    const CLIENTS: usize = 6;
    let mut server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    let address = server.address(server.ports().lmtp);
    let (first, begun) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let first = first.clone();
            std::thread::spawn(move || {
                let mut accepted = 0;
                // Ends with the connection: refused by 421, or closed.
                while deliver_one(address).is_ok() {
                    accepted += 1;
                    let _ = first.send(());
                }
                accepted
            })
        })
        .collect();
    for _ in 0..100 {
        begun.recv().expect("a delivery");
    }
    let start = Instant::now();
    assert!(server.stop().expect("stop"));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let accepted: usize = clients
        .into_iter()
        .map(|client| client.join().expect("client"))
        .sum();
    server.launch().expect("start");
    let list = server.cli(&["--json", "account", "list"]).expect("list");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    let kept = usize::try_from(list[0]["messages"].as_u64().expect("number")).expect("number");
    // One of each client may be kept whose reply did not arrive.
    assert!(
        (accepted..=accepted + CLIENTS).contains(&kept),
        "accepted {accepted}, kept {kept}"
    );
}

fn deliver_one(address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut lmtp = Connection::open(address)?;
    lmtp.reply()?;
    lmtp.smtp("LHLO test.example", 250)?;
    lmtp.smtp("MAIL FROM:<>", 250)?;
    lmtp.smtp("RCPT TO:<alice@example.test>", 250)?;
    lmtp.smtp("DATA", 354)?;
    lmtp.send(b"Subject: one of many\r\n\r\ntext\r\n")?;
    lmtp.smtp(".", 250)?;
    let _ = lmtp.line("QUIT");
    Ok(())
}

#[test]
fn the_last_reply_arrives_whatever_else_was_sent() {
    let server = Server::start().expect("start");
    for _ in 0..20 {
        let mut pop3 = server.connect(server.ports().pop3).expect("connect");
        pop3.answer().expect("greeting");
        let mut all = b"QUIT\r\n".to_vec();
        all.extend(vec![b'x'; 1 << 20]);
        pop3.send(&all).expect("send");
        assert!(pop3.answer().expect("goodbye").starts_with("+OK"));
        assert_eq!(pop3.read_line().expect("end"), None);
    }
}

#[test]
fn a_second_server_on_one_data_folder_is_refused() {
    let server = Server::start().expect("start");
    let output = Command::new(binary())
        .arg("--config")
        .arg(server.config())
        .arg("serve")
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("data folder"),
        "{text}"
    );
    assert!(
        server.cli(&["domain", "list", "--json"]).is_ok(),
        "the first one goes on"
    );
}

#[test]
fn wrong_configurations_stop_the_start_and_say_all() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("waxwing.toml");
    fs::write(
        &file,
        "hostname = \"a.example.test\"\ndata = \"d\"\nspeed = 9\n[limits]\nrecipients = \"many\"\n",
    )
    .expect("write");
    let output = Command::new(binary())
        .arg("serve")
        .arg("--config")
        .arg(&file)
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    let shown = file.display();
    assert!(
        text.contains(&format!("{shown}:3: speed: no such key")),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "{shown}:5: limits.recipients: is a string but must be an integer"
        )),
        "{text}"
    );
    assert!(
        !folder.path().join("d").exists(),
        "nothing is made before the configuration is right"
    );
}

#[test]
fn hangup_takes_a_new_certificate_and_leaves_the_old_for_a_bad_one() {
    let server = Server::start().expect("start");
    let folder = server.config().parent().expect("folder").to_owned();
    let imaps = server.address(server.ports().imaps);
    assert_eq!(certificate(imaps).expect("handshake"), server.certificate());
    let new = Identity::generate().expect("identity");
    fs::write(folder.join("cert.pem"), &new.certificate_pem).expect("write");
    server.reload();
    log_line(
        &server,
        "the certificate is wrong; the old configuration stays in force",
    );
    assert_eq!(certificate(imaps).expect("handshake"), server.certificate());
    fs::write(folder.join("key.pem"), &new.key_pem).expect("write");
    server.reload();
    log_line(&server, "certificates and limits are reloaded");
    assert_eq!(certificate(imaps).expect("handshake"), new.certificate);
}

#[test]
fn hangup_takes_new_limits_and_leaves_the_old_for_bad_ones() {
    let server = Server::start().expect("start");
    let pop3 = server.ports().pop3;
    let text = fs::read_to_string(server.config()).expect("read");
    fs::write(server.config(), format!("{text}limits.connections = 0\n")).expect("write");
    server.reload();
    log_line(&server, "limits.connections: is 0 but must be from 1");
    log_line(&server, "the old one stays in force");
    fs::write(server.config(), format!("{text}limits.connections = 2\n")).expect("write");
    server.reload();
    log_line(&server, "certificates and limits are reloaded");
    let mut held: Vec<_> = (0..2)
        .map(|_| server.connect(pop3).expect("connect"))
        .collect();
    for connection in &mut held {
        assert!(connection.answer().expect("greeting").starts_with("+OK"));
    }
    let mut third = server.connect(pop3).expect("connect");
    assert_eq!(
        third.answer().expect("refusal"),
        "-ERR [SYS/TEMP] too many connections"
    );
    assert_eq!(third.read_line().expect("end"), None);
    let mut smtp = server.connect(server.ports().smtp).expect("connect");
    assert_eq!(smtp.reply().expect("refusal").0, 421);
}

#[test]
fn hangup_takes_no_message_size_that_the_memory_cannot_hold() {
    let server = Server::start().expect("start");
    let text = fs::read_to_string(server.config()).expect("read");
    let limits = "limits.message_mib = 1024\nlimits.memory_mib = 2048\n";
    fs::write(server.config(), format!("{text}{limits}")).expect("write");
    server.reload();
    log_line(
        &server,
        "limits.message_mib needs the larger limits.memory_mib",
    );
    let mut smtp = server.connect(server.ports().smtp).expect("connect");
    smtp.reply().expect("greeting");
    let lines = smtp.smtp("EHLO client.example", 250).expect("reply");
    assert!(
        lines.iter().any(|line| line.ends_with("SIZE 52428800")),
        "{lines:?}"
    );
}

#[test]
fn foreign_protocols_are_refused_in_the_handshake() {
    let server = Server::start().expect("start");
    let ports = server.ports();
    for (port, own) in [
        (ports.imaps, "imap"),
        (ports.pop3s, "pop3"),
        (ports.submissions, "smtp"),
    ] {
        let address = server.address(port);
        for foreign in ["http/1.1", "h2", "xmpp-client"] {
            let error = handshake(address, &[foreign])
                .expect_err("refused")
                .to_string();
            assert!(
                error.contains("NoApplicationProtocol"),
                "{foreign}: {error}"
            );
        }
        handshake(address, &[own]).expect("its own name");
        handshake(address, &["h2", own]).expect("its own name among others");
        handshake(address, &[]).expect("no name");
    }
}

#[test]
fn guesses_are_slowed_down_and_then_refused() {
    let server = Server::builder()
        .setting("auth.failures_per_minute", "3")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    let login = |password: &str| {
        let mut pop3 = server.connect(server.ports().pop3).expect("connect");
        pop3.answer().expect("greeting");
        pop3.line("USER alice@example.test").expect("send");
        pop3.answer().expect("answer");
        let start = Instant::now();
        pop3.line(&format!("PASS {password}")).expect("send");
        (pop3.answer().expect("answer"), start.elapsed())
    };
    assert!(login(PASSWORD).0.starts_with("+OK"));
    let first = login("guess 1");
    let second = login("guess 2");
    assert!(first.0.starts_with("-ERR") && second.0.starts_with("-ERR"));
    assert!(
        first.1 >= Duration::from_millis(450) && second.1 >= Duration::from_millis(950),
        "{first:?} {second:?}"
    );
    login("guess 3");
    let refused = login("guess 4");
    assert_ne!(refused.0, first.0, "a temporary refusal");
    assert!(
        login(PASSWORD).0.starts_with("+OK"),
        "the owner comes in from a known place"
    );
    let log = server.log();
    assert!(
        log.contains("too many failures") && log.contains("login failed"),
        "{log}"
    );
    assert!(
        !log.contains("guess") && !log.contains(PASSWORD),
        "no password in the log: {log}"
    );
}

fn certificate(address: std::net::SocketAddr) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let client = handshake(address, &[])?;
    let chain = client.peer_certificates().ok_or("no certificate")?;
    Ok(chain.first().ok_or("an empty chain")?.to_vec())
}

/// A handshake that trusts everybody: what is served is compared afterwards.
fn handshake(
    address: std::net::SocketAddr,
    alpn: &[&str],
) -> Result<rustls::ClientConnection, Box<dyn std::error::Error>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut client = rustls::ClientConnection::new(Arc::new(config), HOST.try_into()?)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(testkit::connection::PATIENCE))?;
    while client.is_handshaking() {
        client.complete_io(&mut stream)?;
    }
    // The server's verdict on the last flight shows with the next octets: the greeting, or an alert.
    let mut tls = rustls::Stream::new(&mut client, &mut stream);
    tls.flush()?;
    let mut octet = [0];
    std::io::Read::read(&mut tls, &mut octet)?;
    Ok(client)
}

#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Fault F7: accepting pauses without spinning, what is open goes on, and all is well once descriptors are back.
#[test]
fn running_out_of_descriptors_pauses_accepting() {
    const DESCRIPTORS: usize = 96;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("waxwing.toml");
    let port = TcpListener::bind(("127.0.0.1", 0))
        .and_then(|one| one.local_addr())
        .expect("a free port");
    let text = format!("hostname = \"a.example.test\"\ndata = \"d\"\nlisten.pop3 = [\"{port}\"]\n");
    fs::write(&file, text).expect("write");
    let log = fs::File::create(folder.path().join("log")).expect("log");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "ulimit -n {DESCRIPTORS}; exec \"$0\" serve --config \"$1\""
        ))
        .arg(binary())
        .arg(&file)
        .stderr(log)
        .spawn()
        .expect("start");
    let greeted = |connection: &mut Connection| {
        connection
            .answer()
            .is_ok_and(|line| line.starts_with("+OK"))
    };
    let until = Instant::now() + Duration::from_secs(20);
    let mut first = loop {
        match Connection::open(port) {
            Ok(connection) => break connection,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(greeted(&mut first));
    // The kernel completes these whether or not the server takes them.
    let waiting: Vec<_> = (0..2 * DESCRIPTORS)
        .map(|_| TcpStream::connect(port).expect("connect"))
        .collect();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    while !log().contains("accepting pauses") {
        assert!(Instant::now() < until, "{}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
    let before = cpu_ticks(child.id());
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_ticks(child.id()) - before;
    assert!(used < 20, "{used} hundredths of a second in one: it spins");
    first.line("CAPA").expect("send");
    assert!(greeted(&mut first), "what is open goes on");
    drop(waiting);
    let mut last = Connection::open(port).expect("connect");
    assert!(greeted(&mut last), "and new ones are taken again");
    child.kill().expect("kill");
    child.wait().expect("wait");
}

/// User and system time of a process in hundredths of a second (`proc(5)`, fields 14 and 15).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

#[test]
fn lmtp_over_a_unix_socket() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("lmtp");
    let mut server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    let text = fs::read_to_string(server.config()).expect("read");
    let lmtp = server.ports().lmtp;
    let both = format!("[\"127.0.0.1:{lmtp}\", \"unix:{}\"]", path.display());
    let text = text.replace(&format!("[\"127.0.0.1:{lmtp}\"]"), &both);
    fs::write(server.config(), text).expect("write");
    assert!(server.stop().expect("stop"));
    server.launch().expect("start");
    let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("connect");
    stream
        .set_read_timeout(Some(testkit::connection::PATIENCE))
        .expect("timeout");
    let commands = "LHLO test.example\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n";
    stream.write_all(commands.as_bytes()).expect("send");
    stream
        .write_all(b"Subject: by socket\r\n\r\ntext\r\n.\r\nQUIT\r\n")
        .expect("send");
    let lines: Vec<String> = BufReader::new(&stream)
        .lines()
        .map(|line| line.expect("line"))
        .collect();
    assert!(
        lines.first().is_some_and(|line| line.starts_with("220")),
        "{lines:?}"
    );
    let after_data = lines
        .iter()
        .skip_while(|line| !line.starts_with("354"))
        .nth(1);
    assert!(
        after_data.is_some_and(|line| line.starts_with("250")),
        "{lines:?}"
    );
    let list = server.cli(&["--json", "account", "list"]).expect("list");
    assert!(list.contains("\"messages\": 1"), "{list}");
}
