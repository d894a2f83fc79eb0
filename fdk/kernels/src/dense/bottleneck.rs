//! Inverted bottlenecks (Sandler et al., 2018): a product that widens each pixel, a depthwise convolution, and a product that
//! narrows it again. Where the wide middle of a whole picture is larger than a cache, a band of rows goes through all
//! three at a time.

use super::depthwise::{Band, Depthwise};
use super::lined::Lined;
use super::matmul::{Linear, Then};
use super::{THREADS, deal};
use std::ops::Range;

/// A middle of more bytes than this is made in bands.
const WHOLE_BYTES: usize = 1024 * 1024;
/// The bytes of the middle that a band has at most, unless a row of the result needs more: fewer than any second-level cache
/// has.
const BAND_BYTES: usize = 192 * 1024;

/// One of them, ready to run.
pub struct Bottleneck {
    expand: Option<Linear>,
    depthwise: Depthwise,
    project: Linear,
    /// Whether its input is added to its output.
    residual: bool,
}

/// Parts of a picture for each thread: with one, all would wait for a thread that is held up in the middle of its own.
const PARTS: usize = 2;

/// What lies between the steps, kept from call to call: one for each part, of which the first also holds a whole middle.
pub type Rooms = Vec<Room>;

/// What lies between the steps of one part.
#[derive(Debug, Default)]
pub struct Room {
    expanded: Lined,
    convolved: Lined,
}

impl Bottleneck {
    /// Without `expand` the picture is wide already.
    pub fn new(expand: Option<Linear>, depthwise: Depthwise, project: Linear, residual: bool) -> Self {
        Self { expand, depthwise, project, residual }
    }

    /// Takes a square picture through, and returns the side of the result, which is put into `out`.
    pub fn run(&self, input: &[f32], side: usize, rooms: &mut Rooms, out: &mut Lined) -> usize {
        let next = self.depthwise.side(side);
        let out = out.room(next * next * self.project.outputs());
        let parts = if *THREADS > 1 { *THREADS * PARTS } else { 1 };
        rooms.resize_with(parts, Room::default);
        if side * side * self.depthwise.channels() * 4 > WHOLE_BYTES {
            let rows = next.div_ceil(rooms.len());
            let parts = out.chunks_mut(rows * next * self.project.outputs()).zip(rooms.iter_mut());
            deal(parts, |index, (out, room)| self.bands(input, side, index * rows, room, out));
        } else {
            self.whole(input, side, &mut rooms[0], out);
        }
        next
    }

    /// Step by step; each is shared by the threads of the process.
    fn whole(&self, input: &[f32], side: usize, room: &mut Room, out: &mut [f32]) {
        let Room { expanded, convolved } = room;
        let wide: &[f32] = match &self.expand {
            Some(expand) => {
                let expanded = expanded.room(side * side * expand.outputs());
                expand.run(input, side * side, Then::Relu6, expanded);
                expanded
            }
            None => input,
        };
        let next = self.depthwise.side(side);
        let convolved = convolved.room(next * next * self.depthwise.channels());
        self.depthwise.run(wide, side, convolved);
        self.project.run(convolved, next * next, self.then(input), out);
    }

    /// The rows of the result from one on, as many as fit into `out`, on this thread alone.
    fn bands(&self, input: &[f32], side: usize, first: usize, room: &mut Room, out: &mut [f32]) {
        let (next, channels) = (self.depthwise.side(side), self.depthwise.channels());
        let out_row = next * self.project.outputs();
        let rows = first..first + out.len() / out_row;
        let at_once = (1..=rows.len())
            .rev()
            .find(|count| self.depthwise.seen(*count) * side * channels * 4 <= BAND_BYTES)
            .unwrap_or(1);
        let mut there = 0..0;
        // One that keeps its place while bands follow each other.
        let most = self.depthwise.seen(at_once).min(side) * side * channels;
        let middle = room.expanded.room(if self.expand.is_some() { most } else { 0 });
        for y in rows.clone().step_by(at_once) {
            let some = y..(y + at_once).min(rows.end);
            let band = match &self.expand {
                Some(expand) => {
                    let needed = self.depthwise.needed(side, some.clone());
                    widen(expand, input, side, needed.clone(), there, middle);
                    there = needed;
                    Band { numbers: middle, first: there.start, side }
                }
                None => Band { numbers: input, first: 0, side },
            };
            let pixels = some.len() * next;
            let convolved = room.convolved.room(pixels * channels);
            self.depthwise.rows_from(band, y, convolved);
            let out = &mut out[(y - first) * out_row..][..some.len() * out_row];
            let then = self.then(input).from(y * out_row);
            self.project.run_here(convolved, pixels, then, out);
        }
    }

    fn then<'a>(&self, input: &'a [f32]) -> Then<'a> {
        if self.residual { Then::Add(input) } else { Then::Keep }
    }
}

/// Makes the rows `needed` of the middle, of which those that two bands share are there from the band before.
fn widen(
    expand: &Linear,
    input: &[f32],
    side: usize,
    needed: Range<usize>,
    there: Range<usize>,
    middle: &mut [f32],
) {
    let (from_row, to_row) = (input.len() / side, side * expand.outputs());
    let kept = there.end.saturating_sub(needed.start);
    if kept > 0 {
        middle.copy_within((needed.start - there.start) * to_row..there.len() * to_row, 0);
    }
    let (start, end) = (needed.start + kept, needed.end);
    let input = &input[start * from_row..end * from_row];
    expand.run_here(
        input,
        (end - start) * side,
        Then::Relu6,
        &mut middle[kept * to_row..needed.len() * to_row],
    );
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
mod tests {
    use super::super::lined::Table;
    use super::*;

    #[test]
    fn bands_are_the_whole() {
        let wave = |count: usize, step: f32| -> Vec<f32> {
            (0..count).map(|i| (i as f32 * step).sin() * 1.5).collect()
        };
        for (side, inputs, channels, outputs, kernel, stride) in [
            (56, 24, 144, 24, 3, 1),
            (56, 24, 144, 40, 5, 2),
            (57, 24, 144, 24, 5, 1),
            (200, 8, 16, 8, 3, 2),
            (112, 16, 96, 24, 3, 2),
            (113, 32, 32, 16, 3, 1),
        ] {
            let expand = (inputs != channels)
                .then(|| Linear::new(&wave(channels * inputs, 0.7), channels, inputs, &wave(channels, 0.3)));
            let own = |numbers: &[f32]| Table::Own(Lined::of(numbers));
            let taps = wave(channels * kernel * kernel, 1.3);
            let depthwise = Depthwise::new(own(&taps), own(&wave(channels, 2.1)), kernel, stride);
            let project = Linear::new(&wave(outputs * channels, 0.9), outputs, channels, &wave(outputs, 0.1));
            let residual = stride == 1 && inputs == outputs;
            let block = Bottleneck::new(expand, depthwise, project, residual);
            let input = wave(side * side * inputs, 0.11);
            let (mut bands, mut rooms) = (Lined::default(), Rooms::new());
            let next = block.run(&input, side, &mut rooms, &mut bands);
            assert!(side * side * channels * 4 > WHOLE_BYTES, "{side} goes step by step");
            let mut whole = vec![0.0; bands.len()];
            block.whole(&input, side, &mut Room::default(), &mut whole);
            assert_eq!(next, side.div_ceil(stride));
            assert!(whole.iter().any(|number| *number != 0.0));
            for (place, (band, whole)) in bands.iter().zip(&whole).enumerate() {
                assert!((band - whole).abs() < 1e-3 * whole.abs().max(1.0), "{side} {place}: {band} {whole}");
            }
        }
    }
}
