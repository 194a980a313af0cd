//! Authentication: SASL PLAIN and SCRAM (RFC 5802, RFC 7677) by the `rsasl` crate.
//!
//! Kafka carries SASL in its own requests: `SaslHandshake` (version 1) names the mechanism, `SaslAuthenticate` carries its
//! messages until one answer ends it. This module makes and judges the messages; the connection sends them.
//!
//! SCRAM proves to the broker that we know the password without showing it, and to us that the broker knows it. A
//! broker that asks for fewer iterations than RFC 7677 wants, or for so many that they would stall us, is refused.
//!
//! Names and passwords are sent as their UTF-8 bytes, without `SASLprep`, as Kafka and librdkafka do.

use std::fmt;

use rsasl::prelude::{Mechname, MessageSent, SASLClient, SASLConfig, SessionError, State};
use thiserror::Error;

/// Kafka's least for SCRAM-SHA-256 and SCRAM-SHA-512 (`ScramMechanism.minIterations`), from RFC 7677.
pub const ITERATIONS_MIN: u32 = 4_096;
/// A second or so of work; librdkafka's bound as well. Kafka's tools allow 16,384.
pub const ITERATIONS_MAX: u32 = 1_000_000;
/// Messages of one authentication that we send; SCRAM needs two.
const STEPS_MAX: usize = 4;

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself is sent.
    Plain,
    /// Challenge and response by SHA-256.
    ScramSha256,
    /// Challenge and response by SHA-512.
    ScramSha512,
}

impl Mechanism {
    const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Its name as Kafka and IANA have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of a name, if it is spoken here.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who a client is. Its `Debug` does not show the password.
#[derive(Clone)]
pub struct Credentials {
    /// How it is proved.
    pub mechanism: Mechanism,
    /// `sasl.username`.
    pub username: String,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mechanism, username, .. } = self;
        f.debug_struct("Credentials").field("mechanism", mechanism).field("username", username).finish_non_exhaustive()
    }
}

/// Why a client is not let in, or does not want to be; each names the cure, none a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SaslError {
    /// The broker does not offer the mechanism.
    #[error(
        "the broker does not offer {mechanism} on this listener but {}: set sasl.mechanism to one of them",
        list(offered)
    )]
    NotOffered {
        /// What was asked for.
        mechanism: Mechanism,
        /// What it offers.
        offered: Vec<String>,
    },
    /// The broker does not accept name and password.
    #[error(
        "the broker refuses user {username} by {mechanism} ({reason}): check sasl.username, sasl.password and \
         sasl.mechanism"
    )]
    Refused {
        /// Who it was.
        username: String,
        /// How.
        mechanism: Mechanism,
        /// The broker's words.
        reason: String,
    },
    /// The broker does not prove that it knows the password, or does not follow the mechanism.
    #[error(
        "the broker does not follow {mechanism} ({reason}): it got no password; is it the broker that it should be?"
    )]
    Broker {
        /// How.
        mechanism: Mechanism,
        /// What is wrong.
        reason: String,
    },
    /// The name or the password cannot be sent.
    #[error("{mechanism} cannot send this sasl.username and sasl.password ({reason})")]
    Credentials {
        /// How.
        mechanism: Mechanism,
        /// What is wrong.
        reason: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Goes through a whole authentication. `send` takes a message of ours to the broker and returns its answer.
///
/// # Errors
/// The errors of `send`, and a broker that does not follow the mechanism.
pub fn authenticate<A: AsRef<[u8]>, E: From<SaslError>>(
    credentials: &Credentials,
    mut send: impl FnMut(&[u8]) -> Result<A, E>,
) -> Result<(), E> {
    let mechanism = credentials.mechanism;
    let ours = |reason: &dyn fmt::Display| SaslError::Credentials { mechanism, reason: reason.to_string() };
    let name = Mechname::parse(mechanism.name().as_bytes()).map_err(|error| ours(&error))?;
    let config = SASLConfig::with_credentials(None, credentials.username.clone(), credentials.password.clone());
    let config = config.map_err(|error| ours(&error))?;
    let mut session = SASLClient::new(config).start_suggested_iter([name]).map_err(|error| ours(&error))?;

    let mut answer: Option<A> = None;
    for _ in 0..STEPS_MAX {
        let received = answer.as_ref().map(AsRef::as_ref);
        if let Some(received) = received
            && mechanism != Mechanism::Plain
        {
            check_iterations(received).map_err(|reason| SaslError::Broker { mechanism, reason })?;
        }
        let mut message = Vec::new();
        let state =
            session.step(received, &mut message).map_err(|error| judge(mechanism, received.is_some(), &error))?;
        match state {
            State::Finished(MessageSent::No) => return Ok(()),
            State::Finished(MessageSent::Yes) => return send(&message).map(drop),
            State::Running => answer = Some(send(&message)?),
        }
    }
    Err(SaslError::Broker { mechanism, reason: "it does not come to an end".to_owned() }.into())
}

/// Before anything is heard from the broker, only our own name and password can be wrong.
fn judge(mechanism: Mechanism, heard: bool, error: &SessionError) -> SaslError {
    let reason = error.to_string();
    if heard { SaslError::Broker { mechanism, reason } } else { SaslError::Credentials { mechanism, reason } }
}

/// Looks for the iteration count of a SCRAM server's first message: `r=…,s=…,i=4096` (RFC 5802, section 7).
fn check_iterations(message: &[u8]) -> Result<(), String> {
    let Some(count) = message.split(|byte| *byte == b',').find_map(|field| field.strip_prefix(b"i=")) else {
        return Ok(());
    };
    let count = String::from_utf8_lossy(count);
    match count.parse::<u32>() {
        Ok(number) if (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&number) => Ok(()),
        _ => Err(format!("it asks for {count} iterations, and {ITERATIONS_MIN} to {ITERATIONS_MAX} are accepted")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn credentials(mechanism: Mechanism) -> Credentials {
        Credentials { mechanism, username: "user,=".to_owned(), password: "hunter2".to_owned() }
    }

    /// Authenticates against a broker that answers by a script; tells what it was sent.
    fn run(
        mechanism: Mechanism,
        mut answer: impl FnMut(usize, &str) -> String,
    ) -> (Vec<String>, Result<(), SaslError>) {
        let mut sent = Vec::new();
        let outcome = authenticate(&credentials(mechanism), |message| {
            let message = String::from_utf8(message.to_vec()).unwrap();
            let answer = answer(sent.len(), &message);
            sent.push(message);
            Ok::<_, SaslError>(answer)
        });
        (sent, outcome)
    }

    fn nonce(first: &str) -> &str {
        first.rsplit_once("r=").unwrap().1
    }

    #[test]
    fn plain_is_one_message() {
        let (sent, outcome) = run(Mechanism::Plain, |_, _| String::new());
        assert_eq!(outcome, Ok(()));
        assert_eq!(sent, ["\0user,=\0hunter2"]);
    }

    #[test]
    fn scram_never_sends_the_password_and_escapes_the_name() {
        for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
            let (sent, outcome) = run(mechanism, |step, message| match step {
                0 => format!("r={}more,s=c2FsdA==,i=4096", nonce(message)),
                // A broker that does not know the password cannot know this.
                _ => "v=aW1wb3N0b3I=".to_owned(),
            });
            assert!(sent[0].starts_with("n,,n=user=2C=3D,r="), "{}", sent[0]);
            assert!(sent[1].contains(",p=") && sent.len() == 2);
            assert!(sent.iter().all(|message| !message.contains("hunter2")));
            assert!(matches!(outcome, Err(SaslError::Broker { .. })), "{outcome:?}");
        }
    }

    #[test]
    fn a_broker_that_does_not_follow_scram_gets_no_proof() {
        type Answer = fn(&str) -> String;
        let cases: [(&str, Answer); 6] = [
            ("another nonce", |_| "r=other,s=c2FsdA==,i=4096".to_owned()),
            ("no nonce of its own", |ours| format!("r={ours},s=c2FsdA==,i=4096")),
            ("too few iterations", |ours| format!("r={ours}x,s=c2FsdA==,i=4095")),
            ("too many iterations", |ours| format!("r={ours}x,s=c2FsdA==,i=4000000000")),
            ("no iterations", |ours| format!("r={ours}x,s=c2FsdA==,i=")),
            ("nothing", |_| String::new()),
        ];
        for (case, answer) in cases {
            let (sent, outcome) = run(Mechanism::ScramSha256, |_, message| answer(nonce(message)));
            assert_eq!(sent.len(), 1, "{case}");
            assert!(matches!(outcome, Err(SaslError::Broker { .. })), "{case}: {outcome:?}");
        }
    }

    #[test]
    fn credentials_that_cannot_be_sent_are_ours() {
        let empty = Credentials { mechanism: Mechanism::Plain, username: String::new(), password: "p".to_owned() };
        let outcome = authenticate(&empty, |_| Ok::<_, SaslError>(Vec::new()));
        assert!(matches!(outcome, Err(SaslError::Credentials { .. })), "{outcome:?}");
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", credentials(Mechanism::Plain));
        assert!(shown.contains("user,=") && !shown.contains("hunter2"), "{shown}");
    }
}
