//! GENURLAUTH and URLFETCH responses.

use wire::output::Output;

use super::{fetch, string};
use crate::{Body, UrlAuthData, UrlDatum, UrlValue};

/// ```text
/// genurlauth-data / urlfetch-data ; RFC 4467 §9, RFC 5524 §5
/// ```
pub(crate) fn urlauth(out: &mut Output, data: &UrlAuthData, utf8: bool) {
    match data {
        UrlAuthData::Generated(urls) => {
            out.put(b"GENURLAUTH");
            for url in urls {
                out.put(b" ");
                string(out, url.as_bytes(), utf8);
            }
        }
        UrlAuthData::Fetched(urls) => {
            out.put(b"URLFETCH");
            for (url, value) in urls {
                out.put(b" ");
                string(out, url.as_bytes(), utf8);
                match value {
                    UrlValue::Plain(octets) => {
                        out.put(b" ");
                        match octets {
                            Some(octets) => string(out, octets, utf8),
                            None => out.put(b"NIL"),
                        }
                    }
                    UrlValue::Items(items) => items.iter().for_each(|item| datum(out, item)),
                }
            }
        }
    }
}

fn bytes(octets: &Option<Vec<u8>>) -> Body<'_> {
    octets.as_deref().map_or(Body::Nil, Body::Bytes)
}

/// ```text
/// SP "(" url-metadata-el ")" ; RFC 5524 §5
/// ```
fn datum(out: &mut Output, datum: &UrlDatum) {
    match datum {
        UrlDatum::BodyPartStructure(value) => {
            out.put(b" (BODYPARTSTRUCTURE ");
            out.put(value);
        }
        UrlDatum::Binary(octets) => {
            out.put(b" (BINARY ");
            fetch::binary(out, bytes(octets));
        }
        UrlDatum::Body(octets) => {
            out.put(b" (BODY ");
            fetch::body(out, bytes(octets));
        }
    }
    out.put(b")");
}
