//! A buffer for decoded octets that is kept from one call to the next, so that reading many messages allocates nothing.

use std::cell::RefCell;

/// A buffer that grew beyond this is not kept: most bodies need less.
const KEPT: usize = 1 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the buffer, empty. A call within another gets a new one.
pub(crate) fn lend<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = BUFFER.with(RefCell::take);
    buffer.clear();
    let done = work(&mut buffer);
    if buffer.capacity() <= KEPT {
        BUFFER.with(|slot| slot.replace(buffer));
    }
    done
}
