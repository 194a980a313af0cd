//! Seconds (in short runs quarters of a second) of single producers into the timeline, the latency log and the run's latencies.
//!
//! A second is complete when every producer has closed it or ended. At most a few seconds are open at a
//! time; the timeline holds one small entry per second of the run.

use std::{collections::VecDeque, io, sync::mpsc::Sender, time::Duration};

use ackmark_schema::report::timeline::Second;
use hdrhistogram::Histogram;

use crate::{
    hlog::LatencyLog,
    latency::{self, Latencies},
};

const SECOND_NS: u64 = 1_000_000_000;

/// One second of one producer.
#[derive(Debug)]
pub(crate) struct ProducerSecond {
    /// Its number.
    pub(crate) producer: u32,
    /// Which second, from 0.
    pub(crate) second: u64,
    /// When it began, nanoseconds from the start.
    pub(crate) from_ns: u64,
    /// How long it was.
    pub(crate) length_ns: u64,
    /// Messages sent until its end.
    pub(crate) sent: u64,
    /// Messages outstanding at its end.
    pub(crate) outstanding: u64,
    /// Messages delivered in it.
    pub(crate) delivered: u64,
    /// Messages reported with an error in it.
    pub(crate) errors: u64,
    /// Its latencies, in an open loop.
    pub(crate) latencies: Option<Box<Latencies>>,
}

/// A second that not every producer has closed.
#[derive(Debug, Default)]
struct OpenSecond {
    sum: Second,
    /// The sum so far, in the histograms of one of the producers.
    latencies: Option<(u32, Box<Latencies>)>,
}

/// What one producer has told so far.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    sent: u64,
    closed: u64,
    ended: bool,
}

/// Joins producers' seconds.
pub(crate) struct Collector<'f> {
    told: Vec<Told>,
    /// Emptied histograms go back to their producer.
    spare: Vec<Sender<Box<Latencies>>>,
    open: VecDeque<OpenSecond>,
    /// `None` also once it could not be written.
    log: Option<LatencyLog<'f>>,
    /// Complete seconds.
    pub(crate) seconds: Vec<Second>,
    /// The measured latencies of the run.
    pub(crate) latencies: Latencies,
}

impl<'f> Collector<'f> {
    /// A collector of as many producers as there are ways back for their histograms.
    pub(crate) fn new(spare: Vec<Sender<Box<Latencies>>>, log: Option<LatencyLog<'f>>) -> Self {
        Self {
            told: vec![Told::default(); spare.len()],
            spare,
            open: VecDeque::new(),
            log,
            seconds: Vec::new(),
            latencies: Latencies::new(),
        }
    }

    /// Takes a producer's second; they come in order.
    ///
    /// # Errors
    /// The latency log cannot be written; it is told once, and the seconds go on without it.
    pub(crate) fn take(&mut self, mut part: ProducerSecond) -> io::Result<()> {
        let at = (part.second - self.seconds.len() as u64) as usize;
        while self.open.len() <= at {
            self.open.push_back(OpenSecond::default());
        }
        let told = &mut self.told[part.producer as usize];
        let (open, length_s) = (&mut self.open[at], part.length_ns as f64 / 1e9);
        open.sum.from_s = part.from_ns as f64 / 1e9;
        open.sum.length_s = open.sum.length_s.max(length_s);
        open.sum.sent += part.sent - told.sent;
        open.sum.delivered += part.delivered;
        open.sum.errors += part.errors;
        open.sum.outstanding += part.outstanding;
        told.sent = part.sent;
        told.closed += 1;
        if let Some(found) = part.latencies.take() {
            match &mut open.latencies {
                None => open.latencies = Some((part.producer, found)),
                Some((_, sum)) => {
                    sum.add(&found);
                    self.give_back(part.producer, found);
                }
            }
        }
        self.complete()
    }

    /// A producer's seconds are all there.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(crate) fn end(&mut self, producer: u32) -> io::Result<()> {
        self.told[producer as usize].ended = true;
        self.complete()
    }

    /// Finishes the seconds that nothing can be added to.
    fn complete(&mut self) -> io::Result<()> {
        let mut written = Ok(());
        loop {
            let second = self.seconds.len() as u64;
            if self.open.is_empty() || !self.told.iter().all(|told| told.ended || told.closed > second) {
                return written;
            }
            let Some(mut done) = self.open.pop_front() else { return written };
            if let Some((owner, latencies)) = done.latencies.take() {
                self.finish_latencies(&mut done.sum, &latencies);
                written = written.and(self.write_log(&done.sum, &latencies));
                self.give_back(owner, latencies);
            }
            self.seconds.push(done.sum);
        }
    }

    fn write_log(&mut self, second: &Second, found: &Latencies) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let from = Duration::from_secs_f64(second.from_s);
        let length = Duration::from_nanos((second.length_s * SECOND_NS as f64) as u64);
        let written = log.write("intended", from, length, &found.intended);
        written.and_then(|()| log.write("send", from, length, &found.send)).inspect_err(|_| self.log = None)
    }

    fn finish_latencies(&mut self, second: &mut Second, found: &Latencies) {
        self.latencies.add(found);
        if found.warm_up.is_empty() {
            set_percentiles(second, &found.intended);
        } else {
            let mut both = found.warm_up.clone();
            latency::add(&mut both, &found.intended);
            set_percentiles(second, &both);
        }
    }

    fn give_back(&self, producer: u32, mut histograms: Box<Latencies>) {
        histograms.clear();
        // A producer that has ended needs none.
        let _ = self.spare[producer as usize].send(histograms);
    }
}

fn set_percentiles(second: &mut Second, histogram: &Histogram<u64>) {
    if histogram.is_empty() {
        return;
    }
    second.p50_us = Some(histogram.value_at_quantile(0.5));
    second.p99_us = Some(histogram.value_at_quantile(0.99));
    second.max_us = Some(histogram.max());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hlog::LatencyFile;
    use std::sync::mpsc::channel;

    fn part(producer: u32, second: u64, sent: u64, latency_us: u64) -> ProducerSecond {
        let mut latencies = Box::new(Latencies::new());
        latencies.intended.record(latency_us).unwrap();
        ProducerSecond {
            producer,
            second,
            from_ns: second * SECOND_NS,
            length_ns: SECOND_NS,
            sent,
            outstanding: 2,
            delivered: 3,
            errors: 1,
            latencies: Some(latencies),
        }
    }

    #[test]
    fn a_second_is_complete_when_every_producer_closed_it_or_ended() {
        let (first_back, first_spare) = channel();
        let (second_back, second_spare) = channel();
        let mut collector = Collector::new(vec![first_back, second_back], None);
        collector.take(part(0, 0, 10, 100)).unwrap();
        collector.take(part(0, 1, 25, 300)).unwrap();
        assert!(collector.seconds.is_empty());
        collector.take(part(1, 0, 7, 200)).unwrap();
        assert_eq!(collector.seconds.len(), 1);
        let second = collector.seconds[0];
        assert_eq!((second.sent, second.delivered, second.errors, second.outstanding), (17, 6, 2, 4));
        assert_eq!((second.p50_us, second.max_us), (Some(100), Some(200)));
        // The other one ended within the second.
        collector.end(1).unwrap();
        assert_eq!(collector.seconds.len(), 2);
        assert_eq!((collector.seconds[1].sent, collector.seconds[1].p99_us), (15, Some(300)));
        collector.end(0).unwrap();
        assert_eq!(collector.seconds.len(), 2);
        assert_eq!(collector.latencies.intended.len(), 3);
        for (spare, sets) in [(first_spare, 2), (second_spare, 1)] {
            let back: Vec<Box<Latencies>> = spare.try_iter().collect();
            assert_eq!(back.len(), sets, "every set of histograms comes back to its producer");
            assert!(back.iter().all(|set| set.intended.is_empty()));
        }
    }

    #[test]
    fn a_log_that_cannot_be_written_is_told_once_and_the_seconds_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, fill) = LatencyFile::on_a_disk_that_fills(folder.path());
        let log = file.begin(0).unwrap();
        fill();
        let (back, _spare) = channel();
        let mut collector = Collector::new(vec![back], Some(log));
        assert!(collector.take(part(0, 0, 10, 100)).is_err());
        collector.take(part(0, 1, 25, 300)).unwrap();
        collector.end(0).unwrap();
        assert_eq!((collector.seconds.len(), collector.latencies.intended.len()), (2, 2));
        assert_eq!(collector.seconds[1].p99_us, Some(300));
    }
}
