//! Who competes in what.

use clap::ValueEnum;

use crate::arguments::Kind;

/// A contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Contender {
    /// `ackmark load` with verification data on, `ackmark verify` of the whole log
    Ackmark,
    /// ackmark with transactions that take as long, from begin to committed, as those of Kafka's tool
    AckmarkEqualTime,
    /// The same by two producers, so that one's transaction is open while the other's ends
    AckmarkTwoIds,
    /// ackmark without transactions: idempotent
    AckmarkIdempotent,
    /// ackmark without transactions and idempotence: acks=all
    AckmarkAllAcks,
    /// The bare librdkafka loop: the client crate's examples `bare_loop` and `bare_read`
    Librdkafka,
    /// librdkafka's own benchmark
    RdkafkaPerformance,
    /// A small driver on franz-go
    FranzGo,
    /// `kafka-producer-perf-test` and `kafka-consumer-perf-test`
    Kafka,
    /// kcat
    Kcat,
}

impl Contender {
    /// All, in the order of the tables.
    pub(crate) const ALL: [Self; 10] = [
        Self::Ackmark,
        Self::AckmarkEqualTime,
        Self::AckmarkTwoIds,
        Self::AckmarkIdempotent,
        Self::AckmarkAllAcks,
        Self::Librdkafka,
        Self::RdkafkaPerformance,
        Self::FranzGo,
        Self::Kafka,
        Self::Kcat,
    ];

    /// As on the command line and in the result.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ackmark => "ackmark",
            Self::AckmarkEqualTime => "ackmark-equal-time",
            Self::AckmarkTwoIds => "ackmark-two-ids",
            Self::AckmarkIdempotent => "ackmark-idempotent",
            Self::AckmarkAllAcks => "ackmark-all-acks",
            Self::Librdkafka => "librdkafka",
            Self::RdkafkaPerformance => "rdkafka-performance",
            Self::FranzGo => "franz-go",
            Self::Kafka => "kafka",
            Self::Kcat => "kcat",
        }
    }

    /// As people know it.
    pub(crate) fn label(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Ackmark, Kind::Produce) => "**ackmark load**, verification data on",
            (Self::Ackmark, Kind::Transact) => "**ackmark load**, transactional, verification data on",
            (Self::AckmarkEqualTime, _) => "ackmark load, transactions as long as Kafka's",
            (Self::AckmarkTwoIds, _) => "ackmark load, the same by two transactional ids",
            (Self::AckmarkIdempotent, _) => "ackmark load, idempotent",
            (Self::AckmarkAllAcks, _) => "ackmark load, acks=all",
            (Self::Ackmark, Kind::Consume) => "**ackmark verify**, the whole log judged",
            (Self::Librdkafka, Kind::Produce | Kind::Transact) => "bare librdkafka loop",
            (Self::Librdkafka, Kind::Consume) => "librdkafka batch-consume loop",
            (Self::RdkafkaPerformance, _) => "rdkafka_performance",
            (Self::FranzGo, Kind::Produce | Kind::Transact) => "franz-go",
            (Self::FranzGo, Kind::Consume) => "franz-go bare consumer",
            (Self::Kafka, Kind::Produce | Kind::Transact) => "kafka-producer-perf-test",
            (Self::Kafka, Kind::Consume) => "kafka-consumer-perf-test",
            (Self::Kcat, _) => "kcat",
        }
    }

    /// Whether it competes in cells of that kind.
    pub(crate) fn does(self, kind: Kind) -> bool {
        match kind {
            Kind::Produce => self != Self::Kcat && !self.is_variant(),
            Kind::Transact => self == Self::Ackmark || self.is_variant() || self == Self::Kafka,
            Kind::Consume => self != Self::RdkafkaPerformance && !self.is_variant(),
        }
    }

    /// Whether it is ackmark itself with another setting than the cell's.
    pub(crate) fn is_variant(self) -> bool {
        self.follows_kafka() || matches!(self, Self::AckmarkIdempotent | Self::AckmarkAllAcks)
    }

    /// Whether its transactions are to take as long as those of Kafka's tool.
    pub(crate) fn follows_kafka(self) -> bool {
        matches!(self, Self::AckmarkEqualTime | Self::AckmarkTwoIds)
    }

    /// Producers, each with a `transactional.id` of its own in a cell with transactions.
    pub(crate) fn producers(self) -> u32 {
        if self == Self::AckmarkTwoIds { 2 } else { 1 }
    }

    /// Whether it produces in transactions where a cell asks for them.
    pub(crate) fn has_transactions(self) -> bool {
        self.follows_kafka() || matches!(self, Self::Ackmark | Self::Kafka)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for contender in Contender::ALL {
            let typed = contender.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(typed.as_deref(), Some(contender.name()));
        }
        assert_eq!(Contender::ALL.len(), Contender::value_variants().len());
    }
}
