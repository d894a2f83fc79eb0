//! Ids as the Fn server makes them: 26 characters that sort by time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// An id that no other call, function, application or trigger of this machine has.
pub(crate) fn next() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let count = u128::from(COUNT.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff);
    let id = (millis << 80) | (u128::from(std::process::id()) << 32) | count;
    (0..26).rev().map(|digit| char::from(DIGITS[(id >> (5 * digit) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let ids: Vec<String> = (0..100).map(|_| next()).collect();
        assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 26));
        assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), 100);
    }
}
