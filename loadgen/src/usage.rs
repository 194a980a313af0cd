//! What the machine gave this process: CPU time, context switches, time stolen by the hypervisor.

use ackmark_schema::report::CpuTime;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use procfs::CurrentSI;

/// A reading; figures are differences of two.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// CPU time of this process.
    pub(crate) cpu: CpuTime,
    /// Involuntary context switches of this process.
    pub(crate) involuntary_switches: u64,
    /// Ticks of all processors: stolen, and altogether; absent where the kernel tells none.
    ticks: Option<(u64, u64)>,
}

impl Usage {
    /// Reads now.
    pub(crate) fn now() -> Self {
        let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        // Fails only for an invalid argument.
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        Self {
            cpu: usage.map_or_else(CpuTime::default, |usage| CpuTime {
                user_s: seconds(usage.user_time()),
                system_s: seconds(usage.system_time()),
            }),
            involuntary_switches: usage.map_or(0, |usage| usage.involuntary_context_switches() as u64),
            ticks: ticks(),
        }
    }

    /// Share of all processors' time that was stolen since `earlier`, 0 to 1.
    pub(crate) fn steal_share_since(&self, earlier: &Self) -> Option<f64> {
        let ((stolen, all), (stolen_before, all_before)) = (self.ticks?, earlier.ticks?);
        let passed = all.checked_sub(all_before).filter(|passed| *passed > 0)?;
        Some(stolen.saturating_sub(stolen_before) as f64 / passed as f64)
    }
}

/// Stolen and all ticks of `/proc/stat`'s first line. Guest time is within user time there.
fn ticks() -> Option<(u64, u64)> {
    let cpu = procfs::KernelStats::current().ok()?.total;
    let steal = cpu.steal?;
    let all = [cpu.user, cpu.nice, cpu.system, cpu.idle, steal].into_iter().sum::<u64>()
        + [cpu.iowait, cpu.irq, cpu.softirq].into_iter().flatten().sum::<u64>();
    Some((steal, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_cpu_time() {
        let before = Usage::now();
        let mut sum = 0_u64;
        while (Usage::now().cpu - before.cpu).total_s() < 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = Usage::now();
        assert!(after.involuntary_switches >= before.involuntary_switches);
        assert!(after.steal_share_since(&before).is_none_or(|share| (0.0..=1.0).contains(&share)));
    }
}
