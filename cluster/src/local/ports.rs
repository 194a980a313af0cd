//! Free loopback ports, found by binding them.
//!
//! Between the check and the broker's own bind another process can take a port. Candidates lie below the range that
//! Linux gives to outgoing connections, so only another listener can; a start that loses that race is tried again
//! with other ports.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    net::{Ipv4Addr, TcpListener},
};

use crate::error::ClusterError;

const LOW: u16 = 15_000;
const HIGH: u16 = 31_999;
const TRIES_MAX: usize = 2_000;

/// Finds `count` free ports.
pub(super) fn free(count: usize) -> Result<Vec<u16>, ClusterError> {
    free_but(count, &[])
}

/// Finds `count` free ports that are none of `taken`.
pub(super) fn free_but(count: usize, taken: &[u16]) -> Result<Vec<u16>, ClusterError> {
    // Held until all are found, so that none is given twice.
    let mut held = Vec::with_capacity(count);
    // Seeded by the system: a RandomState differs each time.
    let random = RandomState::new();
    for attempt in 0..TRIES_MAX {
        if held.len() == count {
            break;
        }
        let mut hasher = random.build_hasher();
        hasher.write_usize(attempt);
        let port = LOW + (hasher.finish() % u64::from(HIGH - LOW + 1)) as u16;
        if taken.contains(&port) {
            continue;
        }
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
    }
    if held.len() < count {
        return Err(ClusterError::NoFreePort { low: LOW, high: HIGH });
    }
    Ok(held.into_iter().map(|(port, _)| port).collect())
}

/// Takes `count` ports from `base` on, or names the one that is in use.
pub(super) fn fixed(base: u16, count: usize) -> Result<Vec<u16>, ClusterError> {
    let ports: Vec<u16> = (base..=u16::MAX).take(count).collect();
    if ports.len() < count {
        return Err(ClusterError::NoFreePort { low: base, high: u16::MAX });
    }
    for &port in &ports {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|_| ClusterError::PortInUse { port })?;
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn free_ports_differ_and_can_be_bound() {
        let mut ports = free(7).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 7);
        assert!(ports.iter().all(|port| (LOW..=HIGH).contains(port)));
    }

    #[test]
    fn a_fixed_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = fixed(port, 1).unwrap_err();
        assert!(matches!(error, ClusterError::PortInUse { port: found } if found == port), "{error}");
        assert!(error.to_string().contains(&port.to_string()));
    }

    #[test]
    fn fixed_ports_end_at_the_last_one() {
        assert!(matches!(fixed(u16::MAX, 2), Err(ClusterError::NoFreePort { .. })));
    }
}
