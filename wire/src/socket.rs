//! A plain or an encrypted stream.
//!
//! [`Socket::connect`] tries each address of a name and, where asked for, ends the TLS handshake, all within one bound.
//! After that each read and each write waits as long as its time-out says and then fails with
//! [`io::ErrorKind::TimedOut`].
//!
//! Large reads pay: a plain read goes into the caller's buffer in one system call. rustls reads 4 KiB at a time, so it
//! gets a buffer of [`CIPHERTEXT_BUFFER_BYTES`] below it; plaintext comes out a TLS record (16 KiB at most) at a time.
//!
//! Limit: the system's resolver has time-outs of its own, which no bound here shortens.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use rustls::{ClientConnection, StreamOwned};
use thiserror::Error;

use crate::{
    config::{Address, AddressFamily, WireConfig},
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
    /// Connects, and encrypts where the configuration says so; not yet authenticated. Reads and writes then wait as
    /// long as `request_timeout` says.
    ///
    /// # Errors
    /// The name does not resolve, nobody listens, time runs out, or TLS fails.
    pub fn connect(address: &Address, config: &WireConfig) -> Result<Self, ConnectError> {
        let deadline = Deadline::new(config.setup_timeout);
        let tcp = connect_tcp(address, config.address_family, &deadline)?;
        let stream = match &config.tls {
            None => Stream::Plain(tcp),
            Some(tls) => Stream::Tls(Box::new(encrypt(tls, address, tcp, &deadline)?)),
        };
        let socket = Self { stream };
        let timeout = Some(config.request_timeout);
        socket
            .set_read_timeout(timeout)
            .and_then(|()| socket.set_write_timeout(timeout))
            .map_err(|source| ConnectError::Tcp { address: address.clone(), source })?;
        Ok(socket)
    }

    /// How long a read may wait; `None`: for ever. Not less than a millisecond.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_read_timeout(at_least_a_millisecond(timeout))
    }

    /// How long a write may wait; `None`: for ever. Not less than a millisecond.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.tcp().set_write_timeout(at_least_a_millisecond(timeout))
    }

    /// Whether what is sent is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.sock.tcp(),
        }
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

/// Zero would mean for ever to the system.
fn at_least_a_millisecond(timeout: Option<Duration>) -> Option<Duration> {
    timeout.map(|timeout| timeout.max(Duration::from_millis(1)))
}

fn connect_tcp(address: &Address, family: AddressFamily, deadline: &Deadline) -> Result<TcpStream, ConnectError> {
    let unresolved = |reason: String| ConnectError::Resolve { address: address.clone(), reason };
    let found =
        (address.host.as_str(), address.port).to_socket_addrs().map_err(|error| unresolved(error.to_string()))?;
    let found = found.filter(|found| match family {
        AddressFamily::Any => true,
        AddressFamily::V4 => found.is_ipv4(),
        AddressFamily::V6 => found.is_ipv6(),
    });
    let mut last = unresolved("it has no address of the family that broker.address.family asks for".to_owned());
    for target in found {
        match connect_to(target, deadline) {
            Ok(tcp) => return Ok(tcp),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(deadline.passed(address, "TCP connection"));
            }
            Err(source) => last = ConnectError::Tcp { address: address.clone(), source },
        }
    }
    Err(last)
}

fn connect_to(target: SocketAddr, deadline: &Deadline) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect_timeout(&target, deadline.remaining()?)?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn encrypt(
    tls: &Tls,
    address: &Address,
    tcp: TcpStream,
    deadline: &Deadline,
) -> Result<StreamOwned<ClientConnection, Buffered>, ConnectError> {
    let failed = |fault| ConnectError::Tls { address: address.clone(), fault };
    let mut connection = tls.connection(&address.host).map_err(failed)?;
    let mut buffered = Buffered::new(tcp);
    let mut bounded = Bounded { stream: &mut buffered, deadline };
    while connection.is_handshaking() {
        connection.complete_io(&mut bounded).map_err(|error| match timed_out(error) {
            error if error.kind() == io::ErrorKind::TimedOut => deadline.passed(address, "TLS handshake"),
            error => match fault_of(&error) {
                Some(fault) => failed(fault),
                // A broker that has no TLS on that port closes what makes no sense to it.
                None => failed(TlsFault::Closed),
            },
        })?;
    }
    Ok(StreamOwned::new(connection, buffered))
}

/// A point in time that several waits share.
struct Deadline {
    start: Instant,
    bound: Duration,
}

impl Deadline {
    fn new(bound: Duration) -> Self {
        Self { start: Instant::now(), bound }
    }

    /// What is left of it, or [`io::ErrorKind::TimedOut`].
    fn remaining(&self) -> io::Result<Duration> {
        match self.bound.checked_sub(self.start.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn passed(&self, address: &Address, stage: &'static str) -> ConnectError {
        ConnectError::TimedOut { address: address.clone(), stage, waited_ms: self.bound.as_millis() }
    }
}

/// A stream whose every wait ends at the deadline, so that a peer that sends a byte now and then does not extend it.
struct Bounded<'a> {
    stream: &'a mut Buffered,
    deadline: &'a Deadline,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.tcp().set_read_timeout(at_least_a_millisecond(Some(self.deadline.remaining()?)))?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.tcp().set_write_timeout(at_least_a_millisecond(Some(self.deadline.remaining()?)))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A TCP stream read in large pieces, for a reader that asks for small ones.
#[derive(Debug)]
struct Buffered(BufReader<TcpStream>);

impl Buffered {
    fn new(tcp: TcpStream) -> Self {
        Self(BufReader::with_capacity(CIPHERTEXT_BUFFER_BYTES, tcp))
    }

    fn tcp(&self) -> &TcpStream {
        self.0.get_ref()
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
