//! An often-quoted claim against a measured interval.

use ackmark_schema::result::Answer;

use crate::paired::Interval;

/// Whether the ratio lies in the claimed range: confirmed when the whole interval does, refuted when the
/// whole interval does not, and inconclusive otherwise or without an interval.
pub fn answer(measured: Option<Interval>, claimed_low: f64, claimed_high: f64) -> Answer {
    match measured {
        Some(interval) if interval.low >= claimed_low && interval.high <= claimed_high => Answer::Confirmed,
        Some(interval) if interval.high < claimed_low || interval.low > claimed_high => Answer::Refuted,
        _ => Answer::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_confirms_refutes_or_leaves_open() {
        let measured = |low, high| answer(Some(Interval { low, high, confidence: 0.97 }), 0.5, 0.7);
        assert_eq!(measured(0.55, 0.65), Answer::Confirmed);
        assert_eq!(measured(0.5, 0.7), Answer::Confirmed);
        assert_eq!(measured(0.71, 0.9), Answer::Refuted);
        assert_eq!(measured(0.2, 0.49), Answer::Refuted);
        assert_eq!(measured(0.65, 0.75), Answer::Inconclusive);
        assert_eq!(measured(0.4, 0.8), Answer::Inconclusive);
        assert_eq!(answer(None, 0.5, 0.7), Answer::Inconclusive);
    }
}
