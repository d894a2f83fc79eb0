//! How many requests a caller has in a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A limit for each caller; none unless asked for.
#[derive(Debug, Default)]
pub struct Rate {
    limit: Option<u32>,
    /// When the second began, and how many requests it had, by caller.
    seen: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Rate {
    /// So many requests in a second, for each caller.
    pub fn of(limit: Option<u32>) -> Self {
        Self { limit, seen: Mutex::default() }
    }

    /// Counts a request, and says whether it is within the limit.
    pub fn admits(&self, caller: &str) -> bool {
        let Some(limit) = self.limit else { return true };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Callers of before are forgotten.
        seen.retain(|_, (since, _)| now.duration_since(*since) < Duration::from_secs(1));
        let (_, count) = seen.entry(caller.to_owned()).or_insert((now, 0));
        *count += 1;
        *count <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_its_own_limit() {
        let rate = Rate::of(Some(2));
        assert_eq!([rate.admits("a"), rate.admits("a"), rate.admits("a")], [true, true, false]);
        assert!(rate.admits("b"));
        assert!((0..100).all(|_| Rate::of(None).admits("a")));
    }
}
