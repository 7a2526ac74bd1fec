//! `BDAT`. (`DATA` has no argument.)

use super::{Command, Error};
use wire::cursor::Cursor;

/// `bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ]` (RFC 3030 §2).
pub(super) fn bdat<'a>(cursor: &mut Cursor<'a>) -> Result<Command<'a>, Error> {
    let size = cursor.number("chunk size").map_err(|_| Error::ChunkSize)?;
    let last = cursor.eat_ignore_case(b" LAST");
    if cursor.rest().is_empty() {
        Ok(Command::Bdat { size, last })
    } else {
        Err(Error::ChunkSize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Error, command};

    #[test]
    fn sizes() {
        assert_eq!(
            command(b"BDAT 5"),
            Ok(Command::Bdat {
                size: 5,
                last: false
            })
        );
        assert_eq!(
            command(b"bdat 0 last"),
            Ok(Command::Bdat {
                size: 0,
                last: true
            })
        );
        assert_eq!(
            command(b"BDAT 18446744073709551615"),
            Ok(Command::Bdat {
                size: u64::MAX,
                last: false
            })
        );
    }

    /// A3: sizes that are none.
    #[test]
    fn a3_bad_sizes() {
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT 18446744073709551616",
            "BDAT 5 FIRST",
            "BDAT 5LAST",
            "BDAT 5 LAST x",
        ] {
            assert_eq!(command(line.as_bytes()), Err(Error::ChunkSize), "{line}");
        }
    }
}
