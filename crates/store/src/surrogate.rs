//! What stands in for a message with raw UTF-8 in its headers where a client of POP3 knows nothing of it (RFC 6856 §2.1). How
//! large it is gets stored with the content, because LIST has to tell; it is made when somebody asks for it.

use mime::write::surrogate as international;

/// The surrogate of a message; None for one that needs none.
pub fn surrogate(raw: &[u8]) -> Option<Vec<u8>> {
    let needed = international::needed(&mime::Index::parse(raw), raw);
    needed.then(|| international::make(raw, &to_ascii))
}

/// How many octets it has.
pub(crate) fn size(index: &mime::Index, raw: &[u8]) -> Option<u64> {
    let needed = international::needed(index, raw);
    needed.then(|| international::size(raw, &to_ascii) as u64)
}

fn to_ascii(domain: &str) -> Option<String> {
    idna::domain_to_ascii(domain).ok()
}
