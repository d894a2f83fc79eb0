//! Numbers that begin at a line of the cache: a vector that lies across two of them takes two loads.

use crate::numbers::Numbers;
use bytemuck::AnyBitPattern;
use std::ops::Deref;

/// A line in bytes.
const LINE: usize = 64;

/// Numbers in memory of their own. Its start is found when it is allocated, and it is never grown in place.
#[derive(Debug)]
pub struct Lined<T = f32> {
    numbers: Vec<T>,
    start: usize,
    count: usize,
}

impl<T> Default for Lined<T> {
    fn default() -> Self {
        Self { numbers: Vec::new(), start: 0, count: 0 }
    }
}

impl<T: Copy + Default> Lined<T> {
    /// Takes numbers in.
    pub fn of(numbers: &[T]) -> Self {
        let mut lined = Self::default();
        lined.room(numbers.len()).copy_from_slice(numbers);
        lined
    }

    /// Room for so many. What was there stays only where there was as much room before.
    pub fn room(&mut self, count: usize) -> &mut [T] {
        if self.start + count > self.numbers.len() {
            let most = LINE / size_of::<T>();
            self.numbers = vec![T::default(); count + most];
            self.start = self.numbers.as_ptr().align_offset(LINE).min(most);
        }
        self.count = count;
        &mut self.numbers[self.start..self.start + count]
    }
}

impl<T> Deref for Lined<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.count]
    }
}

/// Numbers that stay as they are.
#[derive(Debug)]
pub enum Table<T> {
    /// In memory of its own.
    Own(Lined<T>),
    /// In a prepared file, whose tables begin at lines.
    Mapped(Numbers<T>),
}

impl<T: AnyBitPattern> Deref for Table<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Own(numbers) => numbers,
            Self::Mapped(numbers) => numbers.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE, Lined};

    #[test]
    fn it_begins_at_a_line_and_keeps_what_fits() {
        let mut lined = Lined::of(&[1.0_f32, 2.0, 3.0]);
        assert_eq!(*lined, [1.0, 2.0, 3.0]);
        for count in [1, 17, 5, 100_000, 16] {
            assert_eq!(lined.room(count).len(), count);
            assert_eq!(lined.len(), count);
            assert_eq!(lined.as_ptr().align_offset(LINE), 0);
        }
        lined.room(16).fill(4.0);
        lined.room(8);
        assert_eq!(*lined, [4.0; 8]);
        assert_eq!(Lined::of(&[1_u16; 99]).as_ptr().align_offset(LINE), 0);
    }
}
