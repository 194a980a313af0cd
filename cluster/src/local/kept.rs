//! A local cluster that outlives the command that started it: `ackmark cluster up`, `down`, `status`, `logs`.
//!
//! One per home folder. It takes no orderly shutdown and keeps no data: `down` removes both.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{
    LocalOptions, Starter,
    home::{Home, is_in_use, remove_folder},
    state::{NodeState, State},
    tail::tail,
};
use crate::{Progress, error::ClusterError};

const NAME: &str = "kept";
const KILL_WAIT_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Starts a cluster and leaves it running. Tells also how long the start took.
///
/// # Errors
/// One is up already, or what a start can fail by.
pub fn up(options: &LocalOptions, progress: Progress<'_>) -> Result<(State, Duration), ClusterError> {
    let home = Home::open(options.home.as_deref())?;
    if is_in_use_if_there(&folder(&home))? {
        return Err(already_up(&home));
    }
    let mut local = Starter::prepare(options, progress)?.start(Some(NAME), progress)?;
    let state = State::of(&local);
    local.folder.keep();
    // Without its processes, dropping it ends nothing.
    local.nodes.clear();
    Ok((state, local.started_in))
}

/// Ends the kept cluster and removes its data.
///
/// # Errors
/// None is up, or a process survives SIGKILL for 20 s.
pub fn down(home: Option<&Path>) -> Result<State, ClusterError> {
    let home = Home::open(home)?;
    let state = status_in(&home)?.ok_or_else(|| ClusterError::NotUp { home: home.path().to_owned() })?;
    state.nodes.iter().try_for_each(kill)?;
    let start = Instant::now();
    for node in &state.nodes {
        while node.is_alive() {
            if start.elapsed() > KILL_WAIT_MAX {
                let (node, pid) = (format!("{} {}", node.role, node.id), node.pid);
                return Err(ClusterError::Unstoppable { node, pid, waited_s: KILL_WAIT_MAX.as_secs() });
            }
            thread::sleep(LOOK_EVERY);
        }
    }
    remove_folder(&folder(&home))?;
    Ok(state)
}

/// The kept cluster, or `None`. Ask each node whether it [is alive](NodeState::is_alive).
///
/// # Errors
/// A state file that cannot be read.
pub fn status(home: Option<&Path>) -> Result<Option<State>, ClusterError> {
    status_in(&Home::open(home)?)
}

/// The log of each node of the kept cluster, with its last `lines` lines.
///
/// # Errors
/// None is up.
pub fn logs(home: Option<&Path>, lines: usize) -> Result<Vec<(NodeState, String)>, ClusterError> {
    let home = Home::open(home)?;
    let state = status_in(&home)?.ok_or_else(|| ClusterError::NotUp { home: home.path().to_owned() })?;
    Ok(state
        .nodes
        .into_iter()
        .map(|node| {
            let text = tail(&node.log, lines);
            (node, text)
        })
        .collect())
}

fn status_in(home: &Home) -> Result<Option<State>, ClusterError> {
    let folder = folder(home);
    if is_in_use_if_there(&folder)? { State::read(&folder) } else { Ok(None) }
}

pub(super) fn already_up(home: &Home) -> ClusterError {
    let state = State::read(&folder(home)).ok().flatten();
    let bootstrap_servers = state.map_or("(still starting)".to_owned(), |state| state.bootstrap_servers);
    ClusterError::AlreadyUp { bootstrap_servers }
}

fn folder(home: &Home) -> PathBuf {
    home.clusters().join(NAME)
}

fn is_in_use_if_there(folder: &Path) -> Result<bool, ClusterError> {
    if folder.exists() { is_in_use(folder) } else { Ok(false) }
}

/// Through a pidfd, so that the process that is checked is the one that is killed.
fn kill(node: &NodeState) -> Result<(), ClusterError> {
    let Some(pid) = Pid::from_raw(node.pid as i32) else { return Ok(()) };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    if !node.is_alive() {
        return Ok(());
    }
    match pidfd_send_signal(&handle, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(ClusterError::Io {
            what: format!("kill {} {} (pid {})", node.role, node.id, node.pid),
            source: error.into(),
        }),
    }
}
