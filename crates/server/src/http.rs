//! A small HTTP client: one request, one answer, over TLS with the system's roots.
//!
//! Invariants: redirects are not followed (RFC 8461 §3.3 forbids it for policies, and nothing else here needs them); nothing
//! is cached or kept; names are looked up by our own [`Dns`]; a certificate is always checked.
//!
//! Limits: [`Limits`] of each request for time and octets, [`HEADER`] for the header.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::dns::{self, Dns};
use crate::roots::Roots;

/// Octets of an answer's header: what an agreeable server needs, many times over.
const HEADER: usize = 32 * 1024;

/// How long one address may take to answer a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What a request may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Octets of the answer's body.
    pub body: usize,
    /// Everything from the first lookup to the last octet.
    pub time: Duration,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code; 3yz is not followed.
    pub status: u16,
    /// The header.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The media type without parameters, lower case.
    pub fn media_type(&self) -> String {
        let value = self.headers.get(header::CONTENT_TYPE);
        let text = value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let media = text.split(';').next().unwrap_or_default();
        media.trim().to_ascii_lowercase()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not `https://host/…` or `http://host/…`.
    #[error("{0:?} is no address of a web server")]
    Url(String),
    /// The host has no address, or none that the DNS tells.
    #[error("{host}: {error}")]
    Dns {
        /// The host.
        host: String,
        /// What the DNS says.
        error: dns::Error,
    },
    /// No connection.
    #[error("no connection to {host}: {error}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        error: std::io::Error,
    },
    /// The handshake failed, most often for its certificate.
    #[error("TLS with {host}: {error}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        error: std::io::Error,
    },
    /// Not HTTP, or cut short.
    #[error("{0}")]
    Http(String),
    /// The body is beyond the limit.
    #[error("the answer has more than {0} octets")]
    TooLarge(usize),
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
}

/// The client.
pub struct Http {
    dns: Arc<Dns>,
    roots: Arc<Roots>,
}

impl Http {
    /// A client that asks `dns` and trusts `roots`.
    pub fn new(dns: Arc<Dns>, roots: Arc<Roots>) -> Http {
        Http { dns, roots }
    }

    /// GET.
    pub async fn get(&self, url: &str, limits: Limits) -> Result<Response, Error> {
        let empty: [(&str, &str); 0] = [];
        self.request(Method::GET, url, &empty, Vec::new(), limits)
            .await
    }

    /// POST with these fields beside the usual ones; `content-type` is theirs.
    pub async fn post(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        body: Vec<u8>,
        limits: Limits,
    ) -> Result<Response, Error> {
        self.request(Method::POST, url, fields, body, limits).await
    }

    /// Any method.
    pub async fn request(
        &self,
        method: Method,
        url: &str,
        fields: &[(&str, &str)],
        body: Vec<u8>,
        limits: Limits,
    ) -> Result<Response, Error> {
        let work = self.exchange(method, url, fields, body, limits.body);
        match tokio::time::timeout(limits.time, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        fields: &[(&str, &str)],
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Response, Error> {
        let wrong = || Error::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let request = request(method, &uri, fields, body).map_err(|_| wrong())?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = self.connect(bare, port).await?;
        if !secure {
            return talk(tcp, request, limit).await;
        }
        let tls = self.handshake(bare, tcp).await?;
        talk(tls, request, limit).await
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                let found = self.dns.addresses(host).await;
                let failed = |error| Error::Dns {
                    host: host.to_owned(),
                    error,
                };
                found.map_err(failed)?.records
            }
        };
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in addresses {
            let connecting = TcpStream::connect(SocketAddr::new(address, port));
            match tokio::time::timeout(CONNECT_PATIENCE, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = std::io::ErrorKind::TimedOut.into(),
            }
        }
        Err(Error::Connect {
            host: host.to_owned(),
            error: last,
        })
    }

    async fn handshake(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Error> {
        let failed = |error| Error::Tls {
            host: host.to_owned(),
            error,
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| failed(std::io::Error::other(error)))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(std::io::Error::other(error)))?
            .with_root_certificates(self.roots.store())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.map_err(failed)
    }
}

fn request(
    method: Method,
    uri: &Uri,
    fields: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, Box<dyn std::error::Error>> {
    let authority = uri.authority().ok_or("no host")?;
    // Never a user or password that stood in the address.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(method).uri(target);
    if let Some(headers) = request.headers_mut() {
        headers.insert(header::HOST, HeaderValue::from_str(host)?);
        headers.insert(header::USER_AGENT, HeaderValue::from_static("Waxwing"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            headers.append(name, HeaderValue::from_str(value)?);
        }
    }
    Ok(request.body(Full::new(Bytes::from(body)))?)
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    limit: usize,
) -> Result<Response, Error> {
    let broken = |error: hyper::Error| Error::Http(error.to_string());
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(HEADER);
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(broken)?;
            if let Some(octets) = frame.data_ref() {
                if body.len().saturating_add(octets.len()) > limit {
                    return Err(Error::TooLarge(limit));
                }
                body.extend_from_slice(octets);
            }
        }
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    };
    // The connection moves while somebody polls it; it ends with the exchange, whatever that ends with.
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(broken(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DnsOptions, Dnssec};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What a server answers, and what it was asked.
    async fn asked(answer: String, body: usize) -> (Result<Response, Error>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/path?x=1", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                question.push(stream.read_u8().await.unwrap());
            }
            // The client hangs up where it has read enough.
            let _ = stream.write_all(answer.as_bytes()).await;
            String::from_utf8(question).unwrap()
        });
        let options = DnsOptions {
            servers: vec!["127.0.0.1:9".parse().unwrap()],
            dnssec: Dnssec::Off,
            trust_anchor: None,
        };
        let http = Http::new(Arc::new(Dns::new(&options).unwrap()), Arc::default());
        let limits = Limits {
            body,
            time: Duration::from_secs(10),
        };
        let answer = http.get(&url, limits).await;
        (answer, server.await.unwrap())
    }

    #[tokio::test]
    async fn one_question_one_answer() {
        let (answer, question) = asked(
            "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=x\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            5,
        )
        .await;
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, &b"hello"[..])
        );
        assert_eq!(answer.media_type(), "text/plain");
        assert!(
            question.starts_with("GET /path?x=1 HTTP/1.1\r\n"),
            "{question}"
        );
        assert!(
            question.to_lowercase().contains("\r\nhost: 127.0.0.1:"),
            "{question}"
        );
    }

    #[tokio::test]
    async fn redirects_and_floods_end_there() {
        let moved =
            "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let (answer, _) = asked(moved.to_owned(), 10).await;
        assert_eq!(answer.unwrap().status, 301);
        let flood = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(100_000));
        let (answer, _) = asked(flood, 65_536).await;
        assert!(matches!(answer, Err(Error::TooLarge(65_536))), "{answer:?}");
        let header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000));
        assert!(matches!(asked(header, 10).await.0, Err(Error::Http(_))));
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_owned();
        assert!(matches!(asked(short, 10).await.0, Err(Error::Http(_))));
    }

    #[tokio::test]
    async fn addresses_that_are_none() {
        let options = DnsOptions {
            servers: vec!["127.0.0.1:9".parse().unwrap()],
            dnssec: Dnssec::Off,
            trust_anchor: None,
        };
        let http = Http::new(Arc::new(Dns::new(&options).unwrap()), Arc::default());
        let limits = Limits {
            body: 1,
            time: Duration::from_secs(10),
        };
        for url in ["", "ftp://a.test/", "/x", "https://", "http://a b/"] {
            assert!(
                matches!(http.get(url, limits).await, Err(Error::Url(_))),
                "{url}"
            );
        }
    }
}
