//! What can go wrong between us and a broker. Each says what to do about it.

use std::io;

use kafka_protocol::ResponseError;
use thiserror::Error;

use crate::{config::Address, patience::Patience, sasl::SaslError, socket::ConnectError};

/// A broker could not be asked, or its answer cannot be used.
#[derive(Debug, Error)]
pub enum WireError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker does not let us in.
    #[error("broker {address}: {source}")]
    Sasl {
        /// The broker.
        address: Address,
        /// Why.
        source: SaslError,
    },
    /// A connection that ended or went silent.
    #[error("broker {address}, asked for {api}: {source}")]
    Disconnected {
        /// The broker.
        address: Address,
        /// What was asked.
        api: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A connection that is closed before the broker has let us in.
    #[error(
        "broker {address} closed the connection when it was asked for {api}: does security.protocol fit this listener \
         (TLS, SASL)? Or is the broker just being stopped?"
    )]
    NotLetIn {
        /// The broker.
        address: Address,
        /// What was asked.
        api: &'static str,
    },
    /// Something else than a Kafka broker, or a broker's listener for another protocol.
    #[error("{address} does not answer as a Kafka broker does ({what}): does security.protocol fit this listener?")]
    NotKafka {
        /// The broker.
        address: Address,
        /// What it did.
        what: String,
    },
    /// The broker lacks what is needed.
    #[error(
        "broker {address} offers {api} {offered}, and the log reader needs {needed}: read with the librdkafka consumer"
    )]
    NotSpoken {
        /// The broker.
        address: Address,
        /// The request.
        api: &'static str,
        /// What the broker offers.
        offered: String,
        /// What would do.
        needed: String,
    },
    /// An answer that does not follow the protocol.
    #[error(
        "broker {address}: its answer to {api} cannot be read ({what}): please report it, with the broker's version"
    )]
    Malformed {
        /// The broker.
        address: Address,
        /// The request.
        api: &'static str,
        /// What is wrong.
        what: String,
    },
    /// A request of ours that cannot be written in the version that the broker speaks.
    #[error("{api} cannot be written for broker {address} ({what}): please report it, with the broker's version")]
    Unwritable {
        /// The broker.
        address: Address,
        /// The request.
        api: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The broker refused.
    #[error("broker {address} refused {api}: {code:?}: {code}")]
    Refused {
        /// The broker.
        address: Address,
        /// What was asked.
        api: &'static str,
        /// Kafka's error.
        code: ResponseError,
    },
    /// An offset of a partition that nobody tells.
    #[error("partition {partition} of {topic}: its offsets are not told: {code:?}: {code}")]
    Offset {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Kafka's error.
        code: ResponseError,
    },
    /// None of the brokers can be used.
    #[error("none of the brokers can be used; the last one tried: {last}")]
    NoBroker {
        /// Why the last one that was tried does not.
        last: Box<WireError>,
    },
    /// Told to stop.
    #[error("interrupted")]
    Stopped,
    /// A thread of ours panicked.
    #[error("a reading thread panicked, which is a fault of ackmark ({what}): please report it")]
    Panicked {
        /// The panic's message.
        what: String,
    },
}

impl WireError {
    /// Whether the broker lacks what the log reader needs, so that a librdkafka consumer may still do.
    pub fn is_not_spoken(&self) -> bool {
        match self {
            Self::NotSpoken { .. } => true,
            Self::NoBroker { last } => last.is_not_spoken(),
            _ => false,
        }
    }

    /// Whether asking again, or asking another broker, may help.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_retriable(),
            Self::Disconnected { .. } | Self::NotLetIn { .. } => true,
            Self::Refused { code, .. } | Self::Offset { code, .. } => may_pass(*code),
            Self::NoBroker { last } => last.is_retriable(),
            _ => false,
        }
    }

    /// The error of a wait, or that it was told to stop.
    pub(crate) fn unless_stopped(self, patience: &Patience<'_>) -> Self {
        if patience.is_stopped() { Self::Stopped } else { self }
    }
}

/// Whether an error in a broker's answer may be gone when it is asked again, or when the leader is asked.
pub fn may_pass(code: ResponseError) -> bool {
    code.is_retriable() || code == ResponseError::UnknownServerError
}
