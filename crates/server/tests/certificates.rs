//! EXTERNAL: a client shows a certificate instead of a password, on submission, IMAP and POP3; mail servers are not asked.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use testkit::Server;

/// An authority and what it signs.
struct Authority {
    params: rcgen::CertificateParams,
    key: rcgen::KeyPair,
    pem: String,
}

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Authority {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("certificate").pem();
        Authority { params, key, pem }
    }

    fn sign(&self, address: &str) -> Identity {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        let name = address.try_into().expect("an ASCII name");
        params.subject_alt_names = vec![rcgen::SanType::Rfc822Name(name)];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = rcgen::KeyPair::generate().expect("key");
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).expect("certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        (certificate.der().clone(), key)
    }
}

struct Client(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Client {
    fn open(server: &Server, port: u16, identity: Option<&Identity>) -> Client {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from(server.certificate().to_vec());
        roots.add(own).expect("the server's certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match identity {
            Some((certificate, key)) => builder
                .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
                .expect("identity"),
            None => builder.with_no_client_auth(),
        };
        let name = "localhost".try_into().expect("name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("client");
        let tcp = TcpStream::connect(server.address(port)).expect("connect");
        Client(BufReader::new(StreamOwned::new(tls, tcp)))
    }

    fn say(&mut self, line: &str) {
        let stream = self.0.get_mut();
        stream
            .write_all(format!("{line}\r\n").as_bytes())
            .expect(line);
        stream.flush().expect(line);
    }

    /// The next line; empty when the server has closed the connection.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// The lines of an EHLO answer.
    fn hello(&mut self) -> String {
        assert!(self.line().starts_with("220 "));
        self.say("EHLO client.example");
        let mut all = String::new();
        loop {
            let line = self.line();
            all.push_str(&line);
            all.push('\n');
            if line.get(3..4) != Some("-") {
                return all;
            }
        }
    }
}

fn server(authority: &Authority, folder: &Path) -> Server {
    let file = folder.join("clients.pem");
    std::fs::write(&file, &authority.pem).expect("write");
    let server = Server::builder()
        .setting(
            "tls.client_ca",
            &format!("{:?}", file.display().to_string()),
        )
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    server.add_account("bob@example.test").expect("account");
    server
}

#[test]
fn a_certificate_lets_its_owner_in() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("folder");
    let server = server(&authority, folder.path());
    let alice = authority.sign("alice@example.test");

    let mut smtp = Client::open(&server, server.ports().submissions, Some(&alice));
    assert!(smtp.hello().contains("AUTH EXTERNAL "));
    smtp.say("AUTH EXTERNAL =");
    assert!(smtp.line().starts_with("235 "));
    smtp.say("MAIL FROM:<alice@example.test>");
    assert!(smtp.line().starts_with("250 "));

    let mut imap = Client::open(&server, server.ports().imaps, Some(&alice));
    assert!(imap.line().contains("AUTH=EXTERNAL"));
    imap.say("a AUTHENTICATE EXTERNAL =");
    assert!(imap.line().starts_with("a OK"));

    let mut pop3 = Client::open(&server, server.ports().pop3s, Some(&alice));
    assert!(pop3.line().starts_with("+OK"));
    pop3.say("AUTH EXTERNAL =");
    assert!(pop3.line().starts_with("+OK"));

    // Nobody becomes another.
    let mut other = Client::open(&server, server.ports().imaps, Some(&alice));
    other.line();
    other.say("a AUTHENTICATE EXTERNAL Ym9iQGV4YW1wbGUudGVzdA==");
    assert!(other.line().starts_with("a NO"));
}

#[test]
fn others_log_in_otherwise_or_not_at_all() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("folder");
    let server = server(&authority, folder.path());

    let mut none = Client::open(&server, server.ports().submissions, None);
    let offered = none.hello();
    assert!(
        offered.contains(" PLAIN") && !offered.contains("EXTERNAL"),
        "{offered}"
    );
    none.say("AUTH EXTERNAL =");
    assert!(none.line().starts_with("504 "));

    let nobody = authority.sign("nobody@example.test");
    let mut smtp = Client::open(&server, server.ports().submissions, Some(&nobody));
    smtp.hello();
    smtp.say("AUTH EXTERNAL =");
    assert!(smtp.line().starts_with("535 "));

    let stranger = Authority::new().sign("alice@example.test");
    let mut imap = Client::open(&server, server.ports().imaps, Some(&stranger));
    assert_eq!(
        imap.line(),
        "",
        "another authority's certificate ends the handshake"
    );
}
