//! Logins with tokens (RFC 7628) on all protocols, against an issuer that is made here: keys fetched by discovery, renewed
//! when a new one signs, and introspection instead (RFC 7662).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use testkit::Server;

/// What the issuer answers with.
#[derive(Default)]
struct Answers {
    keys: Vec<Value>,
    /// Tokens in force, with what is told of them.
    active: Vec<(String, Value)>,
    /// Requests so far: the path, and the field Authorization.
    asked: Vec<(String, String)>,
}

struct Issuer {
    url: String,
    answers: Arc<Mutex<Answers>>,
}

impl Issuer {
    fn start() -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let answers = Arc::new(Mutex::new(Answers::default()));
        let (shared, base) = (Arc::clone(&answers), url.clone());
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &shared, &base);
            }
        });
        Issuer { url, answers }
    }

    fn key(&self, name: &str) -> Ed25519KeyPair {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("key");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("key");
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": name, "x": x});
        self.answers.lock().expect("lock").keys.push(key);
        pair
    }

    fn token(&self, pair: &Ed25519KeyPair, kid: &str, email: &str) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("clock")
            .as_secs();
        let claims = json!({"iss": self.url, "aud": "mail", "exp": now + 300, "email": email});
        let header = json!({"alg": "EdDSA", "kid": kid});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn asked(&self, path: &str) -> usize {
        let answers = self.answers.lock().expect("lock");
        answers
            .asked
            .iter()
            .filter(|(asked, _)| asked == path)
            .count()
    }
}

fn answer(
    mut stream: std::net::TcpStream,
    answers: &Mutex<Answers>,
    base: &str,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut login) = (0, String::new());
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => login = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut answers = answers.lock().expect("lock");
    answers.asked.push((path.clone(), login));
    let told = match path.as_str() {
        "/.well-known/openid-configuration" => {
            json!({"issuer": base, "jwks_uri": format!("{base}/keys")})
        }
        "/keys" => json!({"keys": answers.keys}),
        "/introspect" => {
            let body = String::from_utf8_lossy(&body).into_owned();
            let token = body
                .split('&')
                .find_map(|pair| pair.strip_prefix("token="))
                .unwrap_or_default();
            let found = answers.active.iter().find(|(known, _)| known == token);
            found.map_or(json!({"active": false}), |(_, told)| told.clone())
        }
        _ => json!({}),
    };
    drop(answers);
    let told = told.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{told}",
        told.len()
    )
}

fn server(issuer: &Issuer, more: &[(&str, &str)]) -> Server {
    let mut builder = Server::builder()
        .setting("auth.oidc.issuer", &format!("{:?}", issuer.url))
        .setting("auth.oidc.audience", "\"mail\"");
    for (key, value) in more {
        builder = builder.setting(key, value);
    }
    let server = builder.start().expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");
    server.add_account("bob@example.test").expect("account");
    server
}

fn bearer(user: &str, token: &str) -> String {
    STANDARD.encode(format!("n,a={user},\x01auth=Bearer {token}\x01\x01"))
}

fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

fn submission(server: &Server, command: &str, want: u16) -> Vec<String> {
    let mut smtp = server.connect(server.ports().submission).expect("connect");
    smtp.reply().expect("greeting");
    let offered = smtp.smtp("EHLO client.example", 250).expect("EHLO");
    let auth = offered.iter().find(|line| line.contains("AUTH "));
    assert!(auth.is_some_and(|line| line.contains(" OAUTHBEARER XOAUTH2 ")));
    smtp.smtp(command, want).expect(command)
}

#[test]
fn tokens_on_every_protocol() {
    let issuer = Issuer::start();
    let pair = issuer.key("one");
    let server = server(&issuer, &[]);
    let alice = "alice@example.test";
    let token = issuer.token(&pair, "one", alice);

    let command = format!("AUTH OAUTHBEARER {}", bearer(alice, &token));
    submission(&server, &command, 235);
    let command = format!("AUTH XOAUTH2 {}", xoauth2(alice, &token));
    submission(&server, &command, 235);
    assert_eq!(issuer.asked("/keys"), 1, "keys are kept");

    let mut imap = server.connect(server.ports().imap).expect("connect");
    assert!(
        imap.answer()
            .expect("greeting")
            .contains("AUTH=OAUTHBEARER AUTH=XOAUTH2")
    );
    imap.imap(&format!(
        "AUTHENTICATE OAUTHBEARER {}",
        bearer(alice, &token)
    ))
    .expect("IMAP takes the token");
    imap.imap("SELECT INBOX").expect("and is in");

    let mut pop3 = server.connect(server.ports().pop3).expect("connect");
    pop3.answer().expect("greeting");
    pop3.line(&format!("AUTH XOAUTH2 {}", xoauth2(alice, &token)))
        .expect("AUTH");
    assert!(pop3.answer().expect("answer").starts_with("+OK"));
}

/// RFC 7628 §3.2.2: the client is told why in a challenge, answers it, and is refused.
#[test]
fn a45_refused_tokens() {
    let issuer = Issuer::start();
    let pair = issuer.key("one");
    let server = server(&issuer, &[]);
    let (alice, bob) = ("alice@example.test", "bob@example.test");
    let good = issuer.token(&pair, "one", alice);
    let (unsigned, _) = good.rsplit_once('.').expect("a token");
    let none = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
    let (_, claims) = unsigned.split_once('.').expect("a token");
    let strangers = issuer.token(&pair, "one", "eve@elsewhere.example");
    for (user, token) in [
        (bob, good.as_str()),
        (alice, &format!("{unsigned}.AAAA")),
        (alice, &format!("{none}.{claims}.")),
        (alice, strangers.as_str()),
        (alice, "opaque"),
    ] {
        let mut smtp = server.connect(server.ports().submission).expect("connect");
        smtp.reply().expect("greeting");
        smtp.smtp("EHLO client.example", 250).expect("EHLO");
        let command = format!("AUTH OAUTHBEARER {}", bearer(user, token));
        let challenge = smtp.smtp(&command, 334).expect("a challenge");
        let why = challenge
            .first()
            .and_then(|line| line.get(4..))
            .unwrap_or_default();
        let why: Value =
            serde_json::from_slice(&STANDARD.decode(why).expect("base64")).expect("JSON");
        assert_eq!(why["status"], "invalid_token");
        smtp.smtp("AQ==", 535).expect("refused");
        smtp.smtp("MAIL FROM:<alice@example.test>", 530)
            .expect("not in");
    }
    let mut imap = server.connect(server.ports().imap).expect("connect");
    imap.answer().expect("greeting");
    imap.line(&format!("a AUTHENTICATE XOAUTH2 {}", xoauth2(bob, &good)))
        .expect("AUTHENTICATE");
    assert!(imap.answer().expect("challenge").starts_with("+ "));
    imap.line("").expect("the empty answer");
    assert!(
        imap.answer()
            .expect("refusal")
            .starts_with("a NO [AUTHENTICATIONFAILED]")
    );
}

#[test]
fn introspection_asks_the_issuer() {
    let issuer = Issuer::start();
    let url = format!("\"{}/introspect\"", issuer.url);
    let server = server(
        &issuer,
        &[
            ("auth.oidc.introspection", &url),
            ("auth.oidc.client", "\"wax wing\""),
            ("auth.oidc.secret", "\"s:1\""),
            ("auth.oidc.claim", "\"username\""),
        ],
    );
    let told = json!({"active": true, "username": "alice@example.test", "aud": ["mail"]});
    let other = json!({"active": true, "username": "alice@example.test", "aud": "web"});
    let mut answers = issuer.answers.lock().expect("lock");
    answers.active.push(("opaque-1".to_owned(), told));
    answers.active.push(("opaque-2".to_owned(), other));
    drop(answers);
    for (token, want) in [("opaque-1", 235), ("opaque-2", 334), ("opaque-3", 334)] {
        let command = format!("AUTH OAUTHBEARER {}", bearer("alice@example.test", token));
        submission(&server, &command, want);
    }
    let answers = issuer.answers.lock().expect("lock");
    let login = STANDARD.encode("wax+wing:s%3A1");
    assert_eq!(answers.asked.len(), 3);
    assert!(
        answers
            .asked
            .iter()
            .all(|(path, by)| path == "/introspect" && *by == format!("Basic {login}"))
    );
}

/// An issuer that is away is no reason to tell somebody that his token is wrong.
#[test]
fn an_issuer_that_does_not_answer_is_temporary() {
    let issuer = Issuer::start();
    let pair = issuer.key("one");
    let server = server(
        &issuer,
        &[("auth.oidc.jwks", "\"http://127.0.0.1:1/keys\"")],
    );
    let token = issuer.token(&pair, "one", "alice@example.test");
    let command = format!("AUTH OAUTHBEARER {}", bearer("alice@example.test", &token));
    submission(&server, &command, 454);
}

/// Nor is it asked again by each login: they would wait for it one behind the other.
#[test]
fn an_issuer_that_failed_is_left_alone_for_a_while() {
    let issuer = Issuer::start();
    let pair = issuer.key("one");
    // There it answers with what is no key set.
    let url = format!("\"{}/nothing\"", issuer.url);
    let server = server(&issuer, &[("auth.oidc.jwks", &url)]);
    let token = issuer.token(&pair, "one", "alice@example.test");
    let command = format!("AUTH OAUTHBEARER {}", bearer("alice@example.test", &token));
    for _ in 0..3 {
        submission(&server, &command, 454);
    }
    assert_eq!(issuer.asked("/nothing"), 1);
}
