//! What load, seal, verify and process found: one JSON file each in the folder of the load or of the group.

pub mod coordinators;
pub mod load;
pub mod process;
pub mod seal;
pub mod timeline;
pub mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// File name, in a load folder, of the interval log of latencies to a live reader.
pub const END_TO_END_FILE: &str = "end-to-end.hlog";
/// File name of the interval log of how long transactions took to be shown to it.
pub const VISIBILITY_FILE: &str = "visibility.hlog";

/// The name of a report of an incarnation that another one followed: `load-i0.json` for `load.json`.
pub fn of_incarnation(file: &str, incarnation: u32) -> String {
    let (name, kind) = file.split_once('.').unwrap_or((file, "json"));
    format!("{name}-i{incarnation}.{kind}")
}

/// CPU time of a process.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuTime {
    /// Seconds in user mode.
    pub user_s: f64,
    /// Seconds in the kernel.
    pub system_s: f64,
}

impl CpuTime {
    /// User and system together.
    pub fn total_s(self) -> f64 {
        self.user_s + self.system_s
    }
}

impl std::ops::Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user_s: self.user_s - earlier.user_s, system_s: self.system_s - earlier.system_s }
    }
}

impl std::ops::Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user_s: self.user_s + other.user_s, system_s: self.system_s + other.system_s }
    }
}

/// How a child's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// All that was asked for.
    Completed,
    /// Stopped by a signal; what was measured is reported.
    Interrupted,
    /// Stopped by an error; what was measured is reported.
    Failed,
}
