//! A plane of numbers that several threads write at once, each a part of its own.

use std::marker::PhantomData;
use std::ops::Range;

/// Rows of a borrowed buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    start: *mut T,
    count: usize,
    stride: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: a part is lent by `part` alone, whose callers see to it that no two overlap.
unsafe impl<T: Send> Sync for Rows<'_, T> {}

impl<'a, T> Rows<'a, T> {
    /// As many rows of `stride` as the buffer has.
    pub(crate) fn new(buffer: &'a mut [T], stride: usize) -> Self {
        let count = buffer.len().checked_div(stride).unwrap_or_default();
        Self { start: buffer.as_mut_ptr(), count, stride, buffer: PhantomData }
    }

    /// `count` rows, `stride` apart.
    ///
    /// # Safety
    /// They are there for as long as this is used, and so is whatever is between them, for which nobody has a reference.
    pub(crate) unsafe fn at(start: *mut T, count: usize, stride: usize) -> Self {
        Self { start, count, stride, buffer: PhantomData }
    }

    /// The columns of a row.
    ///
    /// # Safety
    /// No other part that is in use has any of them.
    ///
    /// # Panics
    /// If there is no such part.
    #[inline(always)]
    pub(crate) unsafe fn part(&self, row: usize, columns: Range<usize>) -> &'a mut [T] {
        assert!(row < self.count && columns.start <= columns.end && columns.end <= self.stride);
        // SAFETY: inside the buffer by the assertion, and lent to nobody else as the caller promises.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.add(row * self.stride + columns.start), columns.len())
        }
    }

    /// A whole row.
    ///
    /// # Safety
    /// As for [`Rows::part`].
    #[inline(always)]
    pub(crate) unsafe fn row(&self, row: usize) -> &'a mut [T] {
        // SAFETY: as the caller promises.
        unsafe { self.part(row, 0..self.stride) }
    }
}
