//! Numbers that begin at a line of the cache: a vector that lies across two of them takes two loads.

use std::ops::Deref;

/// A line, in numbers and in bytes.
const LINE: usize = 16;
const BYTES: usize = LINE * size_of::<f32>();

/// Numbers in memory of their own. Its start is found when it is allocated, and it is never grown in place.
#[derive(Default)]
pub(crate) struct Lined {
    numbers: Vec<f32>,
    start: usize,
    count: usize,
}

impl Lined {
    /// Takes numbers in.
    pub(crate) fn of(numbers: &[f32]) -> Self {
        let mut lined = Self::default();
        lined.room(numbers.len()).copy_from_slice(numbers);
        lined
    }

    /// Room for so many. What was there stays only where there was as much room before.
    pub(crate) fn room(&mut self, count: usize) -> &mut [f32] {
        if self.start + count > self.numbers.len() {
            self.numbers = vec![0.0; count + LINE];
            self.start = self.numbers.as_ptr().align_offset(BYTES).min(LINE);
        }
        self.count = count;
        &mut self.numbers[self.start..self.start + count]
    }
}

impl Deref for Lined {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[self.start..self.start + self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Lined};

    #[test]
    fn it_begins_at_a_line_and_keeps_what_fits() {
        let mut lined = Lined::of(&[1.0, 2.0, 3.0]);
        assert_eq!(*lined, [1.0, 2.0, 3.0]);
        for count in [1, 17, 5, 100_000, 16] {
            assert_eq!(lined.room(count).len(), count);
            assert_eq!(lined.len(), count);
            assert_eq!(lined.as_ptr().align_offset(BYTES), 0);
        }
        lined.room(16).fill(4.0);
        lined.room(8);
        assert_eq!(*lined, [4.0; 8]);
    }
}
