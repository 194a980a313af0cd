//! Who competes in what.

use clap::ValueEnum;

use crate::arguments::Kind;

/// A contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Contender {
    /// `ackmark load` with verification data on, `ackmark verify` of the whole log
    Ackmark,
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
    pub(crate) const ALL: [Self; 6] =
        [Self::Ackmark, Self::Librdkafka, Self::RdkafkaPerformance, Self::FranzGo, Self::Kafka, Self::Kcat];

    /// As on the command line and in the result.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ackmark => "ackmark",
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
            (Self::Ackmark, Kind::Consume) => "**ackmark verify**, the whole log judged",
            (Self::Librdkafka, Kind::Produce) => "bare librdkafka loop",
            (Self::Librdkafka, Kind::Consume) => "librdkafka batch-consume loop",
            (Self::RdkafkaPerformance, _) => "rdkafka_performance",
            (Self::FranzGo, Kind::Produce) => "franz-go",
            (Self::FranzGo, Kind::Consume) => "franz-go bare consumer",
            (Self::Kafka, Kind::Produce) => "kafka-producer-perf-test",
            (Self::Kafka, Kind::Consume) => "kafka-consumer-perf-test",
            (Self::Kcat, _) => "kcat",
        }
    }

    /// Whether it competes in cells of that kind.
    pub(crate) fn does(self, kind: Kind) -> bool {
        match kind {
            Kind::Produce => self != Self::Kcat,
            Kind::Consume => self != Self::RdkafkaPerformance,
        }
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
