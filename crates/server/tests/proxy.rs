//! Behind a proxy that speaks the PROXY protocol: TLS begins after the header, and limits go by the client it tells of.

use testkit::{Connection, Server};

fn header(last: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    header.extend_from_slice(&[192, 0, 2, last, 192, 0, 2, 200, 0x30, 0x39, 0, 143]);
    // What proxies add: here a record of no octets.
    header.extend_from_slice(&[0x04, 0, 0]);
    header
}

fn behind(server: &Server, port: u16, last: u8) -> Connection {
    let mut connection = server.connect(port).expect("connect");
    connection.send(&header(last)).expect("header");
    connection
}

#[test]
fn a44_clients_of_a_proxy_are_themselves() {
    let server = Server::builder()
        .setting("proxy.from", "[\"127.0.0.1\"]")
        .setting("proxy.services", "[\"imap\", \"imaps\"]")
        .setting("limits.connections_per_network", "1")
        .start()
        .expect("start");
    server.add_domain("example.test").expect("domain");
    server.add_account("alice@example.test").expect("account");

    let mut first = behind(&server, server.ports().imaps, 7);
    first
        .start_tls(server.certificate())
        .expect("TLS behind the header");
    assert!(first.answer().expect("greeting").starts_with("* OK"));
    first
        .imap("LOGIN alice@example.test open-sesame")
        .expect("a client from afar logs in under TLS");

    // The proxy has many connections; each client has its own share.
    let mut other = behind(&server, server.ports().imap, 8);
    assert!(other.answer().expect("greeting").starts_with("* OK"));
    let mut same = behind(&server, server.ports().imap, 7);
    assert!(same.answer().expect("refusal").starts_with("* BYE"));

    // A service that the configuration does not name takes the header for what it is there.
    let mut smtp = server.connect(server.ports().smtp).expect("connect");
    assert_eq!(smtp.reply().expect("greeting").0, 220);
    smtp.smtp("PROXY TCP4 192.0.2.9 192.0.2.1 1 25", 500)
        .expect("unknown");
}
