//! POP3 against the built binary: foreign clients, other programs at the same mailbox, restarts, attacks.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use pop3::command::Command as Pop3;
use testkit::connection::Connection;
use testkit::server::{PASSWORD, Server};
use wire::base64;
use wire::sasl::client::{Credentials, Exchange};
use wire::sasl::{ChannelBinding, Mechanism, nonce};

const ALICE: &str = "alice@example.test";

/// Messages of the kinds that framing gets wrong; all lines end in CRLF.
fn mails() -> Vec<Vec<u8>> {
    let long = format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(900));
    let large = format!(
        "Subject: large\r\n\r\n{}",
        ".line with a dot in front\r\n".repeat(40_000)
    );
    vec![
        b"Subject: plain\r\nFrom: a@example.test\r\n\r\nbody\r\n".to_vec(),
        b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n".to_vec(),
        b"Subject: empty\r\n\r\n".to_vec(),
        "Subject: 8bit\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße ✓\r\n"
            .as_bytes()
            .to_vec(),
        long.into_bytes(),
        large.into_bytes(),
    ]
}

fn server(mails: &[Vec<u8>]) -> Server {
    let server = Server::start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account(ALICE).expect("account");
    for mail in mails {
        server.append(ALICE, "INBOX", mail).expect("append");
    }
    server
}

fn greeted(server: &Server) -> Connection {
    let mut connection = server.connect(server.ports().pop3).expect("connect");
    assert!(connection.answer().expect("greeting").starts_with("+OK"));
    connection
}

fn ok(connection: &mut Connection, command: &str) -> String {
    connection.line(command).expect("send");
    let answer = connection.answer().expect(command);
    assert!(answer.starts_with("+OK"), "{command} was answered {answer}");
    answer
}

fn logged_in(server: &Server) -> Connection {
    let mut connection = greeted(server);
    ok(&mut connection, &format!("USER {ALICE}"));
    ok(&mut connection, &format!("PASS {PASSWORD}"));
    connection
}

fn multi_line(connection: &mut Connection, command: &str) -> Vec<String> {
    ok(connection, command);
    let mut lines = connection.answers_until(|line| line == ".").expect(command);
    lines.pop();
    lines
}

fn closed(connection: &mut Connection) -> bool {
    matches!(connection.read_line(), Ok(None))
}

/// Resident memory of the server in KiB.
fn resident(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid().expect("pid"));
    let status = std::fs::read_to_string(path).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.expect("VmRSS")
}

/// A program of the machine; none, and a word about it, where it is not installed.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped, because {program} is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(input)
        .expect("input");
    Some(child.wait_with_output().expect(program))
}

/// Python's poplib in clear, with STLS and over TLS: what it reads is what went in; QUIT removes.
#[test]
fn poplib() {
    const SCRIPT: &str = r#"
import poplib, ssl, sys
port, tls_port, user, password, certificate, folder = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
context.check_hostname = False
mails = [open(f"{folder}/{n}.eml", "rb").read() for n in range(1, 7)]

def join(lines):
    return b"".join(line + b"\r\n" for line in lines)

def session(kind):
    if kind == "tls":
        pop = poplib.POP3_SSL("127.0.0.1", int(tls_port), context=context, timeout=20)
    else:
        pop = poplib.POP3("127.0.0.1", int(port), timeout=20)
        assert "STLS" in pop.capa(), pop.capa()
        if kind == "stls":
            pop.stls(context)
    assert "UIDL" in pop.capa() and pop.capa()["EXPIRE"] == ["NEVER"], pop.capa()
    pop.user(user)
    pop.pass_(password)
    return pop

uids = None
for kind in ["clear", "stls", "tls"]:
    pop = session(kind)
    assert pop.stat() == (6, sum(map(len, mails))), pop.stat()
    assert pop.list()[1] == [f"{n} {len(mail)}".encode() for n, mail in enumerate(mails, 1)]
    for n, mail in enumerate(mails, 1):
        answer, lines, octets = pop.retr(n)
        assert join(lines) == mail, (kind, n, join(lines)[:200])
        head, body = mail.split(b"\r\n\r\n", 1)
        top = join(pop.top(n, 1)[1])
        first = body.split(b"\r\n", 1)[0] + b"\r\n" if body else b""
        assert top == head + b"\r\n\r\n" + first, (kind, n, top[:200])
    seen = [line.split()[1] for line in pop.uidl()[1]]
    assert len(set(seen)) == 6 and (uids is None or uids == seen), seen
    assert pop.uidl(2).split()[2] == seen[1]
    uids = seen
    pop.dele(1); pop.dele(6); pop.rset()
    assert pop.stat()[0] == 6
    pop.noop()
    try:
        pop.retr(7)
        raise SystemExit("no error for message 7")
    except poplib.error_proto as error:
        assert b"no such message" in error.args[0], error
    pop.quit()
pop = session("clear")
pop.dele(2); pop.dele(5)
pop.quit()
pop = session("tls")
assert [line.split()[1] for line in pop.uidl()[1]] == [uids[0], uids[2], uids[3], uids[5]], pop.uidl()
pop.quit()
"#;
    let mails = mails();
    let server = server(&mails);
    let folder = tempfile::tempdir().expect("folder");
    for (n, mail) in (1..).zip(&mails) {
        std::fs::write(folder.path().join(format!("{n}.eml")), mail).expect("write");
    }
    let certificate = server.config().with_file_name("cert.pem");
    let ports = server.ports();
    let (port, tls_port) = (ports.pop3.to_string(), ports.pop3s.to_string());
    let certificate = certificate.to_string_lossy();
    let folder = folder.path().to_string_lossy();
    let arguments = [
        "-",
        &port,
        &tls_port,
        ALICE,
        PASSWORD,
        &certificate,
        &folder,
    ];
    let Some(output) = run("python3", &arguments, SCRIPT.as_bytes()) else {
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// curl in clear, with STLS and over TLS, with each mechanism it knows.
#[test]
fn curl() {
    let mails = mails();
    let server = server(&mails);
    let certificate = server.config().with_file_name("cert.pem");
    let certificate = certificate.to_string_lossy();
    let user = format!("{ALICE}:{PASSWORD}");
    let ports = server.ports();
    let forms: [(String, &[&str]); 5] = [
        (format!("pop3://127.0.0.1:{}", ports.pop3), &[]),
        (format!("pop3://127.0.0.1:{}", ports.pop3), &["--ssl-reqd"]),
        (format!("pop3s://127.0.0.1:{}", ports.pop3s), &[]),
        (
            format!("pop3s://127.0.0.1:{}", ports.pop3s),
            &["--login-options", "AUTH=LOGIN"],
        ),
        (
            format!("pop3s://127.0.0.1:{}", ports.pop3s),
            &["--login-options", "AUTH=PLAIN", "--sasl-ir"],
        ),
    ];
    let base = [
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--cacert",
        &certificate,
        "--user",
        &user,
    ];
    for (url, options) in &forms {
        let fetch = |more: &[&str], path: &str| -> Option<Output> {
            let url = format!("{url}/{path}");
            let arguments: Vec<&str> = [&base, *options, more, &[url.as_str()]].concat();
            run("curl", &arguments, b"")
        };
        let Some(list) = fetch(&[], "") else { return };
        assert!(
            list.status.success(),
            "{url} {options:?}: {}",
            String::from_utf8_lossy(&list.stderr)
        );
        let expected: Vec<String> = (1..)
            .zip(&mails)
            .map(|(n, mail)| format!("{n} {}\r\n", mail.len()))
            .collect();
        assert_eq!(
            String::from_utf8_lossy(&list.stdout),
            expected.concat(),
            "{url} {options:?}"
        );
        for (n, mail) in [(2, &mails[1]), (3, &mails[2]), (6, &mails[5])] {
            let got = fetch(&[], &n.to_string()).expect("curl");
            assert!(
                got.stdout == *mail,
                "{url} {options:?} message {n}: {} octets",
                got.stdout.len()
            );
        }
        let top = fetch(&["--request", "TOP 1 0"], "").expect("curl");
        let head = b"Subject: plain\r\nFrom: a@example.test\r\n\r\n";
        assert_eq!(
            String::from_utf8_lossy(&top.stdout),
            String::from_utf8_lossy(head),
            "{url} {options:?}"
        );
    }
    let Some(wrong) = run(
        "curl",
        &[
            "--silent",
            "--user",
            "alice@example.test:wrong",
            &forms[0].0,
        ],
        b"",
    ) else {
        return;
    };
    assert_eq!(
        wrong.status.code(),
        Some(67),
        "curl's code for a refused login"
    );
}

/// SCRAM over the wire with our own client: in clear, under TLS, bound to the channel, and bound to a wrong one.
#[test]
fn scram() {
    let server = server(&[]);
    let attempt = |tls: bool, mechanism: Mechanism, password: &str, exporter: Option<[u8; 32]>| {
        let port = if tls {
            server.ports().pop3s
        } else {
            server.ports().pop3
        };
        let opened = if tls {
            server.connect_tls(port)
        } else {
            server.connect(port)
        };
        let mut connection = opened.expect("connect");
        let own = connection.tls_exporter();
        connection.answer().expect("greeting");
        let credentials = Credentials {
            authzid: None,
            user: ALICE.to_owned(),
            password: password.into(),
        };
        let binding = ChannelBinding {
            tls_exporter: exporter.or(own),
            plus_advertised: tls,
        };
        let mut exchange = Exchange::new(mechanism, credentials, binding, nonce([3; 18]));
        let first = exchange
            .initial()
            .expect("initial")
            .map(|first| base64::encode(&first));
        let auth = Pop3::Auth {
            mechanism: mechanism.name().to_owned(),
            initial: first,
        };
        let mut line = Vec::new();
        auth.encode(&mut line).expect("line");
        connection.send(&line).expect("send");
        loop {
            let answer = connection.answer().expect("answer");
            let Some(challenge) = answer.strip_prefix("+ ") else {
                if answer.starts_with("+OK") {
                    exchange.finish().expect("the server has proven itself");
                }
                return answer;
            };
            let challenge = base64::decode(challenge.as_bytes()).expect("base64");
            connection
                .line(&base64::encode(&exchange.step(&challenge).expect("step")))
                .expect("send");
        }
    };
    use Mechanism::{ScramSha256, ScramSha256Plus};
    assert!(attempt(false, ScramSha256, PASSWORD, None).starts_with("+OK"));
    assert!(attempt(true, ScramSha256, PASSWORD, None).starts_with("+OK"));
    assert!(attempt(true, ScramSha256Plus, PASSWORD, None).starts_with("+OK"));
    assert!(attempt(true, ScramSha256, "wrong", None).starts_with("-ERR [AUTH]"));
    assert!(attempt(true, ScramSha256Plus, PASSWORD, Some([9; 32])).starts_with("-ERR [AUTH]"));
}

/// Unique-ids and what QUIT removed outlast kill -9; a mark without QUIT does not outlast its connection.
#[test]
fn removal_is_durable_and_unique_ids_are_stable() {
    let mails = mails();
    let mut server = server(&mails[..4]);
    let mut connection = logged_in(&server);
    let before = multi_line(&mut connection, "UIDL");
    ok(&mut connection, "DELE 2");
    ok(&mut connection, "QUIT");
    server.kill().expect("kill");
    server.launch().expect("launch");
    let mut connection = logged_in(&server);
    let uid = |line: &String| line.split_once(' ').map(|(_, uid)| uid.to_owned());
    let uids = |lines: &[String]| lines.iter().filter_map(uid).collect::<Vec<_>>();
    let mut left = uids(&before);
    left.remove(1);
    assert_eq!(uids(&multi_line(&mut connection, "UIDL")), left);
    ok(&mut connection, "DELE 1");
    server.kill().expect("kill");
    server.launch().expect("launch");
    assert_eq!(uids(&multi_line(&mut logged_in(&server), "UIDL")), left);
}

/// What IMAP removes during a session is refused, what it adds is not seen, and QUIT removes the rest.
#[test]
fn beside_imap() {
    let mails = mails();
    let server = server(&mails[..3]);
    let mut pop3 = logged_in(&server);
    let mut imap = server.connect(server.ports().imap).expect("imap");
    imap.answer().expect("greeting");
    imap.imap(&format!("LOGIN {ALICE} {PASSWORD}"))
        .expect("login");
    imap.imap("SELECT INBOX").expect("select");
    imap.imap("STORE 1 +FLAGS (\\Deleted)").expect("store");
    imap.imap("EXPUNGE").expect("expunge");
    server.append(ALICE, "INBOX", &mails[3]).expect("append");
    assert_eq!(multi_line(&mut pop3, "LIST").len(), 3);
    pop3.line("RETR 1").expect("send");
    assert_eq!(
        pop3.answer().expect("answer"),
        "-ERR message was removed meanwhile"
    );
    pop3.line("TOP 1 0").expect("send");
    assert_eq!(
        pop3.answer().expect("answer"),
        "-ERR message was removed meanwhile"
    );
    assert_eq!(multi_line(&mut pop3, "RETR 3"), ["Subject: empty", ""]);
    ok(&mut pop3, "DELE 1");
    ok(&mut pop3, "DELE 2");
    ok(&mut pop3, "QUIT");
    // Told to the IMAP session like any other removal; the new message was its third.
    let lines = imap.imap("NOOP").expect("noop");
    assert!(lines.iter().any(|line| line == "* 1 EXPUNGE"), "{lines:?}");
    assert_eq!(multi_line(&mut logged_in(&server), "LIST").len(), 2);
}

/// A stored message whose octets changed on the disk is refused, never sent; its neighbours are read as before.
#[test]
fn a_damaged_message_is_refused() {
    let mails = mails();
    let mut server = server(&mails[..3]);
    server.kill().expect("kill");
    let marker = b"Subject: plain\r\n";
    let mut damaged = 0;
    for pack in std::fs::read_dir(server.data().join("packs")).expect("packs") {
        let path = pack.expect("pack").path();
        let mut octets = std::fs::read(&path).expect("read");
        if let Some(at) = octets
            .windows(marker.len())
            .position(|window| window == marker)
        {
            octets[at] ^= 1;
            std::fs::write(&path, octets).expect("write");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
    server.launch().expect("launch");
    server.without_check();
    let mut connection = logged_in(&server);
    for command in ["RETR 1", "TOP 1 0"] {
        connection.line(command).expect("send");
        let answer = connection.answer().expect("answer");
        assert_eq!(answer, "-ERR [SYS/PERM] the stored message is damaged");
    }
    assert_eq!(
        multi_line(&mut connection, "RETR 3"),
        ["Subject: empty", ""]
    );
    ok(&mut connection, "DELE 1");
    ok(&mut connection, "QUIT");
    assert_eq!(multi_line(&mut logged_in(&server), "LIST").len(), 2);
}

/// A6: what stands behind STLS in one segment is not answered and no handshake follows; in a later segment it is
/// read as a handshake, which fails.
#[test]
fn a6_stls_injection() {
    let server = server(&[]);
    let mut connection = greeted(&server);
    connection.send(b"STLS\r\nCAPA\r\n").expect("send");
    assert_eq!(
        connection.answer().expect("answer"),
        "-ERR commands behind STLS"
    );
    assert!(closed(&mut connection));
    let mut connection = greeted(&server);
    ok(&mut connection, "STLS");
    connection.send(b"CAPA\r\nQUIT\r\n").expect("send");
    while let Ok(Some(line)) = connection.read_line() {
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(
            !line.contains("+OK") && !line.contains("-ERR"),
            "answered {line:?}"
        );
    }
}

/// A11: 64 MiB without CRLF, before login, after login, inside AUTH: cut off early, memory stays.
#[test]
fn a11_endless_command_line() {
    let server = server(&[]);
    logged_in(&server).close();
    let before = resident(&server);
    let chunk = vec![b'A'; 256 * 1024];
    for stage in ["", "login", "auth"] {
        let mut connection = match stage {
            "login" => logged_in(&server),
            _ => greeted(&server),
        };
        if stage == "auth" {
            connection.line("AUTH PLAIN").expect("send");
            assert_eq!(connection.answer().expect("challenge"), "+ ");
        }
        let mut sent = 0;
        while sent < 64 << 20 && connection.send(&chunk).is_ok() {
            sent += chunk.len();
        }
        // 16 MiB are thrown away while the server lingers at the end; the kernel's buffers take some too.
        assert!(sent < 40 << 20, "the server took {sent} octets");
    }
    let after = resident(&server);
    assert!(after < before + 8 * 1024, "{before} KiB became {after} KiB");
}

/// A13: a hundred connections that break and abort exchanges, while one user logs in: it gets in, soon, and memory
/// stays.
#[test]
fn a13_aborted_sasl() {
    let server = server(&[]);
    logged_in(&server).close();
    let before = resident(&server);
    let aborts = [
        "AUTH PLAIN\r\n*\r\n",
        "AUTH SCRAM-SHA-256\r\n=\r\n",
        "AUTH PLAIN =A=\r\n",
        "AUTH SCRAM-SHA-256 bixu\r\n",
    ];
    let slowest = std::thread::scope(|scope| {
        for worker in 0..10 {
            let server = &server;
            scope.spawn(move || {
                for _ in 0..10 {
                    let mut connection = greeted(server);
                    let burst = format!("{}QUIT\r\n", aborts[worker % aborts.len()].repeat(40));
                    // The server closes after too many errors; the rest is then not taken.
                    let _ = connection.send(burst.as_bytes());
                    while let Ok(Some(line)) = connection.read_line() {
                        assert!(line == b"+OK bye" || !line.starts_with(b"+OK"));
                    }
                }
            });
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let start = Instant::now();
            let mut connection = logged_in(&server);
            slowest = slowest.max(start.elapsed());
            ok(&mut connection, "QUIT");
        }
        slowest
    });
    assert!(slowest < Duration::from_secs(5), "a login took {slowest:?}");
    let after = resident(&server);
    assert!(
        after < before + 16 * 1024,
        "{before} KiB became {after} KiB"
    );
}

/// A client that asks for much and reads nothing costs one message, not all it asked for.
#[test]
fn a21_pipelined_retr_without_reading() {
    for line in ["line\r\n", ".dot\r\n"] {
        retr_without_reading(line);
    }
}

fn retr_without_reading(line: &str) {
    let large = format!("Subject: large\r\n\r\n{}", line.repeat(500_000));
    let stuffed = testkit::server::dot_stuffed(large.as_bytes());
    let server = server(&[large.clone().into_bytes()]);
    let mut warm = logged_in(&server);
    assert_eq!(multi_line(&mut warm, "RETR 1").len(), 500_002);
    ok(&mut warm, "QUIT");
    let before = resident(&server);
    let mut connection = logged_in(&server);
    connection
        .send("RETR 1\r\n".repeat(200).as_bytes())
        .expect("send");
    // The answers to another connection show that the server has gone as far as it will.
    let mut other = greeted(&server);
    for _ in 0..200 {
        ok(&mut other, "CAPA");
        other
            .answers_until(|line| line == ".")
            .expect("capabilities");
    }
    let after = resident(&server);
    assert!(
        after < before + 24 * 1024,
        "{before} KiB became {after} KiB"
    );
    for _ in 0..200 {
        let first = connection.answer().expect("answer");
        assert_eq!(first, format!("+OK {} octets", large.len()));
        connection.read_octets(stuffed.len() + 3).expect("message");
    }
}
