//! Many texts through an encoder, as the team can do it best.

use super::Isa;
use super::desk::Desk;
use super::encoder::{Alone, Crew, Embeddings, Layer, Pass, Shape, Text};
use super::team::Team;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most rows that one member takes through all layers, unless a text has more: few enough for its own cache.
const PORTION: usize = 192;
/// With so many portions for each member they are dealt out; with fewer, one would wait long for another's last.
const ROUNDS: usize = 3;

/// The memory of a model that runs: made once, at start.
#[derive(Debug)]
pub struct Room {
    team: Team,
    desks: Vec<Desk>,
    /// The vectors of the texts that were last run, one row for each token.
    vectors: Vec<f32>,
    width: usize,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every text has its vectors.
    Done,
    /// `go_on` said no.
    Stopped,
    /// The texts or the layers are not of the tables' sizes, or the texts have more rows than the room.
    Unfit,
}

impl Room {
    /// For texts of at most `longest` tokens, and of at most `tokens` together.
    pub fn new(team: Team, shape: Shape, longest: usize, tokens: usize) -> Self {
        let rows = longest.max(PORTION);
        let desks = (0..team.size()).map(|_| Desk::new(shape, rows)).collect();
        Self { team, desks, vectors: vec![0.0; tokens.max(longest) * shape.width], width: shape.width }
    }

    /// The bytes of one, when all of it is used.
    pub fn bytes(threads: usize, shape: Shape, longest: usize, tokens: usize) -> usize {
        threads * Desk::bytes(shape, longest.max(PORTION)) + 4 * tokens.max(longest) * shape.width
    }

    /// How many threads it works with.
    pub fn threads(&self) -> usize {
        self.team.size()
    }

    /// The vectors of some rows of the last run.
    pub fn vectors(&self, rows: Range<usize>) -> &[f32] {
        &self.vectors[rows.start * self.width..rows.end * self.width]
    }

    /// Runs texts through the layers. `go_on` is asked before each layer, on the calling thread alone.
    pub fn run(
        &mut self,
        isa: Isa,
        embeddings: &Embeddings<'_>,
        layers: &[Layer<'_>],
        texts: &[Text<'_>],
        go_on: &dyn Fn() -> bool,
    ) -> Outcome {
        let rows: usize = texts.iter().map(|text| text.ids.len()).sum();
        if rows * self.width > self.vectors.len()
            || texts.iter().any(|text| text.ids.len() > self.desks[0].rows())
        {
            return Outcome::Unfit;
        }
        let portions = portions(texts, self.team.size());
        if self.team.size() > 1 && portions.len() >= ROUNDS * self.team.size() {
            return self.deal(isa, embeddings, layers, texts, &portions, go_on);
        }
        for (of, first) in portions {
            let count: usize = texts[of.clone()].iter().map(|text| text.ids.len()).sum();
            let pass = Pass::begin(isa, embeddings, &texts[of], &mut self.desks, &mut self.team);
            let outcome = through(pass, layers, go_on);
            if outcome != Outcome::Done {
                return outcome;
            }
            for row in 0..count {
                let at = (first + row) * self.width;
                self.vectors[at..at + self.width].copy_from_slice(self.desks[0].vector(row));
            }
        }
        Outcome::Done
    }

    /// Each member takes whole portions through all layers.
    fn deal(
        &mut self,
        isa: Isa,
        embeddings: &Embeddings<'_>,
        layers: &[Layer<'_>],
        texts: &[Text<'_>],
        portions: &[(Range<usize>, usize)],
        go_on: &dyn Fn() -> bool,
    ) -> Outcome {
        let (stopped, unfit) = (AtomicBool::new(false), AtomicBool::new(false));
        let caller = OfCaller(go_on);
        let (desks, vectors, width) =
            (Shared(self.desks.as_mut_ptr()), Shared(self.vectors.as_mut_ptr()), self.width);
        self.team.run(portions.len(), |portion, member| {
            let (of, first) = portions[portion].clone();
            let texts = &texts[of];
            let go_on = || {
                if member == 0 && !caller.ask() {
                    stopped.store(true, Ordering::Relaxed);
                }
                !stopped.load(Ordering::Relaxed)
            };
            // SAFETY: there is a desk for each member, and a member is one thread at a time.
            let desk = unsafe { &mut *desks.at(member) };
            let mut alone = Alone;
            let pass = Pass::begin(isa, embeddings, texts, std::slice::from_mut(desk), &mut alone);
            match through(pass, layers, &go_on) {
                Outcome::Done => {}
                Outcome::Stopped => return,
                Outcome::Unfit => return unfit.store(true, Ordering::Relaxed),
            }
            for row in 0..texts.iter().map(|text| text.ids.len()).sum() {
                let vector = desk.vector(row);
                // SAFETY: `run` has checked that there are as many rows as the texts have; those of a portion are its own.
                unsafe {
                    std::ptr::copy_nonoverlapping(vector.as_ptr(), vectors.at((first + row) * width), width);
                }
            }
        });
        match (unfit.into_inner(), stopped.into_inner()) {
            (true, _) => Outcome::Unfit,
            (_, true) => Outcome::Stopped,
            _ => Outcome::Done,
        }
    }
}

fn through<C: Crew>(pass: Option<Pass<'_, C>>, layers: &[Layer<'_>], go_on: &dyn Fn() -> bool) -> Outcome {
    let Some(mut pass) = pass else { return Outcome::Unfit };
    for layer in layers {
        if !go_on() {
            return Outcome::Stopped;
        }
        if !pass.layer(layer) {
            return Outcome::Unfit;
        }
    }
    Outcome::Done
}

/// Groups texts into portions of like size, each with its first row; the largest first, so that members who deal them out
/// among themselves end at the same time.
fn portions(texts: &[Text<'_>], members: usize) -> Vec<(Range<usize>, usize)> {
    let rows: usize = texts.iter().map(|text| text.ids.len()).sum();
    // As many for each member.
    let count = if rows <= PORTION { 1 } else { rows.div_ceil(PORTION).next_multiple_of(members) };
    let mut portions: Vec<(Range<usize>, usize)> = Vec::new();
    let mut sizes: Vec<usize> = Vec::new();
    let (mut row, mut last) = (0, 0);
    for (index, text) in texts.iter().enumerate() {
        let length = text.ids.len();
        // Where it would be if portions were exactly alike: the one that has its middle.
        let place = (row + length / 2) * count / rows.max(1);
        match (portions.last_mut(), sizes.last_mut()) {
            (Some((of, _)), Some(size)) if place == last && *size + length <= PORTION => {
                of.end = index + 1;
                *size += length;
            }
            _ => {
                portions.push((index..index + 1, row));
                sizes.push(length);
            }
        }
        last = place;
        row += length;
    }
    let size =
        |(of, _): &(Range<usize>, usize)| texts[of.clone()].iter().map(|text| text.ids.len()).sum::<usize>();
    portions.sort_by_key(|portion| std::cmp::Reverse(size(portion)));
    portions
}

/// What only the calling thread, which is member 0, may ask.
struct OfCaller<'a>(&'a dyn Fn() -> bool);

// SAFETY: it is asked by member 0 alone, which is the thread that made it.
unsafe impl Sync for OfCaller<'_> {}

impl OfCaller<'_> {
    fn ask(&self) -> bool {
        (self.0)()
    }
}

/// A pointer that members share; each uses a part of its own.
struct Shared<T>(*mut T);

// SAFETY: it is dereferenced only where the loop says why that is sound.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn at(&self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::{PORTION, portions};
    use crate::encoder::Text;

    #[test]
    fn portions_hold_each_text_once_and_members_end_together() {
        let ids = [0_u32; 600];
        let mixed: Vec<usize> = (0..32).map(|index| 16 + index * 37 % 97).collect();
        for (lengths, uneven) in [
            (vec![], 0),
            (vec![12], 12),
            (vec![600, 3], 600),
            (vec![64; 32], 0),
            (vec![1; 1000], 2),
            // One text more or less.
            (mixed, 105),
        ] {
            let texts: Vec<_> =
                lengths.iter().map(|length| Text { ids: &ids[..*length], kinds: &[] }).collect();
            let size = |of: std::ops::Range<usize>| lengths[of].iter().sum::<usize>();
            let dealt = portions(&texts, 2);
            let mut members = [0, 0];
            for (of, first) in &dealt {
                assert_eq!(*first, size(0..of.start));
                assert!(of.len() == 1 || size(of.clone()) <= PORTION, "{lengths:?}");
                *members.iter_mut().min().unwrap() += size(of.clone());
            }
            let mut all: Vec<usize> = dealt.iter().flat_map(|(of, _)| of.clone()).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..lengths.len()), "{lengths:?}");
            assert!(members[0].abs_diff(members[1]) <= uneven, "{lengths:?}: {members:?}");
        }
    }
}
