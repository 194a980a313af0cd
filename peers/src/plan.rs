//! Which run when, and how long it takes.

use std::{fmt::Write as _, time::Duration};

use ackmark_schema::{
    peers::Work,
    units::{Bytes, Count, grouped},
};
use rand::{RngExt as _, SeedableRng as _, seq::SliceRandom as _};
use rand_pcg::Pcg64Mcg;

use crate::{
    arguments::{Arguments, Kind},
    cell::{CELLS, CellPlan},
    contender::Contender,
    error::PeersError,
};

/// A whole series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The cells, in order, with the counts that were asked for.
    pub(crate) cells: Vec<CellPlan>,
    /// The contenders, in the order of the tables.
    pub(crate) contenders: Vec<Contender>,
    /// Rounds to be measured of each cell.
    pub(crate) rounds: u32,
    /// Messages that warm the brokers, the first cell's discarded round included.
    pub(crate) warm_up: u64,
    /// Of the order of contenders.
    pub(crate) seed: u64,
}

/// What a run takes beside its messages: a topic, a process, its first connection.
const RUN_OVERHEAD: Duration = Duration::from_millis(1200);
/// Building, starting and stopping brokers.
const START: Duration = Duration::from_secs(45);

impl Plan {
    /// What the flags ask for.
    ///
    /// # Errors
    /// They leave nothing to do.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, PeersError> {
        let wanted = |cell: &CellPlan| {
            arguments.only.is_none_or(|kind| cell.kind() == kind)
                && (arguments.cells.is_empty() || arguments.cells.iter().any(|named| named.name == cell.name))
        };
        let count = |cell: CellPlan| CellPlan { messages: arguments.messages.map_or(cell.messages, |n| n.0), ..cell };
        let cells: Vec<CellPlan> = CELLS.into_iter().filter(wanted).map(count).collect();
        if cells.is_empty() {
            return Err(PeersError::Usage("--only and --cells together leave nothing to measure".into()));
        }
        let follower = arguments.contenders.iter().find(|contender| contender.follows_kafka());
        if let Some(follower) = follower
            && !arguments.contenders.contains(&Contender::Kafka)
        {
            return Err(PeersError::Usage(format!(
                "{} follows the transactions of kafka: name that in --contenders, too",
                follower.name()
            )));
        }
        let named = |contender: &Contender| arguments.contenders.is_empty() || arguments.contenders.contains(contender);
        let takes_part = |contender: &Contender| cells.iter().any(|cell| contender.does(cell.kind()));
        let contenders: Vec<Contender> = Contender::ALL
            .into_iter()
            .filter(|contender| *contender == Contender::Ackmark || named(contender))
            .filter(takes_part)
            .collect();
        if contenders.len() < 2 {
            return Err(PeersError::Usage("--contenders names none that does what these cells are about".into()));
        }
        let seed = arguments.seed.unwrap_or_else(rand::random);
        Ok(Self { cells, contenders, rounds: arguments.rounds, warm_up: arguments.warm_up.0, seed })
    }

    /// Who runs in a round of a cell, in order: the same for the same seed, cell and round.
    pub(crate) fn order(&self, cell: &CellPlan, round: u32, of: &[Contender]) -> Vec<Contender> {
        let place = CELLS.iter().position(|known| known.name == cell.name).unwrap_or_default() as u64;
        let mut random = Pcg64Mcg::seed_from_u64(self.seed);
        // Each round of each cell draws from a seed of its own, so that leaving some out changes no other.
        let mut random = Pcg64Mcg::seed_from_u64(random.random::<u64>() ^ (place << 32 | u64::from(round)));
        let mut order: Vec<Contender> = of.iter().copied().filter(|contender| contender.does(cell.kind())).collect();
        order.shuffle(&mut random);
        order
    }

    /// Messages to send before the first cell, so that with its discarded round the warm-up is whole.
    pub(crate) fn warm_up_before(&self) -> u64 {
        let first = &self.cells[0];
        let discarded = match first.kind() {
            Kind::Consume => first.messages,
            kind => first.messages * self.contenders.iter().filter(|who| who.does(kind)).count() as u64,
        };
        self.warm_up.saturating_sub(discarded)
    }

    /// How long it takes, by rates that were measured on two cores (AMD EPYC).
    pub(crate) fn estimate(&self) -> Duration {
        let warm_up = Duration::from_secs_f64(self.warm_up_before() as f64 / 1e6);
        START + warm_up + self.cells_from(0)
    }

    /// How long the cells from one on take, by the same rates.
    pub(crate) fn cells_from(&self, first: usize) -> Duration {
        self.cells.iter().skip(first).map(|cell| self.cell_time(cell)).sum()
    }

    fn cell_time(&self, cell: &CellPlan) -> Duration {
        let runs = self.contenders.iter().filter(|contender| contender.does(cell.kind()));
        let round: Duration = runs.map(|contender| run_time(*contender, cell)).sum();
        let write = match cell.kind() {
            Kind::Produce | Kind::Transact => Duration::ZERO,
            Kind::Consume => Duration::from_secs_f64(cell.messages as f64 * cell_bytes(cell) / 150e6),
        };
        write + round * (self.rounds + 1)
    }

    /// The plan for a person to read.
    pub(crate) fn outline(&self) -> String {
        let mut text = String::new();
        let names: Vec<&str> = self.contenders.iter().map(|contender| contender.name()).collect();
        let _ = writeln!(text, "contenders: {}", names.join(", "));
        let _ = writeln!(
            text,
            "each cell:  1 discarded round and {} measured, every contender once in each, in random order (seed {})",
            self.rounds, self.seed
        );
        if self.warm_up_before() > 0 {
            let _ = writeln!(text, "warm-up:    {} messages before the first cell", grouped(self.warm_up_before()));
        }
        for cell in &self.cells {
            let _ = writeln!(
                text,
                "{:<24} {}, {} messages a run ({} with all replicas)",
                cell.name,
                cell.title,
                Count(cell.messages),
                Bytes(cell.topic_bytes()).approximate()
            );
        }
        let _ = writeln!(
            text,
            "it takes about {} min on two cores, and the first build some more",
            (self.estimate().as_secs_f64() / 60.0).ceil()
        );
        text
    }
}

fn cell_bytes(cell: &CellPlan) -> f64 {
    f64::from(cell.value_bytes + 20)
}

/// How long a run takes, from rates on two cores with three brokers on them.
fn run_time(contender: Contender, cell: &CellPlan) -> Duration {
    let small = cell.value_bytes <= 500;
    let per_s = match (cell.work, contender, small) {
        (Work::Produce { transaction_ms: Some(ms), .. }, who, _) if who.has_transactions() => {
            let (kafka, ackmark) = if ms < 50 { (0.3e6, 0.5e6) } else { (0.65e6, 1.1e6) };
            if who == Contender::Kafka { kafka } else { ackmark }
        }
        (Work::Produce { .. }, Contender::Kafka, true) => 0.8e6,
        (Work::Produce { .. }, Contender::Kafka, false) => 0.2e6,
        (Work::Produce { .. }, _, true) => 1.9e6,
        (Work::Produce { .. }, _, false) => 0.4e6,
        (Work::Consume, Contender::Ackmark, true) => 12e6,
        (Work::Consume, Contender::Ackmark, false) => 2.5e6,
        (Work::Consume, Contender::FranzGo, true) => 5e6,
        (Work::Consume, Contender::FranzGo, false) => 0.9e6,
        (Work::Consume, _, true) => 2.2e6,
        (Work::Consume, _, false) => 0.6e6,
    };
    let own = match (contender, cell.kind()) {
        // Joins a group first (group.initial.rebalance.delay.ms).
        (Contender::Kafka, Kind::Consume) => Duration::from_secs(4),
        (Contender::Kafka, Kind::Produce | Kind::Transact) => Duration::from_secs(1),
        _ => Duration::ZERO,
    };
    let topic = if cell.kind() == Kind::Consume { RUN_OVERHEAD / 3 } else { RUN_OVERHEAD };
    topic + own + Duration::from_secs_f64(cell.messages as f64 / per_s)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn plan(flags: &[&str]) -> Result<Plan, PeersError> {
        Plan::new(&Arguments::parse_from([&["peers", "--seed", "7"], flags].concat()))
    }

    #[test]
    fn the_order_follows_from_the_seed_and_differs_between_rounds() {
        use Contender::{Ackmark, FranzGo, Kafka, Librdkafka, RdkafkaPerformance};

        let all = plan(&[]).expect("defaults");
        let part = plan(&["--cells", "idempotent-100", "--rounds", "2"]).expect("one cell");
        let orders: Vec<_> = (0..6).map(|round| all.order(&CELLS[2], round, &Contender::ALL)).collect();
        for (round, order) in orders.iter().enumerate() {
            assert_eq!(order, &part.order(&CELLS[2], round as u32, &Contender::ALL), "other cells do not matter");
            let mut sorted = order.clone();
            sorted.sort();
            let senders = [Ackmark, Librdkafka, RdkafkaPerformance, FranzGo, Kafka];
            assert_eq!(sorted, senders, "each once, without kcat, which only reads");
        }
        assert!(orders.windows(2).any(|two| two[0] != two[1]));
        assert_ne!(orders[1..6], (1..6).map(|round| all.order(&CELLS[0], round, &Contender::ALL)).collect::<Vec<_>>());
    }

    #[test]
    fn the_default_series_takes_less_than_35_minutes_a_third_of_it_for_transactions() {
        let estimate = plan(&[]).expect("defaults").estimate();
        assert!((20 * 60..35 * 60).contains(&estimate.as_secs()), "{estimate:?}");
        let transactions = plan(&["--only", "transact"]).expect("three cells").cells_from(0);
        assert!((estimate / 4..estimate / 2).contains(&transactions), "{transactions:?} of {estimate:?}");
    }

    #[test]
    fn flags_choose_cells_counts_and_contenders() {
        let plan_of = plan(&["--only", "consume", "--contenders", "franz-go,rdkafka-performance", "-n", "10k"]);
        let chosen = plan_of.expect("it can be run");
        assert_eq!(chosen.contenders, [Contender::Ackmark, Contender::FranzGo], "rdkafka_performance sends only");
        assert_eq!(chosen.cells.len(), 4);
        assert!(chosen.cells.iter().all(|cell| cell.messages == 10_000));
        let nothing = plan(&["--only", "consume", "--cells", "all-acks-100"]).expect_err("nothing is left");
        assert!(nothing.to_string().contains("--only and --cells"), "{nothing}");
        let lonely = plan(&["--contenders", "ackmark-equal-time"]).expect_err("there is nobody to follow");
        assert!(lonely.to_string().contains("follows the transactions of kafka"), "{lonely}");
        let own = plan(&["--only", "transact", "--contenders", "ackmark-idempotent"]).expect("two settings of ackmark");
        assert_eq!(own.contenders, [Contender::Ackmark, Contender::AckmarkIdempotent]);
        let alone = plan(&["--only", "produce", "--contenders", "kcat"]).expect_err("nobody is left");
        assert!(alone.to_string().contains("--contenders"), "{alone}");
    }

    #[test]
    fn the_warm_up_is_what_the_discarded_round_leaves() {
        assert_eq!(plan(&[]).expect("defaults").warm_up_before(), 0);
        assert_eq!(plan(&["-n", "100k"]).expect("small").warm_up_before(), 9_500_000);
        assert_eq!(plan(&["-n", "100k", "--warm-up", "0"]).expect("small").warm_up_before(), 0);
    }

    #[test]
    fn the_plan_reads_well() {
        insta::assert_snapshot!(plan(&[]).expect("defaults").outline());
    }
}
