//! The machine of the load.

use std::{fs, thread};

use ackmark_schema::result::Environment;
use procfs::{Current as _, FromRead as _};

/// What this machine says of itself; what it does not say is empty or absent.
pub fn environment(java_version: Option<String>) -> Environment {
    let uname = rustix::system::uname();
    Environment {
        host: uname.nodename().to_string_lossy().into_owned(),
        cpu_model: cpu_model().unwrap_or_default(),
        cpus: cpus(),
        memory_bytes: procfs::Meminfo::current().map(|memory| memory.mem_total).unwrap_or_default(),
        kernel: uname.release().to_string_lossy().into_owned(),
        librdkafka_version: ackmark_client::librdkafka_version(),
        java_version,
        cpu_governor: fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
            .ok()
            .map(|governor| governor.trim().to_owned()),
    }
}

/// Processors that this process may use.
fn cpus() -> u32 {
    thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32)
}

fn cpu_model() -> Option<String> {
    let info = procfs::CpuInfo::from_file("/proc/cpuinfo").ok()?;
    info.model_name(0).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_what_it_is() {
        let found = environment(Some("17".into()));
        assert!(!found.host.is_empty() && !found.kernel.is_empty());
        assert!(found.cpus > 0 && found.memory_bytes > 1 << 20);
        assert_eq!(found.java_version.as_deref(), Some("17"));
    }
}
