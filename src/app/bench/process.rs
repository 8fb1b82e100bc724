//! What the system says about processes: processor time and peak memory, from `/proc`.
//!
//! Where there is no `/proc` the figures are left out; nothing is guessed.

use std::time::Duration;

/// Clock ticks per second in `/proc/PID/stat`; a constant of Linux's interface to programs.
const TICKS_PER_SECOND: u64 = 100;
/// Places in `/proc/PID/stat`, counted from after the name in parentheses.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// Processor time that a process has used, in its own code and in the kernel.
pub fn processor_time(process: u32) -> Option<Duration> {
    time_in(&fields(&process.to_string())?)
}

/// Processor time of a process and its living children together: PostgreSQL works in children.
pub fn processor_time_of_family(process: u32) -> Option<Duration> {
    let mut total = processor_time(process)?;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(fields) = entry.file_name().to_str().and_then(fields) else {
            continue;
        };
        if fields.get(PARENT).and_then(|parent| parent.parse().ok()) == Some(process) {
            total += time_in(&fields).unwrap_or_default();
        }
    }
    Some(total)
}

/// The most memory that a process ever had resident, in bytes.
pub fn peak_memory_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// The memory that a process has resident now, in bytes.
pub fn memory_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// The processor's name.
pub fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn fields(process: &str) -> Option<Vec<String>> {
    if !process.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    after_name(&text)
}

/// The name is in parentheses and may hold blanks and parentheses itself.
fn after_name(stat: &str) -> Option<Vec<String>> {
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn time_in(fields: &[String]) -> Option<Duration> {
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let total = ticks(USER_TICKS)? + ticks(SYSTEM_TICKS)?;
    Some(Duration::from_millis(total * 1_000 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_past_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a) b)) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 9 9 20 0 3 0 100 1 1";
        let fields = after_name(stat).expect("fields");
        assert_eq!(fields.get(PARENT).map(String::as_str), Some("7"));
        assert_eq!(time_in(&fields), Some(Duration::from_secs(2)));
    }
}
