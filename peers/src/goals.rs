//! What ackmark asks of itself beside each contender. A goal is answered by the ratio's interval: reached where all of
//! it is, missed where none of it is, open otherwise.

use std::ops::RangeInclusive;

use ackmark_schema::{
    peers::{Bound, Goal, Measure, Ratio},
    result::Answer,
};
use ackmark_stats::{Interval, answer};

use crate::contender::Contender;

/// ackmark's rate over a contender's, by cell.
const RATES: [(&str, Contender, Bound); 18] = [
    ("all-acks-100", Contender::Kafka, Bound::AtLeast(2.5)),
    ("all-acks-100", Contender::RdkafkaPerformance, Bound::AtLeast(1.1)),
    ("all-acks-100", Contender::FranzGo, Bound::AtLeast(1.0)),
    ("all-acks-100", Contender::Librdkafka, Bound::Reaches(0.96)),
    ("leader-ack-100", Contender::Kafka, Bound::AtLeast(2.5)),
    ("leader-ack-100", Contender::RdkafkaPerformance, Bound::AtLeast(1.1)),
    ("leader-ack-100", Contender::FranzGo, Bound::AtLeast(1.0)),
    ("leader-ack-100", Contender::Librdkafka, Bound::Reaches(0.96)),
    ("idempotent-100", Contender::FranzGo, Bound::AtLeast(1.0)),
    ("all-acks-1024", Contender::Kafka, Bound::AtLeast(2.5)),
    ("all-acks-1024", Contender::RdkafkaPerformance, Bound::AtLeast(1.0)),
    ("all-acks-1024", Contender::FranzGo, Bound::AtLeast(0.95)),
    ("consume-100", Contender::FranzGo, Bound::AtLeast(3.0)),
    ("consume-100-one-broker", Contender::FranzGo, Bound::AtLeast(4.0)),
    ("consume-100-one-broker", Contender::Librdkafka, Bound::AtLeast(8.0)),
    ("consume-100-one-broker", Contender::Kafka, Bound::AtLeast(6.0)),
    ("consume-1024-one-broker", Contender::FranzGo, Bound::AtLeast(3.0)),
    ("transactions-100ms", Contender::AckmarkIdempotent, Bound::AtLeast(0.9)),
];
/// Likewise, with transactions of equal time.
const AT_EQUAL_TIME: (&str, Contender, Bound) = ("transactions-100ms", Contender::Kafka, Bound::AtLeast(2.0));
/// How far apart times are that count as equal: a tenth of the other's.
const EQUAL: RangeInclusive<f64> = 0.9..=1.1;
/// ackmark's CPU time over every contender's.
const CPU: Bound = Bound::Below(1.0);

/// The goal of a measure beside a contender in a cell, answered; `None` where there is none. `times`: the ratio of
/// transactions' times where rates at equal time are compared. Without it, or where they are not equal, that goal is open.
pub(crate) fn goal(
    cell: &str,
    contender: Contender,
    measure: Measure,
    ratio: Option<&Ratio>,
    times: Option<&Ratio>,
) -> Option<Goal> {
    let is_asked = |goal: &(&str, Contender, Bound)| goal.0 == cell && goal.1 == contender;
    let bound = match measure {
        Measure::Cpu if !contender.is_variant() => CPU,
        Measure::Interval => RATES.into_iter().find(is_asked)?.2,
        Measure::AtEqualTime | Measure::TwoIdsAtEqualTime => Some(AT_EQUAL_TIME).filter(is_asked)?.2,
        Measure::Cpu
        | Measure::AfterWarmUp
        | Measure::Process
        | Measure::BrokersCpu
        | Measure::TransactionTime
        | Measure::EqualTransactionTime
        | Measure::TwoIdsTransactionTime => return None,
    };
    let is_at_equal_time = matches!(measure, Measure::AtEqualTime | Measure::TwoIdsAtEqualTime);
    let is_comparable = !is_at_equal_time || times.is_some_and(are_equal);
    let ratio = ratio.filter(|_| is_comparable);
    let interval =
        ratio.and_then(|ratio| Some(Interval { low: ratio.low?, high: ratio.high?, confidence: ratio.confidence? }));
    let answer = match bound {
        Bound::AtLeast(least) => answer(interval, least, f64::INFINITY),
        Bound::Below(most) => answer(interval, 0.0, most),
        // Its upper end alone has a say.
        Bound::Reaches(least) => {
            answer(interval.map(|found| Interval { low: found.high, ..found }), least, f64::INFINITY)
        }
    };
    Some(Goal { bound, answer })
}

/// Whether all of the interval says so: rounds that are far off on either side may be equal on average.
fn are_equal(times: &Ratio) -> bool {
    times.low.zip(times.high).is_some_and(|(low, high)| EQUAL.contains(&low) && EQUAL.contains(&high))
}

/// `≥ 2.5: reached`.
pub(crate) fn words(goal: &Goal) -> String {
    let bound = match goal.bound {
        Bound::AtLeast(least) => format!("≥ {least}"),
        Bound::Reaches(least) => format!("up to ≥ {least}"),
        Bound::Below(most) => format!("CPU < {most}"),
    };
    let answer = match goal.answer {
        Answer::Confirmed => "reached",
        Answer::Refuted => "**missed**",
        Answer::Inconclusive => "open",
    };
    format!("{bound}: {answer}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell;

    fn ratio(low: f64, high: f64) -> Ratio {
        Ratio { ratio: f64::midpoint(low, high), low: Some(low), high: Some(high), confidence: Some(0.97), pairs: 6 }
    }

    fn said(contender: Contender, measure: Measure, ratio: &Ratio) -> String {
        goal("all-acks-100", contender, measure, Some(ratio), None).map_or("no goal".into(), |goal| words(&goal))
    }

    #[test]
    fn a_goal_is_reached_missed_or_open() {
        assert_eq!(said(Contender::Kafka, Measure::Interval, &ratio(2.5, 2.7)), "≥ 2.5: reached");
        assert_eq!(said(Contender::Kafka, Measure::Interval, &ratio(2.4, 2.7)), "≥ 2.5: open");
        assert_eq!(said(Contender::Kafka, Measure::Interval, &ratio(2.2, 2.4)), "≥ 2.5: **missed**");
        assert_eq!(said(Contender::Librdkafka, Measure::Interval, &ratio(0.9, 0.97)), "up to ≥ 0.96: reached");
        assert_eq!(said(Contender::Librdkafka, Measure::Interval, &ratio(0.9, 0.95)), "up to ≥ 0.96: **missed**");
        assert_eq!(said(Contender::Kcat, Measure::Cpu, &ratio(0.5, 0.9)), "CPU < 1: reached");
        assert_eq!(said(Contender::Kcat, Measure::Cpu, &ratio(1.1, 1.2)), "CPU < 1: **missed**");
        assert_eq!(said(Contender::Kcat, Measure::Process, &ratio(0.5, 0.9)), "no goal");
        let without = Ratio { low: None, high: None, confidence: None, pairs: 2, ..ratio(3.0, 3.0) };
        assert_eq!(said(Contender::Kafka, Measure::Interval, &without), "≥ 2.5: open", "too few pairs");
    }

    #[test]
    fn a_goal_at_equal_time_is_answered_only_where_times_are_equal_in_every_round() {
        let answer = |times: Option<&Ratio>| {
            let (cell, contender, _) = AT_EQUAL_TIME;
            goal(cell, contender, Measure::AtEqualTime, Some(&ratio(2.1, 2.5)), times).map(|goal| goal.answer)
        };
        assert_eq!(answer(Some(&ratio(0.95, 1.08))), Some(Answer::Confirmed));
        assert_eq!(answer(Some(&ratio(0.75, 1.25))), Some(Answer::Inconclusive), "equal on average only");
        assert_eq!(answer(Some(&ratio(1.2, 1.3))), Some(Answer::Inconclusive));
        let few = Ratio { low: None, high: None, confidence: None, pairs: 2, ..ratio(1.0, 1.0) };
        assert_eq!(answer(Some(&few)), Some(Answer::Inconclusive), "too few pairs");
        assert_eq!(answer(None), Some(Answer::Inconclusive), "nobody counted");
    }

    #[test]
    fn goals_are_of_cells_in_which_the_contender_competes() {
        for (name, contender, _) in RATES.into_iter().chain([AT_EQUAL_TIME]) {
            let cell = cell::named(name).expect("a cell");
            assert!(contender.does(cell.kind()), "{name} {contender:?}");
        }
    }
}
