//! `Fn-Deadline` → the two instants a call lives by, and the token that stops its work.
//!
//! The agent kills the container, and the loaded model with it, when its own timer fires first. So the function answers
//! 504 itself a little earlier (the *hard* instant), and asks the work to stop a little before that (the *soft* one).
//! The header has whole seconds, cut off, so the real cut-off is up to a second later than it says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// When a call must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: SystemTime,
    hard: Instant,
    soft: Instant,
}

impl Deadline {
    /// Reads an RFC 3339 time with `Z`, an offset or fractions. `None` when it is none of these: a call with a header
    /// that makes no sense is answered without a deadline rather than refused.
    pub fn parse(header: &str, now: SystemTime, instant: Instant) -> Option<Self> {
        let at = SystemTime::from(header.trim().parse::<jiff::Timestamp>().ok()?);
        let left = at.duration_since(now).unwrap_or(Duration::ZERO);
        // A date centuries away must not overflow the clock.
        let left = left.min(Duration::from_hours(24 * 365));
        let before_hard = (left / 10).min(Duration::from_millis(50));
        let until_hard = left.saturating_sub(before_hard);
        let until_soft = until_hard.saturating_sub((left / 5).min(Duration::from_millis(250)));
        Some(Self { at, hard: instant + until_hard, soft: instant + until_soft })
    }

    /// The deadline as the platform gave it.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// When the function answers 504 by itself: the deadline less 50 ms, or less a tenth of what was left on arrival.
    pub fn hard(&self) -> Instant {
        self.hard
    }

    /// When work is asked to stop: `hard` less 250 ms, or less a fifth of what was left on arrival.
    pub fn soft(&self) -> Instant {
        self.soft
    }

    /// Whether the call came too late to be answered at all.
    pub(crate) fn is_past(&self, now: Instant) -> bool {
        self.hard <= now
    }
}

/// Tells work that nobody waits for it any more: the soft deadline has come, the 504 was sent, or the caller left.
///
/// Cheap to clone and to ask; ask it between units of work that take a few milliseconds each.
#[derive(Debug, Clone)]
pub struct Cancellation {
    gone: Arc<AtomicBool>,
    soft: Option<Instant>,
}

impl Cancellation {
    pub(crate) fn new(soft: Option<Instant>) -> Self {
        Self { gone: Arc::default(), soft }
    }

    /// Whether the work should stop now.
    pub fn is_cancelled(&self) -> bool {
        self.gone.load(Ordering::Relaxed) || self.soft.is_some_and(|soft| Instant::now() >= soft)
    }

    /// Time left until the soft deadline; `None` without a deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.soft.map(|soft| soft.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn cancel(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn zone_offset_and_fraction_name_one_instant() {
        let (now, instant) = (at(1_795_348_800), Instant::now());
        let parse = |text: &str| Deadline::parse(text, now, instant).unwrap();
        let expected = parse("2026-11-22T12:00:30Z");
        assert_eq!(expected.at(), at(1_795_348_830));
        assert_eq!(parse("2026-11-22T17:30:30+05:30"), expected);
        assert_eq!(parse("2026-11-22T12:00:30.000Z"), expected);
        assert_eq!(parse(" 2026-11-22T12:00:30Z "), expected);
    }

    #[test]
    fn the_margins_are_those_of_the_design() {
        let (now, instant) = (at(1_795_348_800), Instant::now());
        let parse = |text: &str| Deadline::parse(text, now, instant).unwrap();
        let long = parse("2026-11-22T12:00:30Z");
        assert_eq!(long.hard(), instant + Duration::from_millis(29_950));
        assert_eq!(long.soft(), instant + Duration::from_millis(29_700));
        let short = parse("2026-11-22T12:00:00.100Z");
        assert_eq!(short.hard(), instant + Duration::from_millis(90));
        assert_eq!(short.soft(), instant + Duration::from_millis(70));
        let past = parse("2026-11-22T11:59:59Z");
        assert!(past.is_past(instant));
    }

    #[test]
    fn garbage_is_no_deadline() {
        for text in ["", "soon", "2026-11-22", "2026-11-22T12:00:30", "12:00"] {
            assert_eq!(Deadline::parse(text, at(0), Instant::now()), None, "{text}");
        }
        assert!(Deadline::parse("9999-01-01T00:00:00Z", at(0), Instant::now()).is_some());
    }

    proptest! {
        #[test]
        fn any_header_is_ordered_or_none(text in "\\PC{0,40}", left in 0u64..100_000) {
            let instant = Instant::now();
            let _ = Deadline::parse(&text, at(0), instant);
            let time = jiff::Timestamp::from_second(i64::try_from(left).unwrap()).unwrap().to_string();
            let deadline = Deadline::parse(&time, at(0), instant).unwrap();
            prop_assert!(instant <= deadline.soft() && deadline.soft() <= deadline.hard());
            prop_assert!(deadline.hard() <= instant + Duration::from_secs(left));
        }
    }

    #[test]
    fn the_token_fires_at_the_soft_instant_and_when_the_call_is_over() {
        let now = Instant::now();
        assert!(Cancellation::new(Some(now)).is_cancelled());
        for soft in [None, Some(now + Duration::from_hours(1))] {
            let token = Cancellation::new(soft);
            assert!(!token.is_cancelled());
            token.clone().cancel();
            assert!(token.is_cancelled());
        }
    }
}
