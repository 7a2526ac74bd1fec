//! Reverse-paths of forwarded mail that are too long to be written into another: kept here under a token.

use crate::engine::values;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::tx::Tx;
use crate::types::Timestamp;

/// Kept addresses. Each forwarded message of a mailing list may bring one; older ones make room.
const ADDRESSES: i64 = 200_000;
/// Octets of an address: RFC 5321 §4.5.3.1.3 allows 256 of a path.
const ADDRESS: usize = 512;

impl Snapshot<'_> {
    /// The address behind a token.
    pub fn srs_address(&self, token: &str) -> Result<Option<String>> {
        self.sql.row(
            "SELECT address FROM srs_address WHERE token = $1",
            values![token],
            |row| Ok(row.text(0)?.to_owned()),
        )
    }
}

impl Tx<'_> {
    /// Keeps an address under a token until a time, at least.
    pub fn keep_srs_address(&mut self, token: &str, address: &str, until: Timestamp) -> Result<()> {
        if address.len() > ADDRESS || token.len() > 64 {
            return Err(Error::Limit("size of a reverse-path"));
        }
        self.sql.execute(
            "INSERT INTO srs_address (token, address, expires) VALUES ($1, $2, $3) \
             ON CONFLICT (token) DO UPDATE SET address = excluded.address, expires = excluded.expires",
            values![token, address, until],
        )?;
        Ok(())
    }

    /// Forgets addresses whose time is over, and the oldest where there are too many.
    pub fn expire_srs_addresses(&mut self) -> Result<u64> {
        let over = self.sql.execute(
            "DELETE FROM srs_address WHERE expires < $1",
            values![self.now],
        )?;
        let many = self.sql.execute(
            "DELETE FROM srs_address WHERE token IN \
             (SELECT token FROM srs_address ORDER BY expires DESC LIMIT 1000000000 OFFSET $1)",
            values![ADDRESSES],
        )?;
        Ok(over + many)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::{Options, Store};

    #[test]
    fn addresses_are_kept_for_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        store
            .write(|tx| {
                tx.keep_srs_address("a", "x@y.example", tx.now() + 100)?;
                tx.keep_srs_address("b", "z@y.example", tx.now() - 100)?;
                assert!(tx.keep_srs_address("c", &"x".repeat(600), 0).is_err());
                assert_eq!(tx.expire_srs_addresses()?, 1);
                Ok(())
            })
            .unwrap();
        let get = |token: &str| store.read(|snapshot| snapshot.srs_address(token)).unwrap();
        assert_eq!((get("a").as_deref(), get("b")), (Some("x@y.example"), None));
    }
}
