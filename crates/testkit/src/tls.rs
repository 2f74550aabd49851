//! Certificates made while a test runs, and a door that speaks TLS in front of a plain server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio::io::{copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A private authority, which no machine trusts by itself.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate with its key.
pub struct Certified {
    /// The certificate, in PEM.
    pub pem: String,
    /// Its key, in PEM.
    pub key_pem: String,
    der: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Authority {
    /// A fresh one.
    pub fn new(name: &str) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = named(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Ok(Self { issuer: Issuer::new(params, key), pem, der })
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these host names and addresses.
    pub fn certify(&self, names: &[&str]) -> io::Result<Certified> {
        self.signed(named("certified", names)?)
    }

    /// The same, long expired.
    pub fn certify_expired(&self, names: &[&str]) -> io::Result<Certified> {
        let mut params = named("expired", names)?;
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.signed(params)
    }

    fn signed(&self, params: CertificateParams) -> io::Result<Certified> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok(Certified::of(&certificate, &key))
    }
}

impl Certified {
    /// One that nobody else vouches for.
    pub fn by_itself(names: &[&str]) -> io::Result<Self> {
        Self::self_signed(named("by itself", names)?)
    }

    /// One that nobody else vouches for, and that is an authority's: what `openssl req -x509` makes unless told otherwise.
    pub fn of_an_authority(names: &[&str]) -> io::Result<Self> {
        let mut params = named("authority", names)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::self_signed(params)
    }

    fn self_signed(params: CertificateParams) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self::of(&certificate, &key))
    }

    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }
    }
}

fn named(name: &str, names: &[&str]) -> io::Result<CertificateParams> {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Speaks TLS on loopback and hands what is said on to a plain server. Dropping it closes its port and connections.
pub struct TlsDoor {
    address: SocketAddr,
    listening: JoinHandle<()>,
}

impl TlsDoor {
    /// In front of `behind`, with the certificate that it shows; with an authority, only for clients that it vouches for.
    pub async fn open(behind: SocketAddr, shows: &Certified, asks: Option<&Authority>) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let building = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let building = match asks {
            None => building.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der.clone()).map_err(io::Error::other)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                building.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            }
        };
        let key = PrivateKeyDer::from(shows.key.clone_key());
        let config = building.with_single_cert(vec![shows.der.clone()], key).map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let listening = tokio::spawn(listen(listener, TlsAcceptor::from(Arc::new(config)), behind));
        Ok(Self { address, listening })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TlsDoor {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            // What one side breaks off concerns the other side only.
            match acceptor.accept(stream).into_fallible().await {
                Ok(mut inner) => {
                    if let Ok(mut outer) = TcpStream::connect(behind).await {
                        let _ended = copy_bidirectional(&mut inner, &mut outer).await;
                    }
                }
                // Read to its end: closed before, the connection would be reset, and the complaint be lost.
                Err((_, mut stream)) => drop(copy(&mut stream, &mut sink()).await),
            }
        });
    }
}
