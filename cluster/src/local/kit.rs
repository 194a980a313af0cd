//! What makes a start fast: made once per Kafka, Java and set of jars by one training run, then used by every node.
//!
//! - `kafka.jsa`, an archive of loaded classes (`AppCDS`, as Apache's own images have it): a JVM maps it instead of
//!   reading, verifying and linking some ten thousand classes. Compilation is untouched: a warm broker runs the same
//!   code with and without it.
//! - `bootstrap.checkpoint`, the snapshot of feature levels that Kafka's `StorageTool` writes when it formats a node.
//!   It is the same for every node and cluster of one Kafka, so that formatting is two files per node instead of a
//!   JVM per node.
//!
//! A JVM that makes no archive (Eclipse J9, for one) is used without: slower to start, otherwise the same.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ackmark_client::{AdminClient, ClientProperties, LogSink};
use ackmark_schema::properties::Origin;

use super::{
    cluster_id,
    home::{Home, UNFINISHED, create_folder, write_file},
    jars::{Jars, hash, run},
    java::Java,
    node::{LOG4J, Launcher, NodeProcess},
    ports,
    security::write_private,
    settings::Settings,
    spawn::Fate,
    stop::Stop,
    tail::tail,
    topology::{Node, Role},
};
use crate::{Progress, error::ClusterError};

const FORMAT_MAX: Duration = Duration::from_mins(1);
const START_MAX: Duration = Duration::from_secs(90);
/// Writing the archive takes two to five seconds of processor time.
const ARCHIVE_MAX: Duration = Duration::from_secs(90);

/// The files that a start uses.
#[derive(Debug, Clone)]
pub(super) struct Kit {
    /// Absent when the JVM made none.
    pub(super) archive: Option<PathBuf>,
    pub(super) checkpoint: PathBuf,
}

impl Kit {
    /// The kit of this Java and these jars, made if it is not there. Call it with the home locked.
    pub(super) fn find(
        home: &Home,
        java: &Java,
        jars: &Jars,
        stop: &Stop,
        progress: Progress<'_>,
    ) -> Result<Self, ClusterError> {
        let key = hash((&java.build, &java.program, jars.fingerprint(), LOG4J));
        let folder = home.kits().join(format!("{}-{key:016x}", jars.version));
        if !folder.exists() {
            progress("preparing fast starts (a training run of one node, once)");
            train(home, java, jars, &folder, stop, progress)?;
        }
        let archive = folder.join("kafka.jsa");
        Ok(Self { archive: archive.exists().then_some(archive), checkpoint: folder.join("bootstrap.checkpoint") })
    }
}

fn train(
    home: &Home,
    java: &Java,
    jars: &Jars,
    folder: &Path,
    stop: &Stop,
    progress: Progress<'_>,
) -> Result<(), ClusterError> {
    create_folder(&home.kits())?;
    let work = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(home.kits())
        .map_err(ClusterError::io(format!("create a folder in {}", home.kits().display())))?;
    let made = work.path().join("made");
    create_folder(&made)?;
    let log4j = work.path().join("log4j2.properties");
    write_file(&log4j, LOG4J)?;
    let class_path = jars.class_path();
    let launcher = Launcher { java, class_path: &class_path, log4j: &log4j };

    let node = training_node(work.path())?;
    format_by_storage_tool(&launcher, &["-Xmx256m"], &node, work.path(), &[], stop)?;
    copy(&node.data().join("bootstrap.checkpoint"), &made.join("bootstrap.checkpoint"))?;
    if let Err(reason) = make_archive(&launcher, &node, &made.join("kafka.jsa"), stop)? {
        progress(&format!("this Java made no archive of classes ({reason}): starts take about twice as long"));
    }
    fs::rename(&made, folder).map_err(ClusterError::io(format!("rename {} to {}", made.display(), folder.display())))
}

/// A single node in both roles, so that the classes of both are loaded.
fn training_node(work: &Path) -> Result<Node, ClusterError> {
    let ports = ports::free(3)?;
    let node = Node {
        id: 1,
        role: Role::Broker,
        port: ports[0],
        internal_port: Some(ports[1]),
        secure_ports: Vec::new(),
        folder: work.join("node"),
        disk: None,
    };
    create_folder(&node.folder)?;
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\ninter.broker.listener.name=INTERNAL\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT\n\
         listeners=CONTROLLER://127.0.0.1:{controller},INTERNAL://127.0.0.1:{internal},EXTERNAL://127.0.0.1:{external}\n\
         log.dirs={data}\n",
        controller = ports[2],
        internal = ports[1],
        external = ports[0],
        data = node.data().display(),
    );
    write_file(&node.properties_file(), &text)?;
    Ok(node)
}

/// A checkpoint that knows more than the kit's, because `StorageTool` is told so; made in `work`, which must be empty.
pub(super) fn special_checkpoint(
    launcher: &Launcher<'_>,
    flags: &[&str],
    work: &Path,
    arguments: &[String],
    stop: &Stop,
) -> Result<PathBuf, ClusterError> {
    let node = training_node(work)?;
    format_by_storage_tool(launcher, flags, &node, work, arguments, stop)?;
    Ok(node.data().join("bootstrap.checkpoint"))
}

fn format_by_storage_tool(
    launcher: &Launcher<'_>,
    flags: &[&str],
    node: &Node,
    work: &Path,
    arguments: &[String],
    stop: &Stop,
) -> Result<(), ClusterError> {
    let console = work.join("format.log");
    let (id, properties) = (cluster_id()?, node.properties_file().display().to_string());
    let mut line = vec!["kafka.tools.StorageTool", "format", "-t", &id, "-c", &properties];
    line.extend(arguments.iter().map(String::as_str));
    // By a file, for there may be a password in it, and every user of the machine can read a command line.
    let told = work.join("storage-tool.arguments");
    write_private(&told, &argument_file(&line))?;
    let mut command = launcher.command(flags, &work.join("storage-tool.log"));
    command.arg(format!("@{}", told.display()));
    let failed = |reason| ClusterError::Format { reason, tail: tail(&console, 15) };
    run(command, &console, FORMAT_MAX, stop)?.map_err(failed)?;
    if !node.data().join("bootstrap.checkpoint").exists() {
        return Err(failed("it wrote no bootstrap.checkpoint".to_owned()));
    }
    Ok(())
}

/// Arguments as Java's launcher reads them from a file.
fn argument_file(arguments: &[&str]) -> String {
    let mut text = String::new();
    for argument in arguments {
        let escaped = argument.replace('\\', r"\\").replace('"', r#"\""#);
        writeln!(text, "\"{escaped}\"").expect("writing to a String never fails");
    }
    text
}

/// Starts the node, waits until it serves, ends it: the JVM writes its archive as it exits. The inner error tells why
/// there is none.
fn make_archive(
    launcher: &Launcher<'_>,
    node: &Node,
    archive: &Path,
    stop: &Stop,
) -> Result<Result<(), String>, ClusterError> {
    let option = format!("-XX:ArchiveClassesAtExit={}", archive.display());
    let mut flags = Settings::Measured.jvm_flags().to_vec();
    flags.push(&option);
    let mut process = launcher.start(node, &flags, Fate::DiesWithParent, None)?;
    let served = wait_until_served(&mut process, stop);
    if served.is_ok() {
        process.terminate();
        // One that takes too long is killed, and has made none.
        let _ = process.wait(ARCHIVE_MAX, stop);
    }
    process.kill();
    process.wait_killed()?;
    served?;
    // An archive that was being written is half of one.
    stop.check()?;
    Ok(if archive.exists() { Ok(()) } else { Err(process.log_end().tail.lines().last().unwrap_or("").to_owned()) })
}

fn wait_until_served(process: &mut NodeProcess, stop: &Stop) -> Result<(), ClusterError> {
    let servers = format!("127.0.0.1:{}", process.node.port);
    let properties = ClientProperties::with_bootstrap(&servers, Origin::Tool);
    let unreachable = |reason: String| ClusterError::Unreachable { servers: servers.clone(), reason };
    let admin = AdminClient::new(&properties, LogSink::discard()).map_err(|error| unreachable(error.to_string()))?;
    let start = Instant::now();
    loop {
        stop.check()?;
        if let Some(status) = process.ended()? {
            return Err(ClusterError::NodeDied { status: status.to_string(), end: Box::new(process.log_end()) });
        }
        match admin.metadata(Duration::from_millis(500)) {
            Ok(found) if !found.brokers.is_empty() => return Ok(()),
            Err(error) if start.elapsed() > START_MAX => return Err(unreachable(error.to_string())),
            _ if start.elapsed() > START_MAX => return Err(unreachable("it lists no brokers".to_owned())),
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ClusterError> {
    fs::copy(from, to).map_err(ClusterError::io(format!("copy {} to {}", from.display(), to.display())))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_storage_tool_is_told_stands_on_no_command_line() {
        let folder = tempfile::tempdir().unwrap();
        // A java that says how it was called.
        let java = Java { program: "/bin/echo".into(), version: String::new(), build: String::new() };
        let launcher = Launcher { java: &java, class_path: "jars", log4j: &folder.path().join("log4j") };
        let arguments = ["--add-scram".to_owned(), r#"a="b",password=c:\d"#.to_owned()];
        let (flags, stop) = (["-Xmx1m"], Stop::default());
        let done = special_checkpoint(&launcher, &flags, folder.path(), &arguments, &stop);
        assert!(matches!(done, Err(ClusterError::Format { .. })), "it has made nothing: {done:?}");
        let called = fs::read_to_string(folder.path().join("format.log")).unwrap();
        assert!(called.starts_with("-Xmx1m ") && called.contains("-cp jars @"), "{called}");
        assert!(!called.contains("password"), "{called}");
        let told = folder.path().join("storage-tool.arguments");
        assert_eq!(fs::metadata(&told).unwrap().permissions().mode() & 0o777, 0o600);
        let told = fs::read_to_string(told).unwrap();
        assert!(told.starts_with("\"kafka.tools.StorageTool\"\n\"format\"\n"), "{told}");
        assert!(told.ends_with("\"--add-scram\"\n\"a=\\\"b\\\",password=c:\\\\d\"\n"), "{told}");
    }
}
