//! Any text in `Fn-Deadline` is no deadline, or two instants in order that the clock can hold.

use crate::vectors_time;
use fdk_runtime::Deadline;
use jiff::Timestamp;
use std::time::{Duration, Instant};

const YEAR: Duration = Duration::from_hours(365 * 24);

/// Takes an input through; one that is no text is none.
pub fn run(input: &[u8]) {
    let Ok(header) = std::str::from_utf8(input) else { return };
    let (now, instant) = (vectors_time(), Instant::now());
    let Some(deadline) = Deadline::parse(header, now, instant) else { return };
    assert!(instant <= deadline.soft() && deadline.soft() <= deadline.hard());
    assert!(deadline.hard() <= instant + YEAR);
    // Both margins are parts of what is left on arrival.
    let left = deadline.at().duration_since(now).unwrap_or_default().min(YEAR);
    let hard = left.saturating_sub((left / 10).min(Duration::from_millis(50)));
    let soft = hard.saturating_sub((left / 5).min(Duration::from_millis(250)));
    assert_eq!((deadline.hard(), deadline.soft()), (instant + hard, instant + soft));
    let text = Timestamp::try_from(deadline.at()).expect("it was a time").to_string();
    assert_eq!(Deadline::parse(&text, now, instant), Some(deadline));
}
