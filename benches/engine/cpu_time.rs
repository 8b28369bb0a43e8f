//! The CPU time of this process.

use std::time::Duration;

/// The CPU time of all threads together so far, in steps of 10 ms. It depends less on what else the machine does than the time
/// by the clock.
pub fn cpu_time() -> Duration {
    const MILLIS_PER_TICK: u64 = 10;
    let status = std::fs::read_to_string("/proc/self/stat").expect("the status of the process");
    // The second field is the name in parentheses; fields 14 and 15 are user and system time.
    let fields = status.rsplit(')').next().expect("fields").split_whitespace();
    let ticks = fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * MILLIS_PER_TICK)
}
