//! This process' CPU time.

use ackmark_schema::report::CpuTime;

/// CPU time so far, from `/proc/self/stat` (steps of 10 ms); zero where that cannot be read.
pub(crate) fn cpu_time() -> CpuTime {
    let Ok(stat) = procfs::process::Process::myself().and_then(|process| process.stat()) else {
        return CpuTime::default();
    };
    let ticks_per_s = procfs::ticks_per_second() as f64;
    CpuTime { user_s: stat.utime as f64 / ticks_per_s, system_s: stat.stime as f64 / ticks_per_s }
}
