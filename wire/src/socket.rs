//! A plain or an encrypted stream.
//!
//! [`Socket::connect`] tries each address of a name and, where asked for, ends the TLS handshake, all within one bound.
//! After that each read and each write waits for a [`SLICE`](crate::patience::SLICE) and then fails with
//! [`io::ErrorKind::TimedOut`]: a [`Patience`] says how often to wait again.
//!
//! Large reads pay: a plain read goes into the caller's buffer in one system call. rustls reads 4 KiB at a time, so it
//! gets a buffer of [`CIPHERTEXT_BUFFER_BYTES`] below it; plaintext comes out a TLS record (16 KiB at most) at a time.
//!
//! Limit: the system's resolver has time-outs of its own, which no bound here shortens.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Instant,
};

use rustls::{ClientConnection, StreamOwned};
use thiserror::Error;

use crate::{
    config::{Address, AddressFamily, WireConfig},
    patience::Patience,
    tls::{Tls, TlsFault, fault_of},
};

/// Encrypted bytes that one system call reads at most.
pub const CIPHERTEXT_BUFFER_BYTES: usize = 256 * 1024;

/// Why no connection came about; each names the cure.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("{address}: the name cannot be resolved ({reason}): check the host's name, and DNS or /etc/hosts")]
    Resolve {
        /// The broker.
        address: Address,
        /// The resolver's error.
        reason: String,
    },
    /// TCP failed.
    #[error("{address}: {source}: does a broker listen there, and does a firewall let it through?")]
    Tcp {
        /// The broker.
        address: Address,
        /// The last address' error.
        source: io::Error,
    },
    /// Time ran out.
    #[error(
        "{address}: no {stage} within {waited_ms} ms: is the broker overloaded or another service on that port? \
         socket.connection.setup.timeout.ms gives it longer"
    )]
    TimedOut {
        /// The broker.
        address: Address,
        /// `TCP connection` or `TLS handshake`.
        stage: &'static str,
        /// The bound.
        waited_ms: u128,
    },
    /// TLS failed.
    #[error("{address}: {fault}")]
    Tls {
        /// The broker.
        address: Address,
        /// Why.
        fault: TlsFault,
    },
}

impl ConnectError {
    /// Whether the same try may succeed later: the network and the broker's state are to blame, not the settings.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Tcp { .. } | Self::TimedOut { .. } => true,
            // A broker that is being stopped closes it too.
            Self::Tls { fault, .. } => *fault == TlsFault::Closed,
        }
    }
}

/// A connected stream.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, Buffered>>),
}

impl Socket {
    /// Connects, and encrypts where the configuration says so; not yet authenticated.
    ///
    /// # Errors
    /// The name does not resolve, nobody listens, time runs out, TLS fails, or it was told to stop.
    pub fn connect(address: &Address, config: &WireConfig, patience: &Patience<'_>) -> Result<Self, ConnectError> {
        let patience = patience.within(config.setup_timeout);
        let tcp = connect_tcp(address, config.address_family, &patience)?;
        let stream = match &config.tls {
            None => Stream::Plain(tcp),
            Some(tls) => Stream::Tls(Box::new(encrypt(tls, address, tcp, &patience)?)),
        };
        Ok(Self { stream })
    }

    /// Whether what is sent is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl Read for Socket {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
        .map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.write(buffer),
            Stream::Tls(tls) => tls.write(buffer),
        }
        .map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(tcp) => tcp.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
        .map_err(timed_out)
    }
}

/// Linux says `WouldBlock` (EAGAIN) when a socket's time-out ends a wait.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

fn connect_tcp(address: &Address, family: AddressFamily, patience: &Patience<'_>) -> Result<TcpStream, ConnectError> {
    let unresolved = |reason: String| ConnectError::Resolve { address: address.clone(), reason };
    let begun = Instant::now();
    let found =
        (address.host.as_str(), address.port).to_socket_addrs().map_err(|error| unresolved(error.to_string()))?;
    let found = found.filter(|found| match family {
        AddressFamily::Any => true,
        AddressFamily::V4 => found.is_ipv4(),
        AddressFamily::V6 => found.is_ipv6(),
    });
    let mut last = unresolved("it has no address of the family that broker.address.family asks for".to_owned());
    for target in found {
        match patience.connect(target) {
            Ok(tcp) => return Ok(tcp),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(timed_out_at(address, "TCP connection", begun));
            }
            Err(source) => last = ConnectError::Tcp { address: address.clone(), source },
        }
    }
    Err(last)
}

fn encrypt(
    tls: &Tls,
    address: &Address,
    tcp: TcpStream,
    patience: &Patience<'_>,
) -> Result<StreamOwned<ClientConnection, Buffered>, ConnectError> {
    let failed = |fault| ConnectError::Tls { address: address.clone(), fault };
    let begun = Instant::now();
    let mut connection = tls.connection(&address.host).map_err(failed)?;
    let mut buffered = Buffered::new(tcp);
    while connection.is_handshaking() {
        connection.complete_io(&mut patience.guard(&mut buffered)).map_err(|error| {
            if error.kind() == io::ErrorKind::TimedOut {
                return timed_out_at(address, "TLS handshake", begun);
            }
            // A broker that has no TLS on that port closes what makes no sense to it.
            failed(fault_of(&error).unwrap_or(TlsFault::Closed))
        })?;
    }
    Ok(StreamOwned::new(connection, buffered))
}

fn timed_out_at(address: &Address, stage: &'static str, begun: Instant) -> ConnectError {
    ConnectError::TimedOut { address: address.clone(), stage, waited_ms: begun.elapsed().as_millis() }
}

/// A TCP stream read in large pieces, for a reader that asks for small ones.
#[derive(Debug)]
struct Buffered(BufReader<TcpStream>);

impl Buffered {
    fn new(tcp: TcpStream) -> Self {
        Self(BufReader::with_capacity(CIPHERTEXT_BUFFER_BYTES, tcp))
    }
}

impl Read for Buffered {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Not BufReader's own read, which skips its buffer where the caller's is as large.
        let mut filled = self.0.fill_buf()?;
        let count = filled.read(buffer)?;
        self.0.consume(count);
        Ok(count)
    }
}

impl Write for Buffered {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}
