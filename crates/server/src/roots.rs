//! The certificates the system's owner trusts, read once when they are first needed. `SSL_CERT_FILE` and `SSL_CERT_DIR` name
//! others.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;

/// The roots, read at first use.
#[derive(Debug, Default)]
pub struct Roots(OnceLock<Arc<RootCertStore>>);

impl From<RootCertStore> for Roots {
    /// These and no others.
    fn from(store: RootCertStore) -> Roots {
        Roots(OnceLock::from(Arc::new(store)))
    }
}

impl Roots {
    /// Those of the system; possibly none, and then no certificate proves anything.
    pub fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(self.0.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "a root certificate of the system cannot be read");
            }
            let mut roots = RootCertStore::empty();
            // Old bundles hold certificates that rustls cannot use; the others count.
            let (added, _) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                tracing::warn!("the system has no root certificates: no server can prove its name");
            }
            Arc::new(roots)
        }))
    }
}
