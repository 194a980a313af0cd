//! One member: a child process of this program that runs a pattern (see [`ackmark_schema::process`]).
//!
//! Its stderr goes to a file, which stays as evidence. A handle that is dropped kills its process.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ackmark_schema::process::{GO, MemberSays, MemberSpec, STOP};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc::UnboundedSender,
    task::JoinHandle,
};

use crate::child::PARENT_VARIABLE;

/// The command that runs a member; not for people. The command line's side of it is there.
pub const MEMBER_COMMAND: &str = "member";

/// How long a member that ends may take.
const GRACE: Duration = Duration::from_mins(1);

/// What members are started by.
#[derive(Debug, Clone)]
pub struct Launch {
    /// This program.
    pub ackmark: PathBuf,
    /// Where their words go.
    pub folder: PathBuf,
}

/// What was heard of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The member.
    pub member: u32,
    /// Its life.
    pub incarnation: u32,
    /// What it says; `None` when it is gone.
    pub says: Option<MemberSays>,
}

/// A running member.
#[derive(Debug)]
pub struct Member {
    process: Child,
    stdin: ChildStdin,
    reader: JoinHandle<()>,
    /// Its number.
    pub member: u32,
    /// Its life.
    pub incarnation: u32,
}

impl Launch {
    /// The file of a member's words.
    pub fn words(&self, member: u32, incarnation: u32) -> PathBuf {
        self.folder.join(format!("m{member}-i{incarnation}.log"))
    }

    /// Starts a member. What it says is sent on, and at last that it is gone.
    ///
    /// # Errors
    /// It cannot be started or told.
    pub async fn start(&self, spec: &MemberSpec, heard: UnboundedSender<Heard>) -> io::Result<Member> {
        let (member, incarnation) = (spec.member, spec.incarnation);
        let mut process = Command::new(&self.ackmark)
            .env(PARENT_VARIABLE, std::process::id().to_string())
            .arg(MEMBER_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(self.words(member, incarnation))?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut stdin = process.stdin.take().ok_or_else(broken)?;
        let mut lines = BufReader::new(process.stdout.take().ok_or_else(broken)?).lines();
        let mut told = serde_json::to_string(spec)?;
        told.push('\n');
        stdin.write_all(told.as_bytes()).await?;
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(says) = serde_json::from_str(&line) {
                    // Nobody listens any more: nothing to do.
                    let _ = heard.send(Heard { member, incarnation, says: Some(says) });
                }
            }
            let _ = heard.send(Heard { member, incarnation, says: None });
        });
        Ok(Member { process, stdin, reader, member, incarnation })
    }
}

impl Member {
    /// Lets one that waits at a point go on.
    pub async fn go(&mut self) {
        self.tell(GO).await;
    }

    /// Asks it to end when it has nothing in hand.
    pub async fn ask_to_end(&mut self) {
        self.tell(STOP).await;
    }

    async fn tell(&mut self, word: &str) {
        // One that is gone is heard of by its end.
        let _ = self.stdin.write_all(format!("{word}\n").as_bytes()).await;
        let _ = self.stdin.flush().await;
    }

    /// Kills it by SIGKILL, and waits until it is gone.
    pub async fn kill(mut self) {
        // It may have ended by itself.
        let _ = self.process.kill().await;
        let _ = (&mut self.reader).await;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it is gone by itself; one that takes too long is killed.
    pub async fn gone(mut self) {
        if tokio::time::timeout(GRACE, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
        let _ = (&mut self.reader).await;
    }
}

/// The last lines of a member's words, for an error.
pub(crate) fn last_words(path: &Path) -> String {
    const LINES: usize = 3;
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join(" / ")
}
