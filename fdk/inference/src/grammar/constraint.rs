//! A grammar as a reply is held to it, token by token.

use super::{Grammar, Schema, State};
use crate::bpe::Bpe;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::sampling::Allow;
use std::rc::Rc;

/// How many steps of threads there are between two questions to the interrupt: some milliseconds.
const STEPS: usize = 16_384;

/// A grammar, and how far a reply is in it.
#[derive(Debug, Clone)]
pub(crate) struct Constraint {
    grammar: Rc<Grammar>,
    state: State,
}

impl Constraint {
    /// Before the first token.
    pub(crate) fn new(schema: &Schema, interrupt: &Interrupt<'_>) -> Result<Self, Error> {
        let grammar = Grammar::compile(schema, interrupt)?;
        let state = grammar.start();
        Ok(Self { grammar: Rc::new(grammar), state })
    }

    /// Whether the reply is a value, and nothing more can come.
    pub(crate) fn is_done(&self) -> bool {
        self.state.is_done()
    }

    /// The bytes that must come next, which may be none, and the constraint after them.
    pub(crate) fn forced(&self, interrupt: &Interrupt<'_>) -> Result<(Vec<u8>, Self), Error> {
        let (bytes, state) = self.grammar.forced(&self.state, interrupt)?;
        Ok((bytes, Self { grammar: self.grammar.clone(), state }))
    }

    /// The constraint after these bytes; `None` where they cannot come.
    pub(crate) fn after(&self, bytes: &[u8]) -> Option<Self> {
        let state = self.grammar.walk(&self.state, bytes)?;
        Some(Self { grammar: self.grammar.clone(), state })
    }

    /// The fewest bytes that make the reply a value.
    pub(crate) fn closing(&self) -> Vec<u8> {
        self.grammar.shortest_rest(&self.state)
    }

    /// Which tokens may come next.
    pub(crate) fn allowed<'a>(&'a self, bpe: &'a Bpe, interrupt: &'a Interrupt<'a>) -> Allowed<'a> {
        Allowed { constraint: self, bpe, interrupt }
    }
}

/// Says of tokens whether they go on as the grammar has it.
pub(crate) struct Allowed<'a> {
    constraint: &'a Constraint,
    bpe: &'a Bpe,
    interrupt: &'a Interrupt<'a>,
}

impl Allow for Allowed<'_> {
    fn one(&mut self, token: u32) -> bool {
        let Constraint { grammar, state } = self.constraint;
        if self.bpe.is_end(token) {
            return self.bpe.ends().contains(&token) && grammar.is_whole(state);
        }
        grammar.walk(state, self.bpe.bytes(token)).is_some()
    }

    /// Tokens are walked in the order of their bytes, so that what two have in common is walked once.
    fn mask(&mut self, logits: &mut [f32]) -> Result<(), Error> {
        let Constraint { grammar, state } = self.constraint;
        let mut allowed = vec![false; logits.len()];
        // The state after each byte of the token before, and the first byte of it that cannot come.
        let mut states = vec![state.clone()];
        let mut dead = usize::MAX;
        let mut steps = 0;
        self.interrupt.check()?;
        for placed in self.bpe.sorted() {
            let shared = placed.shared as usize;
            if shared > dead {
                continue;
            }
            dead = usize::MAX;
            for (at, byte) in self.bpe.bytes(placed.token).iter().enumerate().skip(shared) {
                if states.len() < at + 2 {
                    states.push(State::default());
                }
                let (before, after) = states.split_at_mut(at + 1);
                steps += before[at].threads();
                if steps >= STEPS {
                    self.interrupt.check()?;
                    steps = 0;
                }
                grammar.step(&before[at], *byte, &mut after[0]);
                if after[0].is_dead() {
                    dead = at;
                    break;
                }
            }
            if dead == usize::MAX
                && let Some(one) = allowed.get_mut(placed.token as usize)
            {
                *one = true;
            }
        }
        if grammar.is_whole(state) {
            for end in self.bpe.ends() {
                if let Some(one) = allowed.get_mut(*end as usize) {
                    *one = true;
                }
            }
        }
        for (logit, allowed) in logits.iter_mut().zip(allowed) {
            if !allowed {
                *logit = f32::NEG_INFINITY;
            }
        }
        Ok(())
    }
}
