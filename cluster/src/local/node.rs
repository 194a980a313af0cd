//! One node as a JVM process.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use ackmark_schema::report::CpuTime;
use procfs::process::Process;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::{
    home::{Folder, create_folder},
    java::{Java, without_java_options},
    spawn::{Fate, spawn},
    stop::Stop,
    tail::tail,
    topology::Node,
};
use crate::error::{ClusterError, LogEnd};

/// A killed process is gone as soon as the kernel has torn its memory down.
const KILL_WAIT_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const SIGKILL: i32 = Signal::KILL.as_raw();

/// Logging of every node: one file of bounded size and one before it.
pub(super) const LOG4J: &str = "\
status = error
appenders = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:ackmark.log}
appender.file.filePattern = ${sys:ackmark.log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d] %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 16MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
# Hundreds of lines of settings at each start: they are in server.properties.
logger.config.name = kafka.server.KafkaConfig
logger.config.level = WARN
";

/// How to run a Kafka class: what all nodes have in common.
pub(super) struct Launcher<'a> {
    pub(super) java: &'a Java,
    pub(super) class_path: &'a str,
    pub(super) log4j: &'a Path,
}

impl Launcher<'_> {
    /// `java` that may be told to run a class of Kafka's.
    pub(super) fn command(&self, flags: &[&str], log: &Path) -> Command {
        let mut command = Command::new(&self.java.program);
        without_java_options(&mut command)
            .args(flags)
            .arg(format!("-Dlog4j2.configurationFile={}", self.log4j.display()))
            .arg(format!("-Dackmark.log={}", log.display()))
            .args(["-cp", self.class_path])
            .stdin(Stdio::null());
        command
    }

    /// Starts a node whose folder is ready.
    pub(super) fn start(
        &self,
        node: &Node,
        flags: &[&str],
        fate: Fate,
        folder: Option<&Folder>,
    ) -> Result<NodeProcess, ClusterError> {
        create_folder(&node.folder)?;
        let console = node.console();
        let open = |file: &Path| File::create(file).map_err(ClusterError::io(format!("create {}", file.display())));
        let output = open(&console)?;
        let errors = output.try_clone().map_err(ClusterError::io(format!("open {}", console.display())))?;
        let mut command = self.command(flags, &node.log());
        command.arg("kafka.Kafka").arg(node.properties_file()).current_dir(&node.folder).stdout(output).stderr(errors);
        let lock = folder.map(Folder::lock).transpose()?;
        let child = spawn(command, fate, lock).map_err(ClusterError::io(format!("start {}", node.name())))?;
        Ok(NodeProcess { node: node.clone(), child, ended: None })
    }
}

/// A node that was started; not stopped when dropped: its owner does that.
#[derive(Debug)]
pub(super) struct NodeProcess {
    pub(super) node: Node,
    child: Child,
    ended: Option<ExitStatus>,
}

impl NodeProcess {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, ClusterError> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().map_err(ClusterError::io(format!("wait for {}", self.node.name())))?;
        }
        Ok(self.ended)
    }

    /// How it ended, if it did, without waiting for it: what it used can still be read, and others may look too.
    pub(super) fn how_ended(&self) -> Option<String> {
        if let Some(status) = self.ended {
            return Some(status.to_string());
        }
        let pid = Pid::from_raw(self.child.id() as i32)?;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(pid), look).ok().flatten()?;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(SIGKILL)) => {
                "signal 9, SIGKILL: unless somebody sent it, memory ran out, see `dmesg`".to_owned()
            }
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "for an unknown reason".to_owned(),
        })
    }

    /// CPU time since it started. `None` once it has ended.
    pub(super) fn cpu(&self) -> Option<CpuTime> {
        if self.how_ended().is_some() {
            return None;
        }
        let stat = Process::new(self.child.id() as i32).and_then(|process| process.stat()).ok()?;
        let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
        Some(CpuTime { user_s: seconds(stat.utime), system_s: seconds(stat.stime) })
    }

    /// Asks it to end: Kafka shuts down in order, and a training JVM writes its archive.
    pub(super) fn terminate(&self) {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32)
            && self.ended.is_none()
        {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
    }

    pub(super) fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, wait_max: Duration, stop: &Stop) -> Result<ExitStatus, ClusterError> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            stop.check()?;
            if start.elapsed() > wait_max {
                let (node, pid) = (self.node.name(), self.pid());
                return Err(ClusterError::Unstoppable { node, pid, waited_s: wait_max.as_secs() });
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for the end of a process that was killed.
    pub(super) fn wait_killed(&mut self) -> Result<ExitStatus, ClusterError> {
        self.wait(KILL_WAIT_MAX, &Stop::default())
    }

    /// Which file to look at, and its end: Kafka's log, and what the JVM itself said.
    pub(super) fn log_end(&self) -> LogEnd {
        let (log, console) = (tail(&self.node.log(), 25), tail(&self.node.console(), 15));
        let (log, tail) = match (log.is_empty(), console.is_empty()) {
            (true, _) => (self.node.console(), console),
            (false, true) => (self.node.log(), log),
            (false, false) => (self.node.log(), format!("{log}\nand the JVM said:\n{console}")),
        };
        LogEnd { node: self.node.name(), log, tail }
    }

    /// When the kernel says that it started, in clock ticks since boot: with the pid it names one process for good.
    pub(super) fn start_time_ticks(&self) -> Option<u64> {
        start_time_ticks(self.child.id())
    }
}

/// See [`NodeProcess::start_time_ticks`]; `None` when no such process lives.
pub(super) fn start_time_ticks(pid: u32) -> Option<u64> {
    let stat = Process::new(pid as i32).and_then(|process| process.stat()).ok()?;
    // A zombie has ended; nobody has asked yet.
    (stat.state != 'Z').then_some(stat.starttime)
}
