//! GENURLAUTH and URLFETCH responses.

use wire::output::Output;

use super::string;
use crate::UrlAuthData;

/// ```text
/// genurlauth-data / urlfetch-data ; RFC 4467 §9
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
            for (url, octets) in urls {
                out.put(b" ");
                string(out, url.as_bytes(), utf8);
                out.put(b" ");
                match octets {
                    Some(octets) => string(out, octets, utf8),
                    None => out.put(b"NIL"),
                }
            }
        }
    }
}
