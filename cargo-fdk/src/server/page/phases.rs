//! A call's time in parts: those that the platform sees, and those that the function tells in its log.

use crate::calls::Record;
use std::time::Duration;

/// Name and length of each part, in their order; those without length are left out.
pub(super) fn of(record: &Record) -> Vec<(&'static str, Duration)> {
    let lines = record.logs.lines();
    let about_call = |line: &&String| line.contains(&record.id);
    let told = lines.iter().filter(about_call).find_map(|line| ms(line, &["ms=", "\"ms\":"]));
    // The start report stands in a call's log when loading ended during the call, which waited for it.
    let ready = lines.iter().find_map(|line| ms(line, &["ready in ", "\"total_ms\":"]));
    let handled = told.unwrap_or(record.call).min(record.call);
    let load = ready.unwrap_or_default().saturating_sub(record.start).min(handled);
    let parts = [
        ("queue", record.queued),
        ("start", record.start),
        ("load", load),
        ("inference", handled.saturating_sub(load)),
        ("reply", record.call.saturating_sub(handled)),
    ];
    parts.into_iter().filter(|(_, took)| !took.is_zero()).collect()
}

/// The milliseconds behind one of these words.
fn ms(line: &str, words: &[&str]) -> Option<Duration> {
    let rest = words.iter().find_map(|word| Some(line.split_once(word)?.1))?;
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let ms = number.parse::<f64>().ok().filter(|ms| ms.is_finite() && *ms < 1e9)?;
    Some(Duration::from_secs_f64(ms / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_either_format() {
        let millis = |ms| Some(Duration::from_millis(ms));
        assert_eq!(ms("INFO call call_id=01 ms=12.0 in=3", &["ms="]), millis(12));
        assert_eq!(ms("{\"call_id\":\"01\",\"ms\":7,\"in\":3}", &["ms=", "\"ms\":"]), millis(7));
        assert_eq!(ms("ready in 80 ms (bind 1 ms)", &["ready in "]), millis(80));
        assert_eq!(ms("ms=x", &["ms="]), None);
    }

    #[test]
    fn what_nobody_told_is_inference() {
        let record =
            Record { call: Duration::from_millis(5), queued: Duration::from_millis(1), ..Record::default() };
        assert_eq!(
            of(&record),
            [("queue", Duration::from_millis(1)), ("inference", Duration::from_millis(5))]
        );
    }
}
