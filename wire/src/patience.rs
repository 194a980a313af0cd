//! Waiting with a bound: every wait on a socket ends when the peer stays silent, at a deadline, or when told to stop.
//!
//! Sockets block for a [`SLICE`] at a time, so that a stop is seen within it. What wraps a socket (TLS) sees a stream
//! that waits by itself: [`Patience::guard`].
//!
//! Limit: the lookup of a host name blocks as long as the system's resolver lets it.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt::socket_error},
};

/// How long a socket blocks before the bounds are looked at again.
pub const SLICE: Duration = Duration::from_millis(20);
const SLICE_NS: i64 = 20_000_000;

/// How long to wait for a peer.
#[derive(Debug, Clone, Copy)]
pub struct Patience<'a> {
    /// Ends every wait once it is true.
    pub stop: &'a AtomicBool,
    /// Longest time in which not one byte goes either way.
    pub silence: Duration,
    /// When to give up even if bytes go.
    pub until: Instant,
}

/// A wait that was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("told to stop")
    }
}

impl std::error::Error for Stopped {}

impl<'a> Patience<'a> {
    /// Waits as long as told by `stop`, for `silence` at most.
    pub fn new(stop: &'a AtomicBool, silence: Duration) -> Self {
        Self { stop, silence, until: Instant::now() + silence }
    }

    /// This patience, and not longer than `bound` from now.
    #[must_use]
    pub fn within(&self, bound: Duration) -> Self {
        Self { silence: self.silence.min(bound), until: self.until.min(Instant::now() + bound), ..*self }
    }

    /// Waits before something is tried again.
    ///
    /// # Returns
    /// Whether to try it: not when told to stop, and not beyond the end of this patience.
    pub fn pause(&self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        while !self.is_stopped() && Instant::now() < end.min(self.until) {
            std::thread::sleep(SLICE);
        }
        !self.is_stopped() && Instant::now() < self.until
    }

    /// Whether it was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether to wait on, when the last byte went at `since`.
    ///
    /// # Errors
    /// [`Stopped`] inside of an I/O error, or [`ErrorKind::TimedOut`] with the time that was waited.
    pub fn check(&self, since: Instant) -> io::Result<()> {
        if self.is_stopped() {
            return Err(io::Error::other(Stopped));
        }
        let waited = since.elapsed();
        if waited >= self.silence || Instant::now() >= self.until {
            return Err(io::Error::new(ErrorKind::TimedOut, format!("no answer for {:.1} s", waited.as_secs_f64())));
        }
        Ok(())
    }

    /// Connects; the stream blocks for a [`SLICE`] at most and sends at once (no Nagle).
    ///
    /// # Errors
    /// Refused, unreachable, not connected in time, stopped.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        match connect(&socket, &address) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => {
                let since = Instant::now();
                loop {
                    let mut watched = [PollFd::new(&socket, PollFlags::OUT)];
                    match poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: SLICE_NS })) {
                        Ok(0) | Err(Errno::INTR) => self.check(since)?,
                        Ok(_) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                socket_error(&socket)??;
            }
            Err(error) => return Err(error.into()),
        }
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SLICE))?;
        stream.set_write_timeout(Some(SLICE))?;
        Ok(stream)
    }

    /// Reads at least one byte of a stream that blocks for a [`SLICE`]; 0 only when the peer has closed.
    ///
    /// # Errors
    /// Those of the stream, and of [`Patience::check`].
    pub fn read(&self, stream: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
        self.wait(|| stream.read(into))
    }

    /// Fills `into`.
    ///
    /// # Errors
    /// Those of [`Patience::read`], and [`ErrorKind::UnexpectedEof`].
    pub fn read_exact(&self, stream: &mut impl Read, into: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            match self.read(stream, &mut into[filled..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(())
    }

    /// Writes all of `from`.
    ///
    /// # Errors
    /// Those of the stream, and of [`Patience::check`].
    pub fn write_all(&self, stream: &mut impl Write, from: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < from.len() {
            match self.wait(|| stream.write(&from[written..]))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => written += count,
            }
        }
        self.wait(|| stream.flush())
    }

    /// A stream that waits by itself, for code that takes any `Read + Write`.
    pub fn guard<'s, S>(&self, stream: &'s mut S) -> Guarded<'s, 'a, S> {
        Guarded { stream, patience: *self }
    }

    fn wait<T>(&self, mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let since = Instant::now();
        loop {
            // Also before the first step: a peer that sends a byte now and then would never let it come to a second.
            self.check(since)?;
            match step() {
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                }
                other => return other,
            }
        }
    }
}

/// A stream under a [`Patience`].
#[derive(Debug)]
pub struct Guarded<'s, 'a, S> {
    stream: &'s mut S,
    patience: Patience<'a>,
}

impl<S: Read> Read for Guarded<'_, '_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.patience.read(self.stream, into)
    }
}

impl<S: Write> Write for Guarded<'_, '_, S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let Self { stream, patience } = self;
        patience.wait(|| stream.write(from))
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self { stream, patience } = self;
        patience.wait(|| stream.flush())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;

    use super::*;

    fn patience(stop: &AtomicBool) -> Patience<'_> {
        Patience { stop, silence: Duration::from_millis(100), until: Instant::now() + Duration::from_mins(1) }
    }

    #[test]
    fn a_silent_peer_ends_a_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stop = AtomicBool::new(false);
        let patience = patience(&stop);
        let mut stream = patience.connect(listener.local_addr().unwrap()).unwrap();
        let begun = Instant::now();
        let error = patience.read_exact(&mut stream, &mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(begun.elapsed() >= Duration::from_millis(100) && begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_stop_ends_a_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stop = AtomicBool::new(false);
        let patience = Patience::new(&stop, Duration::from_mins(1));
        let mut stream = patience.connect(listener.local_addr().unwrap()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                stop.store(true, Ordering::Relaxed);
            });
            let error = patience.guard(&mut stream).read_exact(&mut [0; 4]).unwrap_err();
            assert!(error.get_ref().unwrap().is::<Stopped>(), "{error}");
        });
    }

    #[test]
    fn nobody_there_is_an_error_at_once() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let stop = AtomicBool::new(false);
        assert_eq!(patience(&stop).connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
