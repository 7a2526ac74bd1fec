//! A resolver that is asked for its word about DNSSEC: the AD bit (RFC 6840 §5.7).
//!
//! The bit of a whole answer becomes the proof of each of its records, so that records which came in several answers (aliases
//! across zones) are as good as the worst of them, and so that the cache keeps it.

use std::net::IpAddr;
use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use hickory_resolver::config::{ConnectionConfig, ResolverConfig};
use hickory_resolver::net::xfer::DnsExchange;
use hickory_resolver::net::{DnsHandle, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::{DnsRequest, DnsResponse};
use hickory_resolver::{ConnectionProvider, PoolContext, Resolver};

use super::tolerant::Tolerant;
use super::{SetupError, library, no_tls, resolver_options};

/// A resolver whose answers carry what the server says of them.
pub(super) type TrustingResolver = Resolver<Trusting>;

/// Makes one.
pub(super) fn resolver(config: ResolverConfig) -> Result<TrustingResolver, SetupError> {
    Resolver::builder_with_config(config, Trusting(Tolerant::default()))
        .with_options(resolver_options(false))
        .with_tls_config(no_tls())
        .build()
        .map_err(library)
}

/// Makes the connections.
#[derive(Clone)]
pub(super) struct Trusting(Tolerant);

impl ConnectionProvider for Trusting {
    type Conn = Trusted;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Trusted, NetError>> + Send>>;
    type RuntimeProvider = Tolerant;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let connecting = self.0.new_connection(ip, config, context)?;
        Ok(Box::pin(async move { connecting.await.map(Trusted) }))
    }

    fn runtime_provider(&self) -> &Tolerant {
        &self.0
    }
}

/// A connection that asks for the bit and spreads it.
#[derive(Clone)]
pub(super) struct Trusted(DnsExchange<Tolerant>);

impl DnsHandle for Trusted {
    type Response = Pin<Box<dyn Stream<Item = Result<DnsResponse, NetError>> + Send>>;
    type Runtime = Tolerant;

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        // RFC 6840 §5.7: the bit in a question asks for the bit in the answer.
        request.metadata.authentic_data = true;
        Box::pin(self.0.send(request).map(|response| response.map(marked)))
    }
}

fn marked(mut response: DnsResponse) -> DnsResponse {
    let proof = match response.metadata.authentic_data {
        true => Proof::Secure,
        false => Proof::Insecure,
    };
    for record in &mut response.answers {
        record.proof = proof;
    }
    response
}
